"""Read abnormal flags (HL7 v2 OBX-8, FHIR interpretation) with closed tables.

Public: `read_flags(codes, sender)`, `FlagReading`, `SenderOptions`, `Change`, `ReviewCode`,
`FLAG_STATES`.

A code that no table knows means review by a person, never "normal". What one laboratory
means by its own codes (C, *) comes in through `SenderOptions`.

Source: data/interpretation_codes.csv (HL7 v3 ObservationInterpretation 4.0.0, table 0078).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from types import MappingProxyType

from clinical.reference_data import rows
from clinical.states import CRITICAL_STATES, PortalState, direction_of, more_serious


class Change(StrEnum):
    """What a flag says about the change since the last result. No verdict on the value."""

    UP = "UP"
    DOWN = "DOWN"
    BETTER = "BETTER"
    WORSE = "WORSE"


class ReviewCode(StrEnum):
    """Why a person has to look at a result."""

    CRITICAL_FLAG = "critical-flag"
    CRITICAL_FALLBACK = "critical-fallback"
    SIGNIFICANT_FLAG = "significant-flag"
    OFF_SCALE = "off-scale"
    OFF_SCALE_UNCONFIGURED = "off-scale-unconfigured"
    FLAG_UNKNOWN = "flag-unknown"
    FLAG_MICROBIOLOGY = "flag-microbiology"
    FLAG_TEST_SPECIFIC = "flag-test-specific"
    FLAG_INDETERMINATE = "flag-indeterminate"
    FLAGS_CONTRADICT = "flags-contradict"
    FLAG_WORSE = "flag-worse"
    LAB_INVALID = "lab-invalid"
    LAB_HOLD = "lab-hold"
    DISCREPANCY = "discrepancy"
    STATUS_MISSING = "status-missing"
    STATUS_UNKNOWN = "status-unknown"
    STATUS_WITHOUT_RESULT = "status-without-result"
    WRONG_PATIENT = "wrong-patient"
    VALUE_ABSENT = "value-absent"
    PENDING_TEXT = "pending-text"
    UNIT_MISSING = "unit-missing"
    UNIT_UNKNOWN = "unit-unknown"
    UNIT_MISMATCH = "unit-mismatch"
    UNIT_SUSPECT = "unit-suspect"
    UNIT_ASK = "unit-ask"
    IMPLAUSIBLE = "implausible"
    RANGE_UNREADABLE = "range-unreadable"
    CONFIGURED_RANGE_UNIT = "configured-range-unit"


FLAG_STATES = frozenset(
    {
        PortalState.IN_RANGE,
        PortalState.LOW,
        PortalState.HIGH,
        PortalState.LOW_SIGNIFICANT,
        PortalState.HIGH_SIGNIFICANT,
        PortalState.CRITICAL_LOW,
        PortalState.CRITICAL_HIGH,
        PortalState.ABNORMAL,
        PortalState.CRITICAL,
        PortalState.OFF_SCALE_LOW,
        PortalState.OFF_SCALE_HIGH,
        PortalState.INDETERMINATE,
        PortalState.NO_RANGE,
        PortalState.NON_NUMERIC,
        PortalState.INVALID,
        PortalState.HELD,
        PortalState.NEEDS_REVIEW,
    }
)
"""The states that a flag can stand for."""


@dataclass(frozen=True, slots=True)
class SenderOptions:
    """What one laboratory has confirmed about its own messages.

    `off_scale_means_panic`: True = its < and > are panic values, False = instrument limits,
    None = not asked yet (treated as needing review today).
    `extra_flag_meanings`: its own codes, for example {"C": CRITICAL, "*": ABNORMAL}.
    """

    off_scale_means_panic: bool | None = None
    extra_flag_meanings: Mapping[str, PortalState] = field(
        default_factory=lambda: MappingProxyType({})
    )

    def __post_init__(self) -> None:
        impossible = set(self.extra_flag_meanings.values()) - FLAG_STATES
        if impossible:
            raise ValueError(f"a flag cannot mean {', '.join(sorted(impossible))}")


@dataclass(frozen=True, slots=True)
class FlagReading:
    """What all flags of one result say together. `state` None = no flag was sent."""

    state: PortalState | None
    changes: tuple[Change, ...]
    review: tuple[ReviewCode, ...]


_SPECIAL_STATES: Mapping[str, PortalState] = MappingProxyType(
    {
        "IN_RANGE only with a usable range that contains the value; else NO_RANGE": (
            PortalState.IN_RANGE
        ),
        "ABNORMAL?": PortalState.NON_NUMERIC,
        "IN_RANGE?": PortalState.NON_NUMERIC,
        "(not used here)": PortalState.NEEDS_REVIEW,
    }
)
"""Cells of the table that are not the name of a state.

