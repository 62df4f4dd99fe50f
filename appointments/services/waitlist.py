"""Entries and offers of the waitlist: how they end, and how they follow her visits."""

from datetime import datetime
from uuid import UUID

from django.db.models import Q

from appointments.events import WaitlistOfferOver
from appointments.models import (
    Appointment,
    AppointmentHistory,
    Hold,
    WaitlistEntry,
    WaitlistOffer,
)
from appointments.prechecks import ANSWERABLE
from appointments.services.holding import end_hold
from appointments.services.permission import OWN
from appointments.services.refusals import (
    NotWaiting,
)
from appointments.slots import Opening
from appointments.waiting import Free, Wish, fits
from appointments.waitlists import entries_for, wish_of
from core.areas import Area
from core.errors import NotFound
from core.events import publish
from core.feed import record_change
from core.models import Change
from notifications.services import withdraw as withdraw_notices
from patients.viewer import Viewer

_Status = WaitlistEntry.Status
_Ending = WaitlistEntry.Ending
_Offer = WaitlistOffer.Status


def leave(*, viewer: Viewer, entry_id: UUID, now: datetime) -> WaitlistEntry:
    """Wait no longer; an open offer is taken back. Doing it twice is no error.

    Raises: NotFound, NotWaiting when the wish was fulfilled or has expired.
    """
    entry = locked_entry(viewer, entry_id)
    if entry.status == _Status.WITHDRAWN:
        return entry
    if entry.status != _Status.ACTIVE:
        raise NotWaiting(extra={"entry_status": entry.status})
    end_entry(entry, _Status.WITHDRAWN, _Ending.ASKED, by=viewer.user_id, now=now, ring=True)
    return entry


def set_urgency(*, viewer: Viewer, entry_id: UUID, reason: str, now: datetime) -> WaitlistEntry:
    """Call an entry urgent for a reason, or routine again with an empty one. Staff only.

    Raises: NotFound, NotWaiting.
    """
    if viewer.kind in OWN:
        raise NotFound()
    entry = locked_entry(viewer, entry_id)
    if entry.status != _Status.ACTIVE:
        raise NotWaiting(extra={"entry_status": entry.status})
    for name, value in urgency_fields(viewer, reason, now).items():
        setattr(entry, name, value)
    entry.save(update_fields=["urgency", "urgency_reason", "urgency_set_at", "urgency_set_by"])
    return entry


# --- for the other parts of the waitlist ------------------------------------------------------


def locked_entry(viewer: Viewer, entry_id: UUID) -> WaitlistEntry:
    """Return an entry in reach, locked. Whoever needs its offers locks it first.

    Raises: NotFound.
    """
    entry = entries_for(viewer).select_for_update(of=("self",)).filter(id=entry_id).first()
    if entry is None:
        raise NotFound()
    return entry


def end_entry(
    entry: WaitlistEntry,
    status: str,
    ending: str,
    *,
    now: datetime,
    by: UUID | None = None,
    ring: bool = False,
) -> None:
    """End a locked entry and take back its open offer."""
    entry.status, entry.ending = status, ending
    entry.ended_at, entry.ended_by_id = now, by
    entry.passed_over, entry.passed_over_at = "", None
    entry.save(
        update_fields=[
            *("status", "ending", "ended_at", "ended_by", "passed_over", "passed_over_at")
        ]
    )
    tell_feed(entry, now=now)
    withdraw_offers(entry, now=now, ring=ring)


def withdraw_offers(
    entry: WaitlistEntry, *, now: datetime, unless: Q | None = None, ring: bool = False
) -> None:
    """Take back the open offer of a locked entry; not what `unless` describes."""
    found = WaitlistOffer.objects.filter(
        patient_id=entry.patient_id, entry=entry, status=_Offer.OPEN
    )
    if unless is not None:
        found = found.exclude(unless)
    for offer in found.select_related("hold").select_for_update(of=("self",)):
        settle_offer(offer, _Offer.WITHDRAWN, now=now, ring=ring)


def settle_offer(
    offer: WaitlistOffer,
    status: str,
    *,
    now: datetime,
    viewer: Viewer | None = None,
    visit: Appointment | None = None,
    ring: bool = False,
) -> None:
    """Say what became of a locked offer; unless it was accepted, give its time back.

    `viewer` is who answered. `ring`: let the time be offered on without waiting for the tick.
    """
    offer.status, offer.settled_at = status, now
    if viewer is not None:
        offer.answered_by_id, offer.answered_via = viewer.user_id, viewer.kind
    offer.appointment = visit
    offer.save(update_fields=["status", "settled_at", "answered_by", "answered_via", "appointment"])
    if status != _Offer.ACCEPTED:
        end_hold(offer.hold, ending=Hold.Ending.RELEASED, now=now)
    withdraw_notices(
        subject_id=offer.id, patient_id=offer.patient_id, reason="no-longer-applies", now=now
    )
    tell_feed(offer, now=now)
    if ring:
        publish(
            WaitlistOfferOver(subject_id=offer.id, patient_id=offer.patient_id, status=status),
            now=now,
        )


