"""When reminders come: her own days, real hours, across changes of clocks."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appointments.reminder_rules import NEAR, is_near, is_overtaken, reminders

ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "America/Phoenix",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
]
A_SECOND = timedelta(seconds=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


# Her zone, the visit, and the reminders a week and a day before.
DAYS = """
Europe/Berlin        2026-03-30T10:00+02:00  2026-03-23T09:00+01:00  2026-03-29T09:00+02:00
Europe/Berlin        2026-10-26T10:00+01:00  2026-10-19T09:00+02:00  2026-10-25T09:00+01:00
America/New_York     2026-03-09T10:00-04:00  2026-03-02T09:00-05:00  2026-03-08T09:00-04:00
America/New_York     2026-11-02T10:00-05:00  2026-10-26T09:00-04:00  2026-11-01T09:00-05:00
America/Phoenix      2026-03-09T10:00-07:00  2026-03-02T09:00-07:00  2026-03-08T09:00-07:00
Australia/Lord_Howe  2026-10-05T10:00+11:00  2026-09-28T09:00+10:30  2026-10-04T09:00+11:00
Asia/Kolkata         2026-03-30T10:00+05:30  2026-03-23T09:00+05:30  2026-03-29T09:00+05:30
Pacific/Honolulu     2026-11-23T09:00+01:00  2026-11-15T09:00-10:00  2026-11-21T09:00-10:00
"""


@pytest.mark.parametrize(
    ("zone", "visit", "week", "day"), [line.split() for line in DAYS.strip().splitlines()]
)
def test_days_are_hers_and_begin_at_nine_by_her_clock(
    zone: str, visit: str, week: str, day: str
) -> None:
    """Across a change of clocks, and when her day is not the clinic's (the last line)."""
    ladder = reminders(starts_at=at(visit), zone=zone)
    assert [each.rung for each in ladder] == ["7d", "1d", "2h"]
    assert [each.send_at for each in ladder] == [at(week), at(day), at(visit) - timedelta(hours=2)]
    assert {each.expires_at for each in ladder} == {at(visit) - timedelta(minutes=30)}


@given(
    starts_at=st.datetimes(datetime(2026, 1, 1), datetime(2029, 12, 31), timezones=st.just(UTC)),
    zone=st.sampled_from(ZONES),
)
def test_rungs_come_in_order_and_each_before_it_expires(starts_at: datetime, zone: str) -> None:
    ladder = reminders(starts_at=starts_at, zone=zone)
    sent = [each.send_at for each in ladder]
    assert sent == sorted(set(sent))
    assert all(each.send_at < each.expires_at < starts_at for each in ladder)
    for each in ladder[:2]:
        assert each.send_at.astimezone(ZoneInfo(zone)).hour == 9


def test_a_rung_is_overtaken_when_the_next_one_is_due() -> None:
    visit = at("2026-11-30T10:00+01:00")
    _, day, hours = reminders(starts_at=visit, zone="Europe/Berlin")

    def overtaken(rung: str, now: datetime) -> bool:
        return is_overtaken(rung, starts_at=visit, zone="Europe/Berlin", now=now)

    assert not overtaken("7d", day.send_at - A_SECOND)
    assert overtaken("7d", day.send_at)
    assert not overtaken("1d", hours.send_at - A_SECOND)
    assert overtaken("1d", hours.send_at)
    assert not overtaken("2h", visit)


def test_near_is_twelve_hours_or_less_and_still_to_come() -> None:
    now = at("2026-11-22T10:00+01:00")
    assert is_near([now + NEAR], now)
    assert not is_near([now + NEAR + A_SECOND], now)
    assert is_near([now + A_SECOND], now)
    assert not is_near([now], now)
    assert is_near([now + timedelta(days=9), now + timedelta(hours=1)], now)
    assert not is_near([], now)
