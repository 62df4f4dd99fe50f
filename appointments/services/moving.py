"""Move a visit to another time, and say that she will come."""

from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from appointments.claims import TimeTaken, claim, take_over
from appointments.models import Appointment, AppointmentHistory, Hold, ResourceClaim
from appointments.opening_ids import OpeningRef, read_opening_id
from appointments.prechecks import ANSWERABLE
from appointments.selectors import held_now
from appointments.services.holding import end_hold, locked_hold
from appointments.services.permission import permit_for_hold
from appointments.services.prechecking import reopen
from appointments.services.refusals import (
    HoldExpired,
    OtherVisitType,
    SlotTaken,
    StatusConflict,
    TooLateToMove,
    alternatives,
)
from appointments.services.visits import follow, locked, offered_supply, past_cutoff, spread
from core.events import AppointmentRescheduled, publish
from core.prepared import update
from patients.viewer import Viewer

_Status = Appointment.Status


def reschedule(
    *,
    viewer: Viewer,
    appointment_id: UUID,
    opening: str,
    now: datetime,
    version: int | None = None,
    planned: bool = False,
) -> Appointment:
    """Move a visit to an opening of the same kind. The visit stays the same visit.

    Either she has the new time afterwards or still the old one. A time that is kept for her
    is hers. `planned` as in `offered_supply`.
    Raises: NotFound, VersionConflict, StatusConflict, TooLateToMove, OtherVisitType,
    NotSelfBookable, TicketDates, NotOffered, SlotTaken, PatientBusy.
    """
    visit = movable(viewer, appointment_id, version=version, now=now)
    ref = read_opening_id(opening)
    if ref.visit_type_id != visit.visit_type_id:
        raise OtherVisitType()
    supply = offered_supply(
        viewer,
        patient_id=visit.patient_id,
        ref=ref,
        ticket_id=visit.ticket_id,
        moving=True,
        planned=planned,
        now=now,
    )
    ends_at = ref.starts_at + supply.visit.duration
    try:
        claim(
            pools=spread(supply),
            starts_at=ref.starts_at,
            ends_at=ends_at,
            buffer_before=supply.visit.buffer_before,
            buffer_after=supply.visit.buffer_after,
            kind=ResourceClaim.Kind.BOOKING,
            held_for=visit.id,
            patient_id=visit.patient_id,
            site=supply.location_id,
            now=now,
            moving=True,
        )
    except TimeTaken as lost:
        hers = held_now(viewer, patient_id=visit.patient_id, ref=ref, now=now)
        if hers is None:
            raise SlotTaken(
                alternatives=alternatives(viewer, patient_id=visit.patient_id, ref=ref, now=now)
            ) from lost
        return move_to_held(viewer, visit, locked_hold(viewer, hers.id), now=now)
    return moved(
        viewer,
        visit,
        ref=ref,
        ends_at=ends_at,
        zone=supply.hours.zone,
        location_id=supply.location_id,
        now=now,
    )


def reschedule_held(
    *,
    viewer: Viewer,
    appointment_id: UUID,
    hold_id: UUID,
    now: datetime,
    version: int | None = None,
) -> Appointment:
    """Move a visit to a time that is kept for her.

    Raises: NotFound, VersionConflict, StatusConflict, TooLateToMove, OtherVisitType,
    HoldExpired, PatientBusy, NotSelfBookable, TicketDates.
    """
    visit = movable(viewer, appointment_id, version=version, now=now)
    kept = locked_hold(viewer, hold_id)
    if kept.visit_type_id != visit.visit_type_id or kept.patient_id != visit.patient_id:
        raise OtherVisitType()
    permit_for_hold(viewer, kept, ticket_id=visit.ticket_id, moving=True, now=now)
    return move_to_held(viewer, visit, kept, now=now)


def move_to_held(viewer: Viewer, visit: Appointment, kept: Hold, *, now: datetime) -> Appointment:
    """Move a locked visit to what `kept` claims. Raises: HoldExpired, PatientBusy."""
    ref = OpeningRef(kept.schedule_id, kept.visit_type_id, kept.starts_at)
    try:
        take_over(
            hold_id=kept.id,
            held_for=visit.id,
            patient_id=visit.patient_id,
            starts_at=kept.starts_at,
            ends_at=kept.ends_at,
            now=now,
            moving=True,
        )
    except TimeTaken as gone:
        raise HoldExpired(
            alternatives=alternatives(viewer, patient_id=visit.patient_id, ref=ref, now=now)
        ) from gone
    end_hold(kept, ending=Hold.Ending.BOOKED, now=now)
    return moved(
        viewer,
        visit,
        ref=ref,
        ends_at=kept.ends_at,
        zone=kept.zone,
        location_id=kept.location_id,
        now=now,
    )


def movable(
    viewer: Viewer, appointment_id: UUID, *, now: datetime, version: int | None = None
) -> Appointment:
    """Return the visit, locked, if it may be moved.

    Raises: NotFound, VersionConflict, StatusConflict, TooLateToMove.
    """
    visit = locked(viewer, appointment_id, version)
    if visit.status not in ANSWERABLE:
        raise StatusConflict(extra={"appointment_status": visit.status})
    if past_cutoff(viewer, visit, now):
        raise TooLateToMove(extra={"phone": visit.location.phone})
    return visit


def moved(
    viewer: Viewer,
    visit: Appointment,
    *,
    ref: OpeningRef,
    ends_at: datetime,
    zone: str,
    location_id: UUID,
    now: datetime,
) -> Appointment:
    """Write down that a visit has moved, once its new time is claimed."""
    local = ref.starts_at.astimezone(ZoneInfo(zone))
    visit.starts_at, visit.ends_at, visit.zone = ref.starts_at, ends_at, zone
    visit.local_date, visit.local_time = local.date(), local.time()
    visit.schedule_id, visit.location_id = ref.schedule_id, location_id
    visit.confirmed_at = visit.confirmed_by_id = None
    if visit.status == _Status.CHECKED_IN:
        visit.status = _Status.BOOKED
        reopen(visit)
    visit.sequence += 1
    visit.version += 1
    update(
        visit,
        "starts_at",
        "ends_at",
        "zone",
        "local_date",
        "local_time",
        "schedule",
        "location",
        "confirmed_at",
        "confirmed_by",
        "status",
        "sequence",
        "version",
    )
    follow(viewer, visit, action=AppointmentHistory.Action.RESCHEDULE, now=now)
    publish(
        AppointmentRescheduled(
            subject_id=visit.id,
            patient_id=visit.patient_id,
            sequence=visit.sequence,
            by=viewer.kind,
        ),
        now=now,
    )
    return visit


def confirm(
    *, viewer: Viewer, appointment_id: UUID, now: datetime, version: int | None = None
) -> Appointment:
    """Say that she will come; saying it again changes nothing.

    Raises: NotFound, VersionConflict, StatusConflict when it is over or not booked.
    """
    visit = locked(viewer, appointment_id, version)
    if visit.status not in ANSWERABLE or visit.ends_at <= now:
        raise StatusConflict(extra={"appointment_status": visit.status})
    if visit.confirmed_at is not None:
        return visit
    visit.confirmed_at, visit.confirmed_by_id = now, viewer.user_id
    visit.version += 1
    update(visit, "confirmed_at", "confirmed_by", "version")
    follow(viewer, visit, action=AppointmentHistory.Action.CONFIRM, now=now)
    return visit
