"""CTCAE laboratory grades, versions 5.0 and 6.0. For staff only.

Public: `grade_result(...) -> tuple[CtcaeGrade, ...]`, `CtcaeGrade`, `Ungraded`,
`DEFAULT_VERSION`.

A grade is an aid: many grades also carry clinical words that no number can decide. Values
are graded in the unit the laboratory used, because the cuts in mg/dL and mmol/L are not
exact conversions of each other. Limits come from the same result as the value.

Source: data/grading.csv (CTCAE v5.0 and v6.0, one row per grade, unit and baseline case).
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Literal

from clinical.analytes import by_key
from clinical.reference_data import Row, decimal_or_none, rows
from clinical.units import Unit, convert, unit_of_ucum
from clinical.values import ObservedValue

Version = Literal["5.0", "6.0"]
DEFAULT_VERSION: Version = "5.0"

_RATIO = "any (ratio)"
_INFINITY = Decimal("Infinity")


class Ungraded(StrEnum):
    """Why no grade can be given."""

    NOT_NUMERIC = "not_numeric"
    LIMIT_MISSING = "limit_missing"
    BASELINE_MISSING = "baseline_missing"
    OPEN_INTERVAL = "open_interval"
    UNIT = "unit"


@dataclass(frozen=True, slots=True)
class CtcaeGrade:
    """One term of CTCAE for one result.

    `grade` 0 to 4, None = cannot tell (`why`). `at_least`: the value has a comparator and
    may be of a higher grade. `basis` is the comparison that gave the grade, as the table
    names it. `baseline_unknown`: graded against the laboratory's limit because no baseline
    was set. `qualifier`: clinical words of the criterion that were not checked.
    """

    version: Version
    term: str
    meddra_code: str
    grade: int | None
    at_least: bool
    basis: str
    qualifier: str
    baseline_unknown: bool
    why: Ungraded | None = None


@dataclass(frozen=True, slots=True)
class _Point:
    """A number, or one just above (`side` 1) or just below (-1) it."""

    number: Decimal
    side: int = 0

    def satisfies(self, operator: str, bound: Decimal) -> bool:
        mine, other = (self.number, self.side), (bound, 0)
        match operator:
            case ">":
                return mine > other
            case ">=":
                return mine >= other
            case "<":
                return mine < other
            case _:
                return mine <= other


@dataclass(frozen=True, slots=True)
class _Criterion:
    term: str
    meddra_code: str
    direction: str
    baseline_case: str
    unit: str
    grade: int
    basis: str
    low: str
    low_op: str
    high: str
    high_op: str
    qualifier: str


@dataclass(frozen=True, slots=True)
class _Limits:
    lln: Decimal | None
    uln: Decimal | None
    baseline: Decimal | None

    def applies(self, baseline_case: str) -> bool:
        high = None not in (self.baseline, self.uln) and (self.baseline or 0) > (self.uln or 0)
        low = None not in (self.baseline, self.lln) and (self.baseline or 0) < (self.lln or 0)
        return {
            "any": True,
            "baseline_abnormal_high": high,
            "baseline_normal_or_low_or_unknown": not high,
            "baseline_below_LLN": low,
            "baseline_not_below_LLN": not low,
        }[baseline_case]


def _criterion(row: Row) -> _Criterion:
    return _Criterion(
        term=row["term"],
        meddra_code=row["meddra_code"],
        direction=row["direction"],
        baseline_case=row["baseline_case"],
        unit=row["unit"],
        grade=int(row["grade"]),
        basis=row["basis"],
        low=row["lo"],
        low_op=row["lo_op"],
        high=row["hi"],
        high_op=row["hi_op"],
        qualifier=row["clinical_qualifier"],
    )


@cache
def _criteria(version: Version, analyte_key: str) -> tuple[_Criterion, ...]:
    return tuple(
        _criterion(row)
        for row in rows("grading")
        if row["ctcae_version"] == version and row["analyte_keys"] == analyte_key
    )


def grade_result(
    *,
    analyte_key: str,
    value: ObservedValue,
    unit: Unit,
    lln: Decimal | None,
    uln: Decimal | None,
    baseline: Decimal | None = None,
    version: Version = DEFAULT_VERSION,
) -> tuple[CtcaeGrade, ...]:
    """Return one grade per CTCAE term of this analyte, empty when it has none.

    `lln`, `uln` and `baseline` are in `unit`; None = unknown.
    """
    criteria = _criteria(version, analyte_key)
    terms = tuple(dict.fromkeys(criterion.term for criterion in criteria))
    grades = []
    for term in terms:
        of_term = tuple(c for c in criteria if c.term == term)
        grades.append(
            _grade_term(of_term, analyte_key, value, unit, _Limits(lln, uln, baseline), version)
        )
    return tuple(grades)


def _grade_term(
    criteria: tuple[_Criterion, ...],
    analyte_key: str,
    value: ObservedValue,
    unit: Unit,
    limits: _Limits,
    version: Version,
) -> CtcaeGrade:
    def answer(
        grade: int | None, chosen: _Criterion | None, why: Ungraded | None, at_least: bool = False
    ) -> CtcaeGrade:
        return CtcaeGrade(
            version=version,
            term=criteria[0].term,
            meddra_code=criteria[0].meddra_code,
            grade=grade,
            at_least=at_least,
            basis=chosen.basis if chosen else "",
            qualifier=chosen.qualifier if chosen else "",
            baseline_unknown=limits.baseline is None
            and any("baseline" in c.basis for c in criteria),
            why=why,
        )

    interval = value.interval
    if interval is None:
        return answer(None, None, Ungraded.NOT_NUMERIC)
    scale = _scale(criteria, analyte_key, unit)
    if scale is None:
        return answer(None, None, Ungraded.UNIT)
    target, in_target = scale
    usable = tuple(c for c in criteria if c.unit in (_RATIO, target))
    low = Decimal(0) if interval.low is None else in_target(interval.low)
    high = _INFINITY if interval.high is None else in_target(interval.high)
    scaled = _Limits(
        *(None if n is None else in_target(n) for n in (limits.lln, limits.uln, limits.baseline))
    )
    ends = [
        _grade_point(usable, _Point(low, 0 if interval.low_inclusive else 1), scaled),
        _grade_point(usable, _Point(high, 0 if interval.high_inclusive else -1), scaled),
    ]
    unknown = next((end for end in ends if isinstance(end, Ungraded)), None)
    known = [end for end in ends if not isinstance(end, Ungraded)]
    if unknown is not None:
        return answer(None, None, unknown)
    lowest, highest = sorted(known, key=lambda end: end[0])
    if lowest[0] == highest[0]:
        return answer(lowest[0], lowest[1], None)
    if lowest[0] == 0:
        return answer(None, None, Ungraded.OPEN_INTERVAL)
    return answer(lowest[0], lowest[1], None, at_least=True)


def _scale(
    criteria: tuple[_Criterion, ...], analyte_key: str, unit: Unit
) -> tuple[str, Callable[[Decimal], Decimal]] | None:
    """Return the unit of the table to grade in, and how to get there exactly."""
    units = tuple(dict.fromkeys(c.unit for c in criteria))
    if _RATIO in units or unit.ucum in units:
        return unit.ucum, lambda number: number
    analyte = by_key(analyte_key)
    for ucum in units:
        target = unit_of_ucum(ucum)
        exact = {unit.dimension, target.dimension} in (
            {target.dimension},
            {"equivalents", "molar_concentration"},
        )
        if exact and convert(Decimal(1), unit, target, analyte) is not None:

            def in_target(number: Decimal, target: Unit = target) -> Decimal:
                converted = convert(number, unit, target, analyte)
                if converted is None:
                    raise ValueError(f"{unit.ucum} does not convert to {target.ucum}")
                return converted

            return ucum, in_target
    return None


def _grade_point(
    criteria: tuple[_Criterion, ...], point: _Point, limits: _Limits
) -> tuple[int, _Criterion | None] | Ungraded:
    applying = [c for c in criteria if limits.applies(c.baseline_case)]
    missing: Ungraded | None = None
    for criterion in sorted(applying, key=lambda c: -c.grade):
        hit = _matches(criterion, applying, point, limits)
        if hit is True:
            return criterion.grade, criterion
        if isinstance(hit, Ungraded):
            missing = hit
    return missing if missing is not None else (0, None)


def _matches(
    criterion: _Criterion, applying: list[_Criterion], point: _Point, limits: _Limits
) -> bool | Ungraded:
    match criterion.basis:
        case "x ULN":
            return _within(criterion, point, limits.uln, Ungraded.LIMIT_MISSING)
        case "x baseline":
            return _within(criterion, point, limits.baseline, Ungraded.BASELINE_MISSING)
        case "x ULN or x baseline":
            return _either(criterion, applying, point, limits)
        case "ULN and baseline":
            above_uln = _within(criterion, point, limits.uln, Ungraded.LIMIT_MISSING)
            if above_uln is not True:
                return above_uln
            return _within(criterion, point, limits.baseline, Ungraded.BASELINE_MISSING)
        case _:
            return _within_absolute(criterion, point, limits)


def _either(
    criterion: _Criterion, applying: list[_Criterion], point: _Point, limits: _Limits
) -> bool | Ungraded:
    """Two independent tests: the multiple of ULN, or the multiple of the baseline.

    The highest grade that knows a baseline has no upper bound on that half.
    """
    by_uln = _within(criterion, point, limits.uln, Ungraded.LIMIT_MISSING)
    if by_uln is True or limits.baseline is None:
        return by_uln
    open_ended = not any(c.basis == criterion.basis and c.grade > criterion.grade for c in applying)
    by_baseline = _within(
        criterion, point, limits.baseline, Ungraded.BASELINE_MISSING, open_ended=open_ended
    )
    return True if by_baseline is True else by_uln


def _within(
    criterion: _Criterion,
    point: _Point,
    reference: Decimal | None,
    missing: Ungraded,
    *,
    open_ended: bool = False,
) -> bool | Ungraded:
    if reference is None or reference <= 0:
        return missing
    low, high = decimal_or_none(criterion.low), decimal_or_none(criterion.high)
    above = low is None or point.satisfies(criterion.low_op, low * reference)
    below = high is None or open_ended or point.satisfies(criterion.high_op, high * reference)
    return above and below


def _within_absolute(criterion: _Criterion, point: _Point, limits: _Limits) -> bool | Ungraded:
    missing = False
    for text, operator in (
        (criterion.low, criterion.low_op),
        (criterion.high, criterion.high_op),
    ):
        if not text:
            continue
        named = {"ULN": limits.uln, "LLN": limits.lln}
        bound = named[text] if text in named else Decimal(text)
        if bound is None:
            missing = True
        elif not point.satisfies(operator, bound):
            return False
    return Ungraded.LIMIT_MISSING if missing else True
