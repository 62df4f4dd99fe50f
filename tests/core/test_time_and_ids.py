"""The time object around clock changes, and ids that sort by time."""

import uuid
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ids import new_id, uuid7
from core.timeobject import time_object, time_object_or_none

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


@pytest.mark.parametrize(
    ("instant", "zone", "local", "text"),
    [
        # Berlin, spring 2026: 01:59 is followed by 03:00.
        ("2026-03-29T00:59:00Z", BERLIN, "2026-03-29T01:59", "01:59 CET"),
        ("2026-03-29T01:00:00Z", BERLIN, "2026-03-29T03:00", "03:00 CEST"),
        # Berlin, autumn 2026: 02:30 comes twice, told apart by the zone's letters.
        ("2026-10-25T00:30:00Z", BERLIN, "2026-10-25T02:30", "02:30 CEST"),
        ("2026-10-25T01:30:00Z", BERLIN, "2026-10-25T02:30", "02:30 CET"),
        ("2026-11-01T05:30:00Z", NEW_YORK, "2026-11-01T01:30", "01:30 EDT"),
        ("2026-11-01T06:30:00Z", NEW_YORK, "2026-11-01T01:30", "01:30 EST"),
        # Half an hour's change.
        ("2026-10-03T15:29:00Z", LORD_HOWE, "2026-10-04T01:59", "01:59 +1030"),
        ("2026-10-03T15:30:00Z", LORD_HOWE, "2026-10-04T02:30", "02:30 +11"),
    ],
)
def test_the_local_time_around_a_clock_change(
    instant: str, zone: str, local: str, text: str
) -> None:
    made = time_object(datetime.fromisoformat(instant), zone)
    assert made["local"] == local
    assert made["text"].endswith(text)
    assert made["instant"] == instant


def test_the_weekday_is_that_of_the_place_in_the_language_of_the_reader() -> None:
    late = datetime(2026, 3, 28, 23, 30, tzinfo=UTC)
    assert time_object(late, "UTC")["weekday"] == "Saturday"
    assert time_object(late, BERLIN)["weekday"] == "Sunday"
    assert time_object(late, BERLIN, "es")["weekday"].lower() == "domingo"


def test_a_naive_time_is_no_instant() -> None:
    with pytest.raises(ValueError, match="offset"):
        time_object(datetime(2026, 1, 1), BERLIN)


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(ZoneInfoNotFoundError):
        time_object(datetime(2026, 1, 1, tzinfo=UTC), "Mars/Olympus")


def test_no_instant_gives_none() -> None:
    assert time_object_or_none(None, BERLIN) is None


INSTANTS = st.datetimes(
    min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)
)


@given(instant=INSTANTS, zone=st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE, "America/Santiago"]))
def test_the_instant_survives_and_local_is_its_wall_clock(instant: datetime, zone: str) -> None:
    made = time_object(instant, zone)
    back = datetime.fromisoformat(made["instant"])
    assert abs(back - instant) < timedelta(milliseconds=1)
    assert made["local"] == instant.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%dT%H:%M")


@given(earlier=INSTANTS, later=INSTANTS)
def test_ids_sort_by_the_time_they_were_made(earlier: datetime, later: datetime) -> None:
    earlier, later = sorted((earlier, later))
    if later - earlier >= timedelta(microseconds=2):
        assert uuid7(earlier) < uuid7(later)


@given(instant=INSTANTS)
def test_an_id_is_a_version_7_uuid_that_tells_its_millisecond(instant: datetime) -> None:
    made = uuid7(instant)
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert abs((made.int >> 80) - int(instant.timestamp() * 1000)) <= 1


def test_ids_made_in_a_row_are_distinct_and_ordered() -> None:
    made = [new_id() for _ in range(2000)]
    assert len(set(made)) == len(made)
    milliseconds = [one.int >> 80 for one in made]
    assert milliseconds == sorted(milliseconds)
