"""Which results of one analyte may share a line, and what changed since the last one.

Public: `build_series(...) -> Series`, `TrendPoint`, `PlottedPoint`, `Excluded`,
`ExclusionReason`, `Marker`, `Change`, `SetBaseline`, `Baseline`, `BaselineBasis`,
`reference_change_percent(...)`, `getting_worse(...)`, `consecutive_rises(...)`,
`baseline_before(...)`, `direction_between(...)`, `MOLAR`.

Patients see the line and "up" or "down" since last time. Whether a change is for the worse is
for staff. What a patient typed in herself is drawn beside the lines and enters no comparison.

A baseline is the one that a clinician set; else the median of the last results, at most
`BASELINE_RESULTS`, collected in the `BASELINE_LOOK_BACK` before the newest treatment that has
any before it (our choice, no published source).

Source: RCV = 2.77 x sqrt(CVa^2 + CVi^2), two-sided 95 % (PMID 7829892); data/rcv.csv.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from statistics import median

from clinical.analytes import Analyte, Sex
from clinical.reference_data import rows
from clinical.states import PortalState, direction_of
from clinical.units import Unit, convert
from clinical.values import ObservedValue, ValueKind

BASELINE_RESULTS = 3
BASELINE_LOOK_BACK = timedelta(days=90)


# Dimensions between which a conversion is exact (by the charge of the analyte).
MOLAR = frozenset({"equivalents", "molar_concentration"})


class Marker(StrEnum):
    """How to draw a point. Open: the true value lies beyond it."""

    CLOSED = "closed"
    OPEN_BELOW = "open_below"
    OPEN_ABOVE = "open_above"


class ExclusionReason(StrEnum):
    """Why a result is not drawn."""

    NOT_FINAL = "not_final"
    NOT_NUMERIC = "not_numeric"
    NOT_COMPARABLE = "not_comparable"
    UNIT_OTHER_FAMILY = "unit_other_family"


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """The current version of one result, any order.

    `final`: OBX-11 is final, corrected or amended. `comparable` and `state` are those of
    its verdict. `method_family` is that of its LOINC code. `entered`: the patient typed it in.
    """

    result_id: str
    at: datetime
    value: ObservedValue
    unit: Unit | None
    method_family: str
    state: PortalState
    final: bool
    comparable: bool
    entered: bool = False


@dataclass(frozen=True, slots=True)
class PlottedPoint:
    """A point of the chart, in the unit of the series."""

    result_id: str
    at: datetime
    number: Decimal
    marker: Marker
    state: PortalState


@dataclass(frozen=True, slots=True)
class Excluded:
    """A result that is listed below the chart with the reason."""

    result_id: str
    reason: ExclusionReason


@dataclass(frozen=True, slots=True)
class Line:
    """Points of one method family, oldest first. Only closed points are joined."""

    method_family: str
    points: tuple[PlottedPoint, ...]

    @property
    def joined(self) -> tuple[PlottedPoint, ...]:
        """Return the points that a line may run through."""
        return tuple(p for p in self.points if p.marker is Marker.CLOSED)


class Direction(StrEnum):
    """Which way a number went."""

    UP = "up"
    DOWN = "down"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Change:
    """The latest number against the one before, on one line.

    `percent` of the earlier number, unrounded; None when that was zero. `beyond_noise`
    None = no figure for normal variation is known.
    """

    direction: Direction
    percent: Decimal | None
    beyond_noise: bool | None


class BaselineBasis(StrEnum):
    """Where a baseline comes from."""

    SET = "set"
    BEFORE_TREATMENT = "before_treatment"


@dataclass(frozen=True, slots=True)
class SetBaseline:
    """What a clinician set as this patient's usual value."""

    number: Decimal
    unit: Unit


@dataclass(frozen=True, slots=True)
class Baseline:
    """A patient's usual value, in the unit of the series, and the latest number against it.

    `results` is how many results it rests on; 0 = it was set. `change` None: the latest is
    a limit, or there is none.
    """

    number: Decimal
    basis: BaselineBasis
    results: int
    change: Change | None


