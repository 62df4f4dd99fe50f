"""Every result that a page of the staff site shows is recorded."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from core import audit
from core.areas import Area
from core.db import current_identity
from core.models import AuditEvent
from labs.services.seen import mark_read_by_staff


def record_results(
    ids: list[UUID],
    *,
    reports: Iterable[UUID],
    patient_id: UUID,
    operation: str,
    now: datetime,
) -> None:
    """Audit that these results of `reports` were shown on a page, and remember for whom.

    Raises: AuditUnavailable.
    """
    remember_reading(((patient_id, report) for report in reports), now=now)
    record_look("Observation", ids, patient_id=patient_id, operation=operation, now=now)


def record_look(
    resource: str, ids: list[UUID], *, patient_id: UUID, operation: str, now: datetime
) -> None:
    """Audit that these rows were shown or handed out. Raises: AuditUnavailable."""
    audit.record(
        action=AuditEvent.Action.READ,
        operation=operation,
        now=now,
        area=Area.LABS,
        patient_id=patient_id,
        resource=resource,
        resource_ids=ids,
    )


def remember_reading(reports: Iterable[tuple[UUID, UUID]], *, now: datetime) -> None:
    """Remember that the viewer was shown results of these (patient, report)."""
    who = current_identity()
    if who is not None and who.user_id is not None:
        mark_read_by_staff(reports, user_id=who.user_id, now=now)
