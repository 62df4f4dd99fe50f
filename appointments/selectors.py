"""Reads of visits and of what can be booked. All start from the viewer."""

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, cast
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import QuerySet, UUIDField

from appointments.models import Appointment, CalendarFeed, Hold, Location, VisitType
from appointments.opening_ids import OpeningRef
from appointments.slots import (
    DayException,
    Hours,
    Opening,
    Taken,
    VisitRule,
    WeeklyHours,
    openings,
)
from appointments.tickets import Permit, permits_for
from core.api.paging import decode_cursor, encode_cursor
from core.errors import NotFound
from core.prepared import Given, Prepared, prepared_cursor
from patients.models import Enrolment
from patients.viewer import Viewer

# A zone is at most 14 hours from UTC, so a local date touches three UTC dates.
_DAY = timedelta(days=1)

_SUPPLY = """
SELECT v.id, v.duration_minutes, v.buffer_before_minutes, v.buffer_after_minutes,
  v.lead_time_minutes, v.horizon_days, v.booking_policy,
  s.id, s.resource_id, s.resource_name, s.lanes, s.location_id, s.location_name, s.zone,
  (SELECT json_agg(json_build_array(a.iso_weekday, a.starts, a.ends, a.slot_step_minutes,
      a.valid_from, a.valid_until))
    FROM appointments_availability a
    WHERE a.schedule_id = s.id AND a.valid_from <= %(last)s
      AND (a.valid_until IS NULL OR a.valid_until >= %(first)s)),
  (SELECT json_agg(json_build_array(x.date, x.kind, x.starts, x.ends, x.slot_step_minutes))
    FROM appointments_availabilityexception x
    WHERE x.schedule_id = s.id AND x.date BETWEEN %(first)s AND %(last)s),
  (SELECT json_agg(h.date) FROM accounts_holiday h
    WHERE h.organization_id = v.organization_id AND h.date BETWEEN %(first)s AND %(last)s),
  (SELECT json_agg(json_build_array(n.kind, c.id, c.lanes) ORDER BY n.kind, c.id)
    FROM appointments_visittypeneed n
    LEFT JOIN appointments_resource c
      ON c.kind = n.kind AND c.location_id = s.location_id AND c.is_active
      AND c.id <> s.resource_id
    WHERE n.visit_type_id = v.id)
FROM appointments_visittype v
LEFT JOIN (
  SELECT sv.visittype_id, s.id, s.resource_id, r.name AS resource_name, r.lanes,
    l.id AS location_id, l.name AS location_name, l.zone
  FROM appointments_schedule_visit_types sv
  JOIN appointments_schedule s ON s.id = sv.schedule_id AND s.is_active
  JOIN appointments_resource r ON r.id = s.resource_id AND r.is_active
  JOIN appointments_location l ON l.id = s.location_id AND l.is_active
  WHERE (%(schedule)s::uuid IS NULL OR s.id = %(schedule)s)
    AND (%(location)s::uuid IS NULL OR l.id = %(location)s)
) s ON s.visittype_id = v.id
WHERE v.id = %(visit_type)s AND v.is_active AND EXISTS (
  SELECT 1 FROM patients_enrolment e
  WHERE e.patient_id = %(patient)s AND e.organization_id = v.organization_id
    AND e.starts_at <= %(now)s AND (e.ends_at IS NULL OR e.ends_at > %(now)s))
ORDER BY s.id
"""

_TAKEN = """
SELECT c.resource_id, c.lane, extract(epoch FROM lower(c.during))::bigint,
  extract(epoch FROM upper(c.during))::bigint
FROM unnest(%(resources)s::uuid[]) AS wanted(id)
-- OFFSET 0 keeps the planner from reading everybody's claims of these days and joining them.
CROSS JOIN LATERAL (
  SELECT * FROM appointments_resourceclaim
  WHERE resource_id = wanted.id AND active AND during && tstzrange(%(from)s, %(until)s)
  OFFSET 0) c
WHERE (c.expires_at IS NULL OR c.expires_at > %(now)s)
  AND (c.kind <> 'hold' OR NOT EXISTS (
    SELECT 1 FROM appointments_hold h
    WHERE h.id = c.held_for AND h.patient_id = %(patient)s AND h.purpose = 'booking'))
  AND c.held_for <> ALL (%(leaving_out)s::uuid[])
UNION ALL
SELECT NULL, 0, extract(epoch FROM lower(p.during))::bigint,
  extract(epoch FROM upper(p.during))::bigint
FROM appointments_patientclaim p
WHERE p.patient_id = %(patient)s AND p.active AND p.during && tstzrange(%(from)s, %(until)s)
"""


