"""When she is told of a result that she may already read: her wish, as a pure rule.

A wish moves the notice only. It never moves what is visible, and nothing that staff must do.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

BACKSTOP_DAYS: Final = 7
BACKSTOP_AT_MOST: Final = 30
DAY_STARTS, DAY_ENDS = time(8), time(21)


class When(StrEnum):
    NOW = "now"
    IN_MY_HOURS = "in_my_hours"
    AFTER_COMMENT = "after_comment"
    ON_DATE = "on_date"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Wish:
    """When to tell. `hours_from` included, `hours_until` excluded, on one local day.

    ON_DATE has a day or a number of days after the release, and tells at the start of her hours
    of that day. Whatever is waited for, she is told `backstop_days` after the release at the
    latest; NEVER has no backstop.
    """

    when: When = When.IN_MY_HOURS
    hours_from: time = DAY_STARTS
    hours_until: time = DAY_ENDS
    on_date: date | None = None
    days_after: int | None = None
    backstop_days: int | None = BACKSTOP_DAYS


def tell_at(
    wish: Wish, *, released_at: datetime, commented_at: datetime | None, zone: str
) -> datetime | None:
    """Return the instant (UTC) of the notice, None for never; never before the release.

    `commented_at`: when a clinician reviewed or commented on these results, None while nobody has.
    """
    released_at = released_at.astimezone(UTC)
    if wish.when is When.NEVER:
        return None
    if wish.when is When.NOW:
        return released_at
    if wish.when is When.IN_MY_HOURS:
        return in_hours(wish, released_at, zone)
    assert wish.backstop_days is not None
    latest = released_at + timedelta(days=wish.backstop_days)
    if wish.when is When.AFTER_COMMENT:
        wanted = latest if commented_at is None else commented_at.astimezone(UTC)
    else:
        wanted = _on_day(wish, released_at, zone)
    return min(max(wanted, released_at), latest)


def _on_day(wish: Wish, released_at: datetime, zone: str) -> datetime:
    there = ZoneInfo(zone)
    day = wish.on_date
    if day is None:
        assert wish.days_after is not None
        day = released_at.astimezone(there).date() + timedelta(days=wish.days_after)
    return datetime.combine(day, wish.hours_from, there).astimezone(UTC)


def in_hours(wish: Wish, instant: datetime, zone: str) -> datetime:
    """Return `instant` (in UTC) when it lies in her hours, else when they next begin."""
    there = ZoneInfo(zone)
    local = instant.astimezone(there)
    if wish.hours_from <= local.time() < wish.hours_until:
        return instant.astimezone(UTC)
    day = local.date() + timedelta(days=1 if local.time() >= wish.hours_until else 0)
    return datetime.combine(day, wish.hours_from, there).astimezone(UTC)
