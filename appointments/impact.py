"""Whom it affects when time is blocked or a site is closed, and where they could go instead."""

import heapq
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet

from appointments.closures import Span
from appointments.finding import Offered
from appointments.models import (
    Appointment,
    Hold,
    PatientClaim,
    PlannedVisit,
    ResourceClaim,
)
from appointments.plans import PLANNED_AHEAD
from appointments.selectors import appointments_for
from appointments.slots import Opening, Taken, openings
from appointments.supplies import Place, Supply, supply_for, time_taken
from core.db import identity, system
from core.errors import NotFound
from patients.viewer import Viewer

LOOK_AHEAD_DAYS = 14
"""How many days after her visit another time is looked for."""
SHOWN_HERE, SHOWN_ELSEWHERE = 6, 3
"""How many other times are shown for a visit, at her site and at others."""

_Status = Appointment.Status
_PURPOSE = "booking"
AHEAD = (_Status.PROPOSED, _Status.PENDING, _Status.BOOKED, _Status.CHECKED_IN)
"""Whoever is here already, or was, is not sent away."""
_NOBODY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Closing:
    """What is to be closed: a whole location, or people and things wherever they work.

    `starts_at` to `ends_at` are aware and whole minutes.
    """

    starts_at: datetime
    ends_at: datetime
    location_id: UUID | None = None
    resource_ids: tuple[UUID, ...] = ()

    @property
    def span(self) -> Span:
        return self.starts_at, self.ends_at

    def meets(self, starts_at: datetime, ends_at: datetime) -> bool:
        return starts_at < self.ends_at and ends_at > self.starts_at

    def takes(self, supply: Supply, opening: Opening) -> bool:
        """Return whether an opening is closed, too."""
        own = supply.location_id == self.location_id or supply.resource_id in self.resource_ids
        return own and self.meets(opening.starts_at, opening.ends_at)


@dataclass(slots=True)
class Affected:
    """One visit in the way. `alternatives` are at the same site first, then by time.

    `may_keep`: only its buffer is in the way, or another room or chair is free for it.
    """

    visit: Appointment
    plan: PlannedVisit | None = None
    may_keep: bool = False
    alternatives: list[Offered] = field(default_factory=list)
    proposed: Offered | None = None

    @property
    def may_rebook(self) -> bool:
        """Whether a ticket would be of use to her."""
        return self.visit.patient.deceased_at is None and (
            self.visit.visit_type.booking_policy != "view"
        )


@dataclass(frozen=True, slots=True)
class Impact:
    """Everything that a closing meets. `unseen` visits are beyond the viewer's reach."""

    visits: list[Affected]
    holds: int
    offers: int
    unseen: int

    @property
    def seen(self) -> dict[UUID, int]:
        """Return the version of each visit, for telling later what has changed."""
        return {one.visit.id: one.visit.version for one in self.visits}


def visits_met(viewer: Viewer, closing: Closing) -> QuerySet[Appointment]:
    """Return the visits in reach that stand in the way, by start."""
    return _met(appointments_for(viewer), closing).order_by("starts_at", "id")


def unseen_count(viewer: Viewer, closing: Closing) -> int:
    """Return how many visits stand in the way that the viewer does not reach."""
    with identity(system(_PURPOSE)):
        everything = set(_met(Appointment.objects.all(), closing).values_list("id", flat=True))
    return len(everything - set(visits_met(viewer, closing).values_list("id", flat=True)))


def _met(found: QuerySet[Appointment], closing: Closing) -> QuerySet[Appointment]:
    found = found.filter(status__in=AHEAD)
    if closing.location_id is not None:
        return found.filter(
            location_id=closing.location_id,
            starts_at__lt=closing.ends_at,
            ends_at__gt=closing.starts_at,
        )
    return found.filter(id__in=_claims(closing).filter(kind="booking").values("held_for"))


def _claims(closing: Closing) -> QuerySet[ResourceClaim]:
    return ResourceClaim.objects.filter(
        resource_id__in=closing.resource_ids, active=True, during__overlap=closing.span
    )


