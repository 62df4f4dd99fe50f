"""Cancel visits, and follow them on the day."""

from datetime import datetime
from uuid import UUID

from appointments.models import Appointment, AppointmentHistory
from appointments.services.permission import OWN
from appointments.services.refusals import NotYet, StatusConflict, TooLateToCancel
from appointments.services.visits import follow, free, locked, past_cutoff
from core.errors import FieldError, InvalidInput, NotFound
from core.events import AppointmentCancelled, publish
from patients.viewer import Viewer

_Status = Appointment.Status

CANCELLABLE = frozenset(
    {_Status.PROPOSED, _Status.PENDING, _Status.BOOKED, _Status.CHECKED_IN, _Status.WAITLIST}
)
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


def cancel(
    *,
    viewer: Viewer,
    appointment_id: UUID,
    now: datetime,
    reason: str = Appointment.CancellationReason.PORTAL,
    version: int | None = None,
) -> Appointment:
    """Cancel a visit and free its time in the same transaction.

    Patients and caregivers may cancel until the cut-off of the visit type, with a reason of
    their own; staff at any time while the visit is open.
    Raises: NotFound, VersionConflict, StatusConflict, TooLateToCancel, InvalidInput.
    """
    own = viewer.kind in OWN
    if reason not in (_HER_REASONS if own else Appointment.CancellationReason.values):
        raise InvalidInput(errors=(FieldError("reason", "invalid_choice", "Not a reason here."),))
    visit = locked(viewer, appointment_id, version)
    if visit.status not in CANCELLABLE:
        raise StatusConflict(extra={"appointment_status": visit.status})
    if past_cutoff(viewer, visit, now):
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
    free(visit, now=now)
    follow(viewer, visit, action=AppointmentHistory.Action.CANCEL, now=now, reason=reason)
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
    *,
    viewer: Viewer,
    appointment_id: UUID,
    status: str,
    now: datetime,
    version: int | None = None,
) -> Appointment:
    """Move a visit along `TRANSITIONS`, as staff do on the day.

    A visit entered in error gives back its time. Nobody is missed before the visit begins.
    Raises: NotFound, VersionConflict, StatusConflict, NotYet.
    """
    if viewer.kind in OWN:
        raise NotFound()
    visit = locked(viewer, appointment_id, version)
    if status not in TRANSITIONS[visit.status]:
        raise StatusConflict(extra={"appointment_status": visit.status})
    if status == _Status.NOSHOW and now < visit.starts_at:
        raise NotYet()
    visit.status = status
    visit.version += 1
    visit.save(update_fields=["status", "version"])
    if status == _Status.ENTERED_IN_ERROR:
        free(visit, now=now)
    follow(viewer, visit, action=AppointmentHistory.Action.STATUS, now=now)
    return visit


def start(
    *, viewer: Viewer, appointment_id: UUID, now: datetime, version: int | None = None
) -> Appointment:
    """Say that somebody is with her now: the visit is in progress from here on.

    FHIR keeps the appointment `arrived` and calls the encounter `in-progress`.
    Raises: NotFound, VersionConflict, StatusConflict.
    """
    if viewer.kind in OWN:
        raise NotFound()
    visit = locked(viewer, appointment_id, version)
    if visit.status != _Status.ARRIVED or visit.started_at is not None:
        raise StatusConflict(extra={"appointment_status": visit.status})
    visit.started_at = now
    visit.version += 1
    visit.save(update_fields=["started_at", "version"])
    follow(viewer, visit, action=AppointmentHistory.Action.START, now=now)
    return visit
