"""When somebody reads the worklist: hours, holidays, shifts, and days on which clocks change."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worklist.calendar import Hours, Span, StaffedCalendar, review_of

WEEKDAYS = tuple(Hours(day, time(8), time(17)) for day in range(1, 6))
BERLIN = StaffedCalendar("Europe/Berlin", WEEKDAYS)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("instant", "staffed"),
    [
        ("2026-11-23T06:59:59", False),
        ("2026-11-23T07:00:00", True),
        ("2026-11-23T15:59:59", True),
        ("2026-11-23T16:00:00", False),
        ("2026-11-22T10:00:00", False),
        # Summer time: the same local hours are an hour earlier in UTC.
        ("2026-07-06T05:59:59", False),
        ("2026-07-06T06:00:00", True),
        ("2026-07-06T15:00:00", False),
    ],
)
def test_opening_is_staffed_and_closing_is_not(instant: str, staffed: bool) -> None:
    assert BERLIN.staffed_at(utc(instant)) is staffed


def test_a_holiday_is_not_staffed_and_the_day_after_it_is() -> None:
    calendar = StaffedCalendar("Europe/Berlin", WEEKDAYS, frozenset({date(2026, 12, 25)}))
    assert not calendar.staffed_at(utc("2026-12-25T10:00:00"))
    assert calendar.next_staffed_at(utc("2026-12-25T10:00:00")) == utc("2026-12-28T07:00:00")


def test_a_shift_staffs_a_holiday() -> None:
    shift = Span(utc("2026-12-25T09:00:00"), utc("2026-12-25T12:00:00"))
    calendar = StaffedCalendar("Europe/Berlin", WEEKDAYS, frozenset({date(2026, 12, 25)}), (shift,))
    assert calendar.staffed_at(utc("2026-12-25T11:59:59"))
    assert not calendar.staffed_at(utc("2026-12-25T12:00:00"))


def test_staffed_time_passes_over_the_weekend() -> None:
    friday_four = utc("2026-11-20T15:00:00")
    assert BERLIN.after_staffed_time(friday_four, timedelta(hours=8)) == utc("2026-11-23T14:00:00")


def test_a_calendar_without_hours_knows_no_time() -> None:
    empty = StaffedCalendar("Europe/Berlin")
    now = utc("2026-11-23T10:00:00")
    assert empty.next_staffed_at(now) is None
    assert empty.after_staffed_time(now, timedelta(hours=1)) is None
    assert review_of(empty, due_at=now, now=now).not_before is None


def test_a_review_says_the_due_time_when_somebody_covers_it() -> None:
    now = utc("2026-11-23T10:00:00")
    review = review_of(BERLIN, due_at=now + timedelta(hours=2), now=now)
    assert (review.watched_now, review.by, review.not_before) == (
        True,
        utc("2026-11-23T12:00:00"),
        None,
    )


@pytest.mark.parametrize(
    ("now", "watched"), [("2026-11-21T10:00:00", False), ("2026-11-20T15:30:00", True)]
)
def test_a_review_names_the_next_opening_when_nobody_covers_the_due_time(
    now: str, watched: bool
) -> None:
    review = review_of(BERLIN, due_at=utc(now) + timedelta(hours=2), now=utc(now))
    assert (review.watched_now, review.by) == (watched, None)
    assert review.not_before == utc("2026-11-23T07:00:00")


def test_an_item_raised_before_opening_is_covered_when_it_falls_due_after() -> None:
    now = utc("2026-11-23T06:00:00")
    assert review_of(BERLIN, due_at=now + timedelta(hours=2), now=now).by == utc(
        "2026-11-23T08:00:00"
    )


@given(
    start=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),
    minutes=st.integers(1, 3000),
    zone=st.sampled_from(
        ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]
    ),
)
def test_staffed_time_ends_inside_or_at_the_end_of_a_staffed_stretch(
    start: datetime, minutes: int, zone: str
) -> None:
    calendar = StaffedCalendar(zone, WEEKDAYS)
    end = calendar.after_staffed_time(start, timedelta(minutes=minutes))
    assert end is not None
    assert calendar.staffed_at(end - timedelta(seconds=1))
    assert end - start >= timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("now", "due", "covered"),
    [
        # Sunday evening, due Monday evening: the whole Monday lies between.
        ("2026-11-22T18:00", "2026-11-23T18:00", True),
        # Exactly one staffed hour before closing counts, one minute less does not.
        ("2026-11-23T15:00", "2026-11-23T17:00", True),
        ("2026-11-23T15:01", "2026-11-23T17:01", False),
    ],
)
def test_a_due_time_after_hours_is_covered_by_an_hour_on_duty_before_it(
    now: str, due: str, covered: bool
) -> None:
    review = review_of(BERLIN, due_at=utc(due), now=utc(now))
    assert (review.by is not None) is covered


def test_nobody_reads_before_the_very_next_opening() -> None:
    now = utc("2026-11-22T18:00")
    review = review_of(BERLIN, due_at=now + timedelta(hours=2), now=now)
    assert review.not_before == utc("2026-11-23T07:00")
