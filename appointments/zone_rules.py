"""A zone's changes of clocks as RFC 5545 wants them, from the IANA database. Plain Python.

Source: RFC 5545, 3.6.5: the onset of an observance is written in the wall-clock time that was in
force just before it. (icalendar 7.3 writes the one after it, an hour off in spring, so its own
VTIMEZONE is not used.)
"""

import calendar
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)
_NOTHING = timedelta()
LAST = -1


@dataclass(frozen=True, slots=True)
class Yearly:
    """Every year: the `nth` (-1: the last) `weekday` (0 Monday) of `month`."""

    month: int
    nth: int
    weekday: int


@dataclass(frozen=True, slots=True)
class Observance:
    """From local `starts` (naive, by the clock before) on; again each year by `rule`."""

    starts: datetime
    offset_from: timedelta
    offset_to: timedelta
    name: str
    is_daylight: bool
    rule: Yearly | None = None


@dataclass(frozen=True, slots=True)
class _Change:
    at: datetime
    offset_from: timedelta
    offset_to: timedelta

    @property
    def wall(self) -> datetime:
        return (self.at + self.offset_from).replace(tzinfo=None)


@lru_cache(maxsize=256)
def observances(zone: str, first_year: int, last_year: int) -> tuple[Observance, ...]:
    """Return what a reader needs to place every local time of these years.

    The earliest observance begins before `first_year`. Raises: ZoneInfoNotFoundError.
    """
    place = ZoneInfo(zone)
    start = datetime(first_year - 1, 1, 1, tzinfo=UTC)
    changes = _changes(place, start, datetime(last_year + 2, 1, 1, tzinfo=UTC))
    found: list[Observance] = []
    if not changes or changes[0].at > datetime(first_year, 1, 1, tzinfo=UTC) - _DAY:
        offset = _offset(place, start)
        found.append(_observance(place, _Change(start, offset, offset), rule=None))
    groups: dict[tuple[timedelta, timedelta], list[_Change]] = defaultdict(list)
    for change in changes:
        groups[change.offset_from, change.offset_to].append(change)
    for group in groups.values():
        rule = _rule(group, last_year=last_year + 1)
        if rule is not None:
            found.append(_observance(place, group[0], rule=rule))
        else:
            found += [_observance(place, change, rule=None) for change in group]
    return tuple(sorted(found, key=lambda each: each.starts))


def is_said_twice(at: datetime, zone: str) -> bool:
    """Return whether the wall clock of `zone` shows the time of `at` a second time."""
    return at.astimezone(ZoneInfo(zone)).fold == 1


def _offset(place: ZoneInfo, at: datetime) -> timedelta:
    return at.astimezone(place).utcoffset() or _NOTHING


def _changes(place: ZoneInfo, start: datetime, end: datetime) -> list[_Change]:
    found, at = [], start
    while at < end:
        before, after = _offset(place, at), _offset(place, at + _DAY)
        if before != after:
            found.append(_Change(_instant(place, at, at + _DAY), before, after))
        at += _DAY
    return found


def _instant(place: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Return the second at which the offset changes between two instants."""
    old, low, high = _offset(place, before), 0, int((after - before).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(place, before + timedelta(seconds=middle)) == old:
            low = middle
        else:
            high = middle
    return before + timedelta(seconds=high)


def _observance(place: ZoneInfo, change: _Change, *, rule: Yearly | None) -> Observance:
    local = change.at.astimezone(place)
    return Observance(
        starts=change.wall,
        offset_from=change.offset_from,
        offset_to=change.offset_to,
        name=local.tzname() or "",
        is_daylight=(local.dst() or _NOTHING) > _NOTHING,
        rule=rule,
    )


def _rule(group: list[_Change], *, last_year: int) -> Yearly | None:
    """Return the one yearly rule that gives exactly these changes up to `last_year`, or None."""
    walls = [change.wall for change in group]
    years = [wall.year for wall in walls]
    alike = {(wall.month, wall.weekday(), wall.time()) for wall in walls}
    if len(walls) < 2 or len(alike) > 1 or years != list(range(years[0], last_year + 1)):
        return None
    nths = {(wall.day - 1) // 7 + 1 for wall in walls}
    if all(wall.day + 7 > calendar.monthrange(wall.year, wall.month)[1] for wall in walls):
        nth = LAST
    elif len(nths) == 1:
        nth = nths.pop()
    else:
        return None
    return Yearly(walls[0].month, nth, walls[0].weekday())
