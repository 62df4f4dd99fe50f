"""The closed list of portal states and what each means for display.

Public: `PortalState`, `Tier`, `RULE_VERSION`, `SEVERITY`, `more_serious`, `tier_of`,
`patient_label`, `CRITICAL_STATES`.

A state is what the portal says about one version of one result. Only `IN_RANGE` may be
drawn as fine, and only a usable range that contains the whole value leads to it.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

RULE_VERSION = "2026.11-1"
"""Stored with every verdict. Raise it whenever a rule or a table changes an outcome."""

Concern = Literal["high", "low", "both", "none"]
"""The direction in which a deviation of an analyte matters."""


class PortalState(StrEnum):
    """What the portal says about a result."""

    IN_RANGE = "IN_RANGE"
    LOW = "LOW"
    HIGH = "HIGH"
    LOW_SIGNIFICANT = "LOW_SIGNIFICANT"
    HIGH_SIGNIFICANT = "HIGH_SIGNIFICANT"
    CRITICAL_LOW = "CRITICAL_LOW"
    CRITICAL_HIGH = "CRITICAL_HIGH"
    ABNORMAL = "ABNORMAL"
    CRITICAL = "CRITICAL"
    OFF_SCALE_LOW = "OFF_SCALE_LOW"
    OFF_SCALE_HIGH = "OFF_SCALE_HIGH"
    INDETERMINATE = "INDETERMINATE"
    NO_RANGE = "NO_RANGE"
    UNKNOWN_UNIT = "UNKNOWN_UNIT"
    UNIT_MISMATCH = "UNIT_MISMATCH"
    NON_NUMERIC = "NON_NUMERIC"
    IMPLAUSIBLE = "IMPLAUSIBLE"
    PRELIMINARY = "PRELIMINARY"
    PENDING = "PENDING"
    CANCELLED = "CANCELLED"
    RETRACTED = "RETRACTED"
    INVALID = "INVALID"
    HELD = "HELD"
    NEEDS_REVIEW = "NEEDS_REVIEW"


class Tier(StrEnum):
    """How loudly a state is drawn."""

    FINE = "fine"
    NEUTRAL = "neutral"
    ATTENTION = "attention"
    URGENT = "urgent"
    NONE = "none"


_S = PortalState

SEVERITY: Mapping[PortalState, int] = MappingProxyType(
    {
        _S.IN_RANGE: 0,
        _S.NO_RANGE: 10,
        _S.NON_NUMERIC: 20,
        _S.PENDING: 30,
        _S.PRELIMINARY: 35,
        _S.CANCELLED: 40,
        _S.INDETERMINATE: 50,
        _S.NEEDS_REVIEW: 60,
        _S.UNKNOWN_UNIT: 70,
        _S.UNIT_MISMATCH: 80,
        _S.LOW: 90,
        _S.HIGH: 90,
        _S.ABNORMAL: 90,
        _S.LOW_SIGNIFICANT: 100,
        _S.HIGH_SIGNIFICANT: 100,
        _S.IMPLAUSIBLE: 110,
        _S.OFF_SCALE_LOW: 115,
        _S.OFF_SCALE_HIGH: 120,
        _S.CRITICAL_LOW: 130,
        _S.CRITICAL_HIGH: 130,
        _S.CRITICAL: 130,
        # Nothing may be shown of the following, whatever else was said about the result.
        _S.HELD: 200,
        _S.INVALID: 210,
        _S.RETRACTED: 220,
    }
)
"""The order behind "the more serious of the two" (our choice, no published source).

