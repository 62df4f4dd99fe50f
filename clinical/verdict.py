"""Judge one version of one laboratory result.

Public: `judge(ResultInput) -> Verdict`, `ResultInput`, `Verdict`, `Basis`; re-exported
`SenderOptions`, `ReviewCode`.

What is judged, in this order:

1. The status of the line. Withdrawn, cancelled and pending results are not compared.
2. The value against the range, when value, unit and range all are usable. The range is the
   one sent with the result; only when none was sent, the one that staff configured and
   approved for this laboratory. Textbook ranges never judge.
3. The flag of the laboratory. An abnormal flag needs no range. "Normal" without a usable
   range is NO_RANGE.
4. Where 2 and 3 differ, the more serious of the two is the state; both are kept and
   `discrepancy` says that they contradict each other.

IN_RANGE comes out only when a usable range contains the whole value and no flag objects.
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum

from clinical.analytes import Analyte, by_key
from clinical.flags import Change, FlagReading, ReviewCode, SenderOptions, read_flags
from clinical.intervals import Interval, Position
from clinical.plausibility import check_size
from clinical.reference_ranges import RangeFault, RangeProblem, ReferenceRange
from clinical.result_status import Handling, result_status
from clinical.states import (
    CRITICAL_STATES,
    RULE_VERSION,
    Concern,
    PortalState,
    Tier,
    direction_of,
    more_serious,
    tier_of,
)
from clinical.units import Unit, accepts, convert, unit_of_ucum
from clinical.values import NoResult, ObservedValue, ValueKind
from clinical.verdict_reasons import reason_for

__all__ = ["Basis", "ResultInput", "ReviewCode", "SenderOptions", "Verdict", "judge"]


class Basis(StrEnum):
    """What the state rests on."""

    LAB_FLAG = "lab_flag"
    LAB_RANGE = "lab_range"
    CONFIGURED_RANGE = "configured_range"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ResultInput:
    """One result as the laboratory sent it.

    `analyte_key` None: the code is not in the catalogue. `unit` is `normalise_unit` of
    `unit_raw`. `lab_range` is what `parse_reference_range` returned. `configured_range`
    must name its unit. `flags` are the codes of OBX-8, `status` is OBX-11.
    `previous_dimensions`: unit families of earlier results of this analyte from the same
    sender; empty when there are none.
    """

    analyte_key: str | None
    value: ObservedValue
    unit_raw: str
    unit: Unit | None
    lab_range: ReferenceRange | RangeProblem
    status: str
    configured_range: ReferenceRange | None = None
    flags: tuple[str, ...] = ()
    sender: SenderOptions = field(default_factory=SenderOptions)
    previous_dimensions: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.configured_range is not None and self.configured_range.unit is None:
            raise ValueError("a configured range must name its unit")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the portal says about a result, and why.

    `reason` is plain words for the patient page and contains no number. `computed_state`
    is what value and range say alone, `flag_state` what the flags say alone (None: no
    flag). `staff_critical`: a task at once, from a flag or from the fallback limits.
    `comparable`: value and unit may be used for grades, trends and derived values.
    """

    state: PortalState
    tier: Tier
    rule_id: str
    basis: Basis
    range_used: ReferenceRange | None
    reason: str
    computed_state: PortalState
    flag_state: PortalState | None
    discrepancy: bool
    staff_critical: bool
    comparable: bool
    needs_review: tuple[ReviewCode, ...]
    changes: tuple[Change, ...]
    rule_version: str = RULE_VERSION


@dataclass(frozen=True, slots=True)
class _Computed:
    state: PortalState
    rule_id: str
    basis: Basis = Basis.NONE
    range_used: ReferenceRange | None = None
    critical: bool = False
    comparable: bool = False
    review: tuple[ReviewCode, ...] = ()


def judge(result: ResultInput) -> Verdict:
    """Return the verdict on one result. Raises: KeyError for an unknown analyte key."""
    analyte = None if result.analyte_key is None else by_key(result.analyte_key)
    concern: Concern = "both" if analyte is None else analyte.concern
    flags = read_flags(result.flags, result.sender)
    computed = _compute(result, analyte)
    closed = _closed_by_status(result.status)
    if closed is not None:
        return _verdict(closed, computed, flags, concern, compared=False)
    joined = _join(computed, flags, concern)
    if result_status(result.status).handling is Handling.PRELIMINARY and joined.state not in (
        PortalState.INVALID,
        PortalState.HELD,
    ):
        joined = _Computed(
            PortalState.PRELIMINARY, "status.preliminary", joined.basis, joined.range_used
        )
    return _verdict(joined, computed, flags, concern, compared=True)


