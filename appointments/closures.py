"""When a place or somebody is closed: from local days to instants, and what is left of a span.

Pure: facts in, spans out.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from appointments.slots import instants

Span = tuple[datetime, datetime]


def span_of(
    zone: str, *, first: date, last: date, starts: time | None = None, ends: time | None = None
) -> Span:
    """Return the instants from `starts` on `first` until `ends` on `last`, as `zone` shows them.

    In UTC. None is midnight: the whole day. A time that the clock shows twice is taken so that
    more is closed, one that it skips is the moment of the skip.
    """
    clock = ZoneInfo(zone)
    opens = datetime.combine(first, starts or time(0))
    closes = (
        datetime.combine(last + timedelta(days=1), time(0))
        if ends is None
        else datetime.combine(last, ends)
    )
    from_instant, _ = instants(clock, opens)
    _, until_instant = instants(clock, closes)
    return datetime.fromtimestamp(from_instant, UTC), datetime.fromtimestamp(until_instant, UTC)


def left_of(span: Span, taken: Iterable[Span]) -> list[Span]:
    """Return what is left of a span when others are taken out of it, the earliest first."""
    pieces = []
    at, end = span
    for start, stop in sorted(taken):
        if start > at:
            pieces.append((at, min(start, end)))
        at = max(at, stop)
        if at >= end:
            break
    if at < end:
        pieces.append((at, end))
    return [(low, high) for low, high in pieces if low < high]
