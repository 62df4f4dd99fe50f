"""Write audit events: in the caller's transaction, or alone for a refusal."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from django.db import DatabaseError, transaction

from core.areas import Area
from core.context import current_client, current_request_id
from core.db import current_identity
from core.errors import Unavailable
from core.models import AuditEvent


class AuditUnavailable(Unavailable):
    """The audit event could not be written, so nothing may be shown or changed."""

    code = "audit-unavailable"


def record(
    *,
    action: str,
    operation: str,
    now: datetime,
    area: Area | str = "",
    patient_id: UUID | None = None,
    resource: str = "",
    resource_ids: Iterable[UUID] = (),
    fields: Iterable[str] = (),
    purpose: str = "",
    reason_code: str = "",
    outcome: str = AuditEvent.Outcome.SUCCESS,
) -> None:
    """Insert one event inside the current transaction; a failure stops the operation.

    `operation` is a stable name such as `labs.report.read`. Ids and field names only.
    Raises: AuditUnavailable.
    """
    _insert(
        [
            _event(
                action=action,
                operation=operation,
                now=now,
                area=area,
                patient_id=patient_id,
                resource=resource,
                resource_ids=resource_ids,
                fields=fields,
                purpose=purpose,
                reason_code=reason_code,
                outcome=outcome,
            )
        ]
    )


def record_for_patients(
    ids_by_patient: Mapping[UUID | None, Iterable[UUID]],
    *,
    action: str,
    operation: str,
    now: datetime,
    area: Area | str = "",
    resource: str = "",
    purpose: str = "",
) -> None:
    """Insert one event for each patient of a list that shows several, in one statement.

    Raises: AuditUnavailable.
    """
    _insert(
        [
            _event(
                action=action,
                operation=operation,
                now=now,
                area=area,
                patient_id=patient_id,
                resource=resource,
                resource_ids=ids,
                purpose=purpose,
            )
            for patient_id, ids in ids_by_patient.items()
        ]
    )


def _event(
    *,
    action: str,
    operation: str,
    now: datetime,
    area: Area | str,
    patient_id: UUID | None,
    resource: str,
    resource_ids: Iterable[UUID],
    purpose: str,
    fields: Iterable[str] = (),
    reason_code: str = "",
    outcome: str = AuditEvent.Outcome.SUCCESS,
) -> AuditEvent:
    who = current_identity()
    return AuditEvent(
        occurred_at=now,
        action=action,
        operation=operation,
        outcome=outcome,
        actor_kind=who.kind if who else "none",
        actor_id=who.user_id if who else None,
        client_id=(who.sender if who and who.sender else current_client.get()),
        patient_id=patient_id or (who.patient_id if who else None),
        area=area,
        resource=resource,
        resource_ids=list(resource_ids),
        fields=list(fields),
        purpose=purpose or (who.purpose if who else ""),
        reason_code=reason_code,
        request_id=current_request_id.get(),
    )


def _insert(events: list[AuditEvent]) -> None:
    try:
        AuditEvent.objects.bulk_create(events)
    except DatabaseError as error:
        raise AuditUnavailable() from error


def record_denial(
    *,
    operation: str,
    now: datetime,
    reason_code: str,
    actor_kind: str,
    actor_id: UUID | None,
    action: str = AuditEvent.Action.EXECUTE,
    patient_id: UUID | None = None,
) -> None:
    """Insert a refusal in its own transaction, after the refused work was rolled back.

    Raises: AuditUnavailable.
    """
    try:
        with transaction.atomic():
            AuditEvent(
                occurred_at=now,
                action=action,
                operation=operation,
                outcome=AuditEvent.Outcome.DENIED,
                actor_kind=actor_kind,
                actor_id=actor_id,
                client_id=current_client.get(),
                patient_id=patient_id,
                reason_code=reason_code,
                request_id=current_request_id.get(),
            ).save(force_insert=True)
    except DatabaseError as error:
        raise AuditUnavailable() from error
