"""Time-ordered identifiers (UUID version 7)."""

import secrets
import time
import uuid
from datetime import datetime

_UNIX_MS_BITS = 48


def uuid7(now: datetime | None = None) -> uuid.UUID:
    """Return a version 7 UUID: 48 bits of Unix milliseconds, then random bits.

    The 12 bits after the version hold the fraction of the millisecond, so ids made by
    one process sort by creation. `now` is an aware instant; None reads the clock, which
    is allowed here because an id is not business time.

    Source: RFC 9562, section 5.7 and section 6.2 method 3.
    """
    nanoseconds = time.time_ns() if now is None else int(now.timestamp() * 1_000_000) * 1_000
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = (rest * 4096) // 1_000_000
    value = (milliseconds & ((1 << _UNIX_MS_BITS) - 1)) << 80
    value |= 0x7 << 76
    value |= fraction << 64
    value |= 0b10 << 62
    value |= secrets.randbits(62)
    return uuid.UUID(int=value)


def new_id() -> uuid.UUID:
    """Return a fresh id; the default of every primary key (bulk and COPY included)."""
    return uuid7()
