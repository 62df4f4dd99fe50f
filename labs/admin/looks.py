"""Every result that a page of the staff site shows is recorded."""

from datetime import datetime
from uuid import UUID

from core import audit
from core.areas import Area
from core.models import AuditEvent


def record_results(ids: list[UUID], *, patient_id: UUID, operation: str, now: datetime) -> None:
    """Audit that these results were shown on a page. Raises: AuditUnavailable."""
    audit.record(
        action=AuditEvent.Action.READ,
        operation=operation,
        now=now,
        area=Area.LABS,
        patient_id=patient_id,
        resource="Observation",
        resource_ids=ids,
    )