def _closed_by_status(code: str) -> _Computed | None:
    status = result_status(code)
    if status.handling is Handling.RETIRE:
        return _Computed(PortalState.RETRACTED, "status.retracted")
    if status.handling is Handling.RETIRE_WRONG_PATIENT:
        return _Computed(
            PortalState.RETRACTED, "status.retracted", review=(ReviewCode.WRONG_PATIENT,)
        )
    if status.handling is Handling.CANCEL:
        return _Computed(PortalState.CANCELLED, "status.cancelled")
    if status.handling is Handling.PENDING:
        return _Computed(PortalState.PENDING, "status.pending")
    if status.handling is Handling.IGNORE:
        return _Computed(
            PortalState.NEEDS_REVIEW,
            "status.no_result",
            review=(ReviewCode.STATUS_WITHOUT_RESULT,),
        )
    if status.handling is Handling.QUEUE:
        why = ReviewCode.STATUS_UNKNOWN if status.code else ReviewCode.STATUS_MISSING
        return _Computed(PortalState.NEEDS_REVIEW, "status.unclear", review=(why,))
    return None


def _verdict(
    chosen: _Computed, computed: _Computed, flags: FlagReading, concern: Concern, *, compared: bool
) -> Verdict:
    discrepancy = compared and _contradicts(flags.state, computed.state)
    flag_critical = (
        ReviewCode.CRITICAL_FLAG in flags.review
        or chosen.state in CRITICAL_STATES
        or (
            flags.state is PortalState.OFF_SCALE_HIGH
            and ReviewCode.OFF_SCALE_UNCONFIGURED in flags.review
        )
    )
    review = list(chosen.review)
    if compared:
        review += [*flags.review, *computed.review]
        review += [ReviewCode.CRITICAL_FALLBACK] if computed.critical else []
        review += [ReviewCode.DISCREPANCY] if discrepancy else []
    return Verdict(
        state=chosen.state,
        tier=tier_of(chosen.state, concern),
        rule_id=chosen.rule_id,
        basis=chosen.basis,
        range_used=chosen.range_used,
        reason=reason_for(chosen.rule_id, discrepancy=discrepancy),
        computed_state=computed.state,
        flag_state=flags.state,
        discrepancy=discrepancy,
        staff_critical=compared and (flag_critical or computed.critical),
        comparable=compared
        and computed.comparable
        and chosen.state not in (PortalState.PRELIMINARY, PortalState.INVALID),
        needs_review=tuple(dict.fromkeys(review)),
        changes=flags.changes,
    )


def _join(computed: _Computed, flags: FlagReading, concern: Concern) -> _Computed:
    """Put the flag and the comparison together; the more serious one wins."""
    if flags.state is None:
        return computed
    if flags.state is PortalState.IN_RANGE:
        if computed.state is PortalState.NO_RANGE:
            return replace(computed, rule_id="flag.usual_without_range", basis=Basis.LAB_FLAG)
        if computed.state is PortalState.NON_NUMERIC:
            return replace(computed, rule_id="flag.usual_words", basis=Basis.LAB_FLAG)
        return computed
    state = more_serious(flags.state, computed.state, concern)
    if state is computed.state and state is not flags.state:
        return computed
    return _Computed(state, "flag." + state.value.lower(), Basis.LAB_FLAG, computed.range_used)


_RANGE_STATES = frozenset({PortalState.IN_RANGE, PortalState.LOW, PortalState.HIGH})
_WITHOUT_OPINION = frozenset(
    {
        PortalState.NEEDS_REVIEW,
        PortalState.NON_NUMERIC,
        PortalState.HELD,
        PortalState.INVALID,
    }
)


def _contradicts(flag: PortalState | None, computed: PortalState) -> bool:
    """Say whether the flag and our comparison cannot both be right."""
    if flag is None or flag in _WITHOUT_OPINION or computed not in _RANGE_STATES:
        return False
    flag_side, computed_side = direction_of(flag), direction_of(computed)
    if flag_side is not None and computed_side is not None:
        return flag_side != computed_side
    if flag in (PortalState.OFF_SCALE_LOW, PortalState.OFF_SCALE_HIGH):
        # The limit of an instrument says nothing about the range.
        return False
    if flag in (PortalState.ABNORMAL, PortalState.CRITICAL):
        return computed is PortalState.IN_RANGE
    return flag is not computed


def _compute(result: ResultInput, analyte: Analyte | None) -> _Computed:
    """Return what value, unit and range say without the flag."""
    value = result.value
    if value.kind is ValueKind.ABSENT:
        return _Computed(PortalState.CANCELLED, "value.absent", review=(ReviewCode.VALUE_ABSENT,))
    if value.no_result is NoResult.PENDING:
        return _Computed(PortalState.PENDING, "value.pending", review=(ReviewCode.PENDING_TEXT,))
    if value.no_result is NoResult.NOT_DONE:
        return _Computed(PortalState.CANCELLED, "value.not_done")
    if value.interval is None:
        return _Computed(PortalState.NON_NUMERIC, "value.words")
    unit = _usable_unit(result, analyte)
    if isinstance(unit, _Computed):
        return unit
    return _compute_number(result, analyte, value, value.interval, unit)


