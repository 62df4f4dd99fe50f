"""A machine whose clock somebody sets."""

from datetime import UTC, datetime, timedelta

from core.clock import SteadyClock

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Machine:
    """`wall` can be set; what has passed since the machine was started cannot.

    Each of `between_readings` passes once, after the second of these was read.
    """

    def __init__(self, wall: datetime) -> None:
        self.wall = wall
        self.running = timedelta(days=3)
        self.between_readings: list[timedelta] = []

    def passes(self, span: timedelta) -> None:
        self.wall += span
        self.running += span

    def clock(self) -> SteadyClock:
        return SteadyClock(wall_ns=self._read_wall, running_ns=self._read_running)

    def _read_wall(self) -> int:
        return (self.wall - _EPOCH) // _MICROSECOND * 1_000

    def _read_running(self) -> int:
        found = self.running // _MICROSECOND * 1_000
        if self.between_readings:
            self.passes(self.between_readings.pop())
        return found
