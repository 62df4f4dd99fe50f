"""Carry out a closing: locks in one order, what is closed, and each visit in the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from appointments.claims import PatientBusy, TimeTaken, claim
from appointments.impact import (
    AHEAD,
    Closing,
    holds_met,
    only_buffer,
    other_places,
    unseen_count,
    visits_met,
)
from appointments.models import (
    Appointment,
    Block,
    Hold,
    Location,
    PlannedVisit,
    Resource,
    ResourceClaim,
    SiteClosure,
    Ticket,
    VisitType,
    WaitlistEntry,
    WaitlistOffer,
)
from appointments.opening_ids import read_opening_id
from appointments.planner import out_of_order
from appointments.plans import plans_for, series_of, time_of
from appointments.services.blocking import cover
from appointments.services.changing import cancel
from appointments.services.holding import end_hold
from appointments.services.moving import reschedule
from appointments.services.ordering import give_rebooking_ticket
from appointments.services.refusals import (
    CannotKeep,
    ClosingChanged,
    ClosingOutOfReach,
    NotOffered,
    PlanOrder,
    SlotTaken,
)
from appointments.services.waitlist import settle_offer
from appointments.supplies import supply_for
from core import audit
from core.areas import Area
from core.db import identity, system
from core.errors import FieldError, InvalidInput, NotFound
from core.ids import uuid7
from core.models import AuditEvent
from patients.viewer import Viewer

_SOONER, _LATER = timedelta(days=7), timedelta(days=56)
"""A visit that was weeks away is not rebooked for tomorrow."""
_PURPOSE = "booking"
_Reason = Appointment.CancellationReason


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to become of one visit, which was at `version` when she looked.

    `opening` is where a visit is moved to.
    """

    version: int
    action: Literal["move", "cancel", "keep"]
    opening: str = ""


@dataclass(slots=True)
class Closed:
    """What was done. `closure` for a site, `blocks` for people and things."""

    closure: SiteClosure | None = None
    blocks: list[Block] = field(default_factory=list)
    moved: list[Appointment] = field(default_factory=list)
    cancelled: list[Appointment] = field(default_factory=list)
    kept: list[Appointment] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)
    holds: int = 0
    offers: int = 0


class HeldMeanwhile(Exception):
    """Somebody began to keep a time between two looks: lock it first, too."""


def invalid(name: str, code: str, message: str) -> InvalidInput:
    return InvalidInput(message, errors=(FieldError(name, code, message),))


def _differences(
    standing: Mapping[UUID, int], decisions: Mapping[UUID, Decision]
) -> dict[str, list[UUID]]:
    """Return what a closing meets now that was not decided on, and the other way round."""
    return {
        "new": sorted(standing.keys() - decisions.keys()),
        "changed": sorted(
            key
            for key, version in standing.items()
            if key in decisions and decisions[key].version != version
        ),
        "gone": sorted(decisions.keys() - standing.keys()),
    }


def changed(
    viewer: Viewer,
    closing: Closing,
    decisions: Mapping[UUID, Decision],
    lost: Sequence[UUID] = (),
) -> ClosingChanged:
    standing = dict(visits_met(viewer, closing).values_list("id", "version"))
    extra: dict[str, Any] = _differences(standing, decisions)
    return ClosingChanged(extra=extra | {"lost": list(lost)})