def holds_met(closing: Closing, *, now: datetime) -> QuerySet[Hold]:
    """Return the times being kept that stand in the way. Needs the system's identity."""
    live = Hold.objects.filter(ended_at__isnull=True, expires_at__gt=now).order_by("id")
    if closing.location_id is not None:
        return live.filter(
            location_id=closing.location_id,
            starts_at__lt=closing.ends_at,
            ends_at__gt=closing.starts_at,
        )
    return live.filter(id__in=_claims(closing).filter(kind="hold").values("held_for"))


def impact_of(viewer: Viewer, closing: Closing, *, now: datetime) -> Impact:
    """Return whom a closing would affect, each with other times.

    The proposed times do not meet each other. A few statements, and three for each kind of
    visit, however many visits there are.
    """
    visits = list(
        visits_met(viewer, closing).select_related(
            "patient", "visit_type", "location", "schedule__resource"
        )
    )
    plans = {
        planned.appointment_id: planned
        for planned in PlannedVisit.objects.filter(
            patient_id__in={visit.patient_id for visit in visits},
            appointment__in=visits,
            replaced_at__isnull=True,
        ).select_related("plan")
    }
    affected = [Affected(visit, plans.get(visit.id)) for visit in visits]
    busy = _busy(visits)
    by_kind: dict[UUID, list[Affected]] = defaultdict(list)
    for one in affected:
        by_kind[one.visit.visit_type_id].append(one)
    picked: list[Offered] = []
    for kind in by_kind.values():
        _look(viewer, closing, kind, visits, busy, picked, now=now)
    with identity(system(_PURPOSE)):
        purposes = list(holds_met(closing, now=now).values_list("purpose", flat=True))
    offers = purposes.count(Hold.Purpose.OFFER)
    return Impact(affected, len(purposes) - offers, offers, unseen_count(viewer, closing))


def _busy(visits: Sequence[Appointment]) -> dict[UUID, dict[UUID, tuple[int, int]]]:
    """Return when each patient has visits, by visit."""
    found: dict[UUID, dict[UUID, tuple[int, int]]] = defaultdict(dict)
    if not visits:
        return found
    for patient_id, visit_id, during in PatientClaim.objects.filter(
        patient_id__in={visit.patient_id for visit in visits},
        active=True,
        during__endswith__gt=visits[0].starts_at,
    ).values_list("patient_id", "appointment_id", "during"):
        found[patient_id][visit_id] = (
            int(during.lower.timestamp()),
            int(during.upper.timestamp()),
        )
    return found


def _look(
    viewer: Viewer,
    closing: Closing,
    kind: Sequence[Affected],
    leaving: Sequence[Appointment],
    busy: dict[UUID, dict[UUID, tuple[int, int]]],
    picked: list[Offered],
    *,
    now: datetime,
) -> None:
    """Find other times for visits of one kind."""
    dates = [one.visit.local_date for one in kind]
    first, last = min(dates), max(dates) + timedelta(days=LOOK_AHEAD_DAYS)
    someone = kind[0].visit
    try:
        _, supplies = supply_for(
            viewer,
            patient_id=someone.patient_id,
            visit_type_id=someone.visit_type_id,
            first=first,
            last=last,
            now=now,
        )
    except NotFound:
        # Retired meanwhile, or she is looked after elsewhere now: there is nothing to offer.
        return
    taken, _ = time_taken(
        supplies,
        patient_id=_NOBODY,
        first=first,
        last=last,
        leaving_out=[visit.id for visit in leaving],
        now=now,
    )
    shut = (int(closing.starts_at.timestamp()), int(closing.ends_at.timestamp()))
    taken = {
        place: one.and_also([shut]) if place.resource_id in closing.resource_ids else one
        for place, one in taken.items()
    }
    free = _free(supplies, taken, closing, any(one.plan for one in kind), first, last, now)
    starts = [offered.opening.starts_at for offered in free]
    by_schedule = {supply.schedule_id: supply for supply in supplies}
    for one in kind:
        visit = one.visit
        hers = Taken(span for key, span in busy[visit.patient_id].items() if key != visit.id)
        one.alternatives = _nearest(
            visit, free[bisect_left(starts, visit.starts_at) :], hers=hers, picked=picked
        )
        one.may_keep = _may_keep(visit, by_schedule.get(visit.schedule_id), taken, closing)
        first_here = one.alternatives[:1]
        if first_here and first_here[0].supply.location_id == visit.location_id:
            one.proposed = first_here[0]
            picked.append(one.proposed)


