"""Free time: which openings a schedule has. Pure: facts in, openings out.

Rules.

Hours are wall-clock times of the location's zone. Every start on their grid is turned into an
instant by itself, so 09:00 stays 09:00 when the clocks change. A start that the clock skips
does not exist and is not offered. A start that the clock shows twice is offered once, at its
first occurrence. Durations are real time: a visit must be over at the instant at which its
session ends; an end that is skipped is the moment of the skip, an end shown twice is the
first of the two.

A day has the weekly hours in force, unless it is a holiday, and its extra hours, holiday or
not. Closed time, of the schedule or of the whole site, is then taken away: a visit may not
reach into it.

Buffers keep the resources before and after the visit. They may lie outside the hours and
must be free of claims. Her own visits are kept apart without buffers.

A visit may start at `now + lead_time` at the soonest and at `now + horizon` at the latest,
both included.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from math import ceil, floor
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class WeeklyHours:
    """Hours of one ISO weekday (1 = Monday) from `valid_from` to `valid_until`, both included.

    `valid_until` None is open-ended.
    """

    iso_weekday: int
    starts: time
    ends: time
    step_minutes: int
    valid_from: date
    valid_until: date | None = None


@dataclass(frozen=True, slots=True)
class DayException:
    """One date that differs. Closed without times is the whole day; extra needs all three."""

    on: date
    kind: Literal["closed", "extra"]
    starts: time | None = None
    ends: time | None = None
    step_minutes: int | None = None


@dataclass(frozen=True, slots=True)
class Hours:
    """When a schedule is open, in IANA `zone`.

    `shut` are spans of epoch seconds in which the whole site is closed.
    """

    zone: str
    weekly: tuple[WeeklyHours, ...] = ()
    exceptions: tuple[DayException, ...] = ()
    holidays: frozenset[date] = frozenset()
    shut: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class VisitRule:
    """How long a visit takes and how soon and far ahead it may start."""

    duration: timedelta
    buffer_before: timedelta = timedelta(0)
    buffer_after: timedelta = timedelta(0)
    lead_time: timedelta = timedelta(0)
    horizon: timedelta = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Opening:
    """A time that can be booked: `starts_at` to `ends_at`, aware, in UTC, without buffers."""

    schedule_id: UUID
    visit_type_id: UUID
    starts_at: datetime
    ends_at: datetime


class Taken:
    """Time that is taken in one place, from spans of epoch seconds in any order."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, spans: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(spans):
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)

    def leaves_free(self, start: int, end: int) -> bool:
        """Return whether nothing of [start, end) is taken."""
        before = bisect_left(self._starts, end) - 1
        return before < 0 or self._ends[before] <= start

    def and_also(self, spans: Iterable[tuple[int, int]]) -> "Taken":
        """Return what is taken when `spans` are, too."""
        return Taken([*zip(self._starts, self._ends, strict=True), *spans])


# One need of a visit: any of these places will do.
Pool = Sequence[Taken]


def _offset(zone: ZoneInfo, wall: datetime) -> int:
    found = wall.replace(tzinfo=zone).utcoffset()
    assert found is not None
    return int(found.total_seconds())


def _epoch(wall: datetime) -> int:
    return int(wall.replace(tzinfo=UTC).timestamp())


def _offset_at(zone: ZoneInfo, instant: int) -> int:
    found = datetime.fromtimestamp(instant, zone).utcoffset()
    assert found is not None
    return int(found.total_seconds())


def instants(zone: ZoneInfo, wall: datetime) -> tuple[int, int]:
    """Return the first and last instant at which the clock of `zone` shows naive `wall`.

    Where the clock skips `wall`, both are the moment of the skip.
    """
    early, late = _offset(zone, wall), _offset(zone, wall.replace(fold=1))
    shown = _epoch(wall)
    if early >= late:
        return shown - early, shown - late
    moments = range(shown - late, shown - early + 1)
    skip = moments[bisect_left(moments, True, key=lambda at: _offset_at(zone, at) != early)]
    return skip, skip


def wall_instant(wall: datetime, zone: str) -> datetime:
    """Return when the clock of IANA `zone` first shows naive `wall`, in UTC.

    Where the clock skips it, the moment of the skip.
    """
    first, _ = instants(ZoneInfo(zone), wall)
    return datetime.fromtimestamp(first, UTC)


