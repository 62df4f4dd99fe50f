"""The outbox: written with the change, drained by a tick of two seconds or less."""

from dataclasses import asdict
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db.models import F, Min, Q

from core.context import current_request_id
from core.db import identity, system
from core.events.registry import Delivered, DomainEvent, subscribers_of
from core.models import Delivery, Event
from core.prepared import insert

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=60)
MAX_TRIES = 8
_BACK_OFF_SECONDS = (1, 2, 5, 15, 60, 300, 900, 3600)


def _plain(value: object) -> object:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value


def publish(event: DomainEvent, *, now: datetime) -> UUID:
    """Write `event` and one delivery for each subscriber in the current transaction."""
    payload = {
        name: _plain(value)
        for name, value in asdict(event).items()
        if name not in {"subject_id", "patient_id"}
    }
    row = Event(
        type=event.type,
        version=event.version,
        subject_id=event.subject_id,
        patient_id=event.patient_id,
        occurred_at=now,
        payload=payload,
        request_id=current_request_id.get(),
    )
    insert(row)
    insert(
        *(Delivery(event=row, subscriber=name, due_at=now) for name in subscribers_of(event.type))
    )
    return row.id


def _claim(*, now: datetime, limit: int) -> list[UUID]:
    with identity(system("events"), durable=True):
        ids = list(
            Delivery.objects.select_for_update(skip_locked=True)
            .filter(Q(state="pending", due_at__lte=now) | Q(state="claimed", lease_until__lt=now))
            .order_by("due_at")
            .values_list("id", flat=True)[:limit]
        )
        Delivery.objects.filter(id__in=ids).update(
            state=Delivery.State.CLAIMED, lease_until=now + LEASE, tries=F("tries") + 1
        )
    return ids


def _hand_over(delivery_id: UUID, *, now: datetime) -> bool:
    with identity(system("events")):
        row = (
            Delivery.objects.select_related("event").filter(id=delivery_id, state="claimed").first()
        )
    if row is None:
        return False
    event = row.event
    handler = subscribers_of(event.type).get(row.subscriber)
    error_code = ""
    if handler is None:
        error_code = "no-such-subscriber"
    else:
        try:
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
        except Exception as error:
            error_code = type(error).__name__
            log.error(
                "event.delivery_failed",
                event_type=event.type,
                subscriber=row.subscriber,
                error_type=error_code,
                tries=row.tries,
            )
    with identity(system("events")):
        _settle(row, error_code=error_code, now=now)
    return not error_code


def _settle(row: Delivery, *, error_code: str, now: datetime) -> None:
    if not error_code:
        state, due_at = Delivery.State.DONE, row.due_at
    elif row.tries >= MAX_TRIES:
        state, due_at = Delivery.State.DEAD, row.due_at
    else:
        state = Delivery.State.PENDING
        due_at = now + timedelta(seconds=_BACK_OFF_SECONDS[row.tries - 1])
    Delivery.objects.filter(id=row.id, state=Delivery.State.CLAIMED).update(
        state=state, due_at=due_at, lease_until=None, error_code=error_code
    )


def deliver_due(*, now: datetime, limit: int = 100) -> int:
    """Claim and hand over due deliveries; return how many succeeded.

    Must run outside a transaction: each hand-over is its own. A handler that raises is tried
    again, eight times in all, then the row is dead and counted by the metrics.
    """
    return sum(_hand_over(delivery_id, now=now) for delivery_id in _claim(now=now, limit=limit))


def oldest_undelivered_at() -> datetime | None:
    """Return when the oldest open delivery fell due, or None; the metrics alarm on its age."""
    with identity(system("metrics")):
        return Delivery.objects.filter(state__in=["pending", "claimed"]).aggregate(
            oldest=Min("due_at")
        )["oldest"]


def dead_deliveries() -> int:
    """Return how many deliveries were given up."""
    with identity(system("metrics")):
        return Delivery.objects.filter(state=Delivery.State.DEAD).count()