@dataclass(frozen=True, slots=True)
class Series:
    """Everything a chart of one analyte needs.

    `entered` are the numbers that the patient typed in. `rises`: how many times in a row the
    newest numbers of the newest line went up. `rcv_percent` None = no figure is known.
    """

    analyte_key: str
    unit: Unit | None
    lines: tuple[Line, ...]
    excluded: tuple[Excluded, ...]
    change: Change | None
    getting_worse: bool
    entered: tuple[PlottedPoint, ...] = ()
    rcv_percent: Decimal | None = None
    rises: int = 0
    baseline: Baseline | None = None


def build_series(
    analyte: Analyte,
    points: Sequence[TrendPoint],
    *,
    sex: Sex | None = None,
    set_baseline: SetBaseline | None = None,
    treatment_starts: Sequence[datetime] = (),
) -> Series:
    """Return the lines of one analyte, in the unit of its latest usable result.

    The same result twice at one instant stays twice; order is time, then result id. Only where
    no laboratory's result can be drawn, a typed one names the unit.
    """
    ordered = sorted(points, key=lambda p: (p.at, p.result_id))
    reasons = {p.result_id: _unusable(p) for p in ordered}
    drawable = [p for p in ordered if reasons[p.result_id] is None]
    usable = [p for p in drawable if not p.entered]
    unit = (usable or drawable)[-1].unit if drawable else None
    entered: list[PlottedPoint] = []
    lines: dict[str, list[PlottedPoint]] = {}
    excluded: list[Excluded] = []
    for point in ordered:
        reason = reasons[point.result_id]
        plotted = None if reason is not None or unit is None else _plot(point, unit, analyte)
        if plotted is None:
            excluded.append(Excluded(point.result_id, reason or ExclusionReason.UNIT_OTHER_FAMILY))
        elif point.entered:
            entered.append(plotted)
        else:
            lines.setdefault(point.method_family, []).append(plotted)
    made = tuple(Line(family, tuple(of_family)) for family, of_family in lines.items())
    newest = usable[-1].method_family if usable else None
    latest = next((line for line in made if line.method_family == newest), None)
    rcv = reference_change_percent(analyte.key, sex)
    return Series(
        analyte_key=analyte.key,
        unit=unit,
        lines=made,
        excluded=tuple(excluded),
        change=None if latest is None else change_since_last(latest, rcv),
        getting_worse=latest is not None and getting_worse(latest, analyte, rcv),
        entered=tuple(entered),
        rcv_percent=rcv,
        rises=0 if latest is None else consecutive_rises(latest),
        baseline=_baseline(analyte, unit, latest, set_baseline, treatment_starts, rcv),
    )


def _baseline(
    analyte: Analyte,
    unit: Unit | None,
    latest: Line | None,
    chosen: SetBaseline | None,
    treatment_starts: Sequence[datetime],
    rcv_percent: Decimal | None,
) -> Baseline | None:
    """Return the baseline in the unit of the series; one that was set is never replaced."""
    if unit is None:
        return None
    if chosen is not None:
        exact = _exact(chosen.unit, unit)
        number = convert(chosen.number, chosen.unit, unit, analyte) if exact else None
        basis, results = BaselineBasis.SET, 0
    else:
        before = () if latest is None else baseline_before(latest, treatment_starts)
        number = median([point.number for point in before]) if before else None
        basis, results = BaselineBasis.BEFORE_TREATMENT, len(before)
    if number is None:
        return None
    newest = latest.points[-1] if latest else None
    closed = newest is not None and newest.marker is Marker.CLOSED
    change = _change(number, newest.number, rcv_percent) if newest and closed else None
    return Baseline(number, basis, results, change)


def baseline_before(line: Line, treatment_starts: Sequence[datetime]) -> tuple[PlottedPoint, ...]:
    """Return the results that a baseline is made of; a limit is none of them."""
    for start in sorted(treatment_starts, reverse=True):
        found = [p for p in line.joined if start - BASELINE_LOOK_BACK <= p.at < start]
        if found:
            return tuple(found[-BASELINE_RESULTS:])
    return ()