def _starts(
    zone: ZoneInfo, opens: datetime, closes: datetime, step: int, duration: int
) -> Iterator[int]:
    """Yield the starts of one session of naive wall-clock times, as epoch seconds."""
    offsets = {
        _offset(zone, edge.replace(fold=fold)) for edge in (opens, closes) for fold in (0, 1)
    }
    count = ceil((closes - opens) / timedelta(seconds=step))
    if len(offsets) == 1:
        first = _epoch(opens) - offsets.pop()
        last = first + int((closes - opens).total_seconds()) - duration
        yield from range(first, last + 1, step)
        return
    end, _ = instants(zone, closes)
    for index in range(count):
        wall = opens + timedelta(seconds=index * step)
        early, late = _offset(zone, wall), _offset(zone, wall.replace(fold=1))
        start = _epoch(wall) - early
        if early >= late and start + duration <= end:
            yield start


def _day_starts(hours: Hours, zone: ZoneInfo, on: date, duration: int) -> list[int]:
    """Return the starts that the hours of one local date allow, earliest first."""
    sessions: list[tuple[time, time, int]] = []
    closed: list[tuple[int, int]] = list(hours.shut)
    for change in hours.exceptions:
        if change.on != on:
            continue
        if change.starts is None or change.ends is None:
            return []
        if change.kind == "closed":
            from_instant, _ = instants(zone, datetime.combine(on, change.starts))
            _, until_instant = instants(zone, datetime.combine(on, change.ends))
            closed.append((from_instant, until_instant))
        elif change.step_minutes is not None:
            sessions.append((change.starts, change.ends, change.step_minutes))
    if on not in hours.holidays:
        weekday = on.isoweekday()
        sessions.extend(
            (weekly.starts, weekly.ends, weekly.step_minutes)
            for weekly in hours.weekly
            if weekly.iso_weekday == weekday
            and weekly.valid_from <= on
            and (weekly.valid_until is None or on <= weekly.valid_until)
        )
    found: set[int] = set()
    for opens, closes, step in sessions:
        found.update(
            _starts(
                zone,
                datetime.combine(on, opens),
                datetime.combine(on, closes),
                step * 60,
                duration,
            )
        )
    shut = Taken(closed)
    return [start for start in sorted(found) if shut.leaves_free(start, start + duration)]


def openings(
    *,
    schedule_id: UUID,
    visit_type_id: UUID,
    hours: Hours,
    visit: VisitRule,
    needs: Sequence[Pool],
    hers: Taken,
    first: date | None,
    last: date,
    now: datetime,
) -> Iterator[Opening]:
    """Yield the openings from local date `first` to `last` (both included), earliest first.

    `first` None is today. Each of `needs` is met by any one of its places being free for the
    visit and its buffers; no places, no opening. `hers` is time of her own other visits.
    Work is done day by day as the caller asks for more.
    """
    zone = ZoneInfo(hours.zone)
    earliest, latest = now + visit.lead_time, now + visit.horizon
    on = earliest.astimezone(zone).date()
    on = on if first is None else max(first, on)
    last = min(last, latest.astimezone(zone).date())
    soonest, furthest = ceil(earliest.timestamp()), floor(latest.timestamp())
    duration = int(visit.duration.total_seconds())
    before = int(visit.buffer_before.total_seconds())
    after = int(visit.buffer_after.total_seconds())
    while on <= last:
        for start in _day_starts(hours, zone, on, duration):
            end = start + duration
            if (
                soonest <= start <= furthest
                and hers.leaves_free(start, end)
                and all(
                    any(place.leaves_free(start - before, end + after) for place in pool)
                    for pool in needs
                )
            ):
                yield Opening(
                    schedule_id,
                    visit_type_id,
                    datetime.fromtimestamp(start, UTC),
                    datetime.fromtimestamp(end, UTC),
                )
        on += _DAY


def is_offered(
    *, hours: Hours, visit: VisitRule, starts_at: datetime, now: datetime
) -> Literal["yes", "past", "too-soon", "too-far", "no-such-time"]:
    """Return whether the hours and rules offer a visit at `starts_at`, whoever has booked."""
    if starts_at < now:
        return "past"
    if starts_at < now + visit.lead_time:
        return "too-soon"
    if starts_at > now + visit.horizon:
        return "too-far"
    zone = ZoneInfo(hours.zone)
    duration = int(visit.duration.total_seconds())
    allowed = _day_starts(hours, zone, starts_at.astimezone(zone).date(), duration)
    return "yes" if starts_at.timestamp() in allowed else "no-such-time"
