"""Visits as iCalendar (RFC 5545) for a calendar program, by the rules of iTIP (RFC 5546).

No name, e-mail address or id of anybody is written. A discreet entry says that there is an
appointment, and nothing more.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from icalendar import (
    Calendar,
    Event,
    Timezone,
    TimezoneDaylight,
    TimezoneStandard,
    vCalAddress,
    vDDDTypes,
    vRecur,
    vText,
)

from appointments.zone_rules import Observance, Yearly, is_said_twice, observances

MEDIA_TYPE = "text/calendar; charset=utf-8"
PRODID = "-//Linden//Linden//EN"
REFRESH = timedelta(hours=1)

Method = Literal["PUBLISH", "REQUEST", "CANCEL"]
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


@dataclass(frozen=True, slots=True)
class Entry:
    """One visit as a calendar shows it.

    `uid` is 32 hex digits and the same for the life of the visit. `sequence` rises when its time
    changes or it is cancelled (iTIP), not when she confirms. `place` and `notes` may be empty.
    """

    uid: str
    starts_at: datetime
    ends_at: datetime
    zone: str
    sequence: int
    changed_at: datetime
    status: Literal["TENTATIVE", "CONFIRMED", "CANCELLED"]
    is_confirmed: bool
    title: str
    place: str = ""
    notes: str = ""


def calendar_file(
    entries: Sequence[Entry], *, method: Method, organizer: str, name: str = ""
) -> bytes:
    """Return a calendar of these entries, lines ended and folded as RFC 5545 says.

    `organizer` is the portal's own e-mail address. A published calendar has a `name` and no
    attendee; REQUEST and CANCEL have one, who is named by a number that means nothing elsewhere.
    """
    made = Calendar()
    made.add("prodid", PRODID)
    made.add("version", "2.0")
    made.add("calscale", "GREGORIAN")
    made.add("method", method)
    if name:
        made.add("name", name)
        made.add("x-wr-calname", name)
        made.add("refresh-interval", vDDDTypes(REFRESH), parameters={"VALUE": "DURATION"})
        made.add("x-published-ttl", vText("PT1H"))
    for timezone in _timezones(entries):
        made.add_component(timezone)
    for entry in entries:
        made.add_component(_event(entry, method=method, organizer=organizer))
    return made.to_ical()


def _event(entry: Entry, *, method: Method, organizer: str) -> Event:
    event = Event()
    event.add("uid", entry.uid)
    event.add("dtstamp", entry.changed_at.astimezone(UTC))
    event.add("last-modified", entry.changed_at.astimezone(UTC))
    event.add("sequence", entry.sequence)
    event.add("dtstart", _local(entry.starts_at, entry.zone))
    event.add("dtend", _local(entry.ends_at, entry.zone))
    event.add("status", entry.status)
    event.add("transp", "TRANSPARENT" if entry.status == "CANCELLED" else "OPAQUE")
    event.add("class", "PRIVATE")
    event.add("summary", entry.title)
    if entry.place:
        event.add("location", entry.place)
    if entry.notes:
        event.add("description", entry.notes)
    event.add("organizer", vCalAddress(f"mailto:{organizer}"))
    if method != "PUBLISH":
        # iTIP wants an attendee in a REQUEST; a number stands for her, not her address.
        attendee = vCalAddress(f"urn:uuid:{UUID(entry.uid)}")
        attendee.params["ROLE"] = vText("REQ-PARTICIPANT")
        attendee.params["PARTSTAT"] = vText("ACCEPTED" if entry.is_confirmed else "NEEDS-ACTION")
        attendee.params["RSVP"] = vText("FALSE")
        event.add("attendee", attendee)
    return event


def _local(at: datetime, zone: str) -> datetime:
    """Return the time at the clinic; in UTC where its clock says the same hour a second time.

    RFC 5545, 3.3.5: a local time that occurs twice means the first.
    """
    return at.astimezone(UTC) if is_said_twice(at, zone) else at.astimezone(ZoneInfo(zone))


def _timezones(entries: Iterable[Entry]) -> list[Timezone]:
    years: dict[str, set[int]] = {}
    for entry in entries:
        # A local year may begin before the one of UTC, or after.
        for at in (entry.starts_at - timedelta(days=1), entry.ends_at + timedelta(days=1)):
            years.setdefault(entry.zone, set()).add(at.year)
    return [_timezone(zone, min(of), max(of)) for zone, of in sorted(years.items())]


def _timezone(zone: str, first_year: int, last_year: int) -> Timezone:
    made = Timezone()
    made.add("tzid", zone)
    for each in observances(zone, first_year, last_year):
        made.add_component(_component(each))
    return made


def _component(each: Observance) -> TimezoneDaylight | TimezoneStandard:
    made = TimezoneDaylight() if each.is_daylight else TimezoneStandard()
    made.add("dtstart", each.starts)
    made.add("tzoffsetfrom", each.offset_from)
    made.add("tzoffsetto", each.offset_to)
    made.add("tzname", each.name)
    if each.rule is not None:
        made.add("rrule", _recurrence(each.rule))
    else:
        # Says DTSTART again, as in RFC 2445, 4.6.5: some readers start from rules and dates alone.
        made.add("rdate", each.starts)
    return made


def _recurrence(rule: Yearly) -> vRecur:
    return vRecur(freq="YEARLY", bymonth=rule.month, byday=f"{rule.nth}{_WEEKDAYS[rule.weekday]}")
