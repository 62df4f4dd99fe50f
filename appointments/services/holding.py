"""Keep an opening for somebody while she decides: hold, renew once, release."""

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection

from appointments.claims import TimeTaken, claim
from appointments.models import Hold, ResourceClaim
from appointments.opening_ids import OpeningRef, read_opening_id
from appointments.selectors import held_now, holds_for
from appointments.services.refusals import (
    HoldExpired,
    HoldRenewed,
    SlotTaken,
    TooManyHolds,
    alternatives,
)
from appointments.services.visits import offered_supply, spread
from appointments.supplies import Supply
from core.errors import NotFound
from core.ids import uuid7
from core.prepared import insert, update
from patients.viewer import Viewer

HELD_FOR: timedelta = settings.VISIT_HELD_FOR
HOLDS_AT_MOST = 3


def hold(*, viewer: Viewer, opening: str, now: datetime, patient_id: UUID | None = None) -> Hold:
    """Keep an opening for `HELD_FOR`. Asked for again, the hold that is there is returned.

    With a ticket that is used up she may still keep another time for a visit she has with it.
    Raises: NotFound, NotSelfBookable, TicketDates, TicketUsed, NotOffered, SlotTaken,
    TooManyHolds.
    """
    patient = viewer.patient_id or patient_id
    if patient is None:
        raise ValueError("say for which patient")
    ref = read_opening_id(opening)
    supply = offered_supply(viewer, patient_id=patient, ref=ref, now=now)
    _one_at_a_time(patient)
    there = held_now(viewer, patient_id=patient, ref=ref, now=now)
    if there is not None:
        return there
    mine = holds_for(viewer, now=now).filter(patient_id=patient, purpose=Hold.Purpose.BOOKING)
    if mine.count() >= HOLDS_AT_MOST:
        raise TooManyHolds(extra={"at_most": HOLDS_AT_MOST})
    made = make_hold(
        viewer,
        patient_id=patient,
        supply=supply,
        ref=ref,
        purpose=Hold.Purpose.BOOKING,
        expires_at=now + HELD_FOR,
        now=now,
    )
    if made is None:
        raise SlotTaken(alternatives=alternatives(viewer, patient_id=patient, ref=ref, now=now))
    return made


def make_hold(
    viewer: Viewer,
    *,
    patient_id: UUID,
    supply: Supply,
    ref: OpeningRef,
    purpose: str,
    expires_at: datetime,
    now: datetime,
) -> Hold | None:
    """Claim the time of an opening until `expires_at`; None when somebody else has it."""
    made = Hold(
        id=uuid7(now),
        patient_id=patient_id,
        schedule_id=supply.schedule_id,
        location_id=supply.location_id,
        visit_type_id=supply.visit_type_id,
        purpose=purpose,
        starts_at=ref.starts_at,
        ends_at=ref.starts_at + supply.visit.duration,
        zone=supply.hours.zone,
        made_at=now,
        made_by_id=viewer.user_id,
        made_via=viewer.kind,
        expires_at=expires_at,
    )
    try:
        claim(
            pools=spread(supply),
            starts_at=made.starts_at,
            ends_at=made.ends_at,
            buffer_before=supply.visit.buffer_before,
            buffer_after=supply.visit.buffer_after,
            kind=ResourceClaim.Kind.HOLD,
            held_for=made.id,
            expires_at=expires_at,
            site=supply.location_id,
            now=now,
        )
    except TimeTaken:
        return None
    insert(made)
    return made


def renew(*, viewer: Viewer, hold_id: UUID, now: datetime) -> Hold:
    """Keep an opening for `HELD_FOR` more, once. Raises: NotFound, HoldExpired, HoldRenewed."""
    kept = locked_hold(viewer, hold_id)
    if kept.renewed_at is not None:
        raise HoldRenewed()
    until = now + HELD_FOR
    moved = ResourceClaim.objects.filter(
        held_for=kept.id, active=True, kind=ResourceClaim.Kind.HOLD, expires_at__gt=now
    ).update(expires_at=until)
    if kept.ended_at is not None or not moved:
        ref = OpeningRef(kept.schedule_id, kept.visit_type_id, kept.starts_at)
        raise HoldExpired(
            alternatives=alternatives(viewer, patient_id=kept.patient_id, ref=ref, now=now)
        )
    kept.renewed_at, kept.expires_at = now, until
    update(kept, "renewed_at", "expires_at")
    return kept


def release(*, viewer: Viewer, hold_id: UUID, now: datetime) -> Hold:
    """Give an opening back before its time; releasing twice is no error. Raises: NotFound."""
    kept = locked_hold(viewer, hold_id)
    if kept.ended_at is None:
        end_hold(kept, ending=Hold.Ending.RELEASED, now=now)
    return kept


def locked_hold(viewer: Viewer, hold_id: UUID) -> Hold:
    """Return a hold of her own choosing, locked, whatever became of it. Raises: NotFound."""
    found = (
        Hold.objects.select_for_update(of=("self",))
        .select_related("visit_type")
        .filter(id=hold_id, purpose=Hold.Purpose.BOOKING)
    )
    if viewer.patient_id is not None:
        found = found.filter(patient_id=viewer.patient_id)
    kept = found.first()
    if kept is None:
        raise NotFound()
    return kept


def end_hold(kept: Hold, *, ending: str, now: datetime) -> None:
    """Say what became of a hold and give back what it still claims."""
    kept.ended_at, kept.ending = now, ending
    update(kept, "ended_at", "ending")
    ResourceClaim.objects.filter(held_for=kept.id, active=True).update(active=False, ended_at=now)


def _one_at_a_time(patient_id: UUID) -> None:
    """Let one hold of a patient be made at a time: they are counted."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"holds:{patient_id}"]
        )
