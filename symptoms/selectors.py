"""Reads of check-ins, starting from who is asking."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, QuerySet

from clinical.symptom_rules import CheckIn as ClinicalCheckIn
from clinical.symptom_rules import symptoms
from core.errors import NotFound
from patients.viewer import Viewer
from symptoms.answers import Given, as_check_in
from symptoms.models import (
    Answer,
    CheckIn,
    CheckInPlan,
    Composite,
    QuestionnaireItem,
    QuestionnaireResponse,
)

MAX_POINTS = 200


def check_ins_for(viewer: Viewer, *, now: datetime) -> QuerySet[CheckIn]:
    """Return the check-ins the viewer was asked, open and past; staff name no patient here."""
    if viewer.patient_id is None:
        return CheckIn.objects.none()
    return CheckIn.objects.filter(patient_id=viewer.patient_id, opens_at__lte=now)


def check_in_of(
    viewer: Viewer, check_in_id: UUID, *, now: datetime, for_update: bool = False
) -> CheckIn:
    """Return one check-in with its questions. Raises: NotFound."""
    rows = check_ins_for(viewer, now=now).filter(id=check_in_id)
    if for_update:
        rows = rows.select_for_update(of=("self",))
    found = (
        rows.select_related("version__questionnaire", "plan__organization")
        .prefetch_related(
            Prefetch("version__items", QuestionnaireItem.objects.order_by("position"))
        )
        .first()
    )
    if found is None:
        raise NotFound()
    return found


def earlier_check_ins(
    patient_id: UUID, *, before: datetime
) -> tuple[ClinicalCheckIn | None, ClinicalCheckIn | None]:
    """Return her last and her first completed answers before an instant, for comparison."""
    responses = QuestionnaireResponse.objects.filter(
        patient_id=patient_id, submitted_at__lt=before
    ).only("id", "answered_on")
    last = responses.order_by("-submitted_at", "-id").first()
    if last is None:
        return None, None
    first = responses.order_by("submitted_at", "id").first() or last
    answers: dict[UUID, list[Given]] = {first.id: [], last.id: []}
    for row in Answer.objects.filter(patient_id=patient_id, response_id__in=list(answers)):
        answers[row.response_id].append(
            Given(row.link_id, row.symptom_key, row.attribute, row.value, row.code)
        )
    return (
        as_check_in(answers[last.id], completed_on=last.answered_on),
        as_check_in(answers[first.id], completed_on=first.answered_on),
    )


@dataclass(slots=True)
class TrendPoint:
    """What she said about one symptom at one time; levels 0 to 4, missing ones left out."""

    response_id: UUID
    at: datetime
    answered_on: date
    mode: str
    is_late: bool
    values: dict[str, int | float]
    composite_grade: int | None = None


def trend_for(viewer: Viewer, symptom_key: str) -> list[TrendPoint]:
    """Return the newest `MAX_POINTS` answers about a symptom, oldest first.

    Raises: NotFound for a symptom nobody asks about.
    """
    if symptom_key not in symptoms() or viewer.patient_id is None:
        raise NotFound()
    mine: dict[str, Any] = {"patient_id": viewer.patient_id, "symptom_key": symptom_key}
    asked = Answer.objects.filter(**mine, value__isnull=False)
    newest = list(
        QuestionnaireResponse.objects.filter(
            patient_id=viewer.patient_id, id__in=asked.values("response_id")
        ).order_by("-submitted_at", "-id")[:MAX_POINTS]
    )
    points = {
        row.id: TrendPoint(row.id, row.submitted_at, row.answered_on, row.mode, row.is_late, {})
        for row in reversed(newest)
    }
    for response_id, attribute, value in asked.filter(response_id__in=points).values_list(
        "response_id", "attribute", "value"
    ):
        # A temperature has decimals; levels are whole.
        if value is not None:
            points[response_id].values[attribute] = float(value) if value % 1 else int(value)
    for response_id, grade in Composite.objects.filter(**mine, response_id__in=points).values_list(
        "response_id", "grade"
    ):
        points[response_id].composite_grade = grade
    return list(points.values())


def plans_for(viewer: Viewer) -> QuerySet[CheckInPlan]:
    """Return when the viewer's patient is asked, the plan in force first."""
    if viewer.patient_id is None:
        return CheckInPlan.objects.none()
    return (
        CheckInPlan.objects.filter(patient_id=viewer.patient_id)
        .select_related("questionnaire")
        .order_by("-is_active", "-created_at")
    )
