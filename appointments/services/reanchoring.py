"""Follow a change of a zone's rules: future visits keep the wall-clock time they were booked at.

A visit knows its instant and what the clock of its zone was to show. When a newer time-zone
database says that the clock will show that at another instant, the visit moves there, with its
own resources. A whole column of visits moves towards free time first, so that none is in the
way of its neighbour; one that meets something else stays and is put before the front desk.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from appointments.claims import PatientBusy, TimeTaken, claim
from appointments.models import Appointment, ResourceClaim
from appointments.opening_ids import OpeningRef
from appointments.prechecks import ANSWERABLE
from appointments.services.moving import moved
from appointments.slots import wall_instant
from appointments.supplies import Place
from core.areas import SYSTEM_PURPOSES
from core.db import identity, system
from patients.viewer import Viewer
from worklist.models import Urgency, WorkItem
from worklist.services import Fact, raise_item

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
class Reanchored:
    """Visits that were moved, and those that need a person."""

    moved: list[UUID] = field(default_factory=list)
    conflicts: list[UUID] = field(default_factory=list)


def reanchor_visits(*, now: datetime, dry_run: bool = False) -> Reanchored:
    """Move every open future visit to the instant that its wall-clock time has now.

    Each in a transaction of its own, with one notice; done again, nothing is left to do. With
    `dry_run` nothing is changed and `moved` says what would be tried. Must run outside a
    transaction.
    """
    outcome = Reanchored()
    for visit_id in _in_order(_drifted(now)):
        if dry_run or _reanchor(visit_id, now=now):
            outcome.moved.append(visit_id)
        else:
            outcome.conflicts.append(visit_id)
    return outcome


def anchor_of(visit: Appointment) -> datetime:
    """Return the instant at which the clock shows what the visit was booked for."""
    return wall_instant(datetime.combine(visit.local_date, visit.local_time), visit.zone)


def _drifted(now: datetime) -> list[Appointment]:
    with identity(system(_PURPOSE)):
        coming = Appointment.objects.filter(status__in=ANSWERABLE, starts_at__gt=now)
        return [visit for visit in coming.iterator() if anchor_of(visit) != visit.starts_at]


def _in_order(visits: Iterable[Appointment]) -> list[UUID]:
    """Return those that move later from the last on, then those that move sooner in turn."""
    later: list[UUID] = []
    sooner: list[UUID] = []
    for visit in sorted(visits, key=lambda visit: (visit.starts_at, visit.id)):
        (later if anchor_of(visit) > visit.starts_at else sooner).append(visit.id)
    return [*reversed(later), *sooner]


def _reanchor(visit_id: UUID, *, now: datetime) -> bool:
    """Move one visit; False when its time is not free, and then staff are asked."""
    with identity(system(_PURPOSE)):
        visit = (
            Appointment.objects.select_for_update(of=("self",))
            .filter(id=visit_id, status__in=ANSWERABLE, starts_at__gt=now)
            .first()
        )
        if visit is None or anchor_of(visit) == visit.starts_at:
            return True
        starts_at = anchor_of(visit)
        shift = starts_at - visit.starts_at
        ends_at = visit.ends_at + shift
        claims = list(ResourceClaim.objects.filter(held_for=visit.id, active=True))
        kept = claims[0].during
        try:
            claim(
                pools=[[Place(one.resource_id, one.lane)] for one in claims],
                starts_at=starts_at,
                ends_at=ends_at,
                buffer_before=visit.starts_at - kept.lower,
                buffer_after=kept.upper - visit.ends_at,
                kind=ResourceClaim.Kind.BOOKING,
                held_for=visit.id,
                patient_id=visit.patient_id,
                site=visit.location_id,
                now=now,
                moving=True,
            )
        except (TimeTaken, PatientBusy):
            _ask_staff(visit, now=now)
            return False
        moved(
            _SYSTEM,
            visit,
            ref=OpeningRef(visit.schedule_id, visit.visit_type_id, starts_at),
            ends_at=ends_at,
            zone=visit.zone,
            location_id=visit.location_id,
            now=now,
        )
        return True


def _ask_staff(visit: Appointment, *, now: datetime) -> None:
    title = "The clocks there will change otherwise than planned: this visit's time is not free"
    raise_item(
        patient_id=visit.patient_id,
        concern="appointments.zone-rules",
        title=title,
        urgency=Urgency.WITHIN_24H,
        owner_team=WorkItem.Team.FRONT_DESK,
        fact=Fact("Appointment", visit.id, f"Booked for {visit.local_time:%H:%M} in {visit.zone}"),
        now=now,
    )
