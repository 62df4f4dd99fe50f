"""Reviews and comments as the staff site's pages make them."""

from datetime import datetime
from typing import Any

from accounts.models import User
from core.db import identity
from core.events.registry import Delivered
from core.models import Event
from labs.models import Comment, DiagnosticReport, Observation, Review
from labs.reviews import seen_digest, seen_of
from labs.services import reviewing
from patients.viewer import staff_viewer


def shown_to(report: DiagnosticReport, actor: User, now: datetime) -> str:
    """Return the digest of the report as its page shows it now; needs staff identity."""
    found = DiagnosticReport.objects.get(id=report.id)
    rows = Observation.objects.current().filter(report_id=report.id)
    return seen_digest(found.version, seen_of(rows))


def review(report: DiagnosticReport, actor: User, now: datetime, **more: Any) -> Review:
    with identity(staff_viewer(user=actor, now=now).identity):
        shown = more.pop("shown", None) or shown_to(report, actor, now)
        return reviewing.review_report(
            report_id=report.id, shown=shown, actor=actor, now=now, **more
        )


def comment(
    report: DiagnosticReport, actor: User, now: datetime, text: str = "All is well.", **more: Any
) -> Comment:
    with identity(staff_viewer(user=actor, now=now).identity):
        shown = more.pop("shown", None) or shown_to(report, actor, now)
        return reviewing.publish_comment(
            report_id=report.id, shown=shown, text=text, actor=actor, now=now, **more
        )


def replace(old: Comment, actor: User, now: datetime, text: str, reason: str = "typo") -> Comment:
    with identity(staff_viewer(user=actor, now=now).identity):
        return reviewing.replace_comment(
            comment_id=old.id,
            shown=shown_to(old.report, actor, now),
            text=text,
            reason=reason,
            actor=actor,
            now=now,
        )


def withdraw(old: Comment, actor: User, now: datetime, reason: str = "wrong record") -> None:
    with identity(staff_viewer(user=actor, now=now).identity):
        reviewing.withdraw_comment(comment_id=old.id, reason=reason, actor=actor, now=now)


def handed(event: Event, now: datetime) -> Delivered:
    """Return an event as its subscribers get it."""
    return Delivered(
        event_id=event.id,
        type=event.type,
        version=event.version,
        subject_id=event.subject_id,
        patient_id=event.patient_id,
        payload=event.payload,
        occurred_at=event.occurred_at,
        now=now,
    )