POS, NEG, DET and ND are not coloured without a rule for the test: they stay words.
"""

_REVIEW_OF_STATE: Mapping[PortalState, ReviewCode] = MappingProxyType(
    {
        PortalState.CRITICAL_LOW: ReviewCode.CRITICAL_FLAG,
        PortalState.CRITICAL_HIGH: ReviewCode.CRITICAL_FLAG,
        PortalState.CRITICAL: ReviewCode.CRITICAL_FLAG,
        PortalState.LOW_SIGNIFICANT: ReviewCode.SIGNIFICANT_FLAG,
        PortalState.HIGH_SIGNIFICANT: ReviewCode.SIGNIFICANT_FLAG,
        PortalState.OFF_SCALE_LOW: ReviewCode.OFF_SCALE,
        PortalState.OFF_SCALE_HIGH: ReviewCode.OFF_SCALE,
        PortalState.INDETERMINATE: ReviewCode.FLAG_INDETERMINATE,
        PortalState.INVALID: ReviewCode.LAB_INVALID,
        PortalState.HELD: ReviewCode.LAB_HOLD,
        PortalState.NEEDS_REVIEW: ReviewCode.FLAG_UNKNOWN,
    }
)


@dataclass(frozen=True, slots=True)
class _Meaning:
    state: PortalState | None = None
    change: Change | None = None
    review: tuple[ReviewCode, ...] = ()


@cache
def _table() -> Mapping[str, _Meaning]:
    table: dict[str, _Meaning] = {}
    for row in rows("interpretation_codes"):
        code, cell = row["code"], row["portal_state"]
        if code.startswith("("):
            continue
        if cell.startswith("(change) "):
            change = Change(cell.removeprefix("(change) "))
            worse = (ReviewCode.FLAG_WORSE,) if change is Change.WORSE else ()
            table[code.upper()] = _Meaning(change=change, review=worse)
            continue
        state = _SPECIAL_STATES.get(cell) or PortalState(cell)
        review = _REVIEW_OF_STATE.get(state)
        if cell == "(not used here)":
            review = ReviewCode.FLAG_MICROBIOLOGY
        elif cell == "ABNORMAL?":
            review = ReviewCode.FLAG_TEST_SPECIFIC
        table[code.upper()] = _Meaning(state=state, review=(review,) if review else ())
    return MappingProxyType(table)


def read_flags(codes: tuple[str, ...], sender: SenderOptions) -> FlagReading:
    """Return what the flags of one result say together.

    The most serious one gives the state. Flags of opposite sides, and "normal" beside an
    abnormal one, are reported as contradicting each other.
    """
    meanings = [_meaning(code.strip(), sender) for code in codes if code.strip() not in ("", '""')]
    states = [meaning.state for meaning in meanings if meaning.state is not None]
    review = [code for meaning in meanings for code in meaning.review]
    if _contradict(states):
        review.append(ReviewCode.FLAGS_CONTRADICT)
    state = states[0] if states else None
    for other in states[1:]:
        state = other if state is None else more_serious(state, other)
    return FlagReading(
        state=state,
        changes=tuple(dict.fromkeys(m.change for m in meanings if m.change is not None)),
        review=tuple(dict.fromkeys(review)),
    )


def _meaning(code: str, sender: SenderOptions) -> _Meaning:
    confirmed = sender.extra_flag_meanings.get(code)
    if confirmed is not None:
        review = _REVIEW_OF_STATE.get(confirmed)
        return _Meaning(state=confirmed, review=(review,) if review else ())
    if code in ("<", ">"):
        return _off_scale(code, sender)
    unknown = _Meaning(state=PortalState.NEEDS_REVIEW, review=(ReviewCode.FLAG_UNKNOWN,))
    return _table().get(code.upper(), unknown)


def _off_scale(code: str, sender: SenderOptions) -> _Meaning:
    low = code == "<"
    if sender.off_scale_means_panic:
        state = PortalState.CRITICAL_LOW if low else PortalState.CRITICAL_HIGH
        return _Meaning(state=state, review=(ReviewCode.CRITICAL_FLAG,))
    state = PortalState.OFF_SCALE_LOW if low else PortalState.OFF_SCALE_HIGH
    if sender.off_scale_means_panic is None:
        return _Meaning(state=state, review=(ReviewCode.OFF_SCALE_UNCONFIGURED,))
    return _Meaning(state=state, review=(ReviewCode.OFF_SCALE,))


def _contradict(states: list[PortalState]) -> bool:
    abnormal = [state for state in states if _is_abnormal(state)]
    sides = {direction_of(state) for state in abnormal} - {None}
    return len(sides) > 1 or (PortalState.IN_RANGE in states and bool(abnormal))


def _is_abnormal(state: PortalState) -> bool:
    return (
        state is PortalState.ABNORMAL or state in CRITICAL_STATES or direction_of(state) is not None
    )
