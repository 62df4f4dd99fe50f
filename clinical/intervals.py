"""Intervals of numbers, open or closed at each end.

Public: `Interval`, `Position`.

A value with a comparator and a reference range are both intervals; every comparison of
the laboratory rules is a comparison of two intervals.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Position(StrEnum):
    """Where one interval lies in relation to another."""

    INSIDE = "inside"
    BELOW = "below"
    ABOVE = "above"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Interval:
    """Numbers between `low` and `high`. None = unbounded on that side."""

    low: Decimal | None
    high: Decimal | None
    low_inclusive: bool = True
    high_inclusive: bool = True

    @classmethod
    def point(cls, number: Decimal) -> "Interval":
        """Return the interval that holds one number."""
        return cls(number, number)

    def position_in(self, other: "Interval") -> Position:
        """Say whether the whole of this interval lies inside, below or above `other`."""
        if self._starts_within(other) and self._ends_within(other):
            return Position.INSIDE
        if self._wholly_below(other):
            return Position.BELOW
        if other._wholly_below(self):
            return Position.ABOVE
        return Position.UNDECIDED

    def _starts_within(self, other: "Interval") -> bool:
        if other.low is None:
            return True
        if self.low is None:
            return False
        if self.low != other.low:
            return self.low > other.low
        return other.low_inclusive or not self.low_inclusive

    def _ends_within(self, other: "Interval") -> bool:
        if other.high is None:
            return True
        if self.high is None:
            return False
        if self.high != other.high:
            return self.high < other.high
        return other.high_inclusive or not self.high_inclusive

    def _wholly_below(self, other: "Interval") -> bool:
        if self.high is None or other.low is None:
            return False
        if self.high != other.low:
            return self.high < other.low
        return not (self.high_inclusive and other.low_inclusive)