@dataclass(frozen=True, slots=True)
class Place:
    """One lane of one resource."""

    resource_id: UUID
    lane: int


@dataclass(frozen=True, slots=True)
class Supply:
    """A schedule that offers a visit type, with everything `slots` asks for but claims.

    `pools` has one entry for each resource the visit needs: the places that meet it. `permit`
    is the ticket that lets her book it herself, where she needs one.
    """

    schedule_id: UUID
    resource_name: str
    location_id: UUID
    location_name: str
    visit_type_id: UUID
    booking_policy: str
    hours: Hours
    visit: VisitRule
    pools: tuple[tuple[Place, ...], ...]
    permit: Permit | None = None


@dataclass(frozen=True, slots=True)
class Offered:
    """An opening and where it comes from."""

    opening: Opening
    supply: Supply


@dataclass(frozen=True, slots=True)
class OpeningPage:
    """A page of openings. With a hint none are shown: it says how this kind is booked."""

    items: list[Offered]
    next: str | None
    hints: tuple[str, ...] = ()


# Why a patient is shown no openings of a kind of visit, by its booking policy.
HINTS = {
    VisitType.BookingPolicy.VIEW.value: ("not-self-bookable",),
    VisitType.BookingPolicy.REQUEST.value: ("not-self-bookable", "request-needed"),
    VisitType.BookingPolicy.TICKET.value: ("not-self-bookable", "ticket-needed"),
}


def _visit_rule(row: tuple[Any, ...]) -> VisitRule:
    duration, before, after, lead, horizon = row[1:6]
    return VisitRule(
        duration=timedelta(minutes=duration),
        buffer_before=timedelta(minutes=before),
        buffer_after=timedelta(minutes=after),
        lead_time=timedelta(minutes=lead),
        horizon=timedelta(days=horizon),
    )


def _time_or_none(text: str | None) -> time | None:
    return None if text is None else time.fromisoformat(text)


def _hours(row: tuple[Any, ...]) -> Hours:
    zone, weekly, exceptions, holidays = row[13:17]
    return Hours(
        zone=zone,
        weekly=tuple(
            WeeklyHours(
                weekday,
                time.fromisoformat(starts),
                time.fromisoformat(ends),
                step,
                date.fromisoformat(valid_from),
                None if valid_until is None else date.fromisoformat(valid_until),
            )
            for weekday, starts, ends, step, valid_from, valid_until in weekly or ()
        ),
        exceptions=tuple(
            DayException(
                date.fromisoformat(on), kind, _time_or_none(starts), _time_or_none(ends), step
            )
            for on, kind, starts, ends, step in exceptions or ()
        ),
        holidays=frozenset(date.fromisoformat(on) for on in holidays or ()),
    )


def _pools(row: tuple[Any, ...]) -> tuple[tuple[Place, ...], ...]:
    own = tuple(Place(row[8], lane) for lane in range(row[10]))
    others: dict[str, list[Place]] = defaultdict(list)
    for kind, resource_id, lanes in row[17] or ():
        places = others[kind]
        if resource_id is not None:
            places.extend(Place(UUID(resource_id), lane) for lane in range(lanes))
    return (own, *(tuple(places) for places in others.values()))


def supply_for(
    viewer: Viewer,
    *,
    patient_id: UUID,
    visit_type_id: UUID,
    first: date,
    last: date,
    now: datetime,
    schedule_id: UUID | None = None,
    location_id: UUID | None = None,
) -> tuple[str, list[Supply]]:
    """Return the booking policy of a visit type and the schedules that offer it.

    One statement. Only visit types of organizations that the patient is enrolled in at `now`
    exist for her. `first` and `last` bound the dates, in any zone, whose hours are read.
    Raises: NotFound, also when `schedule_id` or `location_id` leave no schedule.
    """
    if viewer.patient_id not in (None, patient_id):
        raise NotFound()
    with prepared_cursor() as cursor:
        cursor.execute(
            _SUPPLY,
            {
                "patient": patient_id,
                "visit_type": visit_type_id,
                "schedule": schedule_id,
                "location": location_id,
                "first": first - _DAY,
                "last": last + _DAY,
                "now": now,
            },
        )
        rows = cursor.fetchall()
    found = [
        Supply(
            schedule_id=row[7],
            resource_name=row[9],
            location_id=row[11],
            location_name=row[12],
            visit_type_id=row[0],
            booking_policy=row[6],
            hours=_hours(row),
            visit=_visit_rule(row),
            pools=_pools(row),
        )
        for row in rows
        if row[7] is not None
    ]
    if not rows or (not found and (schedule_id or location_id)):
        raise NotFound()
    return rows[0][6], found


