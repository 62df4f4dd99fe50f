"""The one place that reads the clock. Edges call it; everything below takes `now`."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

log = structlog.get_logger(__name__)

SETTLES_AFTER = timedelta(minutes=15)
TOLERANCE = timedelta(seconds=2)
_READINGS = 3
_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _wall_ns() -> int:
    return time.time_ns()


def _running_ns() -> int:
    return time.clock_gettime_ns(_SINCE_BOOT)


def _ns(span: timedelta) -> int:
    return span // timedelta(microseconds=1) * 1_000


class SteadyClock:
    """Wall time that does not jump when somebody sets the machine's clock.

    The clock that counts since the machine was started cannot be set, and is slewed as wall time
    is, so what lies between the two is constant until wall time is *set*. A step of at most
    `tolerance` is followed. A larger one is not: time goes on as before, an error is logged, and
    `step` tells how far off the wall is, until the wall is back or the step has lasted
    `settles_after`. A wrong step that is mended within that time has no effect at all (ADR 0043).
    """

    def __init__(
        self,
        *,
        wall_ns: Callable[[], int] = _wall_ns,
        running_ns: Callable[[], int] = _running_ns,
        settles_after: timedelta = SETTLES_AFTER,
        tolerance: timedelta = TOLERANCE,
    ) -> None:
        self._wall_ns, self._running_ns = wall_ns, running_ns
        self._settles_ns, self._tolerance_ns = _ns(settles_after), _ns(tolerance)
        running = running_ns()
        self._offset = wall_ns() - running
        self._step: tuple[int, int] | None = None

    def _read(self) -> tuple[int, int]:
        """Return (running, wall - running).

        A process that is stopped between its two readings sees a step that never was, so a
        step has to be seen in every one of a few readings.
        """
        running, offset = 0, 0
        for _ in range(_READINGS):
            running = self._running_ns()
            offset = self._wall_ns() - running
            if abs(offset - self._offset) <= self._tolerance_ns:
                break
        return running, offset

    def now(self) -> datetime:
        """Return the current instant, aware, in UTC, to the microsecond."""
        running, offset = self._read()
        gap = offset - self._offset
        if abs(gap) <= self._tolerance_ns:
            if self._step is not None:
                self._step = None
                log.warning("clock.back")
            self._offset = offset
        elif self._step is None or abs(offset - self._step[0]) > self._tolerance_ns:
            self._step = (offset, running)
            log.error("clock.stepped", seconds=round(gap / 1e9, 1))
        elif running - self._step[1] >= self._settles_ns:
            self._offset, self._step = offset, None
            log.warning("clock.followed", seconds=round(gap / 1e9, 1))
        return _EPOCH + timedelta(microseconds=(running + self._offset) // 1_000)

    def step(self) -> timedelta:
        """Return how far wall time is ahead of (below zero: behind) the time in use."""
        _, offset = self._read()
        gap = offset - self._offset
        return (
            timedelta(microseconds=gap // 1_000) if abs(gap) > self._tolerance_ns else timedelta()
        )


_clock = SteadyClock()


def utc_now() -> datetime:
    """Return the current instant, aware, in UTC."""
    return _clock.now()


def clock_step() -> timedelta:
    """Return how far the machine's clock is from the time in use; zero unless it was set."""
    return _clock.step()
