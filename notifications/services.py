"""Plan what the portal says, and hear what other parts tell. `drain` sends what is due."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from accounts.models import DutyShift, User
from core.db import identity, system
from core.events.registry import Delivered
from notifications.delivery import DrainOutcome, drain, tell_not_reached
from notifications.models import Notification
from notifications.purposes import RULES, Purpose
from notifications.selectors import channels_for, quiet_of, user_of_patient
from notifications.wording import WORDINGS

__all__ = [
    "Draft",
    "DrainOutcome",
    "drain",
    "on_visit_request_answered",
    "on_work_item_escalated",
    "page_on_call",
    "plan",
    "plan_everywhere",
    "plan_many",
    "withdraw",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One message to one person on one channel, not yet in the ledger.

    `occurrence` with recipient, patient, purpose and channel makes it unique (DECISIONS 23).
    `skip_reason` keeps a message that will not be sent, so that she can see why not. `may_fail`:
    nobody acts when it does not arrive, although its purpose must reach the patient herself.
    """

    recipient: User
    patient_id: UUID
    purpose: Purpose
    occurrence: str
    channel: Notification.Channel | str
    subject_id: UUID
    send_after: datetime
    expires_at: datetime
    template: str = ""
    context: dict[str, str] = field(default_factory=dict)
    bypasses_quiet_hours: bool = False
    skip_reason: str = ""
    may_fail: bool = False


def _row(draft: Draft, now: datetime) -> Notification:
    rule = RULES[draft.purpose]
    if draft.bypasses_quiet_hours and not rule.may_bypass_quiet_hours:
        raise ValueError(f"{draft.purpose} may not disturb anybody at night")
    template = draft.template or rule.template
    send_after, reason = draft.send_after, draft.skip_reason
    if not draft.bypasses_quiet_hours:
        allowed = quiet_of(draft.recipient).first_allowed(send_after)
        if allowed < draft.expires_at:
            send_after = allowed
        else:
            reason = reason or "quiet-hours"
    if draft.expires_at <= now:
        reason = reason or "stale"
    row = Notification(
        recipient=draft.recipient,
        patient_id=draft.patient_id,
        purpose=draft.purpose,
        occurrence=draft.occurrence,
        channel=draft.channel,
        template=template,
        template_version=WORDINGS[template].version,
        language=draft.recipient.language,
        context=draft.context,
        subject_id=draft.subject_id,
        must_reach=rule.must_reach and not draft.may_fail,
        bypasses_quiet_hours=draft.bypasses_quiet_hours,
        send_after=send_after,
        expires_at=draft.expires_at,
        planned_at=now,
    )
    if reason:
        row.state, row.reason, row.settled_at = Notification.State.SKIPPED, reason, now
    return row


def plan_many(drafts: Sequence[Draft], *, now: datetime) -> int:
    """Write each draft once, in the caller's transaction; return how many were new.

    Planning the same again changes nothing, whoever does it and however often. A row moves
    out of its recipient's quiet hours; one that cannot, or that is stale already, is kept as
    skipped with the reason. Raises: KeyError for an unknown template, ValueError for a
    purpose that may not bypass quiet hours.
    """
    rows = [_row(draft, now) for draft in drafts]
    with identity(system("notifications")):
        Notification.objects.bulk_create(rows, ignore_conflicts=True)
        ids = [row.id for row in rows]
        new = set(Notification.objects.filter(id__in=ids).values_list("id", flat=True))
        for row in rows:
            if row.id in new and row.state == Notification.State.SKIPPED:
                tell_not_reached(row, now=now)
    return len(new)


