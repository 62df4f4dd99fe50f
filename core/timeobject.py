"""The time object of the API: an instant, where it is local, and the words for it."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import TypedDict
from zoneinfo import ZoneInfo

from django.utils import dates, translation


class TimeObject(TypedDict):
    instant: str
    zone: str
    local: str
    weekday: str
    text: str


@lru_cache(maxsize=16)
def _names(language: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the weekday (Monday first) and month names of a language."""
    with translation.override(language):
        weekdays = tuple(str(dates.WEEKDAYS[day]) for day in range(7))
        months = tuple(str(dates.MONTHS[month]) for month in range(1, 13))
    return weekdays, months


def time_object(instant: datetime, zone: str, language: str = "en") -> TimeObject:
    """Return `instant` (aware) as clients show it in IANA `zone`.

    `local` is wall-clock time without an offset, to the minute; `text` adds the zone's
    abbreviation, so that two readings of a repeated hour differ.
    Raises: ValueError for a naive instant, ZoneInfoNotFoundError for an unknown zone.
    """
    if instant.tzinfo is None:
        raise ValueError("an instant must carry its offset")
    utc = instant.astimezone(UTC)
    local = utc.astimezone(ZoneInfo(zone))
    weekdays, months = _names(language)
    weekday = weekdays[local.weekday()]
    clock = f"{local.hour:02}:{local.minute:02}"
    fraction = f".{utc.microsecond // 1000:03}" if utc.microsecond >= 1000 else ""
    return {
        "instant": f"{utc:%Y-%m-%dT%H:%M:%S}{fraction}Z",
        "zone": zone,
        "local": f"{local.year:04}-{local.month:02}-{local.day:02}T{clock}",
        "weekday": weekday,
        "text": f"{weekday}, {local.day} {months[local.month - 1]} {local.year}, {clock} "
        f"{local.tzname()}",
    }


def time_object_or_none(
    instant: datetime | None, zone: str, language: str = "en"
) -> TimeObject | None:
    """Return the time object, or None when there is no instant."""
    return None if instant is None else time_object(instant, zone, language)
