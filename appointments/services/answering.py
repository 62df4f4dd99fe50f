"""Answer an offer: take the time, or let it go to the next person."""

from datetime import datetime
from uuid import UUID

from appointments.models import Appointment, Hold, WaitlistEntry, WaitlistOffer
from appointments.opening_ids import OpeningRef
from appointments.prechecks import ANSWERABLE
from appointments.services.booking import book_kept
from appointments.services.moving import move_to_held
from appointments.services.refusals import HoldExpired, OfferOver, alternatives
from appointments.services.visits import locked
from appointments.services.waitlist import (
    cancelled_by_clinic,
    end_entry,
    locked_entry,
    settle_offer,
)
from appointments.waitlists import offers_for
from core.errors import NotFound
from patients.viewer import Viewer


def accept(*, viewer: Viewer, offer_id: UUID, now: datetime) -> WaitlistOffer:
    """Take the time that is kept for her: her visit moves to it, or she gets a new visit.

    One transaction: until it commits she has the time that she had. Before the end of the
    offer nobody else can have the new time, and no cut-off stands in the way.
    Raises: NotFound, OfferOver, PatientBusy when she booked another visit then.
    """
    entry, offer = _locked(viewer, offer_id)
    kept = Hold.objects.select_for_update(of=("self",)).get(
        patient_id=offer.patient_id, id=offer.hold_id
    )
    if not _is_open(entry, offer, now=now):
        raise _over(viewer, offer, kept, now=now)
    visit = None
    if entry.appointment_id is not None:
        visit = locked(viewer, entry.appointment_id)
        if cancelled_by_clinic(visit):
            visit = None
        elif visit.status not in ANSWERABLE or visit.starts_at <= kept.starts_at:
            raise _over(viewer, offer, kept, now=now)
    try:
        made = _take(viewer, visit, kept, now=now)
    except HoldExpired as gone:
        raise _over(viewer, offer, kept, now=now) from gone
    settle_offer(offer, WaitlistOffer.Status.ACCEPTED, viewer=viewer, visit=made, now=now)
    end_entry(
        entry,
        WaitlistEntry.Status.FULFILLED,
        WaitlistEntry.Ending.ACCEPTED,
        by=viewer.user_id,
        now=now,
    )
    return offer


def decline(*, viewer: Viewer, offer_id: UUID, now: datetime) -> WaitlistOffer:
    """Let the offered time go to the next person; she waits on. Twice is no error.

    Raises: NotFound, OfferOver.
    """
    entry, offer = _locked(viewer, offer_id)
    if offer.status == WaitlistOffer.Status.DECLINED:
        return offer
    if not _is_open(entry, offer, now=now):
        raise _over(viewer, offer, offer.hold, now=now)
    settle_offer(offer, WaitlistOffer.Status.DECLINED, viewer=viewer, now=now, ring=True)
    return offer


def _take(viewer: Viewer, visit: Appointment | None, kept: Hold, *, now: datetime) -> Appointment:
    if visit is None:
        return book_kept(viewer, kept, now=now)
    return move_to_held(viewer, visit, kept, now=now)


def _locked(viewer: Viewer, offer_id: UUID) -> tuple[WaitlistEntry, WaitlistOffer]:
    """Return an offer in reach and its entry, both locked, the entry first. Raises: NotFound."""
    found = offers_for(viewer).filter(id=offer_id)
    entry_id = found.values_list("entry_id", flat=True).first()
    if entry_id is None:
        raise NotFound()
    entry = locked_entry(viewer, entry_id)
    return entry, found.select_related("hold").select_for_update(of=("self",)).get()


def _is_open(entry: WaitlistEntry, offer: WaitlistOffer, *, now: datetime) -> bool:
    return (
        offer.status == WaitlistOffer.Status.OPEN
        and now < offer.answer_until
        and entry.status == WaitlistEntry.Status.ACTIVE
    )


def _over(viewer: Viewer, offer: WaitlistOffer, kept: Hold, *, now: datetime) -> OfferOver:
    """Return the refusal, with what else is free. Its own end counts when nobody noted it yet."""
    status = offer.status
    if status == WaitlistOffer.Status.OPEN and now >= offer.answer_until:
        status = WaitlistOffer.Status.EXPIRED
    ref = OpeningRef(kept.schedule_id, kept.visit_type_id, kept.starts_at)
    return OfferOver(
        alternatives=alternatives(viewer, patient_id=offer.patient_id, ref=ref, now=now),
        extra={"offer_status": status},
    )
