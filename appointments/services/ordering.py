"""Tickets: a clinician lets her book visits of one kind herself."""

from datetime import date, datetime
from uuid import UUID

from accounts.roles import Role
from appointments.models import Ticket, VisitType
from appointments.selectors import visit_types_for
from appointments.services.permission import OWN
from appointments.services.refusals import NotOpen
from core.areas import Area
from core.errors import FieldError, Forbidden, InvalidInput, NotFound
from core.feed import record_change
from core.models import Change
from patients.viewer import Viewer

USES_AT_MOST = 52
AHEAD_AT_MOST_DAYS = 730
_Policy = VisitType.BookingPolicy
_REBOOKABLE = (_Policy.DIRECT, _Policy.REQUEST, _Policy.TICKET)


def by_clinician(viewer: Viewer) -> UUID:
    """Return who orders. Raises: NotFound for patients, Forbidden for other staff."""
    if viewer.kind in OWN or viewer.user_id is None:
        raise NotFound()
    if Role.CLINICIAN not in viewer.roles:
        raise Forbidden()
    return viewer.user_id


def invalid(field: str, code: str, message: str) -> InvalidInput:
    return InvalidInput(message, errors=(FieldError(field, code, message),))


def order_ticket(
    *,
    viewer: Viewer,
    patient_id: UUID,
    visit_type_id: UUID,
    earliest: date,
    latest: date,
    now: datetime,
    uses: int = 1,
    note: str = "",
) -> Ticket:
    """Let her book `uses` visits of this kind from `earliest` to `latest`, as a clinician.

    Raises: NotFound, Forbidden, InvalidInput.
    """
    by = by_clinician(viewer)
    return _give(
        viewer,
        by=by,
        patient_id=patient_id,
        visit_type_id=visit_type_id,
        origin=Ticket.Origin.ORDER,
        earliest=earliest,
        latest=latest,
        uses=uses,
        note=note,
        now=now,
    )


def give_rebooking_ticket(
    *,
    viewer: Viewer,
    patient_id: UUID,
    visit_type_id: UUID,
    earliest: date,
    latest: date,
    now: datetime,
    note: str = "",
) -> Ticket:
    """Let her book one visit anew because the clinic cancelled one. Any staff may.

    She may use it where she would otherwise have to ask; where only the clinic books, there is
    none. Raises: NotFound, InvalidInput.
    """
    if viewer.kind in OWN or viewer.user_id is None:
        raise NotFound()
    return _give(
        viewer,
        by=viewer.user_id,
        patient_id=patient_id,
        visit_type_id=visit_type_id,
        origin=Ticket.Origin.CLINIC_CHANGE,
        priority=Ticket.Priority.ASAP,
        earliest=earliest,
        latest=latest,
        uses=1,
        note=note,
        now=now,
    )


def _give(
    viewer: Viewer,
    *,
    by: UUID,
    patient_id: UUID,
    visit_type_id: UUID,
    origin: str,
    earliest: date,
    latest: date,
    uses: int,
    note: str,
    now: datetime,
    priority: str = Ticket.Priority.ROUTINE,
) -> Ticket:
    visit_type = (
        visit_types_for(viewer, patient_id=patient_id, now=now).filter(id=visit_type_id).first()
    )
    if visit_type is None:
        raise NotFound()
    rebooking = origin == Ticket.Origin.CLINIC_CHANGE
    if visit_type.booking_policy not in (_REBOOKABLE if rebooking else (_Policy.TICKET,)):
        raise invalid("visit_type", "no-ticket-needed", "This kind of visit takes no tickets.")
    if latest < earliest:
        raise invalid("latest", "before-earliest", "Ends before it starts.")
    # West of the server it may still be yesterday.
    if (latest - now.date()).days < -1:
        raise invalid("latest", "past", "These days are over.")
    if (latest - now.date()).days > AHEAD_AT_MOST_DAYS:
        raise invalid("latest", "too-far", "At most two years ahead.")
    if not 1 <= uses <= USES_AT_MOST:
        raise invalid("uses", "out-of-range", f"From 1 to {USES_AT_MOST}.")
    made = Ticket.objects.create(
        patient_id=patient_id,
        visit_type=visit_type,
        origin=origin,
        priority=priority,
        ordered_at=now,
        ordered_by_id=by,
        earliest=earliest,
        latest=latest,
        uses=uses,
        note=note.strip().encode() or None,
    )
    _follow(made, now)
    return made


def cancel_ticket(*, viewer: Viewer, ticket_id: UUID, reason: str, now: datetime) -> Ticket:
    """Take a ticket back; visits that were booked with it stay. As a clinician.

    Raises: NotFound, Forbidden, InvalidInput without a reason, NotOpen when it is cancelled.
    """
    by = by_clinician(viewer)
    if not reason.strip():
        raise invalid("cancel_reason", "required", "Say why.")
    found = Ticket.objects.select_for_update(of=("self",)).filter(id=ticket_id).first()
    if found is None:
        raise NotFound()
    if found.cancelled_at is not None:
        raise NotOpen()
    found.cancelled_at, found.cancelled_by_id = now, by
    found.cancel_reason = reason.strip()[:160]
    found.save(update_fields=["cancelled_at", "cancelled_by", "cancel_reason"])
    _follow(found, now)
    return found


def _follow(ticket: Ticket, now: datetime) -> None:
    record_change(
        patient_id=ticket.patient_id,
        area=Area.APPOINTMENTS,
        resource="ServiceRequest",
        resource_id=ticket.id,
        kind=Change.Kind.UPSERT,
        now=now,
    )
