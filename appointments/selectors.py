"""Reads of visits and of what can be booked. All start from the viewer."""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

from django.db.models import QuerySet, UUIDField

from appointments.models import Appointment, CalendarFeed, Hold, Location, VisitType
from appointments.opening_ids import OpeningRef
from core.errors import NotFound
from core.prepared import Given, Prepared
from patients.models import Enrolment
from patients.viewer import Viewer

# A zone is at most 14 hours from UTC, so a local date touches three UTC dates.
_DAY = timedelta(days=1)


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
