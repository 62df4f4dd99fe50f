"""When she is asked, in local days: clocks that change, leap days, and several zones."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symptoms import cadence

ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "America/Santiago",
    "Pacific/Apia",
]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "due_on", "expected"),
    [
        # Clocks go forward on the first rung's day, then back.
        (
            "Europe/Berlin",
            "2026-03-28",
            ("2026-03-28T09:00", "2026-03-29T08:00", "2026-03-30T08:00", "2026-03-31T08:00"),
        ),
        (
            "Europe/Berlin",
            "2026-10-24",
            ("2026-10-24T08:00", "2026-10-25T09:00", "2026-10-26T09:00", "2026-10-27T09:00"),
        ),
        (
            "America/New_York",
            "2026-03-07",
            ("2026-03-07T15:00", "2026-03-08T14:00", "2026-03-09T14:00", "2026-03-10T14:00"),
        ),
        (
            "America/New_York",
            "2026-10-31",
            ("2026-10-31T14:00", "2026-11-01T15:00", "2026-11-02T15:00", "2026-11-03T15:00"),
        ),
        # Half an hour's change.
        (
            "Australia/Lord_Howe",
            "2026-10-03",
            ("2026-10-02T23:30", "2026-10-03T23:00", "2026-10-04T23:00", "2026-10-05T23:00"),
        ),
        (
            "America/Santiago",
            "2026-09-05",
            ("2026-09-05T14:00", "2026-09-06T13:00", "2026-09-07T13:00", "2026-09-08T13:00"),
        ),
        (
            "Asia/Kolkata",
            "2026-03-28",
            ("2026-03-28T04:30", "2026-03-29T04:30", "2026-03-30T04:30", "2026-03-31T04:30"),
        ),
        # A leap day is a day like others.
        (
            "Europe/Berlin",
            "2028-02-28",
            ("2028-02-28T09:00", "2028-02-29T09:00", "2028-03-01T09:00", "2028-03-02T09:00"),
        ),
    ],
)
def test_reminders_leave_at_her_hour_on_three_local_days(
    zone: str, due_on: str, expected: tuple[str, ...]
) -> None:
    rungs = cadence.rungs(date.fromisoformat(due_on), hour=10, zone=zone)
    assert [r.send_after for r in rungs] == [at(text) for text in expected[:3]]
    assert [r.expires_at for r in rungs] == [at(text) for text in expected[1:]]
    assert cadence.expires_at(date.fromisoformat(due_on), hour=10, zone=zone) == at(expected[3])


def test_an_hour_that_clocks_skip_comes_after_the_jump() -> None:
    # Berlin has no 02:00 to 03:00 on this day.
    assert cadence.local_instant(date(2026, 3, 29), 2, "Europe/Berlin") == at("2026-03-29T01:00")


def test_an_hour_that_happens_twice_means_the_first() -> None:
    assert cadence.local_instant(date(2026, 10, 25), 2, "Europe/Berlin") == at("2026-10-25T00:00")


@pytest.mark.parametrize(
    ("starts_on", "weekday", "due_on"),
    [
        ("2026-11-23", 1, "2026-11-23"),
        ("2026-11-24", 1, "2026-11-30"),
        ("2026-11-22", 1, "2026-11-23"),
    ],
)
def test_the_first_occurrence_is_on_or_after_the_start(
    starts_on: str, weekday: int, due_on: str
) -> None:
    found = cadence.first_due_on(starts_on=date.fromisoformat(starts_on), iso_weekday=weekday)
    assert found == date.fromisoformat(due_on)


@given(
    due_on=st.dates(date(2024, 1, 1), date(2032, 12, 31)),
    hour=st.integers(8, 20),
    zone=st.sampled_from(ZONES),
)
def test_rungs_never_overlap_and_keep_her_hour(due_on: date, hour: int, zone: str) -> None:
    rungs = cadence.rungs(due_on, hour=hour, zone=zone)
    assert [r.number for r in rungs] == [0, 1, 2]
    for rung, following in pairwise(rungs):
        assert rung.send_after < rung.expires_at == following.send_after
    for rung in rungs:
        local = rung.send_after.astimezone(ZoneInfo(zone))
        assert (local.hour, local.minute) == (hour, 0)
        assert local.date() == due_on + timedelta(days=rung.number)


@given(
    due_on=st.dates(date(2024, 1, 1), date(2030, 12, 31)),
    weeks=st.integers(1, 12),
    later=st.integers(-100, 2000),
)
def test_skipping_ahead_stays_on_the_series_and_skips_no_more_than_needed(
    due_on: date, weeks: int, later: int
) -> None:
    not_before = due_on + timedelta(days=later)
    found = cadence.current_due_on(due_on, every_weeks=weeks, not_before=not_before)
    assert (found - due_on).days % (7 * weeks) == 0
    assert found >= max(due_on, not_before)
    assert found == due_on or found - timedelta(weeks=weeks) < not_before
