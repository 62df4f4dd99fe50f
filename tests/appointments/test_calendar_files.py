"""Calendars read back by two libraries that know nothing of each other, and by the RFC's letter."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import icalendar
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ical.calendar_stream import IcsCalendarStream

from appointments.calendar_files import Entry, Method, calendar_file
from appointments.zone_rules import observances
from tests.appointments.rfc5545 import check, lines_of

ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "America/Phoenix",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
]
HOUR = timedelta(hours=1)
CHANGED = datetime(2026, 1, 5, 12, tzinfo=UTC)


def entry(starts_at: datetime, zone: str = "Europe/Berlin", **more: Any) -> Entry:
    given: dict[str, Any] = {
        "uid": f"{int(starts_at.timestamp()):032x}",
        "starts_at": starts_at,
        "ends_at": starts_at + HOUR,
        "zone": zone,
        "sequence": 0,
        "changed_at": CHANGED,
        "status": "CONFIRMED",
        "is_confirmed": False,
        "title": "Appointment",
        **more,
    }
    return Entry(**given)


def made(*entries: Entry, method: Method = "PUBLISH") -> bytes:
    content = calendar_file(
        entries, method=method, organizer="no-reply@linden.example", name="Linden"
    )
    check(content)
    return content


def by_icalendar(content: bytes) -> list[tuple[datetime, datetime]]:
    # Both ends of an event are read by the calendar's own VTIMEZONE when its name is unknown.
    found = icalendar.Calendar.from_ical(content)
    assert isinstance(found, icalendar.Calendar)
    return [(e.start.astimezone(UTC), e.end.astimezone(UTC)) for e in found.events]


def by_ical(content: bytes) -> list[tuple[datetime, datetime]]:
    found = IcsCalendarStream.calendar_from_ics(content.decode())
    return [(e.dtstart.astimezone(UTC), e.dtend.astimezone(UTC)) for e in found.events]


def without_database(content: bytes, zone: str) -> bytes:
    """Rename the zone, so that a reader has nothing but the VTIMEZONE to go by.

    Each time anew: icalendar remembers the zones it has read by their names.
    """
    return content.replace(zone.encode(), f"Made/{uuid4().hex}".encode())


def around_changes(zone: str) -> list[datetime]:
    """Return instants every half hour around each change of clocks of 2026 and 2027."""
    place, found = ZoneInfo(zone), set()
    at = datetime(2026, 1, 1, tzinfo=UTC)
    while at < datetime(2028, 1, 1, tzinfo=UTC):
        if at.astimezone(place).utcoffset() != (at + HOUR).astimezone(place).utcoffset():
            found |= {at + timedelta(minutes=30 * n) for n in range(-8, 9)}
        at += HOUR
    ordinary = [datetime(2026, month, 15, 9, tzinfo=place) for month in range(1, 13)]
    return sorted(found | {day.astimezone(UTC) for day in ordinary})


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("read", [by_icalendar, by_ical])
def test_every_half_hour_around_a_change_of_clocks_is_right_by_the_calendar_alone(
    zone: str, read: Any
) -> None:
    instants = around_changes(zone)
    content = made(*(entry(at, zone) for at in instants))
    assert read(without_database(content, zone)) == [(at, at + HOUR) for at in instants]
    assert read(content) == [(at, at + HOUR) for at in instants]


def test_there_are_changes_to_get_right() -> None:
    assert [len(around_changes(zone)) > 60 for zone in ZONES] == [True, True, False, True, False]


@pytest.mark.parametrize("zone", [*ZONES, "Africa/Casablanca", "Europe/Dublin", "Pacific/Apia"])
@pytest.mark.parametrize("read", [by_icalendar, by_ical])
@settings(max_examples=25, deadline=None)
@given(
    starts_at=st.datetimes(datetime(2026, 1, 1), datetime(2029, 12, 31), timezones=st.just(UTC)),
    minutes=st.integers(5, 600),
)
def test_any_visit_is_read_at_its_instant(
    zone: str, read: Any, starts_at: datetime, minutes: int
) -> None:
    starts_at = starts_at.replace(microsecond=0)
    ends_at = starts_at + timedelta(minutes=minutes)
    content = made(entry(starts_at, zone, ends_at=ends_at), method="REQUEST")
    assert read(without_database(content, zone)) == [(starts_at, ends_at)]


def test_the_wall_clock_is_the_clinics() -> None:
    [event] = check(made(entry(datetime(2026, 7, 1, 7, tzinfo=UTC))))
    assert event[b"DTSTART"] == (b"TZID=Europe/Berlin", b"20260701T090000")


def test_a_repeated_hour_is_told_apart() -> None:
    """On 25 October the clock of Berlin says half past two twice."""
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    one, other = check(made(entry(first), entry(first + HOUR)))
    assert one[b"DTSTART"] == (b"TZID=Europe/Berlin", b"20261025T023000")
    assert one[b"DTEND"] == (b"", b"20261025T013000Z")
    assert other[b"DTSTART"] == (b"", b"20261025T013000Z")


def test_a_regular_zone_is_written_as_a_rule_and_an_irregular_one_change_by_change() -> None:
    assert {each.rule is not None for each in observances("Europe/Berlin", 2026, 2027)} == {True}
    irregular = observances("Africa/Casablanca", 2026, 2027)
    assert {each.rule for each in irregular} == {None}
    assert len(irregular) > 5
    assert len(observances("Asia/Kolkata", 2026, 2030)) == 1


def test_a_zone_that_gave_up_changing_is_not_continued_by_a_rule() -> None:
    """Mexico City changed its clocks for the last time in October 2022."""
    summers = [datetime(year, 7, 4, 15, tzinfo=UTC) for year in (2022, 2023)]
    zone = "America/Mexico_City"
    content = without_database(made(*(entry(at, zone) for at in summers)), zone)
    for read in (by_icalendar, by_ical):
        assert read(content) == [(at, at + HOUR) for at in summers]


HOSTILE = 'Röntgen; "x", a\\b\r\nBEGIN:VALARM\nEND:VEVENT:;,' + "ä🌳" * 60


def test_hostile_text_stays_text_in_both() -> None:
    content = made(entry(CHANGED, title=HOSTILE, place=HOSTILE, notes="one\ntwo"), method="REQUEST")
    plain = HOSTILE.replace("\r\n", "\n")
    [event] = icalendar.Calendar.from_ical(content).walk("VEVENT")
    assert str(event["summary"]) == str(event["location"]) == plain
    assert str(event["description"]) == "one\ntwo"
    [other] = IcsCalendarStream.calendar_from_ics(content.decode()).events
    assert (other.summary, other.location, other.description) == (plain, plain, "one\ntwo")


@given(text=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_text_comes_back_from_both(text: str) -> None:
    content = made(entry(CHANGED, title=text))
    [event] = icalendar.Calendar.from_ical(content).walk("VEVENT")
    [other] = IcsCalendarStream.calendar_from_ics(content.decode()).events
    assert str(event["summary"]) == other.summary == text


@pytest.mark.parametrize(("method", "status"), [("REQUEST", "CONFIRMED"), ("CANCEL", "CANCELLED")])
def test_both_read_what_itip_needs(method: Method, status: Any) -> None:
    content = made(entry(CHANGED, sequence=3, status=status), method=method)
    mine = icalendar.Calendar.from_ical(content)
    other = IcsCalendarStream.calendar_from_ics(content.decode())
    assert str(mine["method"]) == other.method == method
    [one], [two] = mine.walk("VEVENT"), other.events
    assert one["uid"] == two.uid
    assert one["sequence"] == two.sequence == 3
    assert str(one["status"]) == str(two.status.value) == status
    assert one["dtstamp"].dt == two.dtstamp == CHANGED
    assert one["last-modified"].dt == two.last_modified == CHANGED
    assert str(one["organizer"]) == "mailto:no-reply@linden.example"
    assert str(one["attendee"]).startswith("urn:uuid:")


def test_saying_that_she_comes_changes_her_answer_and_no_sequence() -> None:
    quiet, said = (
        check(made(entry(CHANGED, is_confirmed=each), method="REQUEST"))[0]
        for each in (False, True)
    )
    assert b"PARTSTAT=NEEDS-ACTION" in quiet.pop(b"ATTENDEE")[0]
    assert b"PARTSTAT=ACCEPTED" in said.pop(b"ATTENDEE")[0]
    assert quiet == said


def test_a_published_calendar_names_no_attendee_and_says_when_to_come_back() -> None:
    content = made(entry(CHANGED))
    assert b"ATTENDEE" not in content
    assert (b"REFRESH-INTERVAL", b"VALUE=DURATION", b"PT1H") in lines_of(content)
    assert by_icalendar(made()) == by_ical(made()) == []
