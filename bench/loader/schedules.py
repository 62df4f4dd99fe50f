"""Practitioners with ninety days of hours, a third of their time booked already."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
from django.conf import settings
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from appointments.models import (
    Appointment,
    AppointmentHistory,
    Availability,
    Location,
    PatientClaim,
    Resource,
    ResourceClaim,
    Schedule,
    VisitType,
)
from bench.loader.copying import Lines, unguarded
from bench.loader.people import ZONE, Clinic, Person
from core.ids import uuid7

DAYS = 90
FIRST_START, LAST_END = time(8), time(16)
SLOT_MINUTES = 30
SLOTS_A_DAY = 16
WORKING_DAYS = range(1, 6)
BOOKED_SHARE = 1 / 3
SEED = 7


@dataclass(frozen=True)
class LoadedSchedules:
    """What the rows of the table may ask for.

    `days` are the working days, in order. `free` are the openings, (schedule, start) by start;
    `busy` says which patients have a visit at a start.
    """

    schedule_ids: list[UUID]
    resource_of: dict[UUID, UUID]
    visit_type_id: UUID
    days: list[date]
    bookings: int
    free: list[tuple[UUID, datetime]]
    busy: dict[datetime, set[UUID]]


@dataclass(frozen=True)
class _Visit:
    id: UUID
    patient_id: UUID
    schedule_id: UUID
    resource_id: UUID
    starts_at: datetime
    ends_at: datetime
    local_date: date
    local_time: time


def working_days(now: datetime) -> list[date]:
    """Return the working days of the ninety days after `now`, at the clinic."""
    today = now.astimezone(ZoneInfo(ZONE)).date()
    days = [today + timedelta(days=n) for n in range(1, DAYS + 1)]
    return [day for day in days if day.isoweekday() in WORKING_DAYS]


def load_schedules(
    connection: psycopg.Connection[Any],
    *,
    people: Sequence[Person],
    clinic: Clinic,
    practitioners: int,
    now: datetime,
) -> LoadedSchedules:
    """Copy practitioners, their hours and a third of their visits."""
    owner = settings.OWNER_DATABASE
    location = Location.objects.using(owner).create(
        organization=clinic.organization, name="Bench House", zone=ZONE
    )
    visit_type = VisitType.objects.using(owner).create(
        organization=clinic.organization,
        code="bench-visit",
        name="Bench visit",
        duration_minutes=SLOT_MINUTES,
        horizon_days=DAYS,
        booking_policy=VisitType.BookingPolicy.DIRECT,
    )
    resources = [uuid7(now) for _ in range(practitioners)]
    schedules = [uuid7(now) for _ in range(practitioners)]
    days = working_days(now)
    visits = list(_visits(resources, schedules, people, days))
    through = Schedule.visit_types.through
    models = (
        Resource, Schedule, through, Availability,
        Appointment, AppointmentHistory, ResourceClaim, PatientClaim,
    )  # fmt: skip
    with (
        connection.transaction(),
        connection.cursor() as cursor,
        unguarded(cursor, *(model._meta.db_table for model in models)),
    ):
        lines = Lines(Resource, connection)
        template = lines.template(
            Resource(
                organization=clinic.organization, location=location, kind="practitioner",
                name="Bench Practitioner",
            ),
            varying=("id",),
        )  # fmt: skip
        lines.copy(cursor, (template % {"id": resource} for resource in resources))
        lines = Lines(Schedule, connection)
        template = lines.template(Schedule(location=location), varying=("id", "resource_id"))
        lines.copy(
            cursor,
            (
                template % {"id": schedule, "resource_id": resource}
                for schedule, resource in zip(schedules, resources, strict=True)
            ),
        )
        lines = Lines(through, connection)
        template = lines.template(through(visittype_id=visit_type.id), varying=("schedule_id",))
        lines.copy(cursor, (template % {"schedule_id": schedule} for schedule in schedules))
        _copy_hours(connection, cursor, schedules, now)
        _copy_visits(connection, cursor, visits, location, visit_type, now)
        _copy_claims(connection, cursor, visits, now)
    return LoadedSchedules(
        schedule_ids=schedules,
        resource_of=dict(zip(schedules, resources, strict=True)),
        visit_type_id=visit_type.id,
        days=days,
        bookings=len(visits),
        free=_free(schedules, days, visits),
        busy=_busy(visits),
    )


def _starts(day: date) -> list[datetime]:
    """Return the starts of one day in UTC."""
    first = datetime.combine(day, FIRST_START, ZoneInfo(ZONE)).astimezone(UTC)
    return [first + timedelta(minutes=SLOT_MINUTES * slot) for slot in range(SLOTS_A_DAY)]


def _free(
    schedules: Sequence[UUID], days: Sequence[date], visits: Sequence[_Visit]
) -> list[tuple[UUID, datetime]]:
    taken = {(visit.schedule_id, visit.starts_at) for visit in visits}
    every = ((schedule, at) for day in days for at in _starts(day) for schedule in schedules)
    return [opening for opening in every if opening not in taken]


def _busy(visits: Sequence[_Visit]) -> dict[datetime, set[UUID]]:
    busy: dict[datetime, set[UUID]] = {}
    for visit in visits:
        busy.setdefault(visit.starts_at, set()).add(visit.patient_id)
    return busy


def _visits(
    resources: Sequence[UUID],
    schedules: Sequence[UUID],
    people: Sequence[Person],
    days: Sequence[date],
) -> Iterator[_Visit]:
    """Book every slot with the same chance; at one time each visit has another patient."""
    chance = random.Random(SEED)
    zone = ZoneInfo(ZONE)
    turn = 0
    for day in days:
        for starts_at in _starts(day):
            for resource, schedule in zip(resources, schedules, strict=True):
                if chance.random() >= BOOKED_SHARE:
                    continue
                turn += 1
                yield _Visit(
                    id=uuid7(),
                    patient_id=people[turn % len(people)].patient_id,
                    schedule_id=schedule,
                    resource_id=resource,
                    starts_at=starts_at,
                    ends_at=starts_at + timedelta(minutes=SLOT_MINUTES),
                    local_date=day,
                    local_time=starts_at.astimezone(zone).time(),
                )


def _copy_hours(
    connection: psycopg.Connection[Any],
    cursor: psycopg.Cursor[Any],
    schedules: Sequence[UUID],
    now: datetime,
) -> None:
    lines = Lines(Availability, connection)
    for weekday in WORKING_DAYS:
        template = lines.template(
            Availability(
                iso_weekday=weekday, starts=FIRST_START, ends=LAST_END,
                slot_step_minutes=SLOT_MINUTES, valid_from=now.date(),
                valid_until=now.date() + timedelta(days=DAYS),
            ),
            varying=("id", "schedule_id"),
        )  # fmt: skip
        lines.copy(
            cursor,
            (template % {"id": uuid7(now), "schedule_id": schedule} for schedule in schedules),
        )


def _copy_visits(
    connection: psycopg.Connection[Any],
    cursor: psycopg.Cursor[Any],
    visits: Sequence[_Visit],
    location: Location,
    visit_type: VisitType,
    now: datetime,
) -> None:
    lines = Lines(Appointment, connection)
    template = lines.template(
        Appointment(
            status="booked", zone=ZONE, location=location, visit_type=visit_type, booked_at=now,
            created_via="system",
        ),
        varying=(
            "id", "patient_id", "schedule_id", "starts_at", "ends_at", "local_date", "local_time"
        ),
    )  # fmt: skip
    lines.copy(cursor, (template % vars(visit) for visit in visits))
    lines = Lines(AppointmentHistory, connection)
    template = lines.template(
        AppointmentHistory(version=1, action="book", status="booked", at=now, via="system"),
        varying=("id", "appointment_id", "patient_id", "starts_at", "ends_at"),
    )
    lines.copy(
        cursor,
        (
            template % {**vars(visit), "id": uuid7(now), "appointment_id": visit.id}
            for visit in visits
        ),
    )


def _copy_claims(
    connection: psycopg.Connection[Any],
    cursor: psycopg.Cursor[Any],
    visits: Sequence[_Visit],
    now: datetime,
) -> None:
    resource = Lines(ResourceClaim, connection)
    patient = Lines(PatientClaim, connection)

    def during(visit: _Visit) -> str:
        return resource.text(DateTimeTZRange(visit.starts_at, visit.ends_at))

    template = resource.template(
        ResourceClaim(kind="booking", made_at=now),
        varying=("id", "resource_id", "during", "held_for"),
    )
    resource.copy(
        cursor,
        (
            template
            % {
                "id": uuid7(now),
                "resource_id": visit.resource_id,
                "during": during(visit),
                "held_for": visit.id,
            }
            for visit in visits
        ),
    )
    claim = patient.template(
        PatientClaim(), varying=("id", "patient_id", "appointment_id", "during")
    )
    patient.copy(
        cursor,
        (
            claim
            % {
                "id": uuid7(now),
                "patient_id": visit.patient_id,
                "appointment_id": visit.id,
                "during": during(visit),
            }
            for visit in visits
        ),
    )
