"""When she is reminded of a visit: plain arithmetic on instants and local days.

Rungs that count days come at one hour of her own clock, whatever zone the clinic is in; the
last one counts real hours. No Django, no clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

AT_HER_HOUR = time(9)
LAST_USE = timedelta(minutes=30)
"""How long before the visit a reminder stops being of use (DECISIONS 23)."""
NEAR = timedelta(hours=12)
"""A visit that changes so shortly before is told at night too (DECISIONS 23)."""

_DAYS = (("7d", 7), ("1d", 1))
_HOURS = (("2h", 2),)


@dataclass(frozen=True, slots=True)
class Reminder:
    """One rung: when it is sent and when it is of no use any more."""

    rung: str
    send_at: datetime
    expires_at: datetime


def reminders(*, starts_at: datetime, zone: str) -> tuple[Reminder, ...]:
    """Return the rungs of a visit for somebody in IANA `zone`, the earliest first.

    The days count back from the day on which the visit starts by her own calendar.
    """
    day = starts_at.astimezone(ZoneInfo(zone)).date()
    at = [
        (
            rung,
            datetime.combine(day - timedelta(days=days), AT_HER_HOUR, ZoneInfo(zone)),
        )
        for rung, days in _DAYS
    ] + [(rung, starts_at - timedelta(hours=hours)) for rung, hours in _HOURS]
    expires_at = starts_at - LAST_USE
    return tuple(Reminder(rung, send_at.astimezone(UTC), expires_at) for rung, send_at in at)


def is_overtaken(rung: str, *, starts_at: datetime, zone: str, now: datetime) -> bool:
    """Return whether a later rung of the same visit is due too, which says the same."""
    ladder = reminders(starts_at=starts_at, zone=zone)
    place = next((n for n, each in enumerate(ladder) if each.rung == rung), len(ladder))
    return any(later.send_at <= now for later in ladder[place + 1 :])


def is_near(times: Iterable[datetime], now: datetime) -> bool:
    """Return whether one of these starts is still to come, and within 12 hours."""
    return any(timedelta() < at - now <= NEAR for at in times)
