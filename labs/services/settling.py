"""What a person settles: a queue row, a test code, a range of her laboratory."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from accounts.models import User
from core import audit
from core.areas import Area
from core.errors import DomainError, NotFound
from core.models import AuditEvent
from labs.models import ConfiguredRange, IntakeItem

SETTLED = "settled"


class AlreadyCleared(DomainError):
    """Somebody else was quicker."""

    code = "already-cleared"
    title = "This row of the queue is cleared already."


class OwnRange(DomainError):
    """Two people stand behind a range that judges."""

    code = "own-range"
    title = "Somebody else than the person who entered the range must approve it."


class AlreadyApproved(DomainError):
    code = "already-approved"
    title = "This range is approved already."


def clear_item(*, item_id: UUID, actor: User, now: datetime, note: str = "") -> None:
    """Take one row from the queue because a person settled it outside the system.

    Raises: NotFound, AlreadyCleared.
    """
    with transaction.atomic():
        cleared = IntakeItem.objects.filter(id=item_id, cleared_at__isnull=True).update(
            cleared_at=now, cleared_by=actor, clearance=SETTLED, note=note[:300]
        )
        if not cleared:
            raise (
                AlreadyCleared() if IntakeItem.objects.filter(id=item_id).exists() else NotFound()
            )
        _audit("labs.intake.clear", "IntakeItem", item_id, now)


def approve_range(*, range_id: UUID, actor: User, now: datetime) -> None:
    """Let a range judge from now on. Raises: NotFound, OwnRange, AlreadyApproved."""
    with transaction.atomic():
        entered = ConfiguredRange.objects.select_for_update().filter(id=range_id).first()
        if entered is None:
            raise NotFound()
        if entered.approved_at is not None:
            raise AlreadyApproved()
        if entered.entered_by_id is None or entered.entered_by_id == actor.pk:
            raise OwnRange()
        entered.approved_by, entered.approved_at = actor, now
        entered.save(update_fields=["approved_by", "approved_at"])
        _audit("labs.range.approve", "ConfiguredRange", range_id, now)


def _audit(operation: str, resource: str, row_id: UUID, now: datetime) -> None:
    audit.record(
        action=AuditEvent.Action.UPDATE,
        operation=operation,
        now=now,
        area=Area.INTAKE,
        resource=resource,
        resource_ids=[row_id],
    )
