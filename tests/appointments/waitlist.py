"""Helpers of the waitlist's tests."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from accounts.models import User
from appointments import services
from appointments.models import Appointment, Hold, ResourceClaim, WaitlistEntry, WaitlistOffer
from appointments.waiting import Window
from core.db import identity, system
from core.events.registry import Delivered, subscribers_of
from core.models import Event
from notifications.models import Notification
from patients.models import Patient
from patients.viewer import Viewer, staff_viewer
from tests.appointments.factories import MONDAY, Surgery
from tests.tokens import viewer_of

A_MOMENT = timedelta(microseconds=1)


def at(hour: int, minute: int = 0, on: date = MONDAY) -> Window:
    """Return the window that holds this one half hour."""
    starts = time(hour, minute)
    ends = (datetime.combine(on, starts) + timedelta(minutes=30)).time()
    return Window(first_on=on, last_on=on, time_from=starts, time_until=ends)


def wait(
    user: User,
    clinic: Surgery,
    now: datetime,
    *,
    windows: Sequence[Window] = (),
    visit: Appointment | None = None,
    **more: object,
) -> WaitlistEntry:
    """Join the line as a patient does."""
    viewer = viewer_of(user)
    with identity(viewer.identity):
        return services.join(
            viewer=viewer,
            visit_type_id=clinic.visit_type.id,
            appointment_id=visit and visit.id,
            windows=windows,
            now=now,
            **more,  # type: ignore[arg-type]
        )


def wait_for(
    staff: User, patient_id: UUID, clinic: Surgery, now: datetime, **more: object
) -> WaitlistEntry:
    """Put somebody in line as staff do."""
    viewer = staff_viewer(user=staff, now=now)
    with identity(viewer.identity):
        return services.join(
            viewer=viewer,
            patient_id=patient_id,
            visit_type_id=clinic.visit_type.id,
            now=now,
            **more,  # type: ignore[arg-type]
        )


def tick(now: datetime) -> services.OfferingOutcome:
    return services.offer_openings(now=now)


def offers(**terms: object) -> list[WaitlistOffer]:
    with identity(system("booking")):
        return list(
            WaitlistOffer.objects.filter(**terms)
            .select_related("hold", "entry")
            .order_by("offered_at", "hold__starts_at", "id")
        )


def entry_now(entry: WaitlistEntry) -> WaitlistEntry:
    with identity(system("booking")):
        return WaitlistEntry.objects.get(id=entry.id)


def visit_now(visit: Appointment) -> Appointment:
    with identity(system("booking")):
        return Appointment.objects.get(id=visit.id)


def accept(user: User | Viewer, offer: WaitlistOffer, now: datetime) -> WaitlistOffer:
    viewer = user if isinstance(user, Viewer) else viewer_of(user)
    with identity(viewer.identity):
        return services.accept(viewer=viewer, offer_id=offer.id, now=now)


def decline(user: User, offer: WaitlistOffer, now: datetime) -> WaitlistOffer:
    viewer = viewer_of(user)
    with identity(viewer.identity):
        return services.decline(viewer=viewer, offer_id=offer.id, now=now)


def leave(user: User, entry: WaitlistEntry, now: datetime) -> WaitlistEntry:
    viewer = viewer_of(user)
    with identity(viewer.identity):
        return services.leave(viewer=viewer, entry_id=entry.id, now=now)


def taken_at(clinic: Surgery, starts_at: datetime, now: datetime) -> list[str]:
    """Return by what kinds of claim the doctor's time is taken at an instant."""
    with identity(system("booking")):
        return [
            claim.kind
            for claim in ResourceClaim.objects.filter(
                resource=clinic.doctor, active=True, during__contains=starts_at
            )
            if claim.expires_at is None or claim.expires_at > now
        ]


def hold_of(offer: WaitlistOffer) -> Hold:
    with identity(system("booking")):
        return Hold.objects.get(id=offer.hold_id)


def notices(**terms: Any) -> list[Notification]:
    with identity(system("notifications")):
        return list(Notification.objects.filter(purpose="visit-offer", **terms))


def change_patient(patient: Patient, **facts: object) -> None:
    with identity(system("registration")):
        Patient.objects.filter(id=patient.id).update(**facts)


def deliver(now: datetime) -> None:
    """Hand the events of the test to their subscribers of the waitlist."""
    with identity(system("events")):
        events = list(Event.objects.filter(type__startswith="appointments.").order_by("id"))
    for event in events:
        for name, handler in subscribers_of(event.type).items():
            if name.startswith("appointments.waitlist"):
                handler(
                    Delivered(
                        event_id=event.id,
                        type=event.type,
                        version=event.version,
                        subject_id=event.subject_id,
                        patient_id=event.patient_id,
                        payload=event.payload,
                        occurred_at=event.occurred_at,
                        now=now,
                    )
                )


def entry_of(patient: Patient) -> WaitlistEntry:
    with identity(system("booking")):
        return WaitlistEntry.objects.get(patient=patient, status="active")
