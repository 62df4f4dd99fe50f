"""Two people put a release rule in force; from then on it can only be ended."""

from datetime import date, datetime
from uuid import UUID

from django.db import transaction

from accounts.models import User
from core import audit
from core.areas import Area
from core.errors import DomainError, NotFound
from core.models import AuditEvent
from labs.models import ReleaseRule


class OwnRule(DomainError):
    """Two people stand behind a rule that delays results."""

    code = "own-release-rule"
    title = "Somebody else than the author of the rule must approve it."


class RuleApproved(DomainError):
    code = "release-rule-approved"
    title = "This rule is approved already."


class NotInForce(DomainError):
    code = "release-rule-not-in-force"
    title = "Only an approved rule that has not ended can be ended, and not before it began."


def approve_rule(*, rule_id: UUID, actor: User, now: datetime) -> None:
    """Let a rule decide from now on. Raises: NotFound, OwnRule, RuleApproved."""
    with transaction.atomic():
        rule = _locked(rule_id)
        if rule.approved_at is not None:
            raise RuleApproved()
        if rule.author_id == actor.pk:
            raise OwnRule()
        rule.approved_by, rule.approved_at = actor, now
        rule.save(update_fields=["approved_by", "approved_at"])
        _audit("approve", rule, now)


def end_rule(*, rule_id: UUID, last_day: date, now: datetime) -> None:
    """Let a rule hold until a day, that day excluded; what it released or delays stays so.

    Raises: NotFound, NotInForce.
    """
    with transaction.atomic():
        rule = _locked(rule_id)
        ended = rule.valid_until is not None and rule.valid_until <= now.date()
        if rule.approved_at is None or ended or last_day <= rule.valid_from:
            raise NotInForce()
        rule.valid_until = last_day
        rule.save(update_fields=["valid_until"])
        _audit("end", rule, now)


def _locked(rule_id: UUID) -> ReleaseRule:
    rule = ReleaseRule.objects.select_for_update().filter(id=rule_id).first()
    if rule is None:
        raise NotFound()
    return rule


def _audit(step: str, rule: ReleaseRule, now: datetime) -> None:
    audit.record(
        action=AuditEvent.Action.UPDATE,
        operation=f"labs.release-rule.{step}",
        now=now,
        area=Area.LABS,
        resource="ReleaseRule",
        resource_ids=[rule.id],
    )
