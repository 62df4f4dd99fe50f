"""The catalogue of laboratory analytes.

Public: `Analyte`, `LoincCode`, `SuspectUnit`, `by_key(key)`, `by_loinc(code)`,
`loinc_code(code)`, `method_families()`, `analytes()`.

One LOINC code belongs to one analyte. What must never share a row or a line has its own
analyte: direct, indirect and total bilirubin; total, ionized, albumin-corrected and
protein-corrected calcium; urea and urea nitrogen; RDW-CV and RDW-SD; bone ALP and ALP.
Codes of one analyte that different methods produce carry a `method_family`; a trend line
stays inside one family.

Source: data/analytes.csv, loincs.csv, separate_analytes.csv, suspect_units.csv.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from types import MappingProxyType
from typing import Literal, cast

from clinical.reference_data import Row, decimal_or_none, rows, words
from clinical.states import Concern

Sex = Literal["female", "male"]

_CHARGE: Mapping[str, int] = MappingProxyType(
    {
        "sodium": 1,
        "potassium": 1,
        "chloride": 1,
        "co2": 1,
        "anion_gap": 1,
        "calcium_total": 2,
        "calcium_ionized": 2,
        "calcium_corrected": 2,
        "magnesium": 2,
    }
)
"""mmol/L = meq/L divided by this number. Source: data/unit_aliases.csv, row meq/L."""

_ALSO_REPORTED_IN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"hemoglobin": ("mmol/L",), "albumin": ("umol/L",)}
)
"""Units that laboratories use for the analyte but that have no safe conversion."""


@dataclass(frozen=True, slots=True)
class SuspectUnit:
    """A window of numbers that points to a mislabelled unit.

    `labelled` and `suspected` are UCUM. `certain` False: ask only, the number may be real.
    """

    labelled: str
    suspected: str
    low: Decimal
    low_inclusive: bool
    high: Decimal | None
    high_inclusive: bool
    certain: bool

    def matches(self, number: Decimal, ucum: str) -> bool:
        """Say whether a number sent with this unit falls into the window."""
        if ucum != self.labelled or number < self.low:
            return False
        if number == self.low and not self.low_inclusive:
            return False
        return (
            self.high is None or number < self.high or (self.high_inclusive and number == self.high)
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """Two one-sided limits in one unit (UCUM). None = no limit on that side."""

    low: Decimal | None
    high: Decimal | None
    ucum: str


@dataclass(frozen=True, slots=True)
class Analyte:
    """One thing a laboratory measures.

    `factor` turns a number in `ucum_conventional` into `ucum_si`; None = no safe factor.
    `plausible`: size check (our values). `critical`: fallback for staff tasks only, never
    for what the patient sees. `critical_uln_multiple`: the same as a multiple of the ULN.
    `orientation_*`: textbook ranges for explaining texts only; they never judge a result.
    """

    key: str
    short_name: str
    plain_name: str
    plain_what: str
    loinc_primary: str
    loincs: tuple[str, ...]
    ucum_conventional: str
    ucum_si: str
    factor: Decimal | None
    accepted_ucum: tuple[str, ...]
    charge: int | None
    plausible: Limits | None
    suspect_units: tuple[SuspectUnit, ...]
    critical: Limits | None
    critical_uln_multiple: Decimal | None
    orientation_ucum: str
    orientation_female: tuple[Decimal | None, Decimal | None]
    orientation_male: tuple[Decimal | None, Decimal | None]
    concern: Concern
    sites: tuple[str, ...]

    def orientation(self, sex: Sex) -> tuple[Decimal | None, Decimal | None]:
        """Return the textbook low and high in `orientation_ucum`. For texts only."""
        return self.orientation_female if sex == "female" else self.orientation_male

    @property
    def may_be_negative(self) -> bool:
        """Say whether the quantity can be below zero (anion gap)."""
        return self.plausible is not None and (self.plausible.low or Decimal(0)) < 0


@dataclass(frozen=True, slots=True)
class LoincCode:
    """One LOINC code: its analyte, the method family it belongs to, and what it says."""

    code: str
    analyte_key: str
    primary: bool
    method_family: str
    note: str


@cache
def _codes() -> Mapping[str, LoincCode]:
    return MappingProxyType(
        {
            row["loinc"]: LoincCode(
                code=row["loinc"],
                analyte_key=row["analyte_key"],
                primary=row["primary"] == "yes",
                method_family=row["method_family"],
                note=row["note"],
            )
            for row in rows("loincs")
        }
    )


def _suspects(key: str) -> tuple[SuspectUnit, ...]:
    return tuple(
        SuspectUnit(
            labelled=row["labelled"],
            suspected=row["suspected"],
            low=Decimal(row["low"]),
            low_inclusive=row["low_op"] == ">=",
            high=decimal_or_none(row["high"]),
            high_inclusive=row["high_op"] == "<=",
            certain=row["action"] == "suspect",
        )
        for row in rows("suspect_units")
        if row["analyte_key"] == key
    )


def _limits(low: str, high: str, ucum: str) -> Limits | None:
    if not low and not high:
        return None
    return Limits(decimal_or_none(low), decimal_or_none(high), ucum)


def _uln_multiple(rule: str) -> Decimal | None:
    head, _, tail = rule.partition(" x ULN")
    return Decimal(head.removeprefix(">=")) if rule.startswith(">=") and not tail else None


def _accepted(key: str, *units: str) -> tuple[str, ...]:
    charge = ("meq/L",) if key in _CHARGE else ()
    return tuple(dict.fromkeys((*units, *charge, *_ALSO_REPORTED_IN.get(key, ()))))


def _loincs_of(key: str) -> tuple[str, ...]:
    return tuple(code.code for code in _codes().values() if code.analyte_key == key)


def _from_catalogue(row: Row) -> Analyte:
    key = row["analyte_key"]
    return Analyte(
        key=key,
        short_name=row["short_name"],
        plain_name=row["plain_name"],
        plain_what=row["plain_what"],
        loinc_primary=row["loinc_primary"],
        loincs=_loincs_of(key),
        ucum_conventional=row["ucum_conv"],
        ucum_si=row["ucum_si"],
        factor=decimal_or_none(row["conv_to_si"]),
        accepted_ucum=_accepted(key, row["ucum_conv"], row["ucum_si"]),
        charge=_CHARGE.get(key),
        plausible=_limits(row["plaus_low"], row["plaus_high"], row["plaus_unit"]),
        suspect_units=_suspects(key),
        critical=_limits(row["crit_low"], row["crit_high"], row["crit_unit"]),
        critical_uln_multiple=_uln_multiple(row["crit_rule"]),
        orientation_ucum=row["ref_unit"],
        orientation_female=(decimal_or_none(row["ref_low_f"]), decimal_or_none(row["ref_high_f"])),
        orientation_male=(decimal_or_none(row["ref_low_m"]), decimal_or_none(row["ref_high_m"])),
        concern=cast(Concern, row["concern"]),
        sites=words(row["mbc_sites"]),
    )


def _from_separate(row: Row) -> Analyte:
    loincs = _loincs_of(row["analyte_key"])
    return Analyte(
        key=row["analyte_key"],
        short_name=row["short_name"],
        plain_name=row["plain_name"],
        plain_what=row["plain_what"],
        loinc_primary=loincs[0],
        loincs=loincs,
        ucum_conventional=row["ucum_conv"],
        ucum_si=row["ucum_si"],
        factor=decimal_or_none(row["conv_to_si"]),
        accepted_ucum=_accepted(row["analyte_key"], row["ucum_conv"], row["ucum_si"]),
        charge=None,
        plausible=None,
        suspect_units=(),
        critical=None,
        critical_uln_multiple=None,
        orientation_ucum=row["ucum_conv"],
        orientation_female=(None, None),
        orientation_male=(None, None),
        concern=cast(Concern, row["concern"]),
        sites=words(row["mbc_sites"]),
    )


@cache
def _catalogue() -> Mapping[str, Analyte]:
    known = [_from_catalogue(row) for row in rows("analytes")]
    known += [_from_separate(row) for row in rows("separate_analytes")]
    return MappingProxyType({analyte.key: analyte for analyte in known})


def analytes() -> tuple[Analyte, ...]:
    """Return every analyte of the catalogue."""
    return tuple(_catalogue().values())


def by_key(key: str) -> Analyte:
    """Return the analyte with this key. Raises: KeyError."""
    return _catalogue()[key]


def loinc_code(code: str) -> LoincCode | None:
    """Return what the catalogue knows of a LOINC code, None when it is not listed."""
    return _codes().get(code.strip())


@cache
def method_families() -> Mapping[str, str]:
    """Return the method family of each LOINC code that has one."""
    return MappingProxyType(
        {code: known.method_family for code, known in _codes().items() if known.method_family}
    )


def by_loinc(code: str) -> Analyte | None:
    """Return the analyte of a LOINC code, None when the code is not listed."""
    known = loinc_code(code)
    return None if known is None else by_key(known.analyte_key)