def tell_feed(row: WaitlistEntry | WaitlistOffer, *, now: datetime) -> None:
    """Add the line of the change feed for an entry or offer."""
    record_change(
        patient_id=row.patient_id,
        area=Area.APPOINTMENTS,
        resource=type(row).__name__,
        resource_id=row.id,
        kind=Change.Kind.UPSERT,
        now=now,
    )


# --- her visits change ------------------------------------------------------------------------


def cancelled_by_clinic(visit: Appointment) -> bool:
    """Return whether the clinic cancelled a visit that she wanted to keep."""
    if visit.status != Appointment.Status.CANCELLED or visit.cancellation_reason.startswith("pat"):
        return False
    return (
        AppointmentHistory.objects.filter(
            patient_id=visit.patient_id,
            appointment_id=visit.id,
            action=AppointmentHistory.Action.CANCEL,
            via=Appointment.Via.STAFF,
        ).exists()
        and visit.cancellation_reason != Appointment.CancellationReason.ERROR
    )


def follow_visit(entry: WaitlistEntry, visit: Appointment, *, now: datetime) -> None:
    """Let a locked, active entry follow what became of the visit that it wants earlier.

    Cancelled by the clinic, she goes on waiting, now for any visit; cancelled by her, begun
    or over, she waits no longer. An offer that is no longer earlier is taken back.
    """
    if cancelled_by_clinic(visit) and not _waits_without_visit(entry):
        entry.appointment = None
        entry.save(update_fields=["appointment"])
        tell_feed(entry, now=now)
    elif visit.status not in ANSWERABLE or visit.starts_at <= now:
        end_entry(entry, _Status.EXPIRED, _Ending.VISIT_OVER, now=now)
    else:
        withdraw_offers(entry, unless=Q(hold__starts_at__lt=visit.starts_at), now=now)


def follow_booking(visit: Appointment, *, now: datetime) -> None:
    """Let the patient's entries follow a visit that she got otherwise.

    An entry without a visit is fulfilled by one that fits its windows; by any other it goes
    on, for an earlier time than that. Offers for the same time are taken back.
    """
    if visit.status not in ANSWERABLE:
        return
    active = (
        WaitlistEntry.objects.filter(patient_id=visit.patient_id, status=_Status.ACTIVE)
        .select_for_update(of=("self",))
        .order_by("id")
    )
    for entry in active:
        if entry.appointment_id is None and entry.visit_type_id == visit.visit_type_id:
            _fulfil_or_attach(entry, visit, now=now)
        if entry.status == _Status.ACTIVE:
            together = Q(during__overlap=(visit.starts_at, visit.ends_at))
            withdraw_offers(entry, unless=~together, now=now)


def _fulfil_or_attach(entry: WaitlistEntry, visit: Appointment, *, now: datetime) -> None:
    wish = wish_of(entry)
    place = Free.at(
        Opening(visit.schedule_id, visit.visit_type_id, visit.starts_at, visit.ends_at),
        location_id=visit.location_id,
        zone=visit.zone,
    )
    waited_for_earlier = WaitlistEntry.objects.filter(
        patient_id=visit.patient_id, appointment=visit, status=_Status.ACTIVE
    )
    if fits(Wish(wish.windows, wish.locations), place, now=visit.starts_at) or (
        waited_for_earlier.exists()
    ):
        end_entry(entry, _Status.FULFILLED, _Ending.BOOKED, now=now)
        return
    entry.appointment = visit
    entry.save(update_fields=["appointment"])
    tell_feed(entry, now=now)
    withdraw_offers(entry, unless=Q(hold__starts_at__lt=visit.starts_at), now=now)


def _waits_without_visit(entry: WaitlistEntry) -> bool:
    return WaitlistEntry.objects.filter(
        patient_id=entry.patient_id,
        visit_type_id=entry.visit_type_id,
        status=_Status.ACTIVE,
        appointment__isnull=True,
    ).exists()


def urgency_fields(viewer: Viewer, reason: str, now: datetime) -> dict[str, object]:
    """Return what an entry keeps of its urgency; without a reason it is routine."""
    if not reason:
        return {
            "urgency": WaitlistEntry.Urgency.ROUTINE,
            "urgency_reason": "",
            "urgency_set_at": None,
            "urgency_set_by_id": None,
        }
    return {
        "urgency": WaitlistEntry.Urgency.URGENT,
        "urgency_reason": reason,
        "urgency_set_at": now,
        "urgency_set_by_id": viewer.user_id,
    }
