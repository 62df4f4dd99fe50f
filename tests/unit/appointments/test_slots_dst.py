"""Free time on the days on which clocks change. Transitions are those of the IANA data."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from appointments.slots import DayException, VisitRule, WeeklyHours
from tests.unit.appointments.test_slots import clock, found

HALF_HOUR = VisitRule(timedelta(minutes=30))
OPEN_SINCE = date(2025, 1, 1)


def day(
    on: date, zone: str, opens: time, closes: time, step: int = 30, minutes: int = 30
) -> list[str]:
    items = found(
        WeeklyHours(on.isoweekday(), opens, closes, step, OPEN_SINCE),
        visit=VisitRule(timedelta(minutes=minutes)),
        first=on,
        last=on,
        now=datetime.combine(on - timedelta(days=2), time(12), UTC),
        zone=zone,
    )
    assert all(item.ends_at - item.starts_at == timedelta(minutes=minutes) for item in items)
    return clock(items, zone)


# zone, the day before the clocks go forward, the day they do; the same for backward
CHANGES = [
    ("Europe/Berlin", date(2026, 3, 29), date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8), date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 10, 4), date(2026, 4, 5)),
    ("America/Phoenix", date(2026, 3, 8), date(2026, 11, 1)),
    ("Asia/Kolkata", date(2026, 3, 29), date(2026, 10, 25)),
]


@pytest.mark.parametrize(("zone", "forward", "backward"), CHANGES)
def test_nine_o_clock_stays_nine_o_clock(zone: str, forward: date, backward: date) -> None:
    for on in (forward, backward):
        for offset in (-1, 0, 1):
            assert day(on + timedelta(days=offset), zone, time(9), time(10)) == ["09:00", "09:30"]


@pytest.mark.parametrize(("zone", "forward", "backward"), CHANGES)
def test_a_session_over_the_change_stays_on_its_grid(
    zone: str, forward: date, backward: date
) -> None:
    for on in (forward, backward):
        assert day(on, zone, time(0), time(10), step=60)[-3:] == ["07:00", "08:00", "09:00"]


def test_skipped_times_are_not_offered() -> None:
    offered = day(date(2026, 3, 29), "Europe/Berlin", time(1), time(4))
    assert offered == ["01:00", "01:30", "03:00", "03:30"]
    offered = day(date(2026, 3, 8), "America/New_York", time(1), time(4))
    assert offered == ["01:00", "01:30", "03:00", "03:30"]
    offered = day(date(2026, 10, 4), "Australia/Lord_Howe", time(1), time(3))
    assert offered == ["01:00", "01:30", "02:30"]


def test_a_repeated_time_is_offered_once_at_its_first_occurrence() -> None:
    for zone, on, hour in (
        ("Europe/Berlin", date(2026, 10, 25), 2),
        ("America/New_York", date(2026, 11, 1), 1),
    ):
        items = found(
            WeeklyHours(7, time(hour - 1), time(hour + 2), 30, OPEN_SINCE),
            first=on,
            last=on,
            now=datetime.combine(on - timedelta(days=2), time(12), UTC),
            zone=zone,
        )
        shown = clock(items, zone)
        assert len(shown) == len(set(shown)) == 6
        first_pass = [item for item in items if shown[items.index(item)][:2] == f"{hour:02}"]
        assert first_pass[0].starts_at - items[0].starts_at == timedelta(hours=1)
        after = next(item for item in items if shown[items.index(item)] == f"{hour + 1:02}:00")
        assert after.starts_at - items[0].starts_at == timedelta(hours=3)


def test_lord_howe_repeats_half_an_hour() -> None:
    shown = day(date(2026, 4, 5), "Australia/Lord_Howe", time(1), time(3), step=15, minutes=15)
    assert shown == ["01:00", "01:15", "01:30", "01:45", "02:00", "02:15", "02:30", "02:45"]


@pytest.mark.parametrize(
    ("zone", "on"), [("America/Phoenix", date(2026, 3, 8)), ("Asia/Kolkata", date(2026, 3, 29))]
)
def test_zones_without_a_change_offer_every_hour(zone: str, on: date) -> None:
    assert day(on, zone, time(1), time(4), step=60, minutes=60) == ["01:00", "02:00", "03:00"]


def test_a_session_that_ends_in_the_skip_ends_at_the_skip() -> None:
    on, zone = date(2026, 3, 29), "Europe/Berlin"
    assert day(on, zone, time(1), time(2, 30)) == ["01:00", "01:30"]
    assert day(on, zone, time(1), time(2, 30), minutes=31) == ["01:00"]


def test_a_session_that_starts_in_the_skip_begins_after_it() -> None:
    assert day(date(2026, 3, 29), "Europe/Berlin", time(2, 30), time(4)) == ["03:00", "03:30"]


def test_a_session_that_lies_in_the_skip_has_nothing() -> None:
    assert day(date(2026, 3, 29), "Europe/Berlin", time(2), time(3)) == []


def test_a_session_that_ends_in_the_repeated_hour_ends_the_first_time() -> None:
    on, zone = date(2026, 10, 25), "Europe/Berlin"
    assert day(on, zone, time(1, 30), time(2, 30)) == ["01:30", "02:00"]


def test_a_visit_over_the_change_takes_its_real_duration() -> None:
    # 01:30 CET + 60 minutes is 03:30 CEST.
    on, zone = date(2026, 3, 29), "Europe/Berlin"
    assert day(on, zone, time(1, 30), time(3, 30), minutes=60) == ["01:30"]
    assert day(on, zone, time(1, 30), time(3, 29), minutes=60) == []


def test_closed_hours_over_the_repeated_hour_close_both_passes() -> None:
    on, zone = date(2026, 10, 25), "Europe/Berlin"
    items = found(
        WeeklyHours(7, time(1), time(5), 60, OPEN_SINCE),
        visit=VisitRule(timedelta(minutes=60)),
        exceptions=(DayException(on, "closed", time(2), time(2, 30)),),
        first=on,
        last=on,
        now=datetime.combine(on - timedelta(days=2), time(12), UTC),
        zone=zone,
    )
    # The second pass of 02:00 to 02:30 ends half an hour before 03:00 CET.
    assert clock(items, zone) == ["01:00", "03:00", "04:00"]


def test_midnight_that_does_not_exist() -> None:
    # Santiago skips 00:00 to 01:00 on 6 September 2026.
    shown = day(date(2026, 9, 6), "America/Santiago", time(0), time(2))
    assert shown == ["01:00", "01:30"]
