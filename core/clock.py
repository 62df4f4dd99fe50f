"""The one place that reads the clock. Edges call it; everything below takes `now`."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the current instant, aware, in UTC."""
    return datetime.now(UTC)
