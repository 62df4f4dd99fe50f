"""What staff say about results: reviews and comments. Each is told in the same transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from accounts.models import Membership, User
from core import audit
from core.areas import Area
from core.errors import DomainError, FieldError, Forbidden, InvalidInput, NotFound
from core.events import CommentPublished, ReportReviewed, publish
from core.models import AuditEvent, Change
from labs.models import Comment, DiagnosticReport, Observation, Review, ReviewRole
from labs.placeholders import TextRefused, plain_text, unfilled
from labs.queues import refresh_queue_marks
from labs.reviews import seen_digest, seen_of
from labs.services.announcing import Line, record_changes
from labs.services.rows import withheld
from worklist.models import WorkItem
from worklist.services import acknowledge, close

TAKE = "take"
LANGUAGES = {"en": "English", "es": "Spanish"}


class ReportChanged(DomainError):
    """What the page showed is not what stands there now."""

    code = "report-changed"
    status = 409
    title = "This report changed while you read it. Read it again."


class AlreadyReviewed(DomainError):
    code = "already-reviewed"
    status = 409
    title = "You have reviewed this report already."


class CommentSettled(DomainError):
    """A comment is replaced or withdrawn once."""

    code = "comment-settled"
    status = 409
    title = "This comment was replaced or withdrawn already."


@dataclass(frozen=True, slots=True)
class ItemDecision:
    """What the reviewer does with a work item: `TAKE`, or a closure code with a note."""

    item_id: UUID
    code: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Standing:
    """A report as it stands now: the results that count, and which versions they are."""

    report: DiagnosticReport
    rows: tuple[Observation, ...]
    seen: dict[str, int]

    @property
    def digest(self) -> str:
        return seen_digest(self.report.version, self.seen)


def _standing(report_id: UUID, *, shown: str) -> _Standing:
    """Return the report that the page showed, locked. Raises: NotFound, ReportChanged."""
    report = (
        DiagnosticReport.objects.select_for_update(of=("self",), no_key=True)
        .filter(id=report_id)
        .first()
    )
    if report is None:
        raise NotFound()
    rows = tuple(
        Observation.objects.current().filter(patient_id=report.patient_id, report_id=report.id)
    )
    found = _Standing(report, rows, seen_of(rows))
    if found.digest != shown:
        raise ReportChanged()
    return found


def _role(actor: User, now: datetime) -> ReviewRole:
    """Return the role in which `actor` speaks. Raises: Forbidden."""
    held = set(
        Membership.objects.active_at(now)
        .filter(user=actor, organization__is_active=True)
        .values_list("role", flat=True)
    )
    role = next((role for role in ReviewRole if role in held), None)
    if role is None:
        raise Forbidden()
    return role


def review_report(
    *,
    report_id: UUID,
    shown: str,
    actor: User,
    now: datetime,
    decisions: Sequence[ItemDecision] = (),
) -> Review:
    """Mark a report as reviewed, as the page with the digest `shown` had it.

    Work items move only as `decisions` say; without one they stay as they are.
    Raises: NotFound, Forbidden, ReportChanged, AlreadyReviewed, and what the worklist raises.
    """
    with transaction.atomic():
        role = _role(actor, now)
        found = _standing(report_id, shown=shown)
        report = found.report
        review = Review(
            patient_id=report.patient_id,
            report=report,
            report_version=report.version,
            seen=found.seen,
            seen_digest=found.digest,
            reviewer=actor,
            reviewer_role=role,
            reviewed_at=now,
        )
        made = Review.objects.bulk_create([review], ignore_conflicts=True)
        if not Review.objects.filter(id=made[0].id).exists():
            raise AlreadyReviewed()
        refresh_queue_marks([report.id], patient_id=report.patient_id)
        _settle_items(report, decisions, actor=actor, now=now)
        _tell_feed(report, [row for row in found.rows if row.withdrawn_at is None], now=now)
        publish(
            ReportReviewed(
                subject_id=report.id, patient_id=report.patient_id, report_version=report.version
            ),
            now=now,
        )
        _audit(AuditEvent.Action.CREATE, "labs.report.review", review, now)
    return review


def _settle_items(
    report: DiagnosticReport, decisions: Sequence[ItemDecision], *, actor: User, now: datetime
) -> None:
    """Do with each item what the reviewer said. Raises: NotFound for one of another report."""
    if not decisions:
        return
    mine = set(
        WorkItem.objects.filter(
            patient_id=report.patient_id,
            evidence__kind="observation",
            evidence__reference__in=Observation.objects.filter(
                patient_id=report.patient_id, report_id=report.id
            ).values("id"),
        ).values_list("id", flat=True)
    )
    for decision in decisions:
        if decision.item_id not in mine:
            raise NotFound()
        if decision.code == TAKE:
            acknowledge(item_id=decision.item_id, actor=actor, now=now)
        else:
            close(
                item_id=decision.item_id,
                actor=actor,
                closure_code=decision.code,
                note=decision.note,
                now=now,
            )


def publish_comment(
    *,
    report_id: UUID,
    shown: str,
    text: str,
    actor: User,
    now: datetime,
    language: str = "en",
    identity_key: str = "",
) -> Comment:
    """Publish a comment on a report, or on its result `identity_key`.

    The patient reads it as soon as she may read every result that it speaks of.
    Raises: NotFound, Forbidden, ReportChanged, InvalidInput.
    """
    with transaction.atomic():
        role = _role(actor, now)
        found = _standing(report_id, shown=shown)
        comment = Comment(
            patient_id=found.report.patient_id,
            report=found.report,
            identity_key=identity_key,
            seen=_spoken_of(found, identity_key),
            author=actor,
            author_role=role,
            language=_language(language),
            text=_text(text),
            published_at=now,
        )
        comment.save(force_insert=True)
        _tell(comment, found, "labs.comment.publish", now=now)
    return comment


def replace_comment(
    *, comment_id: UUID, shown: str, text: str, reason: str, actor: User, now: datetime
) -> Comment:
    """Publish another text in place of a comment, which stays in its history.

    Raises: NotFound, Forbidden, ReportChanged, InvalidInput, CommentSettled.
    """
    with transaction.atomic():
        role = _role(actor, now)
        old = _comment(comment_id)
        found = _standing(old.report_id, shown=shown)
        _settle(old, superseded_at=now)
        comment = Comment(
            patient_id=old.patient_id,
            report=found.report,
            identity_key=old.identity_key,
            seen=_spoken_of(found, old.identity_key),
            author=actor,
            author_role=role,
            language=old.language,
            text=_text(text),
            published_at=now,
            replaces=old,
            reason=_reason(reason),
        )
        comment.save(force_insert=True)
        _tell(comment, found, "labs.comment.replace", now=now)
    return comment


def withdraw_comment(*, comment_id: UUID, reason: str, actor: User, now: datetime) -> None:
    """Take a comment back; it leaves her view and stays in the history.

    Raises: NotFound, Forbidden, InvalidInput, CommentSettled.
    """
    with transaction.atomic():
        _role(actor, now)
        comment = _comment(comment_id)
        _settle(comment, withdrawn_at=now, withdrawn_by=actor, withdrawal_reason=_reason(reason))
        current = Observation.objects.current().filter(
            patient_id=comment.patient_id, report_id=comment.report_id
        )
        rows = [row for row in current if row.identity_key in comment.seen]
        if _may_be_read(comment.report, rows, now):
            _tell_feed(comment.report, rows, now=now)
        _audit(AuditEvent.Action.UPDATE, "labs.comment.withdraw", comment, now)


def _comment(comment_id: UUID) -> Comment:
    found = Comment.objects.select_related("report").filter(id=comment_id).first()
    if found is None:
        raise NotFound()
    return found


def _settle(comment: Comment, **columns: object) -> None:
    """Close a comment if it is still open: of two at once, one does."""
    settled = Comment.objects.filter(
        id=comment.id, superseded_at__isnull=True, withdrawn_at__isnull=True
    ).update(**columns)
    if not settled:
        raise CommentSettled()


def _spoken_of(found: _Standing, identity_key: str) -> dict[str, int]:
    """Return the results that a comment speaks of. Raises: NotFound for one of no standing.

    A report's comment speaks of what the laboratory sent, not of what we worked out from it.
    """
    if not identity_key:
        sent = [row for row in found.rows if row.origin != Observation.Origin.DERIVED]
        return seen_of(sent)
    if identity_key not in found.seen:
        raise NotFound()
    return {identity_key: found.seen[identity_key]}


def _text(text: str) -> str:
    try:
        kept = plain_text(text)
    except TextRefused as refusal:
        raise InvalidInput(errors=(FieldError("text", "unusable", str(refusal)),)) from refusal
    missing = unfilled(kept)
    if missing:
        words = f"Fill in: {', '.join(missing)}."
        raise InvalidInput(errors=(FieldError("text", "placeholder-left", words),))
    return kept


def _reason(reason: str) -> str:
    kept = reason.strip()[:300]
    if not kept:
        raise InvalidInput(errors=(FieldError("reason", "required", "Say why."),))
    return kept


def _language(language: str) -> str:
    if language not in LANGUAGES:
        raise InvalidInput(errors=(FieldError("language", "unknown", "Not one of ours."),))
    return language


def _tell(comment: Comment, found: _Standing, operation: str, *, now: datetime) -> None:
    """Audit a comment; tell of it where she may read it now.

    Of one that waits for a result nothing is told: the release of the result is.
    """
    _audit(AuditEvent.Action.CREATE, operation, comment, now)
    rows = [row for row in found.rows if row.identity_key in comment.seen]
    if not _may_be_read(found.report, rows, now):
        return
    _tell_feed(found.report, rows, now=now)
    publish(
        CommentPublished(
            subject_id=comment.id, patient_id=comment.patient_id, report_id=comment.report_id
        ),
        now=now,
    )


def _may_be_read(report: DiagnosticReport, rows: Sequence[Observation], now: datetime) -> bool:
    """Say whether she may read what speaks of all these results."""
    return _shown(report.visible_from, now) and all(
        row.withdrawn_at is None and not withheld(row, now=now) for row in rows
    )


def _shown(visible_from: datetime | None, now: datetime) -> bool:
    return visible_from is not None and visible_from <= now


def _tell_feed(report: DiagnosticReport, rows: Sequence[Observation], *, now: datetime) -> None:
    """Say in the change feed that what she can see of these looks different now."""
    if not _shown(report.visible_from, now):
        return
    lines: list[Line] = [("DiagnosticReport", report.id, Change.Kind.UPSERT)]
    lines += [
        ("Observation", row.id, Change.Kind.UPSERT)
        for row in rows
        if row.withdrawn_at is None and not withheld(row, now=now)
    ]
    record_changes(patient_id=report.patient_id, lines=lines, now=now)


def _audit(action: str, operation: str, row: Review | Comment, now: datetime) -> None:
    # What she cannot see leaves no trace in her list of who looked.
    hidden = "" if _shown(row.report.visible_from, now) else audit.STAFF_ONLY
    audit.record(
        action=action,
        operation=f"{hidden}{operation}",
        now=now,
        area=Area.LABS,
        patient_id=row.patient_id,
        resource=row._meta.object_name or "",
        resource_ids=[row.id],
    )
