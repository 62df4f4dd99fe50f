"""When she is told: her hours, her day, a comment, or the backstop; never before the release."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.telling_rules import When, Wish, tell_at

BERLIN = "Europe/Berlin"
RELEASED = datetime(2026, 11, 20, 22, 30, tzinfo=UTC)  # 23:30 in Berlin
SECOND = timedelta(seconds=1)


def told(wish: Wish, commented_at: datetime | None = None, zone: str = BERLIN) -> datetime | None:
    return tell_at(wish, released_at=RELEASED, commented_at=commented_at, zone=zone)


def test_now_is_now_and_never_is_never() -> None:
    assert told(Wish(When.NOW)) == RELEASED
    assert told(Wish(When.NEVER, backstop_days=None)) is None


@pytest.mark.parametrize(
    ("released", "expected"),
    [
        (datetime(2026, 11, 20, 9, 59, 59, tzinfo=UTC), datetime(2026, 11, 20, 10, tzinfo=UTC)),
        (datetime(2026, 11, 20, 10, tzinfo=UTC), datetime(2026, 11, 20, 10, tzinfo=UTC)),
        (
            datetime(2026, 11, 20, 15, 59, 59, tzinfo=UTC),
            datetime(2026, 11, 20, 15, 59, 59, tzinfo=UTC),
        ),
        (datetime(2026, 11, 20, 16, tzinfo=UTC), datetime(2026, 11, 21, 10, tzinfo=UTC)),
        # The night of the change of clocks: 11:00 is at +01:00 again.
        (datetime(2026, 10, 24, 20, tzinfo=UTC), datetime(2026, 10, 25, 10, tzinfo=UTC)),
    ],
)
def test_her_hours_begin_and_end_at_their_second(released: datetime, expected: datetime) -> None:
    wish = Wish(When.IN_MY_HOURS, hours_from=time(11), hours_until=time(17))
    assert tell_at(wish, released_at=released, commented_at=None, zone=BERLIN) == expected


@pytest.mark.parametrize(
    ("commented", "expected"),
    [
        (None, timedelta(days=7)),
        (timedelta(hours=2), timedelta(hours=2)),
        (-timedelta(hours=2), timedelta()),
        (timedelta(days=7) - SECOND, timedelta(days=7) - SECOND),
        (timedelta(days=7), timedelta(days=7)),
        (timedelta(days=7) + SECOND, timedelta(days=7)),
    ],
)
def test_a_comment_or_the_backstop(commented: timedelta | None, expected: timedelta) -> None:
    at = None if commented is None else RELEASED + commented
    assert told(Wish(When.AFTER_COMMENT), at) == RELEASED + expected


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (
            Wish(When.ON_DATE, on_date=date(2026, 11, 24)),
            datetime(2026, 11, 24, 7, tzinfo=UTC),
        ),
        # A day that is over: at once. A day too far: the backstop.
        (Wish(When.ON_DATE, on_date=date(2026, 11, 1)), RELEASED),
        (Wish(When.ON_DATE, on_date=date(2027, 1, 1)), RELEASED + timedelta(days=7)),
        (
            Wish(When.ON_DATE, days_after=2, hours_from=time(18), backstop_days=30),
            datetime(2026, 11, 22, 17, tzinfo=UTC),
        ),
        (Wish(When.ON_DATE, days_after=0), RELEASED),
    ],
)
def test_a_day_of_her_choice(wish: Wish, expected: datetime) -> None:
    assert told(wish) == expected


def test_days_are_counted_where_she_is() -> None:
    wish = Wish(When.ON_DATE, days_after=1)
    assert told(wish, zone="America/New_York") == datetime(2026, 11, 21, 13, tzinfo=UTC)
    assert told(wish, zone=BERLIN) == datetime(2026, 11, 21, 7, tzinfo=UTC)


@given(
    when=st.sampled_from([when for when in When if when is not When.NEVER]),
    released=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),
    commented=st.none() | st.timedeltas(-timedelta(days=5), timedelta(days=60)),
    hours=st.tuples(st.integers(0, 11), st.integers(12, 23)),
    days=st.integers(0, 30),
    backstop=st.integers(1, 30),
    zone=st.sampled_from(["UTC", BERLIN, "America/St_Johns", "Pacific/Apia"]),
)
def test_never_before_the_release_and_never_after_the_backstop(
    when: When,
    released: datetime,
    commented: timedelta | None,
    hours: tuple[int, int],
    days: int,
    backstop: int,
    zone: str,
) -> None:
    wish = Wish(
        when,
        hours_from=time(hours[0]),
        hours_until=time(hours[1]),
        days_after=days if when is When.ON_DATE else None,
        backstop_days=backstop,
    )
    at = tell_at(
        wish,
        released_at=released,
        commented_at=None if commented is None else released + commented,
        zone=zone,
    )
    assert at is not None
    assert released <= at <= released + timedelta(days=backstop)
