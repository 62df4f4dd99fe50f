"""Which times suit a wish. Pure: a window and a start in, yes or no out.

The clock is that of the place: a morning visit starts before noon, one of the afternoon from
noon to five, one of the evening from five.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Literal
from zoneinfo import ZoneInfo

PartOfDay = Literal["any", "morning", "afternoon", "evening"]
NOON, FIVE = time(12), time(17)


@dataclass(frozen=True, slots=True)
class Window:
    """Dates from `first` to `last`, both included. No `weekdays` are all; 1 is Monday."""

    first: date
    last: date
    weekdays: frozenset[int] = frozenset()
    part_of_day: PartOfDay = "any"


def suits(window: Window, *, starts_at: datetime, zone: str) -> bool:
    """Return whether a visit that starts then, in IANA `zone`, is within the window."""
    local = starts_at.astimezone(ZoneInfo(zone))
    if not window.first <= local.date() <= window.last:
        return False
    if window.weekdays and local.isoweekday() not in window.weekdays:
        return False
    match window.part_of_day:
        case "morning":
            return local.time() < NOON
        case "afternoon":
            return NOON <= local.time() < FIVE
        case "evening":
            return local.time() >= FIVE
        case _:
            return True


def suits_any(windows: Iterable[Window], *, starts_at: datetime, zone: str) -> bool:
    return any(suits(window, starts_at=starts_at, zone=zone) for window in windows)
