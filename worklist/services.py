"""Raise, acknowledge and close work items."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from accounts.models import User
from core import audit
from core.areas import Area
from core.db import identity, system
from core.errors import DomainError, NotFound
from core.events import publish
from core.events.registry import Delivered
from core.models import AuditEvent
from worklist.events import WorkItemEscalated
from worklist.models import Escalation, Evidence, Urgency, WorkItem

# Real time, never moved by weekend or holiday. DECISIONS 11.
DUE_WITHIN = {
    Urgency.EMERGENCY: timedelta(minutes=15),
    Urgency.SAME_DAY: timedelta(hours=2),
    Urgency.WITHIN_24H: timedelta(hours=24),
}
# Who hears of an item that nobody took: at its due time, then once more after as long again.
ESCALATION_STEPS = ("backup", "charge_nurse")
_ROUTINE_STEP = timedelta(hours=24)
_ORDER = [Urgency.EMERGENCY, Urgency.SAME_DAY, Urgency.WITHIN_24H, Urgency.ROUTINE]


class AlreadyClosed(DomainError):
    """Somebody closed this item already."""

    code = "work-item-closed"
    title = "This item is closed already."


@dataclass(frozen=True, slots=True)
class Fact:
    """Why an item is raised: what kind of thing, which one, and the words for staff."""

    kind: str
    reference: UUID
    summary: str
    rule_id: str = ""
    rule_version: str = ""


def raise_item(
    *,
    patient_id: UUID | None,
    concern: str,
    title: str,
    urgency: Urgency | str,
    owner_team: WorkItem.Team | str,
    fact: Fact,
    now: datetime,
    due_at: datetime | None = None,
    dedupe_key: str = "",
    organization_id: UUID | None = None,
) -> WorkItem:
    """Open an item, or add `fact` to the open one of this patient and concern.

    A joined item keeps the earlier due time and the greater urgency. `due_at` is needed for
    ROUTINE (business calendar); for the others it follows from the urgency. Runs inside the
    caller's transaction, as the worklist's own system identity.
    """
    urgency = Urgency(urgency)
    due = due_at or now + DUE_WITHIN.get(urgency, timedelta(hours=72))
    with identity(system("worklist")):
        item = WorkItem(
            patient_id=patient_id,
            organization_id=organization_id,
            concern=concern,
            dedupe_key=dedupe_key,
            title=title,
            urgency=urgency,
            owner_team=owner_team,
            raised_at=now,
            due_at=due,
        )
        WorkItem.objects.bulk_create([item], ignore_conflicts=True)
        current = WorkItem.objects.select_for_update().get(
            patient_id=patient_id, concern=concern, dedupe_key=dedupe_key, closed_at__isnull=True
        )
        if current.id != item.id:
            _join(current, urgency=urgency, due=due, title=title)
        Evidence.objects.bulk_create(
            [
                Evidence(
                    item=current,
                    kind=fact.kind,
                    reference=fact.reference,
                    summary=fact.summary,
                    rule_id=fact.rule_id,
                    rule_version=fact.rule_version,
                    added_at=now,
                )
            ],
            ignore_conflicts=True,
        )
    return current


def _join(item: WorkItem, *, urgency: Urgency, due: datetime, title: str) -> None:
    more_urgent = _ORDER.index(urgency) < _ORDER.index(Urgency(item.urgency))
    if more_urgent:
        item.urgency, item.title = urgency, title
    item.due_at = min(item.due_at, due)
    item.save(update_fields=["urgency", "title", "due_at"])


def add_evidence(*, beside: Mapping[UUID, Fact], kind: str, patient_id: UUID, now: datetime) -> int:
    """Add each fact to her open items that have the evidence (`kind`, reference) it stands beside.

    Where no open item has it, nothing happens. Urgency, due time and title stay. Returns how many
    facts were added; two statements, whatever their number.
    """
    with identity(system("worklist")):
        standing = Evidence.objects.filter(
            item__patient_id=patient_id,
            item__closed_at__isnull=True,
            kind=kind,
            reference__in=list(beside),
        ).values_list("item_id", "reference")
        rows = [
            Evidence(
                item_id=item_id,
                kind=beside[reference].kind,
                reference=beside[reference].reference,
                summary=beside[reference].summary,
                rule_id=beside[reference].rule_id,
                rule_version=beside[reference].rule_version,
                added_at=now,
            )
            for item_id, reference in standing
        ]
        if rows:
            Evidence.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def _open_item(item_id: UUID) -> WorkItem:
    item = WorkItem.objects.select_for_update().filter(id=item_id).first()
    if item is None:
        raise NotFound()
    if item.closed_at is not None:
        raise AlreadyClosed()
    return item


def acknowledge(*, item_id: UUID, actor: User, now: datetime) -> WorkItem:
    """A named person takes the item. Taking it again changes nothing.

    Raises: NotFound, AlreadyClosed.
    """
    item = _open_item(item_id)
    if item.acknowledged_at is None:
        item.acknowledged_at, item.acknowledged_by, item.owner = now, actor, actor
        item.save(update_fields=["acknowledged_at", "acknowledged_by", "owner"])
        _audit("worklist.acknowledge", item, now)
    return item


def close(*, item_id: UUID, actor: User, closure_code: str, note: str, now: datetime) -> WorkItem:
    """Close an item with a code that says what was done. Raises: NotFound, AlreadyClosed."""
    item = _open_item(item_id)
    item.closed_at, item.closed_by = now, actor
    item.closure_code, item.closure_note = closure_code, note
    if item.acknowledged_at is None:
        item.acknowledged_at, item.acknowledged_by = now, actor
    item.save(
        update_fields=[
            "closed_at",
            "closed_by",
            "closure_code",
            "closure_note",
            "acknowledged_at",
            "acknowledged_by",
        ]
    )
    _audit("worklist.close", item, now)
    return item


def _audit(operation: str, item: WorkItem, now: datetime) -> None:
    audit.record(
        action=AuditEvent.Action.UPDATE,
        operation=operation,
        now=now,
        area=Area.WORKLIST,
        patient_id=item.patient_id,
        resource="WorkItem",
        resource_ids=[item.id],
    )


def escalate_due(*, now: datetime, limit: int = 200) -> int:
    """Move every unacknowledged item whose time has come one step up; return how many moved.

    Idempotent: a step is one row, whoever ticks and however often. Each step is told as
    `WorkItemEscalated` in the same transaction.
    """
    steps = (
        Escalation.objects.filter(item=OuterRef("pk"))
        .order_by()
        .values("item")
        .annotate(n=Count("id"))
        .values("n")
    )
    second_time_has_come = Q()
    for urgency in Urgency:
        window = DUE_WITHIN.get(urgency, _ROUTINE_STEP)
        second_time_has_come |= Q(urgency=urgency, due_at__lte=now - window)
    with identity(system("worklist")):
        overdue = list(
            WorkItem.objects.select_for_update(skip_locked=True, of=("self",))
            .annotate(taken=Coalesce(Subquery(steps), 0))
            .filter(closed_at__isnull=True, acknowledged_at__isnull=True, due_at__lte=now)
            .filter(Q(taken=0) | Q(taken=1) & second_time_has_come)
            .order_by("due_at")[:limit]
        )
        for item in overdue:
            _escalate(item, step=item.taken + 1, now=now)
    return len(overdue)


def _escalate(item: WorkItem, *, step: int, now: datetime) -> None:
    to_team = ESCALATION_STEPS[step - 1]
    Escalation(item=item, step=step, to_team=to_team, at=now).save(force_insert=True)
    publish(
        WorkItemEscalated(
            subject_id=item.id,
            patient_id=item.patient_id,
            step=step,
            to_team=to_team,
            organization_id=item.organization_id,
        ),
        now=now,
    )


def on_notice_not_reached(delivered: Delivered) -> None:
    """A message that had to arrive did not, or nobody knows: somebody must call her."""
    raise_item(
        patient_id=delivered.patient_id,
        concern="notice.not-reached",
        title="A message may not have reached this person: please call",
        urgency=Urgency.WITHIN_24H,
        owner_team=WorkItem.Team.NURSE,
        fact=Fact(
            kind="notification",
            reference=delivered.subject_id,
            summary=f"{delivered.payload['purpose']}: {delivered.payload['reason']}",
        ),
        now=delivered.now,
    )