def _usable_unit(result: ResultInput, analyte: Analyte | None) -> Unit | _Computed:
    unit = result.unit
    if unit is None and not result.unit_raw.strip():
        unit = _unit_of_pure_number(analyte)
        if unit is None:
            return _Computed(
                PortalState.UNKNOWN_UNIT, "unit.missing", review=(ReviewCode.UNIT_MISSING,)
            )
    if unit is None:
        return _Computed(
            PortalState.UNKNOWN_UNIT, "unit.unknown", review=(ReviewCode.UNIT_UNKNOWN,)
        )
    other_family = analyte is not None and not accepts(analyte, unit)
    before = result.previous_dimensions
    if other_family or (before and unit.dimension not in before):
        rule = "unit.family" if other_family else "unit.previous"
        return _Computed(PortalState.UNIT_MISMATCH, rule, review=(ReviewCode.UNIT_MISMATCH,))
    return unit


def _unit_of_pure_number(analyte: Analyte | None) -> Unit | None:
    """Return the unit of an analyte that is a plain ratio, where no unit is the usual way."""
    if analyte is not None and analyte.ucum_conventional in ("{ratio}", "{INR}"):
        return unit_of_ucum(analyte.ucum_conventional)
    return None


def _compute_number(
    result: ResultInput,
    analyte: Analyte | None,
    value: ObservedValue,
    interval: Interval,
    unit: Unit,
) -> _Computed:
    reference, basis, review = _range_in(result, unit)
    if ReviewCode.UNIT_MISMATCH in review:
        return _Computed(PortalState.UNIT_MISMATCH, "unit.range", review=review)
    critical, comparable = False, True
    if analyte is not None:
        size = check_size(analyte, value, unit, reference.high if reference else None)
        critical = size.critical
        review += (ReviewCode.UNIT_ASK,) if size.ask else ()
        if size.suspected or not size.plausible:
            rule = "size.unit" if size.suspected else "size.limits"
            why = ReviewCode.UNIT_SUSPECT if size.suspected else ReviewCode.IMPLAUSIBLE
            return _Computed(
                PortalState.IMPLAUSIBLE, rule, critical=critical, review=(*review, why)
            )
        comparable = size.ask is None
    if reference is None:
        rule = "range.none" if _no_range_sent(result) else "range.unreadable"
        return _Computed(
            PortalState.NO_RANGE, rule, critical=critical, comparable=comparable, review=review
        )
    state, rule = _POSITION_STATES[
        _with_floor(interval, analyte, reference).position_in(reference.interval)
    ]
    return _Computed(state, rule, basis, reference, critical, comparable, review)


_POSITION_STATES = {
    Position.INSIDE: (PortalState.IN_RANGE, "range.inside"),
    Position.BELOW: (PortalState.LOW, "range.below"),
    Position.ABOVE: (PortalState.HIGH, "range.above"),
    Position.UNDECIDED: (PortalState.INDETERMINATE, "range.undecided"),
}


def _no_range_sent(result: ResultInput) -> bool:
    return isinstance(result.lab_range, RangeProblem) and result.lab_range.fault in (
        RangeFault.ABSENT,
        RangeFault.NULL,
    )


def _range_in(
    result: ResultInput, unit: Unit
) -> tuple[ReferenceRange | None, Basis, tuple[ReviewCode, ...]]:
    """Return the range that may judge, in the unit of the result."""
    if isinstance(result.lab_range, ReferenceRange):
        reference = _in_unit(result.lab_range, unit)
        if reference is None:
            return None, Basis.NONE, (ReviewCode.UNIT_MISMATCH,)
        return reference, Basis.LAB_RANGE, ()
    if not _no_range_sent(result):
        # A range that was sent but cannot be read is not replaced by another one.
        faulty = result.lab_range.fault in (RangeFault.REVERSED, RangeFault.UNKNOWN_UNIT)
        return None, Basis.NONE, (ReviewCode.RANGE_UNREADABLE,) if faulty else ()
    if result.configured_range is None:
        return None, Basis.NONE, ()
    reference = _in_unit(result.configured_range, unit)
    if reference is None:
        return None, Basis.NONE, (ReviewCode.CONFIGURED_RANGE_UNIT,)
    return reference, Basis.CONFIGURED_RANGE, ()


def _in_unit(reference: ReferenceRange, unit: Unit) -> ReferenceRange | None:
    """Return the range in another unit of the same family, None across families."""
    if reference.unit is None or reference.unit == unit:
        return reference
    if reference.unit.dimension != unit.dimension:
        return None
    return ReferenceRange(
        _bound(reference.low, reference.unit, unit),
        _bound(reference.high, reference.unit, unit),
        reference.low_inclusive,
        reference.high_inclusive,
        reference.text,
        unit,
    )


def _bound(number: Decimal | None, from_unit: Unit, to_unit: Unit) -> Decimal | None:
    return None if number is None else convert(number, from_unit, to_unit)


def _with_floor(interval: Interval, analyte: Analyte | None, reference: ReferenceRange) -> Interval:
    """Close "less than" at zero for quantities that cannot be negative.

    Without an analyte a range that starts at zero or above says so.
    """
    if interval.low is not None or interval.high is None or interval.high <= 0:
        return interval
    if analyte is not None:
        negative = analyte.may_be_negative
    else:
        negative = reference.low is not None and reference.low < 0
    return (
        interval if negative else Interval(Decimal(0), interval.high, True, interval.high_inclusive)
    )
