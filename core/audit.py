"""Write audit events: in the caller's transaction, or alone for a refusal."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import DatabaseError, transaction

from core.areas import Area
from core.context import current_client, current_request_id
from core.db import current_identity
from core.errors import Unavailable
from core.ids import new_id
from core.models import AuditEvent
from core.prepared import prepared_cursor

STAFF_ONLY = "staff-only."
"""How an operation begins that her own list of who looked must not show: it would tell of a
result that is held from her."""


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


def times_done(
    patient_id: UUID | None, actor_id: UUID | None, operation: str, *, since: datetime
) -> int:
    """Return how often somebody did this with one record since an instant, as far as in reach."""
    return AuditEvent.objects.filter(
        patient_id=patient_id,
        actor_id=actor_id,
        operation=operation,
        outcome=AuditEvent.Outcome.SUCCESS,
        occurred_at__gt=since,
    ).count()


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
    area: Area | str = "",
    patient_id: UUID | None = None,
    resource: str = "",
    resource_ids: Iterable[UUID] = (),
    purpose: str = "",
    fields: Iterable[str] = (),
    reason_code: str = "",
    outcome: str = AuditEvent.Outcome.SUCCESS,
    actor: tuple[str, UUID | None] | None = None,
) -> tuple[Any, ...]:
    """Return one event's values in the order of `_COLUMNS`; `actor` is (kind, user)."""
    who = current_identity()
    kind, user_id = actor or ((who.kind, who.user_id) if who else ("none", None))
    return (
        new_id(),
        now,
        action,
        operation,
        str(outcome),
        kind,
        user_id,
        who.sender if who and who.sender else current_client.get(),
        patient_id or (who.patient_id if who else None),
        str(area),
        resource,
        # As PostgreSQL writes an array: psycopg would adapt each of them on its own.
        "{" + ",".join([str(one) for one in resource_ids]) + "}",
        list(fields),
        purpose or (who.purpose if who else ""),
        reason_code,
        current_request_id.get(),
    )


_COLUMNS = (
    "id", "occurred_at", "action", "operation", "outcome", "actor_kind", "actor_id", "client_id",
    "patient_id", "area", "resource", "resource_ids", "fields", "purpose", "reason_code",
    "request_id",
)  # fmt: skip
# Written by hand: this statement runs in every request, and the ORM takes longer than PostgreSQL.
_INSERT = f"INSERT INTO core_auditevent ({', '.join(_COLUMNS)}) VALUES "  # noqa: S608
_ROW = "(" + ", ".join("%s::uuid[]" if c == "resource_ids" else "%s" for c in _COLUMNS) + ")"


def _insert(events: list[tuple[Any, ...]]) -> None:
    try:
        with prepared_cursor() as cursor:
            cursor.execute(
                _INSERT + ", ".join([_ROW] * len(events)),
                [value for event in events for value in event],
            )
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
    with transaction.atomic():
        _insert(
            [
                _event(
                    action=action,
                    operation=operation,
                    now=now,
                    patient_id=patient_id,
                    reason_code=reason_code,
                    outcome=AuditEvent.Outcome.DENIED,
                    actor=(actor_kind, actor_id),
                )
            ]
        )
