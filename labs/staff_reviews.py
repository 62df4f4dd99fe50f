"""What staff read of reviews and comments on one report, and what a review may settle."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Count, Q

from clinical.calcium import OBSTACLE_TEXT, Obstacle
from core.areas import Area
from labs.models import Comment, DerivedObstacle, DiagnosticReport, Observation, Review
from labs.reviews import Seen, seen_digest, seen_of
from patients.care_frame import care_frame
from patients.models import Patient
from patients.viewer import Viewer
from worklist.models import WorkItem

_NO_NEED = {
    "no_albumin": "No albumin of the same sample came with it.",
    "better_measured": "The laboratory measured ionised calcium or corrected it itself.",
}


@dataclass(frozen=True, slots=True)
class ReviewSheet:
    """Everything that was said about a report. `shown` is the digest that its forms send back.

    `items` are open work items with a result of the report among their evidence;
    `item.elsewhere` counts their other facts.
    """

    shown: str
    reviews: tuple[tuple[Review, bool], ...]
    comments: tuple[tuple[Comment, str, str], ...]
    items: tuple[WorkItem, ...]

    @property
    def is_reviewed(self) -> bool:
        return any(fresh for _, fresh in self.reviews)


def current_results(report: DiagnosticReport) -> list[Observation]:
    """Return the results that count, in the laboratory's order."""
    return list(
        Observation.objects.current()
        .filter(patient_id=report.patient_id, report_id=report.pk, withdrawn_at__isnull=True)
        .order_by("position", "id")
    )


def review_sheet(viewer: Viewer, report: DiagnosticReport, *, now: datetime) -> ReviewSheet:
    """Return what was said about `report`, in five statements."""
    every = list(Observation.objects.filter(patient_id=report.patient_id, report_id=report.pk))
    seen = seen_of(every)
    mine = {"patient_id": report.patient_id, "report_id": report.pk}
    reviews = Review.objects.filter(**mine).select_related("reviewer").order_by("-reviewed_at")
    comments = (
        Comment.objects.filter(**mine)
        .select_related("author", "withdrawn_by")
        .order_by("-published_at", "-id")
    )
    name_of = {row.identity_key: row.display_name for row in every}
    readable = {
        row.identity_key
        for row in every
        if row.identity_key in seen
        and row.superseded_at is None
        and row.visible_from is not None
        and row.visible_from <= now
    }
    return ReviewSheet(
        shown=seen_digest(report.version, seen),
        reviews=tuple((review, _fresh(review, report, seen)) for review in reviews),
        comments=tuple(
            (comment, name_of.get(comment.identity_key, ""), _where(comment, readable))
            for comment in comments
        ),
        items=tuple(_items(viewer, report, [row.pk for row in every])),
    )


def _fresh(review: Review, report: DiagnosticReport, seen: Seen) -> bool:
    if not review.seen and review.report_version != report.version:
        return False
    return all(review.seen.get(key) == version for key, version in seen.items())


def _where(comment: Comment, readable: set[str]) -> str:
    if comment.withdrawn_at is not None:
        return "withdrawn"
    if comment.superseded_at is not None:
        return "replaced"
    return "published" if set(comment.seen) <= readable else "waits for a result's release"


def _items(viewer: Viewer, report: DiagnosticReport, results: Sequence[UUID]) -> list[WorkItem]:
    if not viewer.may(Area.WORKLIST):
        return []
    evident = Q(evidence__kind="observation", evidence__reference__in=results)
    return list(
        WorkItem.objects.filter(patient_id=report.patient_id, closed_at__isnull=True)
        .annotate(here=Count("evidence", filter=evident), every=Count("evidence"))
        .filter(here__gt=0)
        .select_related("owner")
        .order_by("due_at", "id")
    )


def obstacles_of(report: DiagnosticReport) -> dict[UUID, list[str]]:
    """Return why each total calcium of a report was not corrected, in words for staff."""
    rows = DerivedObstacle.objects.filter(
        patient_id=report.patient_id, calcium__report_id=report.pk, superseded_at__isnull=True
    )
    return {row.calcium_id: [_words(code) for code in row.obstacles] for row in rows}


def _words(code: str) -> str:
    return _NO_NEED[code] if code in _NO_NEED else OBSTACLE_TEXT[Obstacle(code)]


def placeholder_values(
    report: DiagnosticReport, result: Observation | None, *, patient: Patient, now: datetime
) -> dict[str, str]:
    """Return what the placeholders of a template mean here; empty where nothing is known."""
    frame = care_frame(patient_id=report.patient_id, now=now)
    taken = (result.effective_at if result else report.effective_at).astimezone(
        ZoneInfo(patient.zone)
    )
    return {
        "test": result.display_name if result else report.name,
        "value": result.value_text if result else "",
        "unit": result.unit_text if result else "",
        "range": result.range_text if result else "",
        "collected_on": f"{taken.day} {taken:%B %Y}",
        "phone": frame.phone_day,
        "hours": frame.hours_text,
        "phone_24h": frame.phone_24h,
    }