Equal numbers mean equally serious; `more_serious` then looks at the direction of concern.
"""

CRITICAL_STATES = frozenset({_S.CRITICAL_LOW, _S.CRITICAL_HIGH, _S.CRITICAL})

_LOW_SIDE = frozenset({_S.LOW, _S.LOW_SIGNIFICANT, _S.CRITICAL_LOW, _S.OFF_SCALE_LOW})
_HIGH_SIDE = frozenset({_S.HIGH, _S.HIGH_SIGNIFICANT, _S.CRITICAL_HIGH, _S.OFF_SCALE_HIGH})
_WITHOUT_DIRECTION = frozenset({_S.ABNORMAL, _S.CRITICAL})


def direction_of(state: PortalState) -> Literal["low", "high"] | None:
    """Return the side of the range a state speaks of, None when it names no side."""
    if state in _LOW_SIDE:
        return "low"
    return "high" if state in _HIGH_SIDE else None


def more_serious(a: PortalState, b: PortalState, concern: Concern = "both") -> PortalState:
    """Return the more serious of two states.

    Equally serious and the same direction or one without direction: the one that names
    a side. Equally serious and opposite: the side of `concern`; when both sides matter
    alike, the state without a side, because one of the two is wrong. That is ABNORMAL for
    LOW against HIGH and CRITICAL for anything stronger.
    """
    if SEVERITY[a] != SEVERITY[b]:
        return a if SEVERITY[a] > SEVERITY[b] else b
    if a is b:
        return a
    if a in _WITHOUT_DIRECTION:
        return b
    if b in _WITHOUT_DIRECTION:
        return a
    for state in (a, b):
        if direction_of(state) == concern:
            return state
    return _S.CRITICAL if SEVERITY[a] > SEVERITY[_S.ABNORMAL] else _S.ABNORMAL


_TIERS: Mapping[PortalState, Tier] = MappingProxyType(
    {
        _S.IN_RANGE: Tier.FINE,
        _S.LOW: Tier.ATTENTION,
        _S.HIGH: Tier.ATTENTION,
        _S.LOW_SIGNIFICANT: Tier.ATTENTION,
        _S.HIGH_SIGNIFICANT: Tier.ATTENTION,
        _S.CRITICAL_LOW: Tier.URGENT,
        _S.CRITICAL_HIGH: Tier.URGENT,
        _S.ABNORMAL: Tier.ATTENTION,
        _S.CRITICAL: Tier.URGENT,
        _S.OFF_SCALE_LOW: Tier.ATTENTION,
        _S.OFF_SCALE_HIGH: Tier.URGENT,
        _S.INDETERMINATE: Tier.NEUTRAL,
        _S.NO_RANGE: Tier.NEUTRAL,
        _S.UNKNOWN_UNIT: Tier.ATTENTION,
        _S.UNIT_MISMATCH: Tier.ATTENTION,
        _S.NON_NUMERIC: Tier.NEUTRAL,
        _S.IMPLAUSIBLE: Tier.ATTENTION,
        _S.PRELIMINARY: Tier.NONE,
        _S.PENDING: Tier.NONE,
        _S.CANCELLED: Tier.NONE,
        _S.RETRACTED: Tier.NONE,
        _S.INVALID: Tier.NONE,
        _S.HELD: Tier.NONE,
        _S.NEEDS_REVIEW: Tier.ATTENTION,
    }
)


def tier_of(state: PortalState, concern: Concern = "both") -> Tier:
    """Return how loudly to draw a state for an analyte with this direction of concern.

    A plain LOW or HIGH away from the direction of concern is neutral: a low ALT is not
    clinically relevant. Significant and critical states keep their tier whatever the side.
    """
    if state in (_S.LOW, _S.HIGH) and concern != "both" and direction_of(state) != concern:
        return Tier.NEUTRAL
    return _TIERS[state]


_LABELS: Mapping[PortalState, str] = MappingProxyType(
    {
        _S.IN_RANGE: "In range",
        _S.LOW: "Below range",
        _S.HIGH: "Above range",
        _S.LOW_SIGNIFICANT: "Clearly below range",
        _S.HIGH_SIGNIFICANT: "Clearly above range",
        _S.CRITICAL_LOW: "Well below the lab's range",
        _S.CRITICAL_HIGH: "Well above the lab's range",
        _S.ABNORMAL: "Outside the expected result",
        _S.CRITICAL: "This result needs attention now",
        _S.OFF_SCALE_LOW: "Below what the test can measure",
        _S.OFF_SCALE_HIGH: "Above what the test can measure",
        _S.INDETERMINATE: "Cannot tell",
        _S.NO_RANGE: "No range given",
        _S.UNKNOWN_UNIT: "Unit not clear",
        _S.UNIT_MISMATCH: "Unit does not fit",
        _S.NON_NUMERIC: "Result in words",
        _S.IMPLAUSIBLE: "Number needs a check",
        _S.PRELIMINARY: "Early result",
        _S.PENDING: "In progress",
        _S.CANCELLED: "No result",
        _S.RETRACTED: "Withdrawn",
        _S.INVALID: "The lab could not report this test",
        _S.HELD: "Not released",
        _S.NEEDS_REVIEW: "Not rated",
    }
)


def patient_label(state: PortalState) -> str:
    """Return the short English label of a state. Longer words: `clinical.patient_text`."""
    return _LABELS[state]
