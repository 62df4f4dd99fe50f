"""What every change of a visit has in common: lock it, follow it, free its time."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from appointments.models import (
    Appointment,
    AppointmentHistory,
    PatientClaim,
    ResourceClaim,
    VisitType,
)
from appointments.opening_ids import OpeningRef
from appointments.plans import PLANNED_AHEAD
from appointments.selectors import appointments_for
from appointments.services.overriding import Override, eased
from appointments.services.permission import OWN, permit_to
from appointments.services.refusals import NotOffered, VersionConflict, alternatives
from appointments.slots import is_offered
from appointments.supplies import Place, Supply, supply_for
from core.areas import Area
from core.errors import NotFound
from core.feed import record_change
from core.models import Change
from core.prepared import insert
from patients.viewer import Viewer


def offered_supply(
    viewer: Viewer,
    *,
    patient_id: UUID,
    ref: OpeningRef,
    now: datetime,
    ticket_id: UUID | None = None,
    moving: bool = False,
    planned: bool = False,
    override: Override | None = None,
) -> Supply:
    """Return what the opening is made of, if it may be booked by this viewer at `now`.

    Whether the time is free is judged by the database alone, at the claim. Where she needs a
    ticket or names one, the supply carries it: the one named, else the first to end. `moving`:
    a visit keeps the ticket `ticket_id` that it has. `planned`: a clinician's plan asks for the
    visit, whatever the booking policy and however far ahead. `override`: staff may set lead time
    and horizon aside; the supply says which it was.
    Raises: NotFound, NotSelfBookable, TicketDates, TicketUsed, NotOffered, OverrideNotPermitted,
    OverrideNeedsReason.
    """
    policy, supplies = supply_for(
        viewer,
        patient_id=patient_id,
        visit_type_id=ref.visit_type_id,
        schedule_id=ref.schedule_id,
        first=ref.starts_at.date(),
        last=ref.starts_at.date(),
        now=now,
    )
    supply = supplies[0]
    if planned:
        further = replace(supply.visit, horizon=max(supply.visit.horizon, PLANNED_AHEAD))
        supply = replace(supply, visit=further)
    elif viewer.kind in OWN and (
        policy != VisitType.BookingPolicy.DIRECT or (ticket_id is not None and not moving)
    ):
        permit = permit_to(
            viewer,
            policy=policy,
            patient_id=patient_id,
            ref=ref,
            zone=supply.hours.zone,
            ticket_id=ticket_id,
            moving=moving,
            now=now,
        )
        supply = replace(supply, permit=permit)
    if override is not None:
        supply = eased(viewer, supply, override, starts_at=ref.starts_at, now=now)
    answer = is_offered(hours=supply.hours, visit=supply.visit, starts_at=ref.starts_at, now=now)
    if answer != "yes":
        raise NotOffered(
            alternatives=alternatives(viewer, patient_id=patient_id, ref=ref, now=now),
            extra={"reason": answer},
        )
    return supply


def spread(supply: Supply) -> Sequence[Sequence[Place]]:
    """Return the pools with the order of shared places varied by schedule.

    Schedules that share rooms then reach for different ones first. Places for overbooking are
    there only for whoever may use them, and come last.
    """
    varied = []
    for pool, beyond in zip(supply.pools, supply.beyond, strict=True):
        turn = supply.schedule_id.int % len(pool) if pool else 0
        varied.append([*pool[turn:], *pool[:turn], *beyond])
    return varied


def follow(
    viewer: Viewer,
    visit: Appointment,
    *,
    action: str,
    now: datetime,
    reason: str = "",
    overrides: Sequence[str] = (),
    override_reason: str = "",
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
            overrides=list(overrides),
            override_reason=override_reason,
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


def locked(viewer: Viewer, appointment_id: UUID, version: int | None = None) -> Appointment:
    """Return the visit, locked to the end of the transaction.

    `version` is what the caller read last, None for any.
    Raises: NotFound, VersionConflict.
    """
    visit = (
        appointments_for(viewer)
        .select_for_update(of=("self",))
        .select_related("visit_type", "location")
        .filter(id=appointment_id)
        .first()
    )
    if visit is None:
        raise NotFound()
    if version is not None and visit.version != version:
        raise VersionConflict(extra={"version": visit.version})
    return visit


def past_cutoff(viewer: Viewer, visit: Appointment, now: datetime) -> bool:
    """Return whether she may no longer change this visit herself; staff always may."""
    cutoff = timedelta(minutes=visit.visit_type.cancel_cutoff_minutes)
    return viewer.kind in OWN and (now >= visit.starts_at or now > visit.starts_at - cutoff)


def free(visit: Appointment, *, now: datetime) -> None:
    """Give back the time of a visit. Every open visit holds some."""
    freed = ResourceClaim.objects.filter(held_for=visit.id, active=True).update(
        active=False, ended_at=now
    )
    freed_hers = PatientClaim.objects.filter(
        patient_id=visit.patient_id, appointment_id=visit.id, active=True
    ).update(active=False)
    if not freed or not freed_hers:
        raise RuntimeError("a visit without its claims cannot be freed")
