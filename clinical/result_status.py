"""Result and report status (HL7 v2 OBX-11 and OBR-25) with closed tables.

Public: `result_status(code)`, `report_status(code)`, `ResultStatus`, `ReportStatus`,
`Handling`, `Shown`.

A missing status is never read as final.

Source: data/hl7_status_map.csv (HL7 v2.5.1 tables 0085 and 0123; v2-to-FHIR maps).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from types import MappingProxyType

from clinical.reference_data import Row, rows


class Handling(StrEnum):
    """What filing does with one OBX."""

    FILE = "file"
    SUPERSEDE = "supersede"
    PROMOTE = "promote"
    ADD_COMMENT = "add_comment"
    VERIFY = "verify"
    PRELIMINARY = "preliminary"
    PENDING = "pending"
    CANCEL = "cancel"
    RETIRE = "retire"
    RETIRE_WRONG_PATIENT = "retire_wrong_patient"
    IGNORE = "ignore"
    QUEUE = "queue"


class Shown(StrEnum):
    """Whether the patient may see it. POLICY: only if the site shows early results."""

    YES = "yes"
    NO = "no"
    POLICY = "policy"


@dataclass(frozen=True, slots=True)
class ResultStatus:
    """One code of OBX-11. `fhir_status` None = the official map has no counterpart."""

    code: str
    known: bool
    handling: Handling
    fhir_status: str | None
    shown: Shown


@dataclass(frozen=True, slots=True)
class ReportStatus:
    """One code of OBR-25. `queue` True = a query reply or an unknown code, for a person."""

    code: str
    known: bool
    fhir_status: str | None
    shown: Shown
    queue: bool


_HANDLING: Mapping[str, Handling] = MappingProxyType(
    {
        "P": Handling.PRELIMINARY,
        "F": Handling.FILE,
        "C": Handling.SUPERSEDE,
        "A": Handling.SUPERSEDE,
        "B": Handling.ADD_COMMENT,
        "V": Handling.VERIFY,
        "U": Handling.PROMOTE,
        "D": Handling.RETIRE,
        "W": Handling.RETIRE_WRONG_PATIENT,
        "X": Handling.CANCEL,
        "N": Handling.IGNORE,
        "I": Handling.PENDING,
        "O": Handling.IGNORE,
        "R": Handling.PRELIMINARY,
        "S": Handling.PRELIMINARY,
    }
)


def _fhir_status(cell: str) -> str | None:
    word = cell.split(" ")[0].rstrip(";")
    return None if word in ("UNMATCHED", "-", "") else word


def _shown(cell: str) -> Shown:
    word = cell.split(":")[0]
    if word in ("yes", "per member"):
        return Shown.YES
    return Shown.POLICY if word == "policy" else Shown.NO


def _result_row(row: Row) -> ResultStatus:
    return ResultStatus(
        code=row["code"],
        known=True,
        handling=_HANDLING[row["code"]],
        fhir_status=_fhir_status(row["fhir_status_v2_to_fhir_ig"]),
        shown=_shown(row["patient_visible"]),
    )


def _report_row(row: Row) -> ReportStatus:
    return ReportStatus(
        code=row["code"],
        known=True,
        fhir_status=_fhir_status(row["fhir_status_v2_to_fhir_ig"]),
        shown=_shown(row["patient_visible"]),
        queue=row["portal_handling"].startswith("queue"),
    )


@cache
def _results() -> Mapping[str, ResultStatus]:
    return MappingProxyType(
        {
            row["code"]: _result_row(row)
            for row in rows("hl7_status_map")
            if row["field"] == "OBX-11" and not row["code"].startswith("(")
        }
    )


@cache
def _reports() -> Mapping[str, ReportStatus]:
    return MappingProxyType(
        {
            row["code"]: _report_row(row)
            for row in rows("hl7_status_map")
            if row["field"] == "OBR-25"
        }
    )


def result_status(code: str) -> ResultStatus:
    """Return how to handle an OBX-11 code; an empty or unknown one is queued, unseen."""
    code = code.strip().upper()
    unknown = ResultStatus(code, False, Handling.QUEUE, None, Shown.NO)
    return _results().get(code, unknown)


def report_status(code: str) -> ReportStatus:
    """Return how to handle an OBR-25 code; an unknown one is queued, unseen."""
    code = code.strip().upper()
    return _reports().get(code, ReportStatus(code, False, None, Shown.NO, True))
