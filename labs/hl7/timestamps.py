"""Read HL7 TS/DTM and DT values. Source: HL7 v2.5.1 chapter 2A (DTM, TS)."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from labs.hl7.message import DELETE

FUTURE_TOLERANCE: Final = timedelta(hours=24)
EARLIEST_YEAR: Final = 1900
_SHAPE: Final = re.compile(
    r"(?P<year>\d{4})(?:(?P<month>\d\d)(?:(?P<day>\d\d)(?:(?P<hour>\d\d)(?:(?P<minute>\d\d)"
    r"(?:(?P<second>\d\d)(?:\.(?P<fraction>\d{1,9}))?)?)?)?)?)?(?P<zone>[+-]\d{3,4})?",
    re.ASCII,
)
_PARTS: Final = ("year", "month", "day", "hour", "minute", "second", "fraction")


class Precision(StrEnum):
    YEAR = "year"
    MONTH = "month"
    DAY = "day"
    HOUR = "hour"
    MINUTE = "minute"
    SECOND = "second"
    FRACTION = "fraction"


@dataclass(frozen=True, slots=True)
class Timestamp:
    """One time as sent and as understood. `instant` is UTC, None when nothing usable was sent.

    Faults that leave no instant: time-format, time-year, time-month, time-day, time-clock,
    time-zone. Faults that keep it: time-future, time-skipped, time-repeated.
    """

    raw: str = ""
    instant: datetime | None = None
    precision: Precision | None = None
    had_zone: bool = False
    faults: tuple[str, ...] = ()


def read_timestamp(raw: str, zone: ZoneInfo, *, now: datetime | None = None) -> Timestamp:
    """Read a time; one without an offset belongs to the sender's `zone`.

    A coarser value means the start of its period. A local time that the clock skipped moves
    forward by the gap; one that occurred twice means the earlier instant. Both are marked.
    With `now`, a time more than 24 hours ahead is marked time-future. An offset of three
    digits reads as hours and minutes without the leading zero (-500 is -05:00).
    """
    text = raw.strip()
    if text in {"", DELETE}:
        return Timestamp(raw)
    match = _SHAPE.fullmatch(text)
    if match is None:
        return Timestamp(raw, faults=("time-format",))
    given = match.groupdict()
    precision = Precision([part for part in _PARTS if given[part] is not None][-1])
    offset: tzinfo | None = None
    if given["zone"]:
        offset = _offset(given["zone"])
        if offset is None:
            return Timestamp(raw, None, precision, True, ("time-zone",))
    fault = _impossible(given)
    if fault:
        return Timestamp(raw, None, precision, offset is not None, (fault,))
    local = datetime(
        int(given["year"]),
        int(given["month"] or 1),
        int(given["day"] or 1),
        int(given["hour"] or 0),
        int(given["minute"] or 0),
        int(given["second"] or 0),
        int((given["fraction"] or "0").ljust(6, "0")[:6]),
        tzinfo=offset or zone,
    )
    instant = local.astimezone(UTC)
    faults = () if offset else _clock_change(local, instant, zone)
    if now is not None and instant > now + FUTURE_TOLERANCE:
        faults += ("time-future",)
    return Timestamp(raw, instant, precision, offset is not None, faults)


def _offset(text: str) -> timezone | None:
    hours, minutes = int(text[1:-2]), int(text[-2:])
    if minutes > 59 or hours * 60 + minutes > 14 * 60:
        return None
    size = timedelta(hours=hours, minutes=minutes)
    return timezone(-size if text[0] == "-" else size)


def _impossible(given: dict[str, str | None]) -> str | None:
    year, month, day = int(given["year"] or 0), int(given["month"] or 1), int(given["day"] or 1)
    if year < EARLIEST_YEAR or year > 9998:
        return "time-year"
    if not 1 <= month <= 12:
        return "time-month"
    try:
        date(year, month, day)
    except ValueError:
        return "time-day"
    clock = (int(given["hour"] or 0), int(given["minute"] or 0), int(given["second"] or 0))
    return None if clock[0] < 24 and clock[1] < 60 and clock[2] < 60 else "time-clock"


def _clock_change(local: datetime, instant: datetime, zone: ZoneInfo) -> tuple[str, ...]:
    if instant.astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None):
        return ("time-skipped",)
    if local.replace(fold=1).utcoffset() != local.utcoffset():
        return ("time-repeated",)
    return ()


def read_date(raw: str) -> date | None:
    """Read a calendar day as written, never shifted by a zone. None unless year, month and day
    are given and real."""
    match = _SHAPE.fullmatch(raw.strip())
    if match is None or match["day"] is None or _impossible(match.groupdict()):
        return None
    return date(int(match["year"]), int(match["month"]), int(match["day"]))