@dataclass(slots=True)
class Closer:
    """One attempt to close, in a savepoint of its own."""

    viewer: Viewer
    closing: Closing
    reason: str
    cancellation: str
    now: datetime
    done: Closed = field(default_factory=Closed)

    def run(self, decisions: Mapping[UUID, Decision]) -> Closed:
        held = self._lock_held()
        visits = self._lock_visits()
        self._lock_supply()
        # Whoever was booking has finished by now, and is seen.
        if unseen_count(self.viewer, self.closing):
            raise ClosingOutOfReach()
        standing = dict(visits_met(self.viewer, self.closing).values_list("id", "version"))
        if any(_differences(standing, decisions).values()):
            raise changed(self.viewer, self.closing, decisions)
        if self._held_ids() - held:
            raise HeldMeanwhile()
        self._end_held()
        # Whoever goes makes room before whoever moves needs it; claims decide between those.
        order = {"cancel": 0, "keep": 1, "move": 2}
        ranked = sorted(visits, key=lambda one: (order[decisions[one.id].action], one.starts_at))
        if self.closing.location_id is not None:
            self._close_site()
        for visit in ranked:
            self._carry_out(visit, decisions)
        self._check_plans()
        if self.closing.location_id is None:
            self._block()
        self._audit(visits)
        return self.done

    # --- locks ------------------------------------------------------------------------------------

    def _held_ids(self) -> set[UUID]:
        with identity(system(_PURPOSE)):
            return set(holds_met(self.closing, now=self.now).values_list("id", flat=True))

    def _lock_held(self) -> set[UUID]:
        """Lock what is kept for somebody: the entry before its offer, as an answer does."""
        ids = self._held_ids()
        with identity(system(_PURPOSE)):
            offers = WaitlistOffer.objects.filter(hold_id__in=ids)
            entries = sorted(offers.values_list("entry_id", flat=True))
            for rows in (
                WaitlistEntry.objects.filter(id__in=entries),
                offers,
                Hold.objects.filter(id__in=ids),
            ):
                list(rows.order_by("id").select_for_update(of=("self",)).values_list("id"))
        return ids

    def _lock_visits(self) -> list[Appointment]:
        ids = sorted(visits_met(self.viewer, self.closing).values_list("id", flat=True))
        return list(
            Appointment.objects.filter(id__in=ids)
            .select_for_update(of=("self",))
            .select_related("visit_type", "patient")
            .order_by("id")
        )

    def _lock_supply(self) -> None:
        """Let nobody else close the same; at a site, nobody book either until this is done."""
        if self.closing.location_id is not None:
            Location.objects.select_for_update().get(id=self.closing.location_id)
            return
        list(
            Resource.objects.filter(id__in=self.closing.resource_ids)
            .order_by("id")
            .select_for_update(no_key=True)
        )

    # --- what is closed ---------------------------------------------------------------------------

    def _end_held(self) -> None:
        """Give back what is kept; who was offered a time keeps her place in the line."""
        with identity(system(_PURPOSE)):
            for hold in holds_met(self.closing, now=self.now):
                if hold.purpose != Hold.Purpose.OFFER:
                    end_hold(hold, ending=Hold.Ending.RELEASED, now=self.now)
                    self.done.holds += 1
                    continue
                offer = WaitlistOffer.objects.select_related("hold").get(
                    patient_id=hold.patient_id, hold=hold
                )
                settle_offer(offer, WaitlistOffer.Status.WITHDRAWN, now=self.now)
                self.done.offers += 1

    def _close_site(self) -> None:
        assert self.closing.location_id is not None
        assert self.viewer.user_id is not None
        self.done.closure = SiteClosure.objects.create(
            location_id=self.closing.location_id,
            starts_at=self.closing.starts_at,
            ends_at=self.closing.ends_at,
            reason=self.reason,
            made_at=self.now,
            made_by_id=self.viewer.user_id,
        )

    def _block(self) -> None:
        """Block every resource, around the visits that stay. Raises: TimeTaken."""
        assert self.viewer.user_id is not None
        claims = ResourceClaim.objects.filter(
            resource_id__in=self.closing.resource_ids,
            active=True,
            kind=ResourceClaim.Kind.BOOKING,
            during__overlap=self.closing.span,
        )
        with identity(system(_PURPOSE)):
            # Whoever is here already, or was, and whatever only has its buffer in the way.
            leaving = set(
                Appointment.objects.filter(id__in=claims.values("held_for"))
                .exclude(status__in=AHEAD)
                .values_list("id", flat=True)
            ) | {visit.id for visit in self.done.kept}
        for resource in Resource.objects.filter(id__in=self.closing.resource_ids).order_by("id"):
            block = Block(
                id=uuid7(self.now),
                resource=resource,
                starts_at=self.closing.starts_at,
                ends_at=self.closing.ends_at,
                reason=self.reason,
                made_at=self.now,
                made_by_id=self.viewer.user_id,
            )
            cover(block, leaving=leaving, now=self.now)
            block.save(force_insert=True)
            self.done.blocks.append(block)

    # --- visits -----------------------------------------------------------------------------------

    def _carry_out(self, visit: Appointment, decisions: Mapping[UUID, Decision]) -> None:
        decision = decisions[visit.id]
        if decision.action == "cancel":
            self._cancel(visit, decision)
        elif decision.action == "keep":
            self._keep(visit)
        else:
            try:
                self._move(visit, decision)
            except (SlotTaken, PatientBusy, NotOffered) as gone:
                raise changed(self.viewer, self.closing, decisions, [visit.id]) from gone

    def _cancel(self, visit: Appointment, decision: Decision) -> None:
        died = visit.patient.deceased_at is not None
        gone = cancel(
            viewer=self.viewer,
            appointment_id=visit.id,
            version=decision.version,
            reason=_Reason.DECEASED if died else self.cancellation,
            now=self.now,
        )
        gone.patient = visit.patient
        self.done.cancelled.append(gone)
        if died or visit.visit_type.booking_policy == VisitType.BookingPolicy.VIEW:
            return
        today = self.now.astimezone(ZoneInfo(visit.zone)).date()
        try:
            ticket = give_rebooking_ticket(
                viewer=self.viewer,
                patient_id=visit.patient_id,
                visit_type_id=visit.visit_type_id,
                earliest=max(today, visit.local_date - _SOONER),
                latest=max(today, visit.local_date) + _LATER,
                now=self.now,
            )
        except NotFound:
            # The kind was retired, or she is looked after elsewhere: there is nothing to book.
            return
        self.done.tickets.append(ticket)

    def _keep(self, visit: Appointment) -> None:
        """Leave a visit where it is, if need be with another room or chair.

        Raises: CannotKeep.
        """
        if self.closing.location_id is not None:
            raise CannotKeep(extra={"visit": visit.id})
        if not only_buffer(visit, self.closing):
            self._change_places(visit)
        self.done.kept.append(visit)

    def _change_places(self, visit: Appointment) -> None:
        _, supplies = supply_for(
            self.viewer,
            patient_id=visit.patient_id,
            visit_type_id=visit.visit_type_id,
            schedule_id=visit.schedule_id,
            first=visit.local_date,
            last=visit.local_date,
            now=self.now,
        )
        pools = other_places(supplies[0], self.closing)
        if not all(pools):
            raise CannotKeep(extra={"visit": visit.id})
        stands = set(
            ResourceClaim.objects.filter(held_for=visit.id, active=True).values_list(
                "resource_id", flat=True
            )
        )
        rule = supplies[0].visit
        try:
            claim(
                pools=[
                    sorted(pool, key=lambda place: place.resource_id not in stands)
                    for pool in pools
                ],
                starts_at=visit.starts_at,
                ends_at=visit.ends_at,
                buffer_before=rule.buffer_before,
                buffer_after=rule.buffer_after,
                kind=ResourceClaim.Kind.BOOKING,
                held_for=visit.id,
                patient_id=visit.patient_id,
                site=visit.location_id,
                moving=True,
                now=self.now,
            )
        except TimeTaken as taken:
            raise CannotKeep(extra={"visit": visit.id}) from taken

    def _move(self, visit: Appointment, decision: Decision) -> None:
        ref = read_opening_id(decision.opening)
        moved = reschedule(
            viewer=self.viewer,
            appointment_id=visit.id,
            opening=decision.opening,
            version=decision.version,
            planned=PlannedVisit.objects.filter(
                patient_id=visit.patient_id, appointment=visit, replaced_at__isnull=True
            ).exists(),
            now=self.now,
        )
        at_closed = (
            moved.location_id == self.closing.location_id
            or ResourceClaim.objects.filter(
                held_for=visit.id,
                active=True,
                resource_id__in=self.closing.resource_ids,
                during__overlap=self.closing.span,
            ).exists()
        )
        if at_closed and self.closing.meets(ref.starts_at, moved.ends_at):
            raise invalid("opening", "inside-closing", "This time is being closed, too.")
        moved.patient = visit.patient
        self.done.moved.append(moved)

    def _check_plans(self) -> None:
        """Let no visit of a care plan be moved before or behind those it belongs between.

        Raises: PlanOrder.
        """
        moved = {visit.id for visit in self.done.moved}
        planned = PlannedVisit.objects.filter(appointment_id__in=moved, replaced_at__isnull=True)
        for plan in plans_for(self.viewer).filter(id__in=planned.values("plan_id")):
            series = series_of(plan)
            times = {cell: time_of(visit) for cell, visit in series.standing.items()}
            movers = {cell for cell, visit in series.standing.items() if visit.id in moved}
            for cell, earlier in out_of_order(series.rule, times):
                if movers & {cell, earlier}:
                    name = series.steps[cell[1]].visit_type.name
                    raise PlanOrder(
                        f"{name} of cycle {cell[0]} would not come after what belongs before it. "
                        "Choose another time, or cancel it.",
                        extra={"broken": [{"cycle": cell[0], "step": cell[1]}]},
                    )

    def _audit(self, visits: Sequence[Appointment]) -> None:
        made = [self.done.closure] if self.done.closure else self.done.blocks
        audit.record(
            action=AuditEvent.Action.CREATE,
            operation="appointments.closing.close",
            area=Area.APPOINTMENTS,
            resource=type(made[0]).__name__,
            resource_ids=[one.id for one in made],
            now=self.now,
        )
        by_patient: dict[UUID | None, list[UUID]] = {}
        for visit in visits:
            by_patient.setdefault(visit.patient_id, []).append(visit.id)
        if by_patient:
            audit.record_for_patients(
                by_patient,
                action=AuditEvent.Action.UPDATE,
                operation="appointments.closing.visit",
                area=Area.APPOINTMENTS,
                resource="Appointment",
                now=self.now,
            )
