"""Whether she may book a kind of visit herself that is not open to everybody."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from appointments.finding import Offered, openings_for
from appointments.models import Hold, Ticket, VisitType
from appointments.opening_ids import OpeningRef
from appointments.services.refusals import (
    ALTERNATIVES,
    NotSelfBookable,
    TicketDates,
    TicketUsed,
)
from appointments.tickets import WITH_TICKETS, Permit, permits_for
from core.errors import NotFound
from patients.viewer import Viewer

OWN = ("patient", "proxy")
_LOOK_AHEAD = timedelta(days=31)


def permit_to(
    viewer: Viewer,
    *,
    policy: str,
    patient_id: UUID,
    ref: OpeningRef,
    zone: str,
    now: datetime,
    ticket_id: UUID | None = None,
    moving: bool = False,
) -> Permit:
    """Return the ticket with which she may take this opening in `zone`: the first to end.

    `ticket_id` names one of hers. `moving`: it is the one that her visit has, used as it is;
    None, the clinic booked that visit and moves it.
    Raises: NotFound for a ticket that is not hers, NotSelfBookable, TicketDates, TicketUsed.
    """
    refusal = NotSelfBookable(extra={"booking_policy": policy})
    if policy == VisitType.BookingPolicy.VIEW or (moving and ticket_id is None):
        raise refusal
    local = ZoneInfo(zone)
    today, on = now.astimezone(local).date(), ref.starts_at.astimezone(local).date()
    permits = permits_for(patient_id=patient_id, visit_type_id=ref.visit_type_id, now=now)
    if ticket_id is not None:
        permits = [permit for permit in permits if permit.ticket_id == ticket_id]
        if not permits and not _is_hers(viewer, patient_id, ticket_id):
            raise NotFound()
    valid = [permit for permit in permits if permit.latest >= today]
    if not valid:
        raise refusal
    covering = [permit for permit in valid if permit.covers(on)]
    if not covering:
        raise TicketDates(
            alternatives=_within(
                viewer, valid, patient_id=patient_id, ref=ref, today=today, now=now
            ),
            extra={
                "tickets": [
                    {"earliest": permit.earliest, "latest": permit.latest} for permit in valid
                ]
            },
        )
    if moving:
        return covering[0]
    # One with a use left comes before one whose visit could only be moved.
    good = sorted((p for p in covering if p.good), key=lambda p: len(p.used) >= p.uses)
    if not good:
        raise TicketUsed()
    return good[0]


def permit_for_hold(
    viewer: Viewer,
    hold: Hold,
    *,
    ticket_id: UUID | None,
    now: datetime,
    moving: bool = False,
) -> Permit | None:
    """Return the ticket with which she may make use of her hold; None where she needs none.

    An offer is the clinic's own word and needs no ticket.
    Raises: as `permit_to`.
    """
    if viewer.kind not in OWN or hold.purpose != Hold.Purpose.BOOKING:
        return None
    policy = hold.visit_type.booking_policy
    if policy not in WITH_TICKETS and (moving or ticket_id is None):
        return None
    return permit_to(
        viewer,
        policy=policy,
        patient_id=hold.patient_id,
        ref=OpeningRef(hold.schedule_id, hold.visit_type_id, hold.starts_at),
        zone=hold.zone,
        ticket_id=ticket_id,
        moving=moving,
        now=now,
    )


def _is_hers(viewer: Viewer, patient_id: UUID, ticket_id: UUID) -> bool:
    return (
        viewer.patient_id in (None, patient_id)
        and Ticket.objects.filter(patient_id=patient_id, id=ticket_id).exists()
    )


def _within(
    viewer: Viewer,
    permits: Sequence[Permit],
    *,
    patient_id: UUID,
    ref: OpeningRef,
    today: date,
    now: datetime,
) -> list[Offered]:
    first = max(today, min(permit.earliest for permit in permits))
    last = min(first + _LOOK_AHEAD, max(permit.latest for permit in permits))
    return openings_for(
        viewer,
        patient_id=patient_id,
        visit_type_id=ref.visit_type_id,
        first=first,
        last=last,
        now=now,
        limit=ALTERNATIVES,
    ).items
