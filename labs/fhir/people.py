"""Who a result says its patient is. Source: FHIR R4 Patient and Reference."""

import re
from dataclasses import dataclass, replace
from typing import Final

from labs.fhir.elements import Node, codings
from labs.fhir.references import Resources
from labs.fhir.results import modified
from labs.hl7.facts import Identifier, PatientIdentity
from labs.hl7.timestamps import read_date

_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_SEX: Final = {"female": "F", "male": "M", "other": "O", "unknown": "U"}


@dataclass(frozen=True, slots=True)
class Subject:
    """Whether a patient was named at all, and who she is as far as the body tells."""

    stated: bool
    pid: PatientIdentity | None

    def same_as(self, report: "Subject") -> bool:
        """Say whether a result's own subject is the patient of its report.

        A bare number is enough where it is one of hers.
        """
        if self.pid is None or report.pid is None:
            return self.pid is report.pid
        if replace(self.pid, raw="") == replace(report.pid, raw=""):
            return True
        bare = not self.pid.family and self.pid.birth_date is None
        hers = {(number.authority, number.value) for number in report.pid.identifiers}
        own = {(number.authority, number.value) for number in self.pid.identifiers}
        return bare and bool(own) and own <= hers


class Subjects:
    """Reads each patient of a body once."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._known: dict[int, PatientIdentity | None] = {}

    def of(self, result: Node) -> Subject:
        """Raises: FhirError `subject-not-patient`, or what reading the Patient raises."""
        subject = result.child("subject")
        if subject is None:
            return Subject(False, None)
        target, said = subject.text("reference"), subject.text("type")
        found = self._resources.find(subject)
        kind = found.type if found else said or _kind(target)
        if kind not in ("", "Patient"):
            raise subject.invalid("subject-not-patient")
        if found is not None:
            key = id(found.data)
            if key not in self._known:
                self._known[key] = None if modified(found) else _patient(found)
            return Subject(True, self._known[key])
        number = subject.child("identifier")
        if number is None:
            return Subject(bool(target), None)
        return Subject(True, _named_by(_identifiers([number]), subject.as_sent()))


def _kind(target: str) -> str:
    if target.startswith(("#", "urn:")):
        return ""
    parts = target.partition("/_history/")[0].split("/")
    return parts[-2] if len(parts) > 1 else ""


def _identifiers(sent: list[Node]) -> tuple[Identifier, ...]:
    """Return the numbers in force; an old one may belong to somebody else by now."""
    made = []
    for number in sent:
        kind = number.child("type")
        code = next((code for code, _, _ in codings(kind)), "") if kind else ""
        if number.text("use") != "old" and number.text("value"):
            made.append(Identifier(number.text("value"), number.text("system"), code))
    return tuple(made)


def _named_by(identifiers: tuple[Identifier, ...], raw: str) -> PatientIdentity:
    return PatientIdentity(identifiers, "", "", None, "", "", raw)


def _patient(patient: Node) -> PatientIdentity:
    names = [name for name in patient.children("name") if name.text("family")]
    names.sort(key=lambda name: name.text("use") not in ("official", ""))
    family, given = (
        (names[0].text("family"), " ".join(names[0].texts("given"))) if names else ("", "")
    )
    born, gender = patient.text("birthDate"), patient.text("gender")
    if gender and gender not in _SEX:
        raise patient.invalid("gender-invalid", "gender")
    return PatientIdentity(
        identifiers=_identifiers(patient.children("identifier")),
        family=family,
        given=given,
        birth_date=read_date(born.replace("-", "")) if _DAY.fullmatch(born) else None,
        birth_date_raw=born,
        sex=_SEX.get(gender, ""),
        raw=patient.as_sent(),
    )