def consecutive_rises(line: Line) -> int:
    """Return how many times in a row the newest numbers went up; a limit ends the row."""
    rises = 0
    for after, before in pairwise(reversed(line.points)):
        closed = before.marker is after.marker is Marker.CLOSED
        if not closed or after.number <= before.number:
            break
        rises += 1
    return rises


def _unusable(point: TrendPoint) -> ExclusionReason | None:
    if not point.final:
        return ExclusionReason.NOT_FINAL
    if point.value.interval is None or point.value.kind is ValueKind.RANGE:
        return ExclusionReason.NOT_NUMERIC
    if point.unit is None or not (point.comparable or _readable(point)):
        return ExclusionReason.NOT_COMPARABLE
    return None


def _readable(point: TrendPoint) -> bool:
    """Say whether a typed number can be drawn, although it is compared with nothing."""
    return point.entered and point.state not in _IN_DOUBT


_IN_DOUBT = frozenset(
    {PortalState.IMPLAUSIBLE, PortalState.UNKNOWN_UNIT, PortalState.UNIT_MISMATCH}
)


def _plot(point: TrendPoint, unit: Unit, analyte: Analyte) -> PlottedPoint | None:
    number = point.value.number if point.value.limit is None else point.value.limit
    if number is None or point.unit is None or not _exact(point.unit, unit):
        return None
    converted = convert(number, point.unit, unit, analyte)
    if converted is None:
        return None
    marker = Marker.CLOSED
    if point.value.comparator is not None:
        below = point.value.comparator in ("<", "<=")
        marker = Marker.OPEN_BELOW if below else Marker.OPEN_ABOVE
    return PlottedPoint(point.result_id, point.at, converted, marker, point.state)


def _exact(a: Unit, b: Unit) -> bool:
    """Say whether conversion is exact: one family, or equivalents and molar units."""
    families = {a.dimension, b.dimension}
    return len(families) == 1 or families == MOLAR


def reference_change_percent(analyte_key: str, sex: Sex | None) -> Decimal | None:
    """Return the change in percent that is more than noise, None when no figure is known.

    Where the figure depends on sex and the sex is not known, the larger one.
    """
    found = [
        Decimal(row["rcv_percent"])
        for row in rows("rcv")
        if row["analyte_key"] == analyte_key and (sex is None or row["sex"] in ("", sex))
    ]
    return max(found, default=None)


def change_since_last(line: Line, rcv_percent: Decimal | None) -> Change | None:
    """Return the change between the last two points, None when one of them is open."""
    if len(line.points) < 2 or any(p.marker is not Marker.CLOSED for p in line.points[-2:]):
        return None
    return _change(line.points[-2].number, line.points[-1].number, rcv_percent)


def direction_between(before: Decimal, now: Decimal) -> Direction:
    """Return which way a number went; both in one unit."""
    if now == before:
        return Direction.SAME
    return Direction.UP if now > before else Direction.DOWN


def _change(before: Decimal, now: Decimal, rcv_percent: Decimal | None) -> Change:
    direction = direction_between(before, now)
    percent = None if before == 0 else (now - before) / abs(before) * 100
    if percent is None or rcv_percent is None:
        return Change(direction, percent, None)
    return Change(direction, percent, abs(percent) > rcv_percent)


def getting_worse(line: Line, analyte: Analyte, rcv_percent: Decimal | None) -> bool:
    """Say whether staff should see a mark: a real change the wrong way.

    Needs a change in the direction of concern, beyond noise, that either leaves the range
    on that side or is the second in a row.
    """
    change = change_since_last(line, rcv_percent)
    if change is None or not change.beyond_noise:
        return False
    side = "high" if change.direction is Direction.UP else "low"
    if analyte.concern not in (side, "both"):
        return False
    before, now = line.points[-2], line.points[-1]
    if direction_of(now.state) == side and direction_of(before.state) != side:
        return True
    return _second_in_a_row(line, change.direction)


def _second_in_a_row(line: Line, direction: Direction) -> bool:
    if len(line.points) < 3 or line.points[-3].marker is not Marker.CLOSED:
        return False
    earlier = _change(line.points[-3].number, line.points[-2].number, None)
    return earlier.direction is direction
