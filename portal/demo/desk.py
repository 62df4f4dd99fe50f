"""What waits at the desk of the demo: a request, somebody in line, an order, a care plan."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from accounts.models import Organization, User
from appointments import selectors, services
from appointments.models import Appointment
from appointments.planner import StepRule
from appointments.waiting import Window as Wish
from appointments.wishes import Window
from core.db import identity
from patients.models import Patient
from patients.viewer import Viewer, staff_viewer

SECTIONS = ["demographics", "medicines", "allergies", "symptoms", "consents"]
_SAID: dict[str, Any] = {
    "demographics": {"unchanged": True},
    "medicines": {
        "none": False,
        "items": [{"name": "Letrozole", "dose": "2.5 mg", "how_often": "once a day"}],
    },
    "allergies": {"none": False, "items": [{"substance": "Penicillin", "reaction": "rash"}]},
    "symptoms": {"anything_new": True},
    "consents": {"decisions": [{"code": "photographs", "version": 1, "decision": "agreed"}]},
}


def ask_for_consent(organization: Organization, *, now: datetime) -> None:
    """Write the text that the eCheck-in of the demo asks about."""
    services.publish_consent(
        organization_id=organization.pk,
        code="photographs",
        title="Photographs of the skin",
        text="We may take photographs of your skin to follow a rash. They stay in your record.",
        now=now,
    )


def check_in_from_home(viewer: Viewer, visit: Appointment, *, now: datetime, whole: bool) -> None:
    """Answer the eCheck-in of a visit, or half of it."""
    with identity(viewer.identity):
        for section in SECTIONS if whole else SECTIONS[:2]:
            services.answer(
                viewer=viewer,
                appointment_id=visit.pk,
                section=section,
                said=_SAID[section],
                now=now,
            )
        if whole:
            services.complete(viewer=viewer, appointment_id=visit.pk, now=now)


def fill_the_queues(
    viewers: Callable[[str], Viewer],
    patients: dict[str, Patient],
    clinician: User,
    *,
    now: datetime,
) -> None:
    """Leave a request, an entry of the waitlist, a ticket and a care plan for the staff pages."""
    today = now.date()

    def kinds(viewer: Viewer, key: str) -> dict[str, UUID]:
        found = selectors.visit_types_for(viewer, patient_id=patients[key].pk, now=now)
        return {kind.code: kind.pk for kind in found}

    asks = viewers("maria")
    with identity(asks.identity):
        services.request_visit(
            viewer=asks,
            visit_type_id=kinds(asks, "maria")["infusion"],
            windows=[Window(today + timedelta(days=4), today + timedelta(days=14))],
            note="Mornings are best, my sister drives me.",
            now=now,
        )
    waits = viewers("li")
    with identity(waits.identity):
        services.join(
            viewer=waits,
            appointment_id=Appointment.objects.get(patient=patients["li"]).pk,
            windows=[Wish(iso_weekdays=frozenset({1, 2, 3, 4, 5}))],
            minimum_notice=timedelta(hours=3),
            now=now,
        )
    orders = staff_viewer(user=clinician, now=now, purpose="demo")
    with identity(orders.identity):
        offered = kinds(orders, "anna")
        services.order_ticket(
            viewer=orders,
            patient_id=patients["anna"].pk,
            visit_type_id=offered["scan"],
            earliest=today + timedelta(days=7),
            latest=today + timedelta(days=35),
            now=now,
        )
        services.lay_down(
            viewer=orders,
            patient_id=patients["anna"].pk,
            name="Infusions",
            first_on=today + timedelta(days=14),
            every_days=21,
            cycles=3,
            tolerance_days=2,
            steps=[
                StepRule(offered["blood-draw"], least=1, most=2),
                StepRule(offered["infusion"]),
            ],
            now=now,
        )
