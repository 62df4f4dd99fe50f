"""What the tests of requests, tickets and plans share."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from accounts.models import User
from appointments import finding, services
from appointments.models import Ticket
from core.db import identity
from patients.models import Patient
from patients.viewer import Viewer, staff_viewer
from tests.appointments.factories import MONDAY, Surgery
from tests.cast import Cast
from tests.tokens import viewer_of


def as_staff(user: User, now: datetime) -> Viewer:
    return staff_viewer(user=user, now=now)


def order(
    cast: Cast,
    clinic: Surgery,
    now: datetime,
    *,
    patient: Patient | None = None,
    earliest: date = MONDAY,
    latest: date = MONDAY + timedelta(days=1),
    **more: Any,
) -> Ticket:
    """Let the clinician order a ticket for anna."""
    viewer = as_staff(cast.clinician, now)
    with identity(viewer.identity):
        return services.order_ticket(
            viewer=viewer,
            patient_id=(patient or cast.anna).id,
            visit_type_id=clinic.visit_type.id,
            earliest=earliest,
            latest=latest,
            now=now,
            **more,
        )


def starts(user: User, visit_type_id: UUID, now: datetime, **more: Any) -> list[datetime]:
    """Return the starts of what a patient is offered."""
    viewer = viewer_of(user)
    assert viewer.patient_id is not None
    with identity(viewer.identity):
        page = finding.openings_for(
            viewer,
            patient_id=viewer.patient_id,
            visit_type_id=visit_type_id,
            now=now,
            limit=200,
            **{"first": None, "last": None, **more},
        )
    return [item.opening.starts_at for item in page.items]
