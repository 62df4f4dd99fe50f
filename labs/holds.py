"""Reads of holds: hers, and who may have seen what is held now."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max, QuerySet

from core.db import identity, system
from labs.disclosure import looks_at, with_files
from labs.models import DiagnosticReport, Observation, ReleaseHold
from patients.viewer import Viewer


def own_requests(viewer: Viewer, *, now: datetime) -> QuerySet[ReleaseHold]:
    """Return the holds that the patient asked for herself and that still last, soonest end first.

    Nobody else's: a hold of her clinicians leaves no trace here.
    """
    if viewer.kind != "patient" or viewer.patient_id is None:
        return ReleaseHold.objects.none()
    return ReleaseHold.objects.filter(
        patient_id=viewer.patient_id,
        placed_by_id=viewer.user_id,
        reason_code=ReleaseHold.Reason.PATIENT_REQUEST,
        lifted_at__isnull=True,
        backstop_at__gt=now,
    ).order_by("backstop_at", "id")


def holds_of_report(report: DiagnosticReport, *, now: datetime) -> list[ReleaseHold]:
    """Return the holds placed from a report that still last; the first to end first."""
    return list(
        ReleaseHold.objects.filter(
            patient_id=report.patient_id,
            report_id=report.id,
            lifted_at__isnull=True,
            backstop_at__gt=now,
        )
        .select_related("placed_by")
        .order_by("backstop_at", "id")
    )


@dataclass(frozen=True, slots=True)
class Look:
    """That she or a caregiver of hers opened a result, and when last."""

    kind: str
    at: datetime


def who_saw(hold: ReleaseHold) -> list[Look]:
    """Return who outside the staff had opened held results before the hold was placed."""
    held = Observation.objects.filter(patient_id=hold.patient_id, report_id=hold.report_id)
    if hold.identity_key:
        held = held.filter(identity_key=hold.identity_key)
    ids = with_files(held.values_list("id", flat=True), patient_id=hold.patient_id)
    with identity(system("privacy-incident")):
        looks = (
            looks_at(ids, patient_id=hold.patient_id)
            .filter(actor_kind__in=("patient", "proxy"), occurred_at__lte=hold.placed_at)
            .values("actor_kind", "actor_id")
            .annotate(at=Max("occurred_at"))
        )
        return sorted((Look(row["actor_kind"], row["at"]) for row in looks), key=lambda one: one.at)
