"""Daily things around changes of clocks: once a local date, and never at an hour that is not.

The clock is walked minute by minute beside the product's own arithmetic, in every zone that
changes its clocks oddly, over both changes of a year.
"""

from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appointments import reminder_rules
from appointments.slots import Hours, Taken, VisitRule, WeeklyHours, openings
from symptoms import cadence

YEAR = 2026
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
ZONES = [
    "America/New_York",
    "America/Los_Angeles",
    "Europe/London",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "America/Santiago",
    "America/Nuuk",
    "Africa/Cairo",
]
TIMES = [time(9), time(2, 30), time(0, 30), time(1, 45), time(23, 30)]


def shown(instant: datetime, zone: ZoneInfo) -> datetime:
    """Return what a clock on the wall shows."""
    return instant.astimezone(zone).replace(tzinfo=None)


def changes(name: str) -> list[datetime]:
    """Return the instants of one year at which the clocks of a zone change."""
    zone = ZoneInfo(name)
    hour = timedelta(hours=1)
    at, found = datetime(YEAR, 1, 1, tzinfo=UTC), []
    while at.year == YEAR:
        if at.astimezone(zone).utcoffset() != (at + hour).astimezone(zone).utcoffset():
            found.append(at)
        at += hour
    return found


CHANGES = [(name, change) for name in ZONES for change in changes(name)]


def test_every_zone_changes_twice() -> None:
    assert len(CHANGES) == 2 * len(ZONES)


def first_showing(wall: datetime, zone: ZoneInfo, since: datetime) -> datetime:
    """Return the first minute from `since` on at which the clock shows `wall` or later."""
    at = since
    while shown(at, zone) < wall:
        at += MINUTE
    return at


@pytest.mark.parametrize(("name", "change"), CHANGES)
@pytest.mark.parametrize("hour", range(24))
def test_a_daily_reminder_leaves_once_a_date_and_at_its_hour(
    name: str, change: datetime, hour: int
) -> None:
    """An hour that is skipped is the first minute after it; one shown twice is its first."""
    zone = ZoneInfo(name)
    middle = change.astimezone(zone).date()
    days = [middle + DAY * ahead for ahead in range(-2, 4)]
    waiting = {day: cadence.opens_at(day, hour=hour, zone=name) for day in days}
    clock = min(waiting.values()) - 3 * timedelta(hours=1)
    clock = clock.replace(second=0, microsecond=0)
    sent: dict[date, datetime] = {}
    start = clock
    while waiting:
        for day in [day for day, due in waiting.items() if due <= clock]:
            assert day not in sent
            sent[day] = clock
            del waiting[day]
        clock += MINUTE
    for day, at in sent.items():
        assert at == first_showing(datetime.combine(day, time(hour)), zone, start)


@pytest.mark.parametrize(("name", "change"), CHANGES)
@pytest.mark.parametrize("at", TIMES)
def test_an_opening_is_at_its_time_once_a_date_or_not_at_all(
    name: str, change: datetime, at: time
) -> None:
    zone = ZoneInfo(name)
    middle = change.astimezone(zone).date()
    first, last = middle - 2 * DAY, middle + 2 * DAY
    ends = (datetime.combine(first, at) + 15 * MINUTE).time()
    found = [
        opening.starts_at
        for opening in openings(
            schedule_id=UUID(int=1),
            visit_type_id=UUID(int=2),
            hours=Hours(
                zone=name,
                weekly=tuple(WeeklyHours(day, at, ends, 15, first) for day in range(1, 8)),
            ),
            visit=VisitRule(15 * MINUTE, horizon=20 * DAY),
            needs=[[Taken()]],
            hers=Taken(),
            first=first,
            last=last,
            now=datetime.combine(first, time(0), UTC) - 2 * DAY,
        )
    ]
    expected = []
    for ahead in range(5):
        wall = datetime.combine(first + ahead * DAY, at)
        since = wall.replace(tzinfo=UTC) - timedelta(hours=15)
        start = first_showing(wall, zone, since)
        if shown(start, zone) == wall:
            expected.append(start)
    assert found == expected


@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_reminders_of_visits_around_a_change_leave_at_nine_and_two_real_hours_before(
    name: str, change: datetime
) -> None:
    zone = ZoneInfo(name)
    for hours in range(-36, 200, 7):
        starts_at = change + timedelta(hours=hours)
        week, day, near = reminder_rules.reminders(starts_at=starts_at, zone=name)
        assert starts_at - near.send_at == timedelta(hours=2)
        for reminder, days in ((week, 7), (day, 1)):
            local = shown(reminder.send_at, zone)
            assert local == datetime.combine(shown(starts_at, zone).date() - days * DAY, time(9))


@settings(max_examples=2_000)
@given(
    zone=st.sampled_from([*ZONES, "Asia/Kolkata", "America/Phoenix", "Pacific/Apia", "Asia/Gaza"]),
    day=st.dates(date(2024, 1, 1), date(2035, 12, 31)),
    hour=st.integers(0, 23),
)
def test_any_hour_of_any_day_is_the_first_moment_that_the_clock_shows_it(
    zone: str, day: date, hour: int
) -> None:
    wall, clock = datetime.combine(day, time(hour)), ZoneInfo(zone)
    at = cadence.opens_at(day, hour=hour, zone=zone)
    assert shown(at, clock) >= wall
    assert all(shown(at - minutes * MINUTE, clock) < wall for minutes in range(1, 181))
    later = cadence.opens_at(day + DAY, hour=hour, zone=zone)
    assert timedelta(hours=22) <= later - at <= timedelta(hours=26)
