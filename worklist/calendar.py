"""When somebody of an organization reads its worklist: pure arithmetic on hours and shifts.

Somebody reads during opening hours outside holidays, and during duty shifts that are not
merely on call. Hours are wall-clock time in the organization's zone, so a day on which clocks
change has one hour more or less between opening and closing only where they really change.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

HORIZON = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Hours:
    """Open on `iso_weekday` (1 = Monday) from `opens` until `closes`, local."""

    iso_weekday: int
    opens: time
    closes: time


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, aware instants; the end is outside."""

    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class StaffedCalendar:
    """Hours, holidays and shifts with somebody present, of one organization in IANA `zone`."""

    zone: str
    hours: tuple[Hours, ...] = ()
    holidays: frozenset[date] = frozenset()
    shifts: tuple[Span, ...] = ()

    def spans(self, start: datetime) -> list[Span]:
        """Return the staffed stretches that end after `start`, joined, within `HORIZON`."""
        zone = ZoneInfo(self.zone)
        first = start.astimezone(zone).date() - timedelta(days=1)
        found = [span for span in self.shifts if span.starts_at < start + HORIZON]
        for offset in range(HORIZON.days + 2):
            day = first + timedelta(days=offset)
            if day in self.holidays:
                continue
            found += [
                Span(
                    datetime.combine(day, hours.opens, zone).astimezone(UTC),
                    datetime.combine(day, hours.closes, zone).astimezone(UTC),
                )
                for hours in self.hours
                if hours.iso_weekday == day.isoweekday()
            ]
        return [span for span in _joined(found) if span.ends_at > start]

    def staffed_at(self, instant: datetime) -> bool:
        """Say whether somebody reads at `instant`: opening is inside, closing is not."""
        return any(span.starts_at <= instant for span in self.spans(instant)[:1])

    def next_staffed_at(self, instant: datetime) -> datetime | None:
        """Return `instant` when somebody reads then, else when somebody next begins to.

        None when nobody does within `HORIZON`.
        """
        spans = self.spans(instant)
        return max(spans[0].starts_at, instant) if spans else None

    def after_staffed_time(self, start: datetime, amount: timedelta) -> datetime | None:
        """Return when `amount` of staffed time has passed since `start`, None beyond `HORIZON`."""
        left = amount
        for span in self.spans(start):
            begins = max(span.starts_at, start)
            if span.ends_at - begins >= left:
                return begins + left
            left -= span.ends_at - begins
        return None


def _joined(spans: list[Span]) -> list[Span]:
    joined: list[Span] = []
    for span in sorted(spans, key=lambda s: s.starts_at):
        if span.ends_at <= span.starts_at:
            continue
        if joined and span.starts_at <= joined[-1].ends_at:
            last = joined.pop()
            span = Span(last.starts_at, max(last.ends_at, span.ends_at))
        joined.append(span)
    return joined


# Less staffed time than this before the due time is not enough to promise a look.
ENOUGH_STAFFED_TIME = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Review:
    """What may honestly be said about when somebody looks.

    `by` is the due time when somebody on duty covers it. Otherwise nobody reads before
    `not_before` (None: no staffed time is known at all), and `by` is None.
    """

    watched_now: bool
    by: datetime | None
    not_before: datetime | None


def review_of(calendar: StaffedCalendar, *, due_at: datetime, now: datetime) -> Review:
    """Return whether somebody on duty covers `due_at`.

    She is covered when somebody is on duty at the due time, or was for at least an hour since
    now: a day that ended before the due time counts, its last minutes do not.
    Source: DECISIONS 11.
    """
    watched_now = calendar.staffed_at(now)
    read_by = calendar.after_staffed_time(now, ENOUGH_STAFFED_TIME)
    if calendar.staffed_at(due_at) or (read_by is not None and read_by <= due_at):
        return Review(watched_now, due_at, None)
    soonest = now if not watched_now else due_at
    return Review(watched_now, None, calendar.next_staffed_at(soonest))
