"""Raise, acknowledge and close work items."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, Max, OuterRef, Q, Subquery
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

    A joined item keeps the earlier due time and the greater urgency. One that somebody took
    already asks for another look, due as a new one would be, unless the fact is routine or
    known. `due_at` is needed for ROUTINE (business calendar); for the others it follows from the
    urgency. Runs inside the caller's transaction, as the worklist's own system identity.
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
            _join(current, fact, urgency=urgency, due=due, title=title, now=now)
        _add_facts([(current, fact)], now=now)
    return current


def _join(
    item: WorkItem, fact: Fact, *, urgency: Urgency, due: datetime, title: str, now: datetime
) -> None:
    if _ORDER.index(urgency) < _ORDER.index(Urgency(item.urgency)):
        item.urgency, item.title = urgency, title
    known = item.evidence.filter(kind=fact.kind, reference=fact.reference)
    if item.acknowledged_at is None:
        item.due_at = min(item.due_at, due)
    elif urgency is not Urgency.ROUTINE and not known.exists():
        _ask_again(item, due=due, now=now)
    item.save(update_fields=["urgency", "title", "due_at", "acknowledged_at", "acknowledged_by"])


def _ask_again(item: WorkItem, *, due: datetime, now: datetime) -> None:
    """Take back the acknowledgement of a locked item: nobody has seen the new fact.

    The owner stays; who had acknowledged is in the audit. The caller saves.
    """
    item.acknowledged_at, item.acknowledged_by, item.due_at = None, None, due
    _audit("worklist.ask-again", item, now)


def _add_facts(facts: Iterable[tuple[WorkItem, Fact]], *, now: datetime) -> None:
    rows = [
        Evidence(
            item=item,
            kind=fact.kind,
            reference=fact.reference,
            summary=fact.summary,
            rule_id=fact.rule_id,
            rule_version=fact.rule_version,
            added_at=now,
        )
        for item, fact in facts
    ]
    Evidence.objects.bulk_create(rows, ignore_conflicts=True)


def follow_up(
    facts: Mapping[UUID, Fact],
    *,
    kinds: Collection[str],
    patient_id: UUID,
    title: str,
    now: datetime,
) -> int:
    """Tell each fact where the evidence (one of `kinds`, key of `facts`) that it follows stands.

    Open items gain the fact, and ask for another look when somebody took them; urgency and title
    stay. Where all are closed, a new item `title` is raised, due the same day, like the one that
    was closed last. Evidence of no item is passed by. Returns how many facts were told.
    """
    with identity(system("worklist")):
        standing = Evidence.objects.filter(
            item__patient_id=patient_id, kind__in=kinds, reference__in=list(facts)
        )
        holders: dict[UUID, set[UUID]] = defaultdict(set)
        for item_id, reference in standing.values_list("item_id", "reference"):
            holders[reference].add(item_id)
        items = {
            item.id: item
            for item in WorkItem.objects.select_for_update()
            .filter(id__in=set().union(*holders.values()))
            .order_by("id")
        }
        told = 0
        for reference, ids in holders.items():
            told += _follow(facts[reference], [items[id_] for id_ in ids], title=title, now=now)
    return told


def _follow(fact: Fact, holders: list[WorkItem], *, title: str, now: datetime) -> int:
    open_ones = [item for item in holders if item.closed_at is None]
    if open_ones:
        for item in open_ones:
            if item.acknowledged_at is not None:
                due = now + DUE_WITHIN.get(Urgency(item.urgency), _ROUTINE_STEP)
                _ask_again(item, due=due, now=now)
                item.save(update_fields=["due_at", "acknowledged_at", "acknowledged_by"])
        _add_facts([(item, fact) for item in open_ones], now=now)
        return len(open_ones)
    last = max(holders, key=lambda item: (item.closed_at, item.id))
    raise_item(
        patient_id=last.patient_id,
        concern=last.concern,
        dedupe_key=last.dedupe_key,
        title=title,
        urgency=Urgency.SAME_DAY,
        owner_team=last.owner_team,
        organization_id=last.organization_id,
        fact=fact,
        now=now,
    )
    return 1


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

    Idempotent: a step is one row, whoever ticks and however often. An item that asks for another
    look goes up from the first step again. Each step is told as `WorkItemEscalated` in the same
    transaction.
    """
    steps = Escalation.objects.filter(item=OuterRef("pk")).order_by().values("item")
    # Nothing moves up before it is due, so what is older belongs to an earlier look.
    taken = steps.filter(at__gte=OuterRef("due_at")).annotate(n=Count("id")).values("n")
    last = steps.annotate(n=Max("step")).values("n")
    second_time_has_come = Q()
    for urgency in Urgency:
        window = DUE_WITHIN.get(urgency, _ROUTINE_STEP)
        second_time_has_come |= Q(urgency=urgency, due_at__lte=now - window)
    with identity(system("worklist")):
        overdue = list(
            WorkItem.objects.select_for_update(skip_locked=True, of=("self",))
            .annotate(taken=Coalesce(Subquery(taken), 0), last=Coalesce(Subquery(last), 0))
            .filter(closed_at__isnull=True, acknowledged_at__isnull=True, due_at__lte=now)
            .filter(Q(taken=0) | Q(taken=1) & second_time_has_come)
            .order_by("due_at")[:limit]
        )
        for item in overdue:
            _escalate(item, step=item.last + 1, to_team=ESCALATION_STEPS[item.taken], now=now)
    return len(overdue)


def _escalate(item: WorkItem, *, step: int, to_team: str, now: datetime) -> None:
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
