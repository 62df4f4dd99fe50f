"""Book visits. Each call runs in the caller's transaction and identity."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction

from appointments.claims import TimeTaken, claim, take_over
from appointments.models import Appointment, AppointmentHistory, Hold, ResourceClaim
from appointments.opening_ids import OpeningRef, read_opening_id
from appointments.selectors import held_now
from appointments.services.holding import end_hold, locked_hold
from appointments.services.limits import check_limits
from appointments.services.overriding import Override, record_override, set_aside
from appointments.services.permission import permit_for_hold
from appointments.services.refusals import (
    HoldExpired,
    NotSelfBookable,
    SlotTaken,
    TicketUsed,
    alternatives,
)
from appointments.services.visits import follow, offered_supply, spread
from appointments.supplies import Supply
from appointments.tickets import Permit
from core.events import AppointmentBooked, publish
from core.ids import uuid7
from core.prepared import insert
from patients.viewer import Viewer


def book(
    *,
    viewer: Viewer,
    opening: str,
    now: datetime,
    patient_id: UUID | None = None,
    ticket_id: UUID | None = None,
    planned: bool = False,
    override: Override | None = None,
) -> Appointment:
    """Book the opening with this id for the viewer's patient, or as staff for `patient_id`.

    Hours, lead time and horizon are judged at `now`, as they were for the list; whether the
    time is free is judged by the database alone. A time that is kept for her is hers.
    `ticket_id` names the ticket to use where she needs one, None any; `planned` as in
    `offered_supply`. `override` is for staff: what it had to set aside is kept with its reason.
    Raises: NotFound, NotSelfBookable, TicketDates, TicketUsed, NotOffered, TooManyVisits,
    TooManyCancellations, SlotTaken, PatientBusy, OverrideNotPermitted, OverrideNeedsReason; then
    nothing was claimed.
    """
    patient = viewer.patient_id or patient_id
    if patient is None:
        raise ValueError("say for which patient")
    ref = read_opening_id(opening)
    supply = offered_supply(
        viewer,
        patient_id=patient,
        ref=ref,
        ticket_id=ticket_id,
        planned=planned,
        override=override,
        now=now,
    )
    if not planned and supply.permit is None:
        check_limits(viewer, patient_id=patient, now=now)
    made = _appointment(viewer, patient_id=patient, supply=supply, ref=ref, now=now)
    try:
        with _together(supply.permit):
            claim(
                pools=spread(supply),
                starts_at=made.starts_at,
                ends_at=made.ends_at,
                buffer_before=supply.visit.buffer_before,
                buffer_after=supply.visit.buffer_after,
                kind=ResourceClaim.Kind.BOOKING,
                held_for=made.id,
                patient_id=patient,
                site=supply.location_id,
                now=now,
            )
            rules = [] if override is None else set_aside(made, supply)
            words = override.reason.strip() if override is not None and rules else ""
            _made(viewer, made, supply.permit, overrides=rules, override_reason=words, now=now)
    except TimeTaken as lost:
        hers = held_now(viewer, patient_id=patient, ref=ref, now=now)
        if hers is None:
            raise SlotTaken(
                alternatives=alternatives(viewer, patient_id=patient, ref=ref, now=now)
            ) from lost
        return book_kept(viewer, locked_hold(viewer, hers.id), ticket_id=ticket_id, now=now)
    return made


def book_held(
    *, viewer: Viewer, hold_id: UUID, now: datetime, ticket_id: UUID | None = None
) -> Appointment:
    """Make a visit of a time that is kept for her.

    The hold was judged when it was made: hours that changed since do not take it from her. A
    ticket is used only now, so it is judged now.
    Raises: NotFound, HoldExpired, PatientBusy, NotSelfBookable, TicketDates, TicketUsed,
    TooManyVisits, TooManyCancellations.
    """
    return book_kept(viewer, locked_hold(viewer, hold_id), ticket_id=ticket_id, now=now)


def book_kept(
    viewer: Viewer, hold: Hold, *, now: datetime, ticket_id: UUID | None = None
) -> Appointment:
    permit = permit_for_hold(viewer, hold, ticket_id=ticket_id, now=now)
    # An offer that she was made is hers, whatever else she has.
    if permit is None and hold.purpose == Hold.Purpose.BOOKING:
        check_limits(viewer, patient_id=hold.patient_id, now=now)
    ref = OpeningRef(hold.schedule_id, hold.visit_type_id, hold.starts_at)
    made = Appointment(
        id=uuid7(now),
        patient_id=hold.patient_id,
        schedule_id=hold.schedule_id,
        location_id=hold.location_id,
        visit_type_id=hold.visit_type_id,
        **_when(ref, hold.ends_at, hold.zone),
        **_by(viewer, now),
    )
    try:
        with _together(permit):
            take_over(
                hold_id=hold.id,
                held_for=made.id,
                patient_id=hold.patient_id,
                starts_at=made.starts_at,
                ends_at=made.ends_at,
                now=now,
            )
            end_hold(hold, ending=Hold.Ending.BOOKED, now=now)
            _made(viewer, made, permit, now=now)
    except TimeTaken as gone:
        raise HoldExpired(
            alternatives=alternatives(viewer, patient_id=hold.patient_id, ref=ref, now=now)
        ) from gone
    return made


def _together(permit: Permit | None) -> AbstractContextManager[Any]:
    """With a ticket, what was claimed is given back when all its uses turn out to be gone."""
    return nullcontext() if permit is None else transaction.atomic()


def _made(
    viewer: Viewer,
    made: Appointment,
    permit: Permit | None,
    *,
    now: datetime,
    overrides: Sequence[str] = (),
    override_reason: str = "",
) -> None:
    if permit is None:
        insert(made)
    else:
        _insert_with(made, permit)
    follow(
        viewer,
        made,
        action=AppointmentHistory.Action.BOOK,
        overrides=overrides,
        override_reason=override_reason,
        now=now,
    )
    if overrides:
        record_override(made, overrides, now=now)
    publish(
        AppointmentBooked(subject_id=made.id, patient_id=made.patient_id, sequence=made.sequence),
        now=now,
    )


def _insert_with(made: Appointment, permit: Permit) -> None:
    """Insert a visit under a use of the ticket that nobody else has got meanwhile."""
    for use in permit.free_uses():
        made.ticket_id, made.ticket_use = permit.ticket_id, use
        try:
            with transaction.atomic():
                insert(made)
            return
        except IntegrityError as error:
            if "appointment_ticket_allows" in str(error.__cause__):
                raise NotSelfBookable(extra={"booking_policy": "ticket"}) from error
            if "appointment_ticket_use_once" not in str(error):
                raise
    raise TicketUsed()


def _when(ref: OpeningRef, ends_at: datetime, zone: str) -> dict[str, object]:
    local = ref.starts_at.astimezone(ZoneInfo(zone))
    return {
        "starts_at": ref.starts_at,
        "ends_at": ends_at,
        "zone": zone,
        "local_date": local.date(),
        "local_time": local.time(),
    }


def _by(viewer: Viewer, now: datetime) -> dict[str, object]:
    return {
        "status": Appointment.Status.BOOKED,
        "booked_at": now,
        "booked_by_id": viewer.user_id,
        "created_via": viewer.kind,
    }


def _appointment(
    viewer: Viewer, *, patient_id: UUID, supply: Supply, ref: OpeningRef, now: datetime
) -> Appointment:
    return Appointment(
        id=uuid7(now),
        patient_id=patient_id,
        schedule_id=supply.schedule_id,
        location_id=supply.location_id,
        visit_type_id=supply.visit_type_id,
        **_when(ref, ref.starts_at + supply.visit.duration, supply.hours.zone),
        **_by(viewer, now),
    )
