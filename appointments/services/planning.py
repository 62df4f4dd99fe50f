"""Series of visits: proposed, booked and moved as a whole."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from appointments.claims import PatientBusy, TimeTaken, claim, take_over
from appointments.models import (
    Appointment,
    Hold,
    PlannedVisit,
    ResourceClaim,
    Schedule,
)
from appointments.opening_ids import OpeningRef, read_opening_id
from appointments.planner import Cell, Proposal, Time, Unmet, broken, propose
from appointments.plans import Free, Series, series_of, time_of
from appointments.selectors import held_now
from appointments.services.booking import book
from appointments.services.holding import end_hold
from appointments.services.laying import active_plan, follow_plan, locked_plan, read_plan
from appointments.services.moving import movable, moved
from appointments.services.ordering import invalid
from appointments.services.refusals import (
    NotOffered,
    OtherVisitType,
    PlanIncomplete,
    PlanOrder,
    PlanTimeLost,
    SlotTaken,
    StatusConflict,
)
from appointments.services.visits import free, offered_supply, spread
from core.errors import NotFound
from patients.viewer import Viewer


@dataclass(frozen=True, slots=True)
class Proposed:
    """A proposal for the visits of a series. `cells` are those it is about, in order."""

    series: Series
    proposal: Proposal
    free: Free
    cells: tuple[Cell, ...]


# --- proposed and booked --------------------------------------------------------------------------


def propose_series(viewer: Viewer, series: Series, *, now: datetime) -> Proposed:
    """Return times for what is missing of a series. Writes nothing."""
    openings = Free(viewer, series, now=now)
    proposal = propose(
        series.rule,
        openings=openings,
        today=series.today(now),
        hers=openings.hers,
        fixed=_times_of(series),
    )
    return Proposed(series, proposal, openings, tuple(series.missing))


def propose_plan(*, viewer: Viewer, plan_id: UUID, now: datetime) -> Proposed:
    """Return times for what is missing of a plan. Raises: NotFound, NotOpen."""
    return propose_series(viewer, series_of(active_plan(viewer, plan_id)), now=now)


def book_plan(
    *, viewer: Viewer, plan_id: UUID, openings: Mapping[Cell, str], now: datetime
) -> list[Appointment]:
    """Book every visit that is missing, or none. `openings` are ids by cycle and step.

    Raises: NotFound, NotOpen, PlanIncomplete, OtherVisitType, PlanOrder, PlanTimeLost with
    the visit that was lost and a fresh proposal.
    """

    def again() -> Proposed:
        return propose_plan(viewer=viewer, plan_id=plan_id, now=now)

    active_plan(viewer, plan_id)
    with _all_or_nothing(again) as step, transaction.atomic():
        plan = locked_plan(viewer, plan_id)
        series = series_of(read_plan(viewer, plan.id))
        if not series.missing or set(openings) != set(series.missing):
            raise PlanIncomplete(extra={"missing": _named(series.missing)})
        refs = {cell: _ref(series, cell, opening) for cell, opening in openings.items()}
        PlannedVisit.objects.filter(
            plan=plan,
            patient_id=plan.patient_id,
            replaced_at__isnull=True,
            appointment__status__in=["cancelled", "entered-in-error"],
        ).update(replaced_at=now)
        _check_order(series, _times_of(series) | _new_times(series, refs), fixed=series.standing)
        made = []
        # By time, as everybody does, so that two series never wait for each other.
        for cell in sorted(refs, key=lambda cell: (refs[cell].starts_at, cell)):
            step.cell = cell
            visit = book(
                viewer=viewer,
                patient_id=plan.patient_id,
                opening=openings[cell],
                planned=True,
                now=now,
            )
            made.append((cell, visit))
        PlannedVisit.objects.bulk_create(
            [
                PlannedVisit(
                    plan=plan,
                    patient_id=plan.patient_id,
                    step=series.steps[cell[1]],
                    cycle=cell[0],
                    appointment=visit,
                )
                for cell, visit in made
            ]
        )
        follow_plan(plan, now)
    return [visit for _, visit in made]


# --- moved ----------------------------------------------------------------------------------------


def propose_move(
    *, viewer: Viewer, plan_id: UUID, appointment_id: UUID, opening: str, now: datetime
) -> Proposed:
    """Return new times for the visits that follow when one of them moves. Writes nothing.

    When the main visit of a cycle moves, later cycles follow it at the same distance and hour.
    When another visit moves and still fits, nothing follows. Visits of its own cycle follow
    when they no longer fit. Only what changes is in `cells`, the visit itself first.
    Raises: NotFound, NotOpen, StatusConflict, OtherVisitType, NotOffered, SlotTaken,
    PatientBusy.
    """
    series = series_of(active_plan(viewer, plan_id))
    here = _cell_of(series, appointment_id)
    if series.standing[here] not in _ahead(series, now).values():
        raise StatusConflict(extra={"appointment_status": series.standing[here].status})
    ref = _ref(series, here, opening)
    offered_supply(viewer, patient_id=series.plan.patient_id, ref=ref, planned=True, now=now)
    stands = _times_of(series) | _new_times(series, {here: ref})
    new = stands[here]
    ahead = _ahead(series, now)
    others = [cell for cell in stands if cell != here]
    is_main = here[1] == series.rule.main
    fits = not broken(series.rule, _cycle(stands, here[0]), fixed=others)
    later = {cell for cell in ahead if cell[0] > here[0]}
    same = set() if fits else {cell for cell in ahead if cell[0] == here[0]}
    following = (later if is_main or not fits else set()) | (same - {here})
    openings = Free(viewer, series, now=now, moving=[here, *following])
    if new not in openings(here[1], new.on):
        raise SlotTaken()
    kept = [time for cell, time in stands.items() if cell != here and cell not in following]
    if any(new.overlaps(visit) for visit in [*openings.hers, *kept]):
        raise PatientBusy()
    proposal = propose(
        series.rule,
        openings=openings,
        today=series.today(now),
        hers=openings.hers,
        fixed={cell: time for cell, time in stands.items() if cell not in following},
        near={cell: time_of(series.standing[cell]).clock for cell in following},
    )
    changed = [
        cell
        for cell in sorted(following)
        if proposal.times.get(cell) not in (None, time_of(series.standing[cell]))
    ]
    return Proposed(series, proposal, openings, (here, *changed))


def move_planned(
    *, viewer: Viewer, plan_id: UUID, openings: Mapping[UUID, str], now: datetime
) -> list[Appointment]:
    """Move these visits of a plan to these openings, all or none; each stays the same visit.

    The first visit given is the one that leads: a fresh proposal after a loss follows it.
    Raises: NotFound, NotOpen, StatusConflict, TooLateToMove, OtherVisitType, PlanOrder,
    PlanTimeLost with the visit that was lost and a fresh proposal, if there still is one.
    """
    leading, its_opening = next(iter(openings.items()))

    def again() -> Proposed | None:
        try:
            return propose_move(
                viewer=viewer,
                plan_id=plan_id,
                appointment_id=leading,
                opening=its_opening,
                now=now,
            )
        except (SlotTaken, NotOffered, PatientBusy):
            return None

    active_plan(viewer, plan_id)
    with _all_or_nothing(again) as step, transaction.atomic():
        plan = locked_plan(viewer, plan_id)
        series = series_of(read_plan(viewer, plan.id))
        cells = {_cell_of(series, appointment_id): appointment_id for appointment_id in openings}
        visits = {cell: movable(viewer, cells[cell], now=now) for cell in sorted(cells)}
        refs = {cell: _ref(series, cell, openings[cells[cell]]) for cell in cells}
        others = series.standing.keys() - visits.keys()
        _check_order(series, _times_of(series) | _new_times(series, refs), fixed=others)
        for visit in visits.values():
            free(visit, now=now)
        for cell in sorted(refs, key=lambda cell: (refs[cell].starts_at, cell)):
            step.cell = cell
            _take(viewer, visits[cell], refs[cell], now=now)
        follow_plan(plan, now)
    return [visits[cell] for cell in sorted(visits)]


def _take(viewer: Viewer, visit: Appointment, ref: OpeningRef, *, now: datetime) -> None:
    """Claim the new time of a visit that has none now, and write it down."""
    supply = offered_supply(viewer, patient_id=visit.patient_id, ref=ref, planned=True, now=now)
    ends_at = ref.starts_at + supply.visit.duration
    try:
        claim(
            pools=spread(supply),
            starts_at=ref.starts_at,
            ends_at=ends_at,
            buffer_before=supply.visit.buffer_before,
            buffer_after=supply.visit.buffer_after,
            kind=ResourceClaim.Kind.BOOKING,
            held_for=visit.id,
            patient_id=visit.patient_id,
            site=supply.location_id,
            now=now,
        )
    except TimeTaken:
        kept = held_now(viewer, patient_id=visit.patient_id, ref=ref, now=now)
        if kept is None:
            raise
        take_over(
            hold_id=kept.id,
            held_for=visit.id,
            patient_id=visit.patient_id,
            starts_at=ref.starts_at,
            ends_at=ends_at,
            now=now,
        )
        end_hold(kept, ending=Hold.Ending.BOOKED, now=now)
    moved(
        viewer,
        visit,
        ref=ref,
        ends_at=ends_at,
        zone=supply.hours.zone,
        location_id=supply.location_id,
        now=now,
    )


# --- shared ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Step:
    """Which visit is being booked or moved."""

    cell: Cell = (0, 0)


@contextmanager
def _all_or_nothing(again: Callable[[], Proposed | None]) -> Iterator[_Step]:
    """Turn the loss of one time into a refusal that says which, with a fresh proposal.

    The transaction inside has been undone by then.
    """
    step = _Step()
    try:
        yield step
    except (SlotTaken, NotOffered, PatientBusy, TimeTaken) as error:
        (lost,) = _named([step.cell])
        raise PlanTimeLost(lost=lost | {"reason": error.code}, fresh=again()) from error


def _named(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    return [{"cycle": cycle, "step": step} for cycle, step in cells]


def _cycle(times: Mapping[Cell, Time], cycle: int) -> dict[Cell, Time]:
    return {cell: time for cell, time in times.items() if cell[0] == cycle}


def _ahead(series: Series, now: datetime) -> dict[Cell, Appointment]:
    """Return the visits that can still move."""
    return {
        cell: visit
        for cell, visit in series.standing.items()
        if visit.status == Appointment.Status.BOOKED and visit.starts_at > now
    }


def _cell_of(series: Series, appointment_id: UUID) -> Cell:
    for cell, visit in series.standing.items():
        if visit.id == appointment_id:
            return cell
    raise NotFound()


def _ref(series: Series, cell: Cell, opening: str) -> OpeningRef:
    ref = read_opening_id(opening)
    if ref.visit_type_id != series.steps[cell[1]].visit_type_id:
        raise OtherVisitType()
    return ref


def _times_of(series: Series) -> dict[Cell, Time]:
    return {cell: time_of(visit) for cell, visit in series.standing.items()}


def _new_times(series: Series, refs: Mapping[Cell, OpeningRef]) -> dict[Cell, Time]:
    """Return the times of these openings. Raises: NotFound, InvalidInput for another place."""
    places = {
        schedule_id: (zone, location_id)
        for schedule_id, zone, location_id in Schedule.objects.filter(
            id__in={ref.schedule_id for ref in refs.values()}
        ).values_list("id", "location__zone", "location_id")
    }
    found = {}
    for cell, ref in refs.items():
        if ref.schedule_id not in places:
            raise NotFound()
        zone, location_id = places[ref.schedule_id]
        if series.plan.location_id not in (None, location_id):
            raise invalid("openings", "other-place", "The plan is for another place.")
        length = timedelta(minutes=series.steps[cell[1]].visit_type.duration_minutes)
        found[cell] = Time(ref.starts_at, ref.starts_at + length, zone, ref.schedule_id)
    return found


def _check_order(series: Series, times: Mapping[Cell, Time], *, fixed: Any) -> None:
    wrong = broken(series.rule, times, fixed=fixed)
    if wrong:
        raise PlanOrder(extra={"broken": _named(wrong)})


UNMET_WORDS = {
    "past": "Its days are over.",
    "no-opening": "Nothing is free on its days.",
    "own-visit": "The free times are while she has another visit.",
    "order": "No free time fits with the visits around it.",
}


def unmet_words(series: Series, unmet: Unmet) -> str:
    """Return in plain words which visit cannot be had and why."""
    name = series.steps[unmet.step].visit_type.name
    return f"Cycle {unmet.cycle}, {name}: {UNMET_WORDS[unmet.reason]}"