def time_taken(
    supplies: Sequence[Supply],
    *,
    patient_id: UUID,
    first: date,
    last: date,
    now: datetime,
    leaving_out: Sequence[UUID] = (),
) -> tuple[dict[Place, Taken], Taken]:
    """Return what is taken in each place, and of the patient's own time. One statement.

    `leaving_out` are visits whose places count as free: they are about to move.
    """
    places = {place for supply in supplies for pool in supply.pools for place in pool}
    start = datetime.combine(first - _DAY, time(0), UTC)
    with prepared_cursor() as cursor:
        cursor.execute(
            _TAKEN,
            {
                "resources": sorted({place.resource_id for place in places}),
                "patient": patient_id,
                "from": max(start, now - _DAY),
                "until": datetime.combine(last + 3 * _DAY, time(0), UTC),
                "leaving_out": list(leaving_out),
                "now": now,
            },
        )
        rows = cursor.fetchall()
    spans: dict[Place, list[tuple[int, int]]] = defaultdict(list)
    hers: list[tuple[int, int]] = []
    for resource_id, lane, starts, ends in rows:
        (hers if resource_id is None else spans[Place(resource_id, lane)]).append((starts, ends))
    return {place: Taken(spans.get(place, ())) for place in places}, Taken(hers)


def good_permits(
    policy: str, *, patient_id: UUID, visit_type_id: UUID, now: datetime
) -> list[Permit]:
    """Return the tickets with which she can book or move visits of this kind at `now`.

    None for a policy without tickets, and then without a statement. The day before today is
    still today somewhere; the dates of a ticket are compared with those of openings.
    """
    if policy != VisitType.BookingPolicy.TICKET:
        return []
    yesterday = now.date() - _DAY
    return [
        permit
        for permit in permits_for(patient_id=patient_id, visit_type_id=visit_type_id, now=now)
        if permit.good and permit.latest >= yesterday
    ]


def openings_for(
    viewer: Viewer,
    *,
    patient_id: UUID,
    visit_type_id: UUID,
    first: date | None,
    last: date | None,
    now: datetime,
    limit: int,
    location_id: UUID | None = None,
    schedule_id: UUID | None = None,
    cursor: str | None = None,
    days: int = 14,
) -> OpeningPage:
    """Return a page of openings by start, then schedule; two statements, whatever it holds.

    `first` and `last` are dates local to each location, both included; None is today, and
    `days` from the first on. A patient sees only what she may book herself; where a ticket
    allows it (one statement more), on its dates. Raises: NotFound, InvalidInput.
    """
    last = (first or now.date()) + (days - 1) * _DAY if last is None else last
    bound_to = f"appointments.openings:{viewer.key}:{visit_type_id}:{location_id}:{schedule_id}"
    after: tuple[datetime, UUID] | None = None
    if cursor:
        after_start, after_schedule = decode_cursor(bound_to, cursor)
        after = (after_start, after_schedule)
        resume = after_start.date() - _DAY
        first = resume if first is None else max(first, resume)
    lowest = now.date() - _DAY if first is None else first
    policy, supplies = supply_for(
        viewer,
        patient_id=patient_id,
        visit_type_id=visit_type_id,
        schedule_id=schedule_id,
        location_id=location_id,
        first=lowest,
        last=last,
        now=now,
    )
    permits: list[Permit] | None = None
    if policy != VisitType.BookingPolicy.DIRECT and viewer.kind in ("patient", "proxy"):
        permits = good_permits(policy, patient_id=patient_id, visit_type_id=visit_type_id, now=now)
        if not permits:
            return OpeningPage(items=[], next=None, hints=HINTS[policy])
    taken, hers = time_taken(supplies, patient_id=patient_id, first=lowest, last=last, now=now)

    def of(supply: Supply) -> Iterator[tuple[datetime, UUID, Offered]]:
        zone = ZoneInfo(supply.hours.zone)
        for opening in openings(
            schedule_id=supply.schedule_id,
            visit_type_id=visit_type_id,
            hours=supply.hours,
            visit=supply.visit,
            needs=[[taken[place] for place in pool] for pool in supply.pools],
            hers=hers,
            first=first,
            last=last,
            now=now,
        ):
            if permits is None or any(
                permit.covers(opening.starts_at.astimezone(zone).date()) for permit in permits
            ):
                yield opening.starts_at, supply.schedule_id, Offered(opening, supply)

    found: list[Offered] = []
    for starts_at, schedule, offered in heapq.merge(*map(of, supplies)):
        if after is not None and (starts_at, schedule) <= after:
            continue
        found.append(offered)
        if len(found) > limit:
            break
    following = None
    if len(found) > limit:
        final = found[limit - 1].opening
        following = encode_cursor(bound_to, [final.starts_at, final.schedule_id])
    return OpeningPage(items=found[:limit], next=following)


