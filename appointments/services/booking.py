"""Book, cancel and follow visits. Each call runs in the caller's transaction and identity."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from accounts.models import Membership, User
from appointments.claims import TimeTaken, claim
from appointments.models import (
    Appointment,
    AppointmentHistory,
    Block,
    PatientClaim,
    Resource,
    ResourceClaim,
    VisitType,
)
from appointments.opening_ids import OpeningRef, read_opening_id
from appointments.selectors import (
    Offered,
    Place,
    Supply,
    appointments_for,
    openings_for,
    supply_for,
)
from appointments.slots import is_offered
from core.areas import Area
from core.errors import DomainError, FieldError, InvalidInput, NotFound
from core.events import AppointmentBooked, AppointmentCancelled, publish
from core.feed import record_change
from core.ids import uuid7
from core.models import Change
from core.prepared import insert
from patients.viewer import Viewer

ALTERNATIVES = 5
_ALTERNATIVE_DAYS = 14
_OWN = ("patient", "proxy")
_Status = Appointment.Status

_CANCELLABLE = frozenset({_Status.PROPOSED, _Status.PENDING, _Status.BOOKED, _Status.WAITLIST})
_HER_REASONS = frozenset(
    reason.value for reason in Appointment.CancellationReason if reason.startswith("pat")
) | {Appointment.CancellationReason.OTHER.value}
# What staff may make of a visit; cancelling has its own call.
TRANSITIONS: dict[str, frozenset[str]] = {
    _Status.PROPOSED: frozenset({_Status.ENTERED_IN_ERROR}),
    _Status.PENDING: frozenset({_Status.BOOKED, _Status.ENTERED_IN_ERROR}),
    _Status.WAITLIST: frozenset({_Status.ENTERED_IN_ERROR}),
    _Status.BOOKED: frozenset(
        {_Status.CHECKED_IN, _Status.ARRIVED, _Status.NOSHOW, _Status.ENTERED_IN_ERROR}
    ),
    _Status.CHECKED_IN: frozenset({_Status.ARRIVED, _Status.NOSHOW, _Status.ENTERED_IN_ERROR}),
    _Status.ARRIVED: frozenset({_Status.FULFILLED, _Status.ENTERED_IN_ERROR}),
    _Status.NOSHOW: frozenset({_Status.ARRIVED, _Status.ENTERED_IN_ERROR}),
    _Status.FULFILLED: frozenset({_Status.ENTERED_IN_ERROR}),
    _Status.CANCELLED: frozenset(),
    _Status.ENTERED_IN_ERROR: frozenset(),
}


class _WithAlternatives(DomainError):
    """A refusal that comes with other openings of the same visit type."""

    def __init__(
        self, *, alternatives: Sequence[Offered] = (), extra: dict[str, str] | None = None
    ) -> None:
        super().__init__(extra=extra)
        self.alternatives = tuple(alternatives)


class SlotTaken(_WithAlternatives):
    """Somebody else has the time; others are offered."""

    code = TimeTaken.code
    title = TimeTaken.title


class NotOffered(_WithAlternatives):
    """The opening is past, too soon, too far ahead, or its hours have changed."""

    code = "opening-not-offered"
    title = "This time cannot be booked any more."


class NotSelfBookable(DomainError):
    """Visits of this type are not booked by patients directly."""

    code = "not-self-bookable"
    title = "The clinic books this kind of visit. Please call."


class StatusConflict(DomainError):
    """The visit is no longer in a state that allows this."""

    code = "appointment-status"
    title = "The visit is not in a state that allows this."


class TooLateToCancel(DomainError):
    """The visit has begun, or is so near that the clinic wants a call."""

    code = "too-late-to-cancel"
    title = "This visit can no longer be cancelled online. Please call."


class AppointmentsInTheWay(DomainError):
    """A block would cover time that is booked or held."""

    code = "time-in-use"
    title = "Some of this time is booked, held or blocked already."


def _alternatives(
    viewer: Viewer, *, patient_id: UUID, ref: OpeningRef, now: datetime
) -> list[Offered]:
    """Return the next openings of the same schedule, else of the whole clinic.

    Losers come in crowds: one schedule is read first, because all of them together cost a
    hundred times as much.
    """
    first = max((ref.starts_at - timedelta(hours=14)).date(), now.date() - timedelta(days=1))

    def search(schedule_id: UUID | None, days: int) -> list[Offered]:
        return openings_for(
            viewer,
            patient_id=patient_id,
            visit_type_id=ref.visit_type_id,
            schedule_id=schedule_id,
            first=first,
            last=None,
            days=days,
            now=now,
            limit=ALTERNATIVES,
        ).items

    return search(ref.schedule_id, _ALTERNATIVE_DAYS) or search(None, _ALTERNATIVE_DAYS)


def _spread(supply: Supply) -> list[list[Place]]:
    """Return the pools with the order of shared places varied by schedule.

    Schedules that share rooms then reach for different ones first.
    """
    spread = []
    for pool in supply.pools:
        turn = supply.schedule_id.int % len(pool) if pool else 0
        spread.append([*pool[turn:], *pool[:turn]])
    return spread


def book(
    *, viewer: Viewer, opening: str, now: datetime, patient_id: UUID | None = None
) -> Appointment:
    """Book the opening with this id for the viewer's patient, or as staff for `patient_id`.

    Hours, lead time and horizon are judged at `now`, as they were for the list; whether the
    time is free is judged by the database alone.
    Raises: NotFound, NotSelfBookable, NotOffered, SlotTaken, PatientBusy.
    """
    patient = viewer.patient_id or patient_id
    if patient is None:
        raise ValueError("say for which patient")
    ref = read_opening_id(opening)
    policy, supplies = supply_for(
        viewer,
        patient_id=patient,
        visit_type_id=ref.visit_type_id,
        schedule_id=ref.schedule_id,
        first=ref.starts_at.date(),
        last=ref.starts_at.date(),
        now=now,
    )
    if viewer.kind in _OWN and policy != VisitType.BookingPolicy.DIRECT:
        raise NotSelfBookable(extra={"booking_policy": policy})
    supply = supplies[0]
    answer = is_offered(hours=supply.hours, visit=supply.visit, starts_at=ref.starts_at, now=now)
    if answer != "yes":
        raise NotOffered(
            alternatives=_alternatives(viewer, patient_id=patient, ref=ref, now=now),
            extra={"reason": answer},
        )
    made = _appointment(viewer, patient_id=patient, supply=supply, ref=ref, now=now)
    try:
        claim(
            pools=_spread(supply),
            starts_at=made.starts_at,
            ends_at=made.ends_at,
            buffer_before=supply.visit.buffer_before,
            buffer_after=supply.visit.buffer_after,
            kind=ResourceClaim.Kind.BOOKING,
            held_for=made.id,
            patient_id=patient,
            now=now,
        )
    except TimeTaken as lost:
        raise SlotTaken(
            alternatives=_alternatives(viewer, patient_id=patient, ref=ref, now=now)
        ) from lost
    insert(made)
    _follow(viewer, made, action=AppointmentHistory.Action.BOOK, now=now)
    publish(
        AppointmentBooked(subject_id=made.id, patient_id=patient, sequence=made.sequence), now=now
    )
    return made


def _appointment(
    viewer: Viewer, *, patient_id: UUID, supply: Supply, ref: OpeningRef, now: datetime
) -> Appointment:
    local = ref.starts_at.astimezone(ZoneInfo(supply.hours.zone))
    return Appointment(
        id=uuid7(now),
        patient_id=patient_id,
        status=_Status.BOOKED,
        starts_at=ref.starts_at,
        ends_at=ref.starts_at + supply.visit.duration,
        zone=supply.hours.zone,
        local_date=local.date(),
        local_time=local.time(),
        schedule_id=supply.schedule_id,
        location_id=supply.location_id,
        visit_type_id=supply.visit_type_id,
        booked_at=now,
        booked_by_id=viewer.user_id,
        created_via=viewer.kind,
    )


def _follow(
    viewer: Viewer, visit: Appointment, *, action: str, now: datetime, reason: str = ""
) -> None:
    """Add the history row and the change-feed line of the visit as it is now."""
    insert(
        AppointmentHistory(
            appointment_id=visit.id,
            patient_id=visit.patient_id,
            version=visit.version,
            action=action,
            status=visit.status,
            starts_at=visit.starts_at,
            ends_at=visit.ends_at,
            at=now,
            actor_id=viewer.user_id,
            via=viewer.kind,
            reason=reason,
        )
    )
    record_change(
        patient_id=visit.patient_id,
        area=Area.APPOINTMENTS,
        resource="Appointment",
        resource_id=visit.id,
        kind=Change.Kind.UPSERT,
        now=now,
    )


def _locked(viewer: Viewer, appointment_id: UUID) -> Appointment:
    visit = (
        appointments_for(viewer)
        .select_for_update(of=("self",))
        .select_related("visit_type", "location")
        .filter(id=appointment_id)
        .first()
    )
    if visit is None:
        raise NotFound()
    return visit


def _free(visit: Appointment, *, now: datetime) -> None:
    """Give back the time of a visit. Every open visit holds some."""
    freed = ResourceClaim.objects.filter(held_for=visit.id, active=True).update(
        active=False, ended_at=now
    )
    freed_hers = PatientClaim.objects.filter(
        patient_id=visit.patient_id, appointment_id=visit.id, active=True
    ).update(active=False)
    if not freed or not freed_hers:
        raise RuntimeError("a visit without its claims cannot be freed")


def cancel(
    *,
    viewer: Viewer,
    appointment_id: UUID,
    now: datetime,
    reason: str = Appointment.CancellationReason.PORTAL,
) -> Appointment:
    """Cancel a visit and free its time in the same transaction.

    Patients and caregivers may cancel until the cut-off of the visit type, with a reason of
    their own; staff at any time while the visit is open.
    Raises: NotFound, StatusConflict, TooLateToCancel, InvalidInput.
    """
    own = viewer.kind in _OWN
    if reason not in (_HER_REASONS if own else Appointment.CancellationReason.values):
        raise InvalidInput(errors=(FieldError("reason", "invalid_choice", "Not a reason here."),))
    visit = _locked(viewer, appointment_id)
    if visit.status not in _CANCELLABLE:
        raise StatusConflict(extra={"appointment_status": visit.status})
    cutoff = timedelta(minutes=visit.visit_type.cancel_cutoff_minutes)
    if own and (now >= visit.starts_at or now > visit.starts_at - cutoff):
        raise TooLateToCancel(extra={"phone": visit.location.phone})
    visit.status = _Status.CANCELLED
    visit.cancelled_at, visit.cancelled_by_id = now, viewer.user_id
    visit.cancellation_reason = reason
    visit.sequence += 1
    visit.version += 1
    visit.save(
        update_fields=[
            "status",
            "cancelled_at",
            "cancelled_by",
            "cancellation_reason",
            "sequence",
            "version",
        ]
    )
    _free(visit, now=now)
    _follow(viewer, visit, action=AppointmentHistory.Action.CANCEL, now=now, reason=reason)
    publish(
        AppointmentCancelled(
            subject_id=visit.id,
            patient_id=visit.patient_id,
            sequence=visit.sequence,
            by=viewer.kind,
        ),
        now=now,
    )
    return visit


def change_status(
    *, viewer: Viewer, appointment_id: UUID, status: str, now: datetime
) -> Appointment:
    """Move a visit along `TRANSITIONS`, as staff do on the day.

    A visit entered in error gives back its time. Raises: NotFound, StatusConflict.
    """
    if viewer.kind in _OWN:
        raise NotFound()
    visit = _locked(viewer, appointment_id)
    if status not in TRANSITIONS[visit.status]:
        raise StatusConflict(extra={"appointment_status": visit.status})
    visit.status = status
    visit.version += 1
    visit.save(update_fields=["status", "version"])
    if status == _Status.ENTERED_IN_ERROR:
        _free(visit, now=now)
    _follow(viewer, visit, action=AppointmentHistory.Action.STATUS, now=now)
    return visit


def _works_for(actor: User, organization_id: UUID, now: datetime) -> bool:
    return (
        Membership.objects.active_at(now)
        .filter(user=actor, organization_id=organization_id, organization__is_active=True)
        .exists()
    )


def block_time(
    *,
    actor: User,
    resource_id: UUID,
    starts_at: datetime,
    ends_at: datetime,
    reason: str,
    now: datetime,
) -> Block:
    """Keep a resource free of visits, in all its lanes; booked or held time is not touched.

    Raises: NotFound, InvalidInput, AppointmentsInTheWay.
    """
    if starts_at >= ends_at:
        raise InvalidInput(errors=(FieldError("ends_at", "invalid", "Ends before it starts."),))
    resource = Resource.objects.filter(id=resource_id).first()
    if resource is None or not _works_for(actor, resource.organization_id, now):
        raise NotFound()
    block = Block(
        resource=resource,
        starts_at=starts_at,
        ends_at=ends_at,
        reason=reason,
        made_at=now,
        made_by=actor,
    )
    try:
        claim(
            pools=[[Place(resource.id, lane)] for lane in range(resource.lanes)],
            starts_at=starts_at,
            ends_at=ends_at,
            kind=ResourceClaim.Kind.BLOCK,
            held_for=block.id,
            now=now,
        )
    except TimeTaken as error:
        raise AppointmentsInTheWay() from error
    block.save(force_insert=True)
    return block


def lift_block(*, actor: User, block_id: UUID, now: datetime) -> Block:
    """End a block and give back its time. Raises: NotFound, StatusConflict."""
    block = (
        Block.objects.select_for_update(of=("self",))
        .select_related("resource")
        .filter(id=block_id)
        .first()
    )
    if block is None or not _works_for(actor, block.resource.organization_id, now):
        raise NotFound()
    if block.lifted_at is not None:
        raise StatusConflict("This block is lifted already.")
    block.lifted_at, block.lifted_by = now, actor
    block.save(update_fields=["lifted_at", "lifted_by"])
    ResourceClaim.objects.filter(held_for=block.id, active=True).update(active=False, ended_at=now)
    return block
