"""What working out free time costs as practitioners and days grow: the pure function alone."""

import random
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from datetime import time as wall_time
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from appointments.slots import Hours, Taken, VisitRule, WeeklyHours, openings

PRACTITIONERS = (1, 10, 50, 200)
DAYS = (1, 7, 30, 90)
ROUNDS = 3
_ZONE = "Europe/Berlin"
_FIRST = date(2027, 3, 1)
_HALF_HOUR = 1800
_BOOKED_SHARE = 1 / 3


def _hours() -> Hours:
    return Hours(
        zone=_ZONE,
        weekly=tuple(
            WeeklyHours(weekday, wall_time(8), wall_time(16), 30, _FIRST) for weekday in range(1, 6)
        ),
    )


def _taken(chance: random.Random, days: int) -> Taken:
    """Return the booked half hours of one practitioner."""
    spans = []
    for ahead in range(days):
        opens = datetime.combine(
            _FIRST + timedelta(days=ahead), wall_time(8), ZoneInfo(_ZONE)
        ).timestamp()
        for slot in range(16):
            if chance.random() < _BOOKED_SHARE:
                start = int(opens) + slot * _HALF_HOUR
                spans.append((start, start + _HALF_HOUR))
    return Taken(spans)


def _seconds(taken: Sequence[Taken], days: int) -> tuple[float, int]:
    """Return how long it takes to list every opening of all, and how many there are."""
    hours, visit = _hours(), VisitRule(timedelta(minutes=30), horizon=timedelta(days=400))
    now = datetime.combine(_FIRST, wall_time(0), ZoneInfo(_ZONE)).astimezone(UTC)
    last = _FIRST + timedelta(days=days - 1)
    started = time.perf_counter()
    found = 0
    for number, of_one in enumerate(taken):
        listed = openings(
            schedule_id=UUID(int=number),
            visit_type_id=UUID(int=0),
            hours=hours,
            visit=visit,
            needs=[[of_one]],
            hers=Taken(),
            first=_FIRST,
            last=last,
            now=now,
        )
        found += sum(1 for _ in listed)
    return time.perf_counter() - started, found


def measure_free_time(
    practitioners: Sequence[int] = PRACTITIONERS, days: Sequence[int] = DAYS
) -> list[dict[str, Any]]:
    """Return for each size the openings there are and the milliseconds to list them, at best."""
    chance = random.Random(7)
    everybody = [_taken(chance, max(days)) for _ in range(max(practitioners))]
    found = []
    for many in practitioners:
        for ahead in days:
            runs = [_seconds(everybody[:many], ahead) for _ in range(ROUNDS)]
            seconds, count = min(runs)
            found.append(
                {
                    "practitioners": many,
                    "days": ahead,
                    "openings": count,
                    "ms": round(seconds * 1000, 2),
                    "us_an_opening": round(seconds * 1_000_000 / count, 1) if count else None,
                }
            )
    return found


def curve_cells(curve: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return the curve as a table, headings first: milliseconds and openings."""
    days = sorted({one["days"] for one in curve})
    cells = [["practitioners", *(f"{ahead} days" if ahead > 1 else "1 day" for ahead in days)]]
    for many in sorted({one["practitioners"] for one in curve}):
        row = {one["days"]: one for one in curve if one["practitioners"] == many}
        cells.append(
            [str(many), *(f"{row[day]['ms']:.1f} ms ({row[day]['openings']:,})" for day in days)]
        )
    return cells