def _free(
    supplies: Sequence[Supply],
    taken: dict[Place, Taken],
    closing: Closing,
    planned: bool,
    first: date,
    last: date,
    now: datetime,
) -> list[Offered]:
    """Return everything that is free for anybody, by start."""

    def of(supply: Supply) -> Iterable[tuple[datetime, UUID, Offered]]:
        rule = supply.visit
        if planned:
            rule = replace(rule, horizon=max(rule.horizon, PLANNED_AHEAD))
        for opening in openings(
            schedule_id=supply.schedule_id,
            visit_type_id=supply.visit_type_id,
            hours=supply.hours,
            visit=rule,
            needs=[[taken[place] for place in pool] for pool in supply.pools],
            hers=Taken(),
            first=first,
            last=last,
            now=now,
        ):
            if not closing.takes(supply, opening):
                yield opening.starts_at, opening.schedule_id, Offered(opening, supply)

    # A schedule has one opening at a time, so offers are never compared.
    return [offered for _, _, offered in heapq.merge(*(of(supply) for supply in supplies))]


def _nearest(
    visit: Appointment, free: Sequence[Offered], *, hers: Taken, picked: Sequence[Offered]
) -> list[Offered]:
    """Return a few openings from her own start on: at her site, and then elsewhere.

    What is proposed to others of this closing is left out.
    """
    until = visit.starts_at + timedelta(days=LOOK_AHEAD_DAYS)
    here: list[Offered] = []
    elsewhere: list[Offered] = []
    for offered in free:
        opening = offered.opening
        if opening.starts_at > until or len(here) >= SHOWN_HERE:
            break
        span = (int(opening.starts_at.timestamp()), int(opening.ends_at.timestamp()))
        if not hers.leaves_free(*span) or any(_meet(offered, other) for other in picked):
            continue
        if offered.supply.location_id == visit.location_id:
            here.append(offered)
        elif len(elsewhere) < SHOWN_ELSEWHERE:
            elsewhere.append(offered)
    return here + elsewhere


def _meet(one: Offered, other: Offered) -> bool:
    """Return whether two openings ask for the same person or thing at the same time."""
    return (
        one.supply.resource_id == other.supply.resource_id
        and one.opening.starts_at < other.opening.ends_at
        and other.opening.starts_at < one.opening.ends_at
    )


def only_buffer(visit: Appointment, closing: Closing) -> bool:
    """Return whether the visit itself lies outside what is closed."""
    return closing.location_id is None and not closing.meets(visit.starts_at, visit.ends_at)


def other_places(supply: Supply, closing: Closing) -> list[list[Place]]:
    """Return the places that are left for a visit of this schedule."""
    return [
        [place for place in pool if place.resource_id not in closing.resource_ids]
        for pool in supply.pools
    ]


def _may_keep(
    visit: Appointment, supply: Supply | None, taken: dict[Place, Taken], closing: Closing
) -> bool:
    if closing.location_id is not None:
        return False
    if only_buffer(visit, closing):
        return True
    if supply is None:
        return False
    start = int((visit.starts_at - supply.visit.buffer_before).timestamp())
    end = int((visit.ends_at + supply.visit.buffer_after).timestamp())
    return all(
        any(taken[place].leaves_free(start, end) for place in pool)
        for pool in other_places(supply, closing)
    )
