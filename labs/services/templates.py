"""Templates of comments: written by one person, approved by another, one active at a time."""

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Max

from accounts.models import User
from core import audit
from core.areas import Area
from core.errors import DomainError, NotFound
from core.models import AuditEvent
from labs.models import CommentTemplate


class OwnTemplate(DomainError):
    """Two people stand behind words that go to many."""

    code = "own-template"
    title = "Somebody else than the person who wrote the template must approve it."


class AlreadyDecided(DomainError):
    code = "template-decided"
    title = "This template is approved already."


class WrittenAtOnce(DomainError):
    """Two people wrote the same version at the same moment."""

    code = "template-written-at-once"
    status = 409
    title = "Somebody else has just written this template. Look at it first."


class NotInUse(DomainError):
    code = "template-not-in-use"
    title = "This template is not in use."


def write_template(template: CommentTemplate, *, actor: User, now: datetime) -> None:
    """Keep a new template, or the next version of one with its key, language and clinic.

    Raises: WrittenAtOnce.
    """
    newest = CommentTemplate.objects.filter(
        organization_id=template.organization_id, key=template.key, language=template.language
    ).aggregate(version=Max("version"))["version"]
    template.version = (newest or 0) + 1
    template.written_by, template.written_at = actor, now
    try:
        with transaction.atomic():
            template.save(force_insert=True)
    except IntegrityError as error:
        raise WrittenAtOnce() from error


def approve_template(*, template_id: UUID, actor: User, now: datetime) -> None:
    """Put a template into use in place of the version before.

    Raises: NotFound, AlreadyDecided, OwnTemplate.
    """
    with transaction.atomic():
        template = CommentTemplate.objects.select_for_update().filter(id=template_id).first()
        if template is None:
            raise NotFound()
        if template.approved_at is not None:
            raise AlreadyDecided()
        if template.written_by_id == actor.pk:
            raise OwnTemplate()
        CommentTemplate.objects.filter(
            organization_id=template.organization_id,
            key=template.key,
            language=template.language,
            is_active=True,
        ).update(is_active=False)
        template.approved_by, template.approved_at, template.is_active = actor, now, True
        template.save(update_fields=["approved_by", "approved_at", "is_active"])
        _audit("labs.comment-template.approve", template_id, now)


def retire_template(*, template_id: UUID, now: datetime) -> None:
    """Take a template out of use; what was written with it stays. Raises: NotInUse."""
    with transaction.atomic():
        retired = CommentTemplate.objects.filter(id=template_id, is_active=True).update(
            is_active=False
        )
        if not retired:
            raise NotInUse()
        _audit("labs.comment-template.retire", template_id, now)


def _audit(operation: str, template_id: UUID, now: datetime) -> None:
    audit.record(
        action=AuditEvent.Action.UPDATE,
        operation=operation,
        now=now,
        area=Area.LABS,
        resource="CommentTemplate",
        resource_ids=[template_id],
    )