def appointments_for(viewer: Viewer) -> QuerySet[Appointment]:
    """Return the visits in reach: hers for a patient or caregiver, by row security for staff."""
    if viewer.patient_id is not None:
        return Appointment.objects.filter(patient_id=viewer.patient_id)
    return Appointment.objects.all()


def holds_for(viewer: Viewer, *, now: datetime) -> QuerySet[Hold]:
    """Return the openings that are kept at `now`, in reach of the viewer."""
    live = Hold.objects.filter(ended_at__isnull=True, expires_at__gt=now)
    return live if viewer.patient_id is None else live.filter(patient_id=viewer.patient_id)


def held_now(viewer: Viewer, *, patient_id: UUID, ref: OpeningRef, now: datetime) -> Hold | None:
    """Return the hold that keeps this very opening for the patient, if there is one."""
    return (
        holds_for(viewer, now=now)
        .select_related("visit_type")
        .filter(
            patient_id=patient_id,
            purpose=Hold.Purpose.BOOKING,
            schedule_id=ref.schedule_id,
            visit_type_id=ref.visit_type_id,
            starts_at=ref.starts_at,
        )
        .first()
    )


@lru_cache(maxsize=8)
def _one_appointment(fields: tuple[str, ...], of_one_patient: bool) -> Prepared:
    found = Appointment.objects.filter(id=cast(UUID, Given("appointment", UUIDField())))
    if of_one_patient:
        found = found.filter(patient_id=cast(UUID, Given("patient", UUIDField())))
    return Prepared(found.values(*fields))


def appointment_row(
    viewer: Viewer, *, appointment_id: UUID, fields: tuple[str, ...]
) -> dict[str, Any]:
    """Return `fields` of one visit in reach. Raises: NotFound."""
    rows = _one_appointment(fields, viewer.patient_id is not None).rows(
        appointment=appointment_id, patient=viewer.patient_id
    )
    if not rows:
        raise NotFound()
    return rows[0]


def upcoming(viewer: Viewer, *, now: datetime) -> QuerySet[Appointment]:
    """Return the visits in reach that are not over at `now`, whatever their status."""
    return appointments_for(viewer).filter(ends_at__gt=now)


def past(viewer: Viewer, *, now: datetime) -> QuerySet[Appointment]:
    """Return the visits in reach that are over at `now`."""
    return appointments_for(viewer).filter(ends_at__lte=now)


def _organizations(patient_id: UUID, now: datetime) -> QuerySet[Enrolment, Any]:
    enrolled = Enrolment.objects.filter(patient_id=patient_id, starts_at__lte=now)
    return (enrolled.filter(ends_at__isnull=True) | enrolled.filter(ends_at__gt=now)).values(
        "organization_id"
    )


def visit_types_for(viewer: Viewer, *, patient_id: UUID, now: datetime) -> QuerySet[VisitType]:
    """Return the kinds of visit that the patient's organizations offer."""
    if viewer.patient_id not in (None, patient_id):
        raise NotFound()
    return VisitType.objects.filter(
        organization__in=_organizations(patient_id, now), is_active=True
    ).order_by("name", "id")


def locations_for(viewer: Viewer, *, patient_id: UUID, now: datetime) -> QuerySet[Location]:
    """Return the locations of the patient's organizations."""
    if viewer.patient_id not in (None, patient_id):
        raise NotFound()
    return Location.objects.filter(
        organization__in=_organizations(patient_id, now), is_active=True
    ).order_by("name", "id")


def calendar_feeds_for(viewer: Viewer) -> QuerySet[CalendarFeed]:
    """Return the calendar addresses in use: all of her record for a patient, a caregiver's own."""
    live = CalendarFeed.objects.filter(revoked_at__isnull=True)
    if viewer.patient_id is None:
        return live
    live = live.filter(patient_id=viewer.patient_id)
    if viewer.kind == "patient" or viewer.user_id is None:
        return live
    return live.filter(user_id=viewer.user_id)
