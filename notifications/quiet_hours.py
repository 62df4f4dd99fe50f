"""When a person must not be disturbed: pure arithmetic on local wall-clock time."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

NIGHT_STARTS, NIGHT_ENDS = time(21), time(8)


@dataclass(frozen=True, slots=True)
class Quiet:
    """From `starts` in the evening until `ends` next morning, in IANA `zone`.

    Never less than 21:00 to 08:00; a person's own hours may only be wider (DECISIONS 23).
    """

    zone: str
    starts: time = NIGHT_STARTS
    ends: time = NIGHT_ENDS

    def __post_init__(self) -> None:
        if self.starts > NIGHT_STARTS or self.ends < NIGHT_ENDS:
            raise ValueError("quiet hours cover at least 21:00 to 08:00")

    def covers(self, instant: datetime) -> bool:
        """Say whether aware `instant` is quiet: the start is, the end is not."""
        local = instant.astimezone(ZoneInfo(self.zone)).time()
        return local >= self.starts or local < self.ends

    def first_allowed(self, instant: datetime) -> datetime:
        """Return `instant` (in UTC) or, when it is quiet, the next morning's end of quiet."""
        if not self.covers(instant):
            return instant.astimezone(UTC)
        zone = ZoneInfo(self.zone)
        local = instant.astimezone(zone)
        day = local.date() + timedelta(days=1 if local.time() >= self.starts else 0)
        return datetime.combine(day, self.ends, zone).astimezone(UTC)

    def next_start(self, instant: datetime) -> datetime:
        """Return when it next becomes quiet (in UTC), strictly after `instant`."""
        zone = ZoneInfo(self.zone)
        day = instant.astimezone(zone).date()
        start = datetime.combine(day, self.starts, zone).astimezone(UTC)
        if start <= instant:
            start = datetime.combine(day + timedelta(days=1), self.starts, zone).astimezone(UTC)
        return start
