"""From local days to instants, and what is left of a span."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appointments.closures import Span, left_of, span_of

ZERO = datetime(2026, 1, 1, tzinfo=UTC)


def hours(start: float, end: float) -> Span:
    return ZERO + timedelta(hours=start), ZERO + timedelta(hours=end)


@pytest.mark.parametrize(
    ("zone", "on", "length"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("America/New_York", date(2026, 3, 8), 23),
        ("America/New_York", date(2026, 11, 1), 25),
        ("America/Phoenix", date(2026, 3, 8), 24),
        ("Australia/Lord_Howe", date(2026, 10, 4), 23.5),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        ("Asia/Kolkata", date(2026, 3, 29), 24),
    ],
)
def test_a_day_is_as_long_as_the_clock_makes_it(zone: str, on: date, length: float) -> None:
    opens, closes = span_of(zone, first=on, last=on)
    assert closes - opens == timedelta(hours=length)
    local, end = opens.astimezone(ZoneInfo(zone)), closes.astimezone(ZoneInfo(zone))
    assert (local.date(), local.time(), end.time()) == (on, time(0), time(0))


def test_times_of_day_bound_the_first_and_the_last_day() -> None:
    opens, closes = span_of(
        "Europe/Berlin",
        first=date(2026, 11, 23),
        last=date(2026, 11, 24),
        starts=time(13),
        ends=time(9, 30),
    )
    assert opens == datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert closes == datetime(2026, 11, 24, 8, 30, tzinfo=UTC)


def test_a_repeated_hour_is_closed_both_times() -> None:
    """Berlin shows 02:30 twice on 25 October 2026: at 00:30 and 01:30 UTC."""
    on = date(2026, 10, 25)
    opens, _ = span_of("Europe/Berlin", first=on, last=on, starts=time(2, 30))
    _, closes = span_of("Europe/Berlin", first=on, last=on, ends=time(2, 30))
    assert opens == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert closes == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


def test_a_skipped_time_is_the_moment_of_the_skip() -> None:
    on = date(2026, 3, 29)
    opens, _ = span_of("Europe/Berlin", first=on, last=on, starts=time(2, 30))
    assert opens == datetime(2026, 3, 29, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("taken", "left"),
    [
        ([], [(0, 10)]),
        ([(0, 10)], []),
        ([(-1, 11)], []),
        ([(2, 3)], [(0, 2), (3, 10)]),
        ([(5, 7), (2, 3), (6, 8)], [(0, 2), (3, 5), (8, 10)]),
        ([(-2, 1), (9, 12)], [(1, 9)]),
        ([(-2, 0), (10, 12)], [(0, 10)]),
    ],
)
def test_what_is_left(taken: list[tuple[int, int]], left: list[tuple[int, int]]) -> None:
    assert left_of(hours(0, 10), [hours(*one) for one in taken]) == [hours(*one) for one in left]


@given(
    st.lists(st.tuples(st.integers(-5, 25), st.integers(1, 8)).map(lambda one: (one[0], sum(one))))
)
def test_every_minute_is_either_left_or_taken(taken: list[tuple[int, int]]) -> None:
    pieces = left_of(hours(0, 20), [hours(*one) for one in taken])
    for hour in range(20):
        at = ZERO + timedelta(hours=hour)
        is_left = any(low <= at < high for low, high in pieces)
        assert is_left != any(start <= hour < end for start, end in taken)
