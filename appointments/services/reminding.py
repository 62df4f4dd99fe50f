"""What the ledger is told about visits: booked, coming up, moved or cancelled.

Events come at least once and in any order. Each handler reads the visit as it is now, plans
what belongs to its current sequence, and skips what was planned for an earlier one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from accounts.models import User
from accounts.scopes import Scope
from appointments.models import Appointment, AppointmentHistory
from appointments.reminder_rules import is_near, reminders
from core.db import identity, system
from core.events.registry import Delivered
from notifications.purposes import RULES, Purpose
from notifications.selectors import caregivers_to_tell, channels_of_many, user_of_patient
from notifications.services import Draft, plan_many, withdraw
from patients.models import CaregiverGrant
from worklist.models import Urgency, WorkItem
from worklist.services import Fact, raise_item

_Action = AppointmentHistory.Action
_Status = Appointment.Status
STANDING = (_Status.BOOKED, _Status.CHECKED_IN)
"""She is expected: only then is she reminded."""
_CLINIC = ("staff", "system", "machine")


@dataclass(frozen=True, slots=True)
class _Told:
    """Somebody who is told of a visit: the patient herself, or a caregiver of hers."""

    user: User
    is_own: bool


def occurrence(visit_id: UUID, sequence: int, rung: str = "") -> str:
    """Return how the ledger names one message about one state of a visit (DECISIONS 23)."""
    return f"visit:{visit_id}:{sequence}:{rung}"


def on_booked(delivered: Delivered) -> None:
    """Confirm a booking to everybody whom it concerns, and plan the reminders."""
    with identity(system("notifications")):
        visit = _visit(delivered)
        if visit is None or not _holds(visit, delivered):
            return
        people = _people(visit, delivered.now)
        drafts = _reminders(visit, people, now=delivered.occurred_at)
        at = delivered.occurred_at
        drafts += _at_once(
            visit,
            people,
            Purpose.VISIT_BOOKED,
            rung="booked",
            at=at,
            expires_at=min(visit.starts_at, at + RULES[Purpose.VISIT_BOOKED].kept_for),
        )
        plan_many(drafts, now=delivered.now)


def on_rescheduled(delivered: Delivered) -> None:
    """Plan the reminders of the new time; tell who did not move the visit herself."""
    with identity(system("notifications")):
        visit = _visit(delivered)
        if visit is None:
            return
        _forget_earlier(visit, now=delivered.now)
        if not _holds(visit, delivered):
            return
        people = _people(visit, delivered.now)
        drafts = _reminders(visit, people, now=delivered.occurred_at)
        drafts += _changed(visit, people, delivered)
        plan_many(drafts, now=delivered.now)


def on_cancelled(delivered: Delivered) -> None:
    """Take the reminders back; tell who did not cancel the visit herself."""
    with identity(system("notifications")):
        visit = _visit(delivered)
        if visit is None:
            return
        _forget_earlier(visit, now=delivered.now)
        if visit.status != _Status.CANCELLED or visit.sequence != delivered.payload["sequence"]:
            return
        people = _people(visit, delivered.now)
        plan_many(_changed(visit, people, delivered), now=delivered.now)


def on_grant_changed(delivered: Delivered) -> None:
    """Remind a new caregiver of the visits that are to come."""
    if delivered.patient_id is None or delivered.payload["revoked"]:
        return
    with identity(system("notifications")):
        grant = CaregiverGrant.objects.filter(
            id=delivered.subject_id, patient_id=delivered.patient_id
        ).first()
        if grant is None:
            return
        visits = Appointment.objects.select_for_update(of=("self",), no_key=True).filter(
            patient_id=grant.patient_id, status__in=STANDING, starts_at__gt=delivered.now
        )
        drafts = [
            draft
            for visit in visits.order_by("id")
            for draft in _reminders(
                visit,
                [p for p in _people(visit, delivered.now) if p.user.pk == grant.caregiver_id],
                now=delivered.now,
            )
        ]
        plan_many(drafts, now=delivered.now)


def _people(visit: Appointment, at: datetime) -> list[_Told]:
    """Return the patient, if she has a sign-in, and the caregivers who may know of the visit."""
    own = user_of_patient(visit.patient_id)
    caregivers = caregivers_to_tell(
        visit.patient_id, scope=Scope.APPOINTMENTS_READ, about=visit.id, at=at
    )
    return ([_Told(own, is_own=True)] if own else []) + [
        _Told(user, is_own=False) for user in caregivers
    ]


def _visit(delivered: Delivered) -> Appointment | None:
    """Return the visit, locked so that no two workers plan for different states of it."""
    assert delivered.patient_id is not None
    return (
        Appointment.objects.select_for_update(of=("self",), no_key=True)
        .filter(id=delivered.subject_id, patient_id=delivered.patient_id)
        .first()
    )


def _holds(visit: Appointment, delivered: Delivered) -> bool:
    return visit.status in STANDING and visit.sequence == delivered.payload["sequence"]


def _forget_earlier(visit: Appointment, *, now: datetime) -> None:
    withdraw(
        subject_id=visit.id,
        patient_id=visit.patient_id,
        reason="no-longer-applies",
        keep=occurrence(visit.id, visit.sequence),
        now=now,
    )


def _reminders(visit: Appointment, people: Sequence[_Told], *, now: datetime) -> list[Draft]:
    """Return the rungs that are still to come at `now`."""
    purpose = Purpose.VISIT_REMINDER
    channels = channels_of_many([person.user for person in people], purpose)
    return [
        Draft(
            recipient=person.user,
            patient_id=visit.patient_id,
            purpose=purpose,
            occurrence=occurrence(visit.id, visit.sequence, each.rung),
            channel=channel,
            subject_id=visit.id,
            send_after=each.send_at,
            expires_at=each.expires_at,
        )
        for person in people
        for each in reminders(starts_at=visit.starts_at, zone=person.user.zone)
        if each.send_at > now
        for channel in channels[person.user.pk]
    ]


def _at_once(
    visit: Appointment,
    people: Sequence[_Told],
    purpose: Purpose,
    *,
    rung: str,
    at: datetime,
    expires_at: datetime,
    bypasses_quiet_hours: bool = False,
) -> list[Draft]:
    if expires_at <= at:
        return []
    channels = channels_of_many([person.user for person in people], purpose)
    return [
        Draft(
            recipient=person.user,
            patient_id=visit.patient_id,
            purpose=purpose,
            occurrence=occurrence(visit.id, visit.sequence, rung),
            channel=channel,
            subject_id=visit.id,
            send_after=at,
            expires_at=expires_at,
            bypasses_quiet_hours=bypasses_quiet_hours,
            # Whether a caregiver was reached is nobody's task.
            may_fail=not person.is_own,
        )
        for person in people
        for channel in channels[person.user.pk]
    ]


def _changed(visit: Appointment, people: Sequence[_Told], delivered: Delivered) -> list[Draft]:
    """Return the notices of a move or cancellation to everybody but who did it."""
    at = delivered.occurred_at
    change, before = _change_of(visit)
    starts = [start for start in (before, visit.starts_at) if start > at]
    if not starts:
        return []
    by_clinic = delivered.payload["by"] in _CLINIC
    if by_clinic and not any(person.is_own for person in people):
        _let_somebody_call(visit, now=delivered.now)
    return _at_once(
        visit,
        [person for person in people if by_clinic or person.user.pk != change.actor_id],
        Purpose.VISIT_CHANGED,
        rung="changed",
        at=at,
        expires_at=min(*starts, at + RULES[Purpose.VISIT_CHANGED].kept_for),
        bypasses_quiet_hours=is_near(starts, at),
    )


def _change_of(visit: Appointment) -> tuple[AppointmentHistory, datetime]:
    """Return the last move or cancellation, and when the visit started before it."""
    history = AppointmentHistory.objects.filter(
        patient_id=visit.patient_id, appointment_id=visit.id
    ).order_by("-version")
    change = history.filter(action__in=(_Action.RESCHEDULE, _Action.CANCEL))[0]
    return change, history.filter(version__lt=change.version)[0].starts_at


def _let_somebody_call(visit: Appointment, *, now: datetime) -> None:
    """She has no sign-in, so no notice can reach her; unless she asked for it herself."""
    if visit.cancellation_reason.startswith("pat"):
        return
    raise_item(
        patient_id=visit.patient_id,
        concern="notice.not-reached",
        title="A visit was moved or cancelled and she has no sign-in: please call",
        urgency=Urgency.WITHIN_24H,
        owner_team=WorkItem.Team.NURSE,
        fact=Fact(
            kind="appointment",
            reference=visit.id,
            summary=f"{Purpose.VISIT_CHANGED}: no sign-in, change {visit.sequence}",
        ),
        now=now,
    )
