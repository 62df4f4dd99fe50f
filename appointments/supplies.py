"""What can be booked and what is taken, read for the pure rules of `appointments.slots`."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from appointments.slots import DayException, Hours, Taken, VisitRule, WeeklyHours
from appointments.tickets import Permit
from core.errors import NotFound
from core.prepared import prepared_cursor
from patients.viewer import Viewer

# A zone is at most 14 hours from UTC, so a local date touches three UTC dates.
DAY = timedelta(days=1)

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
  (SELECT json_agg(json_build_array(n.kind, c.id, c.lanes, c.overbook_lanes) ORDER BY n.kind, c.id)
    FROM appointments_visittypeneed n
    LEFT JOIN appointments_resource c
      ON c.kind = n.kind AND c.location_id = s.location_id AND c.is_active
      AND c.id <> s.resource_id
    WHERE n.visit_type_id = v.id),
  (SELECT json_agg(json_build_array(extract(epoch FROM k.starts_at)::bigint,
      extract(epoch FROM k.ends_at)::bigint))
    FROM appointments_siteclosure k
    WHERE k.location_id = s.location_id AND k.lifted_at IS NULL
      AND k.ends_at >= %(first)s AND k.starts_at < %(last)s::date + 1),
  s.overbook_lanes
FROM appointments_visittype v
LEFT JOIN (
  SELECT sv.visittype_id, s.id, s.resource_id, r.name AS resource_name, r.lanes,
    r.overbook_lanes,
    l.id AS location_id, l.name AS location_name, l.zone
  FROM appointments_schedule_visit_types sv
  JOIN appointments_schedule s ON s.id = sv.schedule_id AND s.is_active
  JOIN appointments_resource r ON r.id = s.resource_id AND r.is_active
  JOIN appointments_location l ON l.id = s.location_id AND l.is_active
  WHERE (%(schedule)s::uuid IS NULL OR s.id = %(schedule)s)
    AND (%(locations)s::uuid[] IS NULL OR l.id = ANY (%(locations)s))
    AND (%(practitioners)s::uuid[] IS NULL OR r.id = ANY (%(practitioners)s))
) s ON s.visittype_id = v.id
WHERE v.id = ANY (%(visit_types)s::uuid[]) AND v.is_active AND EXISTS (
  SELECT 1 FROM patients_enrolment e
  WHERE e.patient_id = %(patient)s AND e.organization_id = v.organization_id
    AND e.starts_at <= %(now)s AND (e.ends_at IS NULL OR e.ends_at > %(now)s))
ORDER BY s.id, v.id
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
    is the ticket that lets her book it herself, where she needs one. `overbooking` has the places
    that only an override fills, and `overrides` the rules that one has set aside.
    """

    schedule_id: UUID
    resource_id: UUID
    resource_name: str
    location_id: UUID
    location_name: str
    visit_type_id: UUID
    booking_policy: str
    hours: Hours
    visit: VisitRule
    pools: tuple[tuple[Place, ...], ...]
    overbooking: tuple[tuple[Place, ...], ...] = ()
    permit: Permit | None = None
    overrides: frozenset[str] = frozenset()

    @property
    def beyond(self) -> tuple[tuple[Place, ...], ...]:
        """Return, for each pool, the places for overbooking that may be used."""
        return self.overbooking if "overbook" in self.overrides else ((),) * len(self.pools)


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
        shut=tuple((starts, ends) for starts, ends in row[18] or ()),
    )


_Pools = tuple[tuple[Place, ...], ...]


def _pools(row: tuple[Any, ...]) -> tuple[_Pools, _Pools]:
    """Return the places that meet each need, and those beyond for overbooking."""
    own, lanes, more = row[8], row[10], row[19]
    pools = [[Place(own, lane) for lane in range(lanes)]]
    beyond = [[Place(own, lane) for lane in range(lanes, lanes + more)]]
    kinds: dict[str, int] = {}
    for kind, resource_id, count, extra in row[17] or ():
        if kind not in kinds:
            kinds[kind] = len(pools)
            pools.append([])
            beyond.append([])
        if resource_id is not None:
            one, need = UUID(resource_id), kinds[kind]
            pools[need] += [Place(one, lane) for lane in range(count)]
            beyond[need] += [Place(one, lane) for lane in range(count, count + extra)]
    return tuple(map(tuple, pools)), tuple(map(tuple, beyond))


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
    """Return the booking policy of one visit type and the schedules that offer it.

    As `supplies_for`. Raises: NotFound.
    """
    policies, found = supplies_for(
        viewer,
        patient_id=patient_id,
        visit_type_ids=(visit_type_id,),
        schedule_id=schedule_id,
        location_ids=() if location_id is None else (location_id,),
        first=first,
        last=last,
        now=now,
    )
    return policies[visit_type_id], found


def supplies_for(
    viewer: Viewer,
    *,
    patient_id: UUID,
    visit_type_ids: Sequence[UUID],
    first: date,
    last: date,
    now: datetime,
    schedule_id: UUID | None = None,
    location_ids: Sequence[UUID] = (),
    practitioner_ids: Sequence[UUID] = (),
) -> tuple[dict[UUID, str], list[Supply]]:
    """Return the booking policy of each visit type, and the schedules that offer them.

    One statement. Only visit types of organizations that the patient is enrolled in at `now`
    exist for her. `first` and `last` bound the dates, in any zone, whose hours are read; no
    locations or practitioners (resources with a schedule) means all.
    Raises: NotFound for a visit type that does not exist for her, also when the schedule,
    locations and practitioners leave nothing.
    """
    if viewer.patient_id not in (None, patient_id):
        raise NotFound()
    with prepared_cursor() as cursor:
        cursor.execute(
            _SUPPLY,
            {
                "patient": patient_id,
                "visit_types": list(visit_type_ids),
                "schedule": schedule_id,
                "locations": list(location_ids) or None,
                "practitioners": list(practitioner_ids) or None,
                "first": first - DAY,
                "last": last + DAY,
                "now": now,
            },
        )
        rows = cursor.fetchall()
    found = [
        Supply(
            schedule_id=row[7],
            resource_id=row[8],
            resource_name=row[9],
            location_id=row[11],
            location_name=row[12],
            visit_type_id=row[0],
            booking_policy=row[6],
            hours=_hours(row),
            visit=_visit_rule(row),
            pools=pools,
            overbooking=beyond,
        )
        for row in rows
        if row[7] is not None
        for pools, beyond in [_pools(row)]
    ]
    policies = {row[0]: row[6] for row in rows}
    narrowed = schedule_id or location_ids or practitioner_ids
    if len(policies) < len(set(visit_type_ids)) or (narrowed and not found):
        raise NotFound()
    return policies, found


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
    start = datetime.combine(first - DAY, time(0), UTC)
    with prepared_cursor() as cursor:
        cursor.execute(
            _TAKEN,
            {
                "resources": sorted({place.resource_id for place in places}),
                "patient": patient_id,
                "from": max(start, now - DAY),
                "until": datetime.combine(last + 3 * DAY, time(0), UTC),
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
