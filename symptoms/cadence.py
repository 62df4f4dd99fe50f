"""When somebody is asked and reminded: pure arithmetic on local dates and hours.

Local times are resolved with zoneinfo for each day: an hour that clocks skip becomes the same
time after the jump, an hour that happens twice means its first occurrence.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

RUNGS = (0, 1, 2)
"""Reminders leave on the due day and the two local days after it. DECISIONS 23."""
CALL_AFTER_DAYS = 3
"""No answer by then: staff call. DECISIONS 23; N1048: calls raised completion 77 to 92 %."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One reminder: it may leave from `send_after` and is useless at `expires_at` (UTC)."""

    number: int
    send_after: datetime
    expires_at: datetime


def local_instant(day: date, hour: int, zone: str) -> datetime:
    """Return the UTC instant of `hour` o'clock on `day` in IANA `zone`."""
    return datetime.combine(day, time(hour), ZoneInfo(zone)).astimezone(UTC)


def first_due_on(*, starts_on: date, iso_weekday: int) -> date:
    """Return the first day on or after `starts_on` that is `iso_weekday` (1 = Monday)."""
    return starts_on + timedelta(days=(iso_weekday - starts_on.isoweekday()) % 7)


def next_due_on(due_on: date, *, every_weeks: int) -> date:
    """Return the occurrence after `due_on`."""
    return due_on + timedelta(weeks=every_weeks)


def current_due_on(due_on: date, *, every_weeks: int, not_before: date) -> date:
    """Return the first occurrence of the series through `due_on` that is on or after a day."""
    missing = (not_before - due_on).days
    if missing <= 0:
        return due_on
    step = 7 * every_weeks
    return due_on + timedelta(days=-(-missing // step) * step)


def opens_at(due_on: date, *, hour: int, zone: str) -> datetime:
    """Return when a check-in opens, in UTC."""
    return local_instant(due_on, hour, zone)


def expires_at(due_on: date, *, hour: int, zone: str) -> datetime:
    """Return when staff are asked to call, in UTC: three local days after it opened."""
    return local_instant(due_on + timedelta(days=CALL_AFTER_DAYS), hour, zone)


def rungs(due_on: date, *, hour: int, zone: str) -> tuple[Rung, ...]:
    """Return the reminders of one occurrence; each is useless when the next one is due."""
    starts = [
        local_instant(due_on + timedelta(days=day), hour, zone) for day in (*RUNGS, CALL_AFTER_DAYS)
    ]
    return tuple(Rung(number, starts[number], starts[number + 1]) for number in RUNGS)
