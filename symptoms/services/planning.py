"""Plans, and the tick that turns them into check-ins, reminders and calls."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction
from django.db.models import DateTimeField, Func, QuerySet, TextField, Value

from accounts.models import Organization, User
from core import audit
from core.areas import Area
from core.db import identity, system
from core.errors import DomainError, FieldError, InvalidInput, NotFound
from core.feed import record_change
from core.models import AuditEvent
from notifications.models import Notification
from notifications.purposes import Purpose
from notifications.rechecks import Skip
from notifications.selectors import channels_of_many
from notifications.services import Draft, plan_many, withdraw
from symptoms import cadence
from symptoms.models import CheckIn, CheckInPlan, Questionnaire, QuestionnaireVersion
from worklist.calendar import StaffedCalendar
from worklist.models import Urgency, WorkItem
from worklist.selectors import staffed_calendar
from worklist.services import Fact, raise_item

BATCH = 200
MAX_BATCHES = 20
CALL_WITHIN_STAFFED = timedelta(hours=8)


class PlanExists(DomainError):
    """She is asked this questionnaire already."""

    code = "check-in-plan-exists"
    title = "There is an active plan for this questionnaire already."


@dataclass(slots=True)
class PlanningOutcome:
    """What one tick did: check-ins asked, cancelled before they began, plans ended, silences."""

    planned: int = 0
    cancelled: int = 0
    stopped: int = 0
    silent: int = 0


def _valid_zone(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise InvalidInput(
            errors=(FieldError("zone", "unknown-zone", "Send an IANA time zone."),)
        ) from error
    return zone


def create_plan(
    *,
    patient_id: UUID,
    questionnaire_key: str,
    organization_id: UUID,
    iso_weekday: int,
    hour: int,
    zone: str,
    starts_on: date,
    now: datetime,
    every_weeks: int = 1,
    stops_on: date | None = None,
) -> CheckInPlan:
    """Ask her `questionnaire_key` every so many weeks, on her weekday at her hour in her zone.

    Runs inside the caller's identity. Raises: InvalidInput, NotFound for an unknown
    questionnaire, PlanExists.
    """
    questionnaire = Questionnaire.objects.filter(key=questionnaire_key).first()
    if questionnaire is None:
        raise NotFound()
    due_on = cadence.first_due_on(starts_on=starts_on, iso_weekday=iso_weekday)
    plan = CheckInPlan(
        patient_id=patient_id,
        questionnaire=questionnaire,
        organization_id=organization_id,
        every_weeks=every_weeks,
        iso_weekday=iso_weekday,
        hour=hour,
        zone=_valid_zone(zone),
        starts_on=starts_on,
        stops_on=stops_on,
        next_due_on=due_on,
        next_opens_at=cadence.opens_at(due_on, hour=hour, zone=zone),
        created_at=now,
    )
    _check_terms(plan)
    try:
        with transaction.atomic():
            plan.save(force_insert=True)
    except IntegrityError as error:
        if "plan_active_once" in str(error):
            raise PlanExists() from error
        raise
    _audit(plan, AuditEvent.Action.CREATE, "symptoms.plan.create", now)
    return plan


def _check_terms(plan: CheckInPlan) -> None:
    errors = []
    if not 8 <= plan.hour <= 20:
        errors.append(FieldError("hour", "out-of-range", "Choose an hour from 8 to 20."))
    if not 1 <= plan.iso_weekday <= 7:
        errors.append(FieldError("iso_weekday", "out-of-range", "1 is Monday, 7 is Sunday."))
    if not 1 <= plan.every_weeks <= 12:
        errors.append(FieldError("every_weeks", "out-of-range", "Choose 1 to 12 weeks."))
    if plan.stops_on is not None and plan.stops_on < plan.starts_on:
        errors.append(FieldError("stops_on", "before-start", "It cannot stop before it starts."))
    if errors:
        raise InvalidInput(errors=tuple(errors))


def _audit(plan: CheckInPlan, action: str, operation: str, now: datetime) -> None:
    audit.record(
        action=action,
        operation=operation,
        now=now,
        area=Area.SYMPTOMS,
        patient_id=plan.patient_id,
        resource="CarePlan",
        resource_ids=[plan.id],
    )


def _active(plan_id: UUID) -> CheckInPlan:
    plan = CheckInPlan.objects.select_for_update().filter(id=plan_id, is_active=True).first()
    if plan is None:
        raise NotFound()
    return plan


def change_plan(
    *, plan_id: UUID, iso_weekday: int, hour: int, zone: str, every_weeks: int, now: datetime
) -> CheckInPlan:
    """Change when she is asked, from the first fitting day after today in her zone.

    Raises: NotFound for a plan that is absent or stopped, InvalidInput.
    """
    plan = _active(plan_id)
    plan.iso_weekday, plan.hour, plan.every_weeks = iso_weekday, hour, every_weeks
    plan.zone = _valid_zone(zone)
    _check_terms(plan)
    tomorrow = now.astimezone(ZoneInfo(zone)).date() + timedelta(days=1)
    plan.next_due_on = cadence.first_due_on(
        starts_on=max(tomorrow, plan.starts_on), iso_weekday=iso_weekday
    )
    plan.next_opens_at = cadence.opens_at(plan.next_due_on, hour=hour, zone=zone)
    plan.save(
        update_fields=[
            "iso_weekday",
            "hour",
            "every_weeks",
            "zone",
            "next_due_on",
            "next_opens_at",
        ]
    )
    _audit(plan, AuditEvent.Action.UPDATE, "symptoms.plan.change", now)
    return plan


def pause_plan(
    *, plan_id: UUID, reason: str, paused_from: date, resumes_on: date | None, now: datetime
) -> CheckInPlan:
    """Ask nothing from `paused_from` until before `resumes_on`; None: until resumed.

    An open check-in and its reminders go at once when the pause has begun.
    Raises: NotFound, InvalidInput.
    """
    plan = _active(plan_id)
    if reason not in CheckInPlan.PauseReason.values:
        raise InvalidInput(errors=(FieldError("reason", "unknown", "Choose from the list."),))
    if resumes_on is not None and resumes_on <= paused_from:
        raise InvalidInput(
            errors=(FieldError("resumes_on", "before-start", "Choose a later day."),)
        )
    plan.paused_reason, plan.paused_from, plan.resumes_on = reason, paused_from, resumes_on
    plan.save(update_fields=["paused_reason", "paused_from", "resumes_on"])
    if _is_paused(plan, now.astimezone(ZoneInfo(plan.zone)).date()):
        _cancel_open(plan, reason="paused", now=now)
    _audit(plan, AuditEvent.Action.UPDATE, "symptoms.plan.pause", now)
    return plan


def resume_plan(*, plan_id: UUID, now: datetime) -> CheckInPlan:
    """Ask again from the next occurrence on. Raises: NotFound."""
    plan = _active(plan_id)
    plan.paused_reason, plan.paused_from, plan.resumes_on = "", None, None
    plan.save(update_fields=["paused_reason", "paused_from", "resumes_on"])
    _audit(plan, AuditEvent.Action.UPDATE, "symptoms.plan.resume", now)
    return plan


def stop_plan(*, plan_id: UUID, reason: str, now: datetime) -> CheckInPlan:
    """Never ask again; what is open and what is queued goes at once. Raises: NotFound."""
    plan = _active(plan_id)
    _stop(plan, reason=reason, now=now)
    _audit(plan, AuditEvent.Action.UPDATE, "symptoms.plan.stop", now)
    return plan


def _stop(plan: CheckInPlan, *, reason: str, now: datetime) -> None:
    plan.is_active, plan.stopped_at, plan.stop_reason = False, now, reason
    plan.save(update_fields=["is_active", "stopped_at", "stop_reason"])
    _cancel_open(plan, reason=reason, now=now)


def _cancel_open(plan: CheckInPlan, *, reason: str, now: datetime) -> None:
    for check_in in plan.check_ins.select_for_update().filter(status=CheckIn.Status.OPEN):
        _settle(check_in, CheckIn.Status.CANCELLED, reason=reason, now=now)
        withdraw(
            subject_id=check_in.id,
            patient_id=check_in.patient_id,
            reason="check-in-cancelled",
            now=now,
        )


def _settle(check_in: CheckIn, status: CheckIn.Status, *, reason: str, now: datetime) -> None:
    check_in.status, check_in.cancelled_reason, check_in.settled_at = status, reason, now
    check_in.save(update_fields=["status", "cancelled_reason", "settled_at"])
    _tell_feed(check_in, now)


def _tell_feed(check_in: CheckIn, now: datetime) -> None:
    record_change(
        patient_id=check_in.patient_id,
        area=Area.SYMPTOMS,
        resource="CheckIn",
        resource_id=check_in.id,
        kind="upsert",
        now=now,
    )


def _is_paused(plan: CheckInPlan, day: date) -> bool:
    return (
        plan.paused_from is not None
        and plan.paused_from <= day
        and (plan.resumes_on is None or day < plan.resumes_on)
    )


# --- the tick ---------------------------------------------------------------------------------


def plan_check_ins(*, now: datetime) -> PlanningOutcome:
    """Ask everybody whose hour has come, and hand silences to staff.

    Each occurrence is planned once, whoever ticks and however often: plans are locked, the
    occurrence advances in the same transaction, and (plan, due date) is unique.
    """
    outcome = PlanningOutcome()
    for _ in range(MAX_BATCHES):
        with identity(system("check-ins")):
            if _plan_batch(now=now, outcome=outcome) < BATCH:
                break
    for _ in range(MAX_BATCHES):
        with identity(system("check-ins")):
            if _silence_batch(now=now, outcome=outcome) < BATCH:
                break
    return outcome


def _with_contact(rows: QuerySet[Any], now: datetime) -> QuerySet[Any]:
    refusal = Func(
        "patient_id",
        Value(now, DateTimeField()),
        function="contact_allowed",
        output_field=TextField(),
    )
    annotated: QuerySet[Any] = rows.annotate(contact_refusal=refusal)
    return annotated


def _plan_batch(*, now: datetime, outcome: PlanningOutcome) -> int:
    active = QuestionnaireVersion.Status.ACTIVE
    plans = list(
        _with_contact(CheckInPlan.objects.all(), now)
        .select_for_update(skip_locked=True, of=("self",))
        .filter(is_active=True, next_opens_at__lte=now, questionnaire__version__status=active)
        .select_related("patient__user__quiet_hours")
        .order_by("next_opens_at")[:BATCH]
    )
    versions = dict(
        QuestionnaireVersion.objects.filter(status=active).values_list("questionnaire_id", "id")
    )
    asked = [
        check_in
        for plan in plans
        if (check_in := _occurrence(plan, versions[plan.questionnaire_id], now, outcome))
    ]
    CheckIn.objects.bulk_create(asked, ignore_conflicts=True)
    ids = CheckIn.objects.filter(id__in=[row.id for row in asked]).values_list("id", flat=True)
    new = set(ids)
    made = [check_in for check_in in asked if check_in.id in new]
    for check_in in made:
        _tell_feed(check_in, now)
    plan_many(_drafts(made), now=now)
    outcome.cancelled += sum(row.status == CheckIn.Status.CANCELLED for row in made)
    outcome.planned += sum(row.status == CheckIn.Status.OPEN for row in made)
    return len(plans)


def _occurrence(
    plan: Any, version_id: UUID, now: datetime, outcome: PlanningOutcome
) -> CheckIn | None:
    """Return the check-in to ask now, and move the plan on; None when there is none."""
    if plan.contact_refusal in ("deceased", "inactive"):
        _stop(plan, reason=plan.contact_refusal, now=now)
        outcome.stopped += 1
        return None
    due_on = _skip_what_is_over(plan, now)
    if plan.stops_on is not None and due_on > plan.stops_on:
        _stop(plan, reason=CheckInPlan.StopReason.ENDED, now=now)
        outcome.stopped += 1
        return None
    opens_at = cadence.opens_at(due_on, hour=plan.hour, zone=plan.zone)
    following = due_on
    if opens_at <= now:
        following = cadence.next_due_on(due_on, every_weeks=plan.every_weeks)
    plan.next_due_on = following
    plan.next_opens_at = cadence.opens_at(following, hour=plan.hour, zone=plan.zone)
    plan.save(update_fields=["next_due_on", "next_opens_at"])
    if opens_at > now:
        return None
    check_in = CheckIn(
        plan=plan,
        patient=plan.patient,
        version_id=version_id,
        due_on=due_on,
        opens_at=opens_at,
        expires_at=cadence.expires_at(due_on, hour=plan.hour, zone=plan.zone),
        planned_at=now,
    )
    if plan.contact_refusal or _is_paused(plan, due_on):
        check_in.status, check_in.settled_at = CheckIn.Status.CANCELLED, now
        check_in.cancelled_reason = "paused"
    return check_in


def _skip_what_is_over(plan: CheckInPlan, now: datetime) -> date:
    """Return the first occurrence whose days for answering are not all in the past.

    After an outage she is asked about this week, not about every week that was missed.
    """
    due_on: date = plan.next_due_on
    while cadence.expires_at(due_on, hour=plan.hour, zone=plan.zone) <= now:
        due_on = max(
            cadence.next_due_on(due_on, every_weeks=plan.every_weeks),
            cadence.current_due_on(
                due_on,
                every_weeks=plan.every_weeks,
                not_before=now.date() - timedelta(days=cadence.CALL_AFTER_DAYS + 1),
            ),
        )
    return due_on


def _drafts(check_ins: list[CheckIn]) -> list[Draft]:
    """Return the reminders of new check-ins, on every channel their people want.

    A check-in that is cancelled from the start keeps its first reminder, with the reason.
    """
    users: dict[UUID, User] = {
        row.patient.user.pk: row.patient.user for row in check_ins if row.patient.user is not None
    }
    with identity(system("notifications")):
        channels = channels_of_many(list(users.values()), Purpose.CHECK_IN)
    return [
        _draft(check_in, rung, channel, check_in.patient.user)
        for check_in in check_ins
        if check_in.patient.user is not None
        for rung in cadence.rungs(check_in.due_on, hour=check_in.plan.hour, zone=check_in.plan.zone)
        if check_in.status == CheckIn.Status.OPEN or rung.number == 0
        for channel in channels[check_in.patient.user.pk]
    ]


def _draft(
    check_in: CheckIn, rung: cadence.Rung, channel: Notification.Channel, user: User
) -> Draft:
    return Draft(
        recipient=user,
        patient_id=check_in.patient_id,
        purpose=Purpose.CHECK_IN,
        occurrence=f"checkin:{check_in.plan_id}:{check_in.due_on.isoformat()}:r{rung.number}",
        channel=channel,
        subject_id=check_in.id,
        send_after=rung.send_after,
        expires_at=rung.expires_at,
        skip_reason=check_in.cancelled_reason,
    )


def _silence_batch(*, now: datetime, outcome: PlanningOutcome) -> int:
    silent = list(
        _with_contact(CheckIn.objects.all(), now)
        .select_for_update(skip_locked=True, of=("self",))
        .filter(status=CheckIn.Status.OPEN, expires_at__lte=now)
        .select_related("plan__organization")
        .order_by("expires_at")[:BATCH]
    )
    calendars: dict[UUID, StaffedCalendar] = {}
    for check_in in silent:
        if check_in.contact_refusal:
            _settle(check_in, CheckIn.Status.CANCELLED, reason=check_in.contact_refusal, now=now)
            continue
        _settle(check_in, CheckIn.Status.MISSED, reason="", now=now)
        organization: Organization = check_in.plan.organization
        if organization.id not in calendars:
            calendars[organization.id] = staffed_calendar(organization, now=now)
        raise_item(
            patient_id=check_in.patient_id,
            concern="check-in.silence",
            title="No answer to the check-in for three days: please call",
            urgency=Urgency.ROUTINE,
            owner_team=WorkItem.Team.NURSE,
            fact=Fact(
                kind="check-in", reference=check_in.id, summary=f"Asked on {check_in.due_on}"
            ),
            now=now,
            due_at=calendars[organization.id].after_staffed_time(now, CALL_WITHIN_STAFFED),
            organization_id=organization.id,
        )
        outcome.silent += 1
    return len(silent)


def recheck_notice(row: Notification, now: datetime) -> Skip | None:
    """Say whether a reminder still holds: she may have answered, or it was called off."""
    status = CheckIn.objects.filter(id=row.subject_id).values_list("status", flat=True).first()
    if status == CheckIn.Status.OPEN:
        return None
    if status == CheckIn.Status.ANSWERED:
        return Skip("already-answered")
    return Skip("check-in-cancelled" if status == CheckIn.Status.CANCELLED else "no-longer-applies")
