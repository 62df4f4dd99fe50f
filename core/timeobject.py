"""The time object of the API: an instant, where it is local, and the words for it."""

from datetime import UTC, datetime
from typing import TypedDict
from zoneinfo import ZoneInfo

from django.utils import translation
from django.utils.formats import date_format


class TimeObject(TypedDict):
    instant: str
    zone: str
    local: str
    weekday: str
    text: str


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
    with translation.override(language):
        weekday = str(date_format(local, "l"))
        text = f"{date_format(local, 'l, j F Y, H:i')} {local.tzname()}"
    return {
        "instant": utc.isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
        .replace(".000", ""),
        "zone": zone,
        "local": local.strftime("%Y-%m-%dT%H:%M"),
        "weekday": weekday,
        "text": text,
    }


def time_object_or_none(
    instant: datetime | None, zone: str, language: str = "en"
) -> TimeObject | None:
    """Return the time object, or None when there is no instant."""
    return None if instant is None else time_object(instant, zone, language)
