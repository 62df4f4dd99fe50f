"""Helpers of the tests of closing."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from accounts.models import User
from appointments import services
from appointments.impact import Closing, Impact, impact_of
from appointments.models import (
    Appointment,
    Ticket,
)
from core.db import identity, system
from core.events import deliver_due
from notifications.models import Notification
from patients.models import Patient
from patients.viewer import staff_viewer
from tests.appointments.factories import MONDAY, Surgery
from tests.cast import Cast

DAY = timedelta(days=1)
TUESDAY = MONDAY + DAY


def site(clinic: Surgery, on: date = MONDAY, days: int = 1) -> Closing:
    return Closing(
        clinic.at(0, on=on), clinic.at(0, on=on + days * DAY), location_id=clinic.location.id
    )


def doctor(clinic: Surgery, starts_at: datetime, ends_at: datetime) -> Closing:
    return Closing(starts_at, ends_at, resource_ids=(clinic.doctor.id,))


def morning(clinic: Surgery) -> Closing:
    return doctor(clinic, clinic.at(9), clinic.at(12))


def seen(user: User, closing: Closing, now: datetime) -> Impact:
    viewer = staff_viewer(user=user, now=now)
    with identity(viewer.identity):
        return impact_of(viewer, closing, now=now)


def close(
    user: User,
    closing: Closing,
    decisions: Mapping[UUID, services.Decision],
    now: datetime,
    **more: Any,
) -> services.Closed:
    viewer = staff_viewer(user=user, now=now)
    with identity(viewer.identity):
        return services.close(
            viewer=viewer,
            closing=closing,
            decisions=decisions,
            now=now,
            **{"reason": "Water damage", **more},
        )


def cancelled(*visits: Appointment) -> dict[UUID, services.Decision]:
    return {one.id: services.Decision(one.version, "cancel") for one in visits}


def moved(visit: Appointment, opening: str) -> dict[UUID, services.Decision]:
    return {visit.id: services.Decision(visit.version, "move", opening)}


def kept(visit: Appointment) -> dict[UUID, services.Decision]:
    return {visit.id: services.Decision(visit.version, "keep")}


def tickets(patient: Patient) -> list[Ticket]:
    with identity(system("booking")):
        return list(Ticket.objects.filter(patient=patient).order_by("id"))


def notices(cast: Cast, now: datetime) -> list[str]:
    """Return what anna's mails of changed visits are about, by their sequence."""
    while deliver_due(now=now):
        pass
    with identity(system("notifications")):
        return sorted(
            Notification.objects.filter(
                patient_id=cast.anna.id, purpose="visit-changed", channel="email"
            ).values_list("occurrence", flat=True)
        )


def dies(patient: Patient, now: datetime) -> None:
    with identity(system("registration")):
        Patient.objects.filter(id=patient.id).update(deceased_at=now)
