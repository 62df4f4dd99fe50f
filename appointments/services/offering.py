"""Offer what is free to who waits: the tick, and the bells that ring it early.

Each offer is a transaction of its own: the entry is locked (one that somebody else has locked is
passed over), the time is kept by a hold, and the constraints of offers and claims decide. Any
number of ticks may run at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from accounts.scopes import Scope
from appointments.models import (
    Appointment,
    Hold,
    VisitType,
    WaitlistEntry,
    WaitlistOffer,
)
from appointments.opening_ids import OpeningRef
from appointments.prechecks import ANSWERABLE
from appointments.services.holding import make_hold
from appointments.services.waitlist import (
    end_entry,
    follow_booking,
    follow_visit,
    settle_offer,
    tell_feed,
)
from appointments.supplies import Supply
from appointments.waiting import Choice, Order, Waiting, choose
from appointments.waitlists import (
    doubtful_entries,
    is_past,
    line_of,
    openings_of,
    waited_for,
)
from core.areas import SYSTEM_PURPOSES
from core.db import identity, system
from core.events.registry import Delivered
from core.ids import uuid7
from notifications.purposes import Purpose
from notifications.selectors import (
    caregivers_to_tell,
    channels_of_many,
    contact_refusal,
    user_of_patient,
)
from notifications.services import Draft, plan_many
from patients.viewer import Viewer

BATCH = 200
ROUNDS = 3
"""How often a tick plans anew when a time was lost to somebody else meanwhile."""

_Status = WaitlistEntry.Status
_Ending = WaitlistEntry.Ending
_ONE_OFFER = ("waitlist_offer_open_once", "waitlist_offer_one_place_at_a_time")
_PURPOSE = "booking"
_SYSTEM = Viewer(
    kind="system",
    user_id=None,
    patient_id=None,
    scopes=frozenset(),
    areas=frozenset(SYSTEM_PURPOSES[_PURPOSE]),
    purpose=_PURPOSE,
)


@dataclass(slots=True)
class OfferingOutcome:
    """What one tick did: offers that ran out, entries that ended, offers made."""

    expired: int = 0
    ended: int = 0
    offered: int = 0


def offer_openings(*, now: datetime, organization_id: UUID | None = None) -> OfferingOutcome:
    """End what is over, then offer every opening that fits somebody to the first in line.

    Safe at any time and in any number of workers; must run outside a transaction.
    """
    outcome = OfferingOutcome()
    while (count := _expire_batch(now=now)) > 0:
        outcome.expired += count
    outcome.ended = _end_entries(now=now)
    with identity(system(_PURPOSE)):
        kinds = waited_for(organization_id)
    for visit_type in kinds:
        outcome.offered += _offer_kind(visit_type, now=now)
    return outcome


def _expire_batch(*, now: datetime) -> int:
    with identity(system(_PURPOSE)):
        due = list(
            WaitlistOffer.objects.select_for_update(skip_locked=True, of=("self",))
            .filter(status=WaitlistOffer.Status.OPEN, answer_until__lte=now)
            .select_related("hold")
            .order_by("answer_until")[:BATCH]
        )
        for offer in due:
            settle_offer(offer, WaitlistOffer.Status.EXPIRED, now=now)
    return len(due)


def _end_entries(*, now: datetime) -> int:
    with identity(system(_PURPOSE)):
        doubtful = list(
            doubtful_entries(now)
            .select_for_update(skip_locked=True, of=("self",))
            .select_related("appointment", "visit_type__organization")
            .order_by("id")
        )
        for entry in doubtful:
            _end_if_over(entry, now=now)
    return sum(entry.status != _Status.ACTIVE for entry in doubtful)


def _end_if_over(entry: Any, *, now: datetime) -> None:
    if entry.contact_refusal in ("deceased", "inactive"):
        end_entry(entry, _Status.EXPIRED, _Ending(entry.contact_refusal), now=now)
    elif not entry.is_enrolled:
        end_entry(entry, _Status.EXPIRED, _Ending.NOT_HERE, now=now)
    elif is_past(entry, zone=entry.visit_type.organization.zone, now=now):
        end_entry(entry, _Status.EXPIRED, _Ending.WINDOWS_OVER, now=now)
    elif entry.appointment is not None:
        follow_visit(entry, entry.appointment, now=now)


def _offer_kind(visit_type: VisitType, *, now: datetime) -> int:
    offered = 0
    for _ in range(ROUNDS):
        choices, supplies = _plan(visit_type, now=now)
        made = sum(
            _offer(choice, supplies[choice.free.opening.schedule_id], now=now) for choice in choices
        )
        offered += made
        if made == len(choices):
            break
    return offered


def _plan(visit_type: VisitType, *, now: datetime) -> tuple[list[Choice], dict[UUID, Supply]]:
    """Decide what to offer to whom, and keep why others are offered nothing."""
    with identity(system(_PURPOSE)):
        line = line_of(visit_type, now=now)
        if not line:
            return [], {}
        entries = WaitlistEntry.objects.in_bulk([who.entry_id for who in line])
        someone = entries[line[0].entry_id].patient_id
        found = openings_of(_SYSTEM, visit_type, line, patient_id=someone, now=now)
        choices, why_not = choose(
            line,
            found.free,
            order=cast(Order, visit_type.waitlist_order),
            answer=timedelta(minutes=visit_type.waitlist_answer_minutes),
            lead_time=timedelta(minutes=visit_type.lead_time_minutes),
            now=now,
        )
        _keep_reasons(line, entries, why_not, now=now)
    return choices, found.supplies


def _keep_reasons(
    line: Sequence[Waiting],
    entries: dict[UUID, WaitlistEntry],
    why_not: dict[UUID, str],
    *,
    now: datetime,
) -> None:
    """Write why something that fits is not offered, where that has changed."""
    for who in line:
        why = why_not.get(who.entry_id, "")
        if entries[who.entry_id].passed_over != why:
            WaitlistEntry.objects.filter(id=who.entry_id, status=_Status.ACTIVE).update(
                passed_over=why, passed_over_at=now if why else None
            )


def _offer(choice: Choice, supply: Supply, *, now: datetime) -> bool:
    """Make one offer; False when the time or the person is no longer to be had."""
    with identity(system(_PURPOSE)):
        entry = (
            WaitlistEntry.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("appointment")
            .filter(id=choice.entry_id, status=_Status.ACTIVE)
            .first()
        )
        if entry is None or not _still_wanted(entry, choice, now=now):
            return False
        try:
            with transaction.atomic():
                offer = _make(entry, choice, supply, now=now)
        except IntegrityError as error:
            if not any(name in str(error) for name in _ONE_OFFER):
                raise
            return False
        if offer is None:
            return False
        tell_feed(offer, now=now)
        _tell(offer, now=now)
    return True


def _still_wanted(entry: WaitlistEntry, choice: Choice, *, now: datetime) -> bool:
    visit = entry.appointment
    is_earlier = visit is None or (
        visit.status in ANSWERABLE and choice.free.opening.starts_at < visit.starts_at
    )
    return is_earlier and not contact_refusal(entry.patient_id, now)


def _make(
    entry: WaitlistEntry, choice: Choice, supply: Supply, *, now: datetime
) -> WaitlistOffer | None:
    opening = choice.free.opening
    kept = make_hold(
        _SYSTEM,
        patient_id=entry.patient_id,
        supply=supply,
        ref=OpeningRef(opening.schedule_id, opening.visit_type_id, opening.starts_at),
        purpose=Hold.Purpose.OFFER,
        expires_at=choice.answer_until,
        now=now,
    )
    if kept is None:
        return None
    offer = WaitlistOffer(
        id=uuid7(now),
        entry=entry,
        patient_id=entry.patient_id,
        hold=kept,
        during=DateTimeTZRange(kept.starts_at, kept.ends_at),
        offered_at=now,
        answer_until=choice.answer_until,
        rank=choice.rank,
        reason=_reason(entry, choice),
    )
    offer.save(force_insert=True)
    return offer


def _reason(entry: WaitlistEntry, choice: Choice) -> dict[str, Any]:
    """Return why she was asked, for staff. Counts only: it names nobody else."""
    words = [
        f"urgency {entry.urgency}",
        f"waiting since {entry.made_at:%Y-%m-%d %H:%M} UTC",
        f"number {choice.rank} of {choice.others + 1} it fitted",
        *(f"{count} passed over: {why}" for why, count in choice.passed_over.items()),
    ]
    return {
        "urgency": entry.urgency,
        "waiting_since": entry.made_at.isoformat(),
        "others_matched": choice.others,
        "passed_over": choice.passed_over,
        "text": "; ".join(words),
    }


def _tell(offer: WaitlistOffer, *, now: datetime) -> None:
    """Plan the notice, to her and to caregivers who may see her visits."""
    with identity(system("notifications")):
        her = user_of_patient(offer.patient_id)
        people = ([] if her is None else [her]) + caregivers_to_tell(
            offer.patient_id, scope=Scope.APPOINTMENTS_READ, about=offer.id, at=now
        )
        channels = channels_of_many(people, Purpose.VISIT_OFFER)
        plan_many(
            [
                Draft(
                    recipient=person,
                    patient_id=offer.patient_id,
                    purpose=Purpose.VISIT_OFFER,
                    occurrence=f"offer:{offer.id}",
                    channel=channel,
                    subject_id=offer.id,
                    send_after=now,
                    expires_at=offer.answer_until,
                )
                for person in people
                for channel in channels[person.pk]
            ],
            now=now,
        )


# --- bells ------------------------------------------------------------------------------------


def on_visit_changed(delivered: Delivered) -> None:
    """A visit was moved or cancelled: her own entry follows it, and its time is offered on."""
    organization_id = None
    with identity(system(_PURPOSE)):
        visit = _visit(delivered)
        if visit is None:
            return
        organization_id = visit.visit_type.organization_id
        for entry in (
            WaitlistEntry.objects.select_for_update(of=("self",))
            .filter(patient_id=visit.patient_id, appointment=visit, status=_Status.ACTIVE)
            .order_by("id")
        ):
            follow_visit(entry, visit, now=delivered.now)
    offer_openings(now=delivered.now, organization_id=organization_id)


def on_visit_booked(delivered: Delivered) -> None:
    """She has a visit now: what she waited for may be fulfilled by it."""
    with identity(system(_PURPOSE)):
        visit = _visit(delivered)
        if visit is not None:
            follow_booking(visit, now=delivered.now)


def on_offer_over(delivered: Delivered) -> None:
    """A time was given back: offer it on."""
    with identity(system(_PURPOSE)):
        organization_id = (
            WaitlistOffer.objects.filter(id=delivered.subject_id)
            .values_list("entry__visit_type__organization_id", flat=True)
            .first()
        )
    if organization_id is not None:
        offer_openings(now=delivered.now, organization_id=organization_id)


def _visit(delivered: Delivered) -> Appointment | None:
    if delivered.patient_id is None:
        return None
    return (
        Appointment.objects.select_related("visit_type")
        .filter(id=delivered.subject_id, patient_id=delivered.patient_id)
        .first()
    )
