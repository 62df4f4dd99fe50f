"""One write to a record's frame: the change, its feed line, its event and its audit together."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db import transaction

from core import audit, events, feed
from core.areas import Area
from core.db import identity, system
from core.errors import NotFound
from patients.models import Patient


@dataclass(slots=True)
class Change:
    """What a write tells the others, filled while it runs."""

    operation: str
    action: str
    resource: str
    patient_id: UUID | None = None
    resource_id: UUID | None = None
    fields: list[str] = field(default_factory=list)
    event: events.DomainEvent | None = None


@contextmanager
def writing(change: Change, *, now: datetime) -> Iterator[Change]:
    """Run the block as `registration`, then write feed, event and audit beside it."""
    with transaction.atomic():
        with identity(system("registration")):
            yield change
            if change.patient_id is None or change.resource_id is None:
                raise RuntimeError("a write names its patient and row")
            feed.record_change(
                patient_id=change.patient_id,
                area=Area.RECORD,
                resource=change.resource,
                resource_id=change.resource_id,
                kind="upsert",
                now=now,
            )
            if change.event is not None:
                events.publish(change.event, now=now)
        audit.record(
            action=change.action,
            operation=change.operation,
            now=now,
            area=Area.RECORD,
            patient_id=change.patient_id,
            resource=change.resource,
            resource_ids=[change.resource_id],
            fields=change.fields,
        )


def locked_patient(patient_id: UUID) -> Patient:
    patient = Patient.objects.select_for_update().filter(id=patient_id, is_active=True).first()
    if patient is None:
        raise NotFound()
    return patient