def plan(
    *,
    recipient: User,
    patient_id: UUID,
    purpose: Purpose,
    occurrence: str,
    channel: Notification.Channel | str,
    subject_id: UUID,
    send_after: datetime,
    expires_at: datetime,
    now: datetime,
    template: str = "",
    context: dict[str, str] | None = None,
    bypasses_quiet_hours: bool = False,
) -> bool:
    """Plan one message on one channel; say whether it was new. See `plan_many`."""
    draft = Draft(
        recipient=recipient,
        patient_id=patient_id,
        purpose=purpose,
        occurrence=occurrence,
        channel=channel,
        subject_id=subject_id,
        send_after=send_after,
        expires_at=expires_at,
        template=template,
        context=context or {},
        bypasses_quiet_hours=bypasses_quiet_hours,
    )
    return plan_many([draft], now=now) == 1


def plan_everywhere(
    *,
    recipient: User,
    patient_id: UUID,
    purpose: Purpose,
    occurrence: str,
    subject_id: UUID,
    send_after: datetime,
    expires_at: datetime,
    now: datetime,
    template: str = "",
    bypasses_quiet_hours: bool = False,
) -> int:
    """Plan one message on every channel its recipient wants for `purpose`; count the new."""
    with identity(system("notifications")):
        channels = channels_for(recipient, purpose)
    drafts = [
        Draft(
            recipient=recipient,
            patient_id=patient_id,
            purpose=purpose,
            occurrence=occurrence,
            channel=channel,
            subject_id=subject_id,
            send_after=send_after,
            expires_at=expires_at,
            template=template,
            bypasses_quiet_hours=bypasses_quiet_hours,
        )
        for channel in channels
    ]
    return plan_many(drafts, now=now)


def withdraw(
    *, subject_id: UUID, patient_id: UUID, reason: str, now: datetime, keep: str = ""
) -> int:
    """Skip what is planned about a subject and no longer holds; return how many rows.

    Rows whose occurrence begins with `keep` stay.
    """
    with identity(system("notifications")):
        rows = Notification.objects.filter(
            patient_id=patient_id, subject_id=subject_id, state=Notification.State.PLANNED
        )
        if keep:
            rows = rows.exclude(occurrence__startswith=keep)
        return rows.update(state=Notification.State.SKIPPED, reason=reason, settled_at=now)


def page_on_call(
    *, organization_id: UUID, patient_id: UUID, item_id: UUID, step: str, now: datetime
) -> int:
    """Page everybody on call for an organization now; return how many rows were planned."""
    with identity(system("notifications")):
        shifts = (
            DutyShift.objects.filter(
                organization_id=organization_id,
                on_call=True,
                starts_at__lte=now,
                ends_at__gt=now,
            )
            .select_related("user__quiet_hours")
            .order_by("starts_at", "id")
        )
        people = {shift.user_id: shift.user for shift in shifts}
    return sum(
        plan_everywhere(
            recipient=user,
            patient_id=patient_id,
            purpose=Purpose.ON_CALL_PAGE,
            occurrence=f"page:{item_id}:{step}",
            subject_id=item_id,
            send_after=now,
            expires_at=now + RULES[Purpose.ON_CALL_PAGE].kept_for,
            now=now,
            bypasses_quiet_hours=True,
        )
        for user in people.values()
    )


def on_visit_request_answered(delivered: Delivered) -> None:
    """Tell her that there is an answer; the words never say to what."""
    if delivered.patient_id is None:
        return
    with identity(system("notifications")):
        user = user_of_patient(delivered.patient_id)
    if user is None:
        return
    plan_everywhere(
        recipient=user,
        patient_id=delivered.patient_id,
        purpose=Purpose.REPLY,
        occurrence=f"visit-request:{delivered.subject_id}",
        subject_id=delivered.subject_id,
        send_after=delivered.occurred_at,
        expires_at=delivered.occurred_at + RULES[Purpose.REPLY].kept_for,
        now=delivered.now,
    )


def on_work_item_escalated(delivered: Delivered) -> None:
    """Page who is on call when nobody took an item in time."""
    organization = delivered.payload["organization_id"]
    if delivered.patient_id is None or not organization:
        return
    page_on_call(
        organization_id=UUID(organization),
        patient_id=delivered.patient_id,
        item_id=delivered.subject_id,
        step=f"escalation-{delivered.payload['step']}",
        now=delivered.now,
    )
