"""Tell of what became visible by time alone. Reading never waits for this tick."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet

from core import audit
from core.areas import Area
from core.db import identity, system
from core.models import AuditEvent
from labs.models import DiagnosticReport, Observation, ReleaseHold
from labs.services.announcing import announce_released
from labs.services.frames import FRAME_COLUMNS, note_what_waits, set_frames
from labs.services.turns import try_turn
from worklist.models import Urgency, WorkItem
from worklist.services import Fact, raise_item

REMIND_BEFORE = timedelta(hours=24)
AS_RELEASE = "release"


def announce_due(*, now: datetime, limit: int = 200) -> int:
    """Announce each current result whose time came by `now`; return how many.

    Change-feed lines, events and `announced_at` are one transaction a patient, taken in turn with
    filing and holding: two ticks at once tell nothing twice, and a crash tells it the next time.
    A patient whose turn is taken is left for the next tick.
    """
    with identity(system(AS_RELEASE)):
        patients = list(
            _due(now).order_by().values_list("patient_id", flat=True).distinct()[:limit]
        )
    return sum(_announce_for(patient_id, now=now) for patient_id in patients)


def _due(now: datetime) -> QuerySet[Observation]:
    return Observation.objects.current().filter(
        announced_at__isnull=True, visible_from__lte=now, withdrawn_at__isnull=True
    )


def _announce_for(patient_id: UUID, *, now: datetime) -> int:
    with identity(system(AS_RELEASE)):
        if not try_turn(patient_id):
            return 0
        rows = list(_due(now).filter(patient_id=patient_id).order_by("position", "id"))
        if not rows:
            return 0
        Observation.objects.filter(id__in=[row.id for row in rows]).update(announced_at=now)
        heads = refresh_visibility(
            patient_id, {row.report_id for row in rows if row.report_id}, now=now
        )
        announce_released(heads=heads, rows=rows, now=now)
        audit.record(
            action=AuditEvent.Action.UPDATE,
            operation="labs.release.due",
            now=now,
            area=Area.LABS,
            patient_id=patient_id,
            resource="Observation",
            resource_ids=[row.id for row in rows],
        )
        return len(rows)


def refresh_visibility(
    patient_id: UUID, report_ids: Iterable[UUID], *, now: datetime
) -> list[DiagnosticReport]:
    """Set what she sees of each report's head from its current results; return the reports."""
    heads = list(DiagnosticReport.objects.filter(patient_id=patient_id, id__in=report_ids))
    set_frames(heads, now=now)
    DiagnosticReport.objects.bulk_update(heads, FRAME_COLUMNS)
    note_what_waits(patient_id, heads, now=now)
    return heads


def remind_of_backstops(*, now: datetime, limit: int = 200) -> int:
    """Raise one work item for each hold that ends within a day or ended unseen; count them."""
    with identity(system(AS_RELEASE)):
        due = list(
            ReleaseHold.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("report__laboratory")
            .filter(
                lifted_at__isnull=True,
                reminded_at__isnull=True,
                backstop_at__lte=now + REMIND_BEFORE,
            )
            .order_by("backstop_at", "id")[:limit]
        )
        for hold in due:
            _remind(hold, now=now)
        ReleaseHold.objects.filter(id__in=[hold.id for hold in due]).update(reminded_at=now)
    return len(due)


def _remind(hold: ReleaseHold, *, now: datetime) -> None:
    past = hold.backstop_at <= now
    raise_item(
        patient_id=hold.patient_id,
        concern="result.hold-ends",
        title="A hold has ended: the results are visible to her"
        if past
        else "A hold ends within a day: talk to her, or lift it",
        urgency=Urgency.WITHIN_24H,
        owner_team=WorkItem.Team.CLINICIAN,
        organization_id=hold.report.laboratory.organization_id,
        dedupe_key=str(hold.id),
        fact=Fact("release-hold", hold.id, f"backstop {hold.backstop_at:%Y-%m-%d %H:%M} UTC"),
        now=now,
    )
