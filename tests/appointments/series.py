"""A ward for the tests of care plans: blood, a doctor, and two chairs, on working days."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from accounts.models import User
from appointments import services
from appointments.models import (
    Appointment,
    CarePlan,
    PlannedVisit,
    ResourceClaim,
    Schedule,
    VisitType,
)
from appointments.opening_ids import opening_id
from appointments.planner import Cell, StepRule
from appointments.services.planning import Proposed
from core.db import identity, system
from tests.appointments.factories import Surgery, hours, surgery
from tests.appointments.orders import as_staff
from tests.cast import Cast
from tests.tokens import viewer_of

TUESDAY = date(2026, 12, 1)
DAY = timedelta(days=1)


@dataclass
class Ward:
    """`clinic` is the doctor's; labs, clinic and infusion are booked by the clinic."""

    clinic: Surgery
    labs: VisitType
    infusion: VisitType
    blood: Schedule
    chair: Schedule

    @property
    def kinds(self) -> list[VisitType]:
        return [self.labs, self.clinic.visit_type, self.infusion]

    def opening(self, step: int, hour: int, minute: int = 0, on: date = TUESDAY) -> str:
        schedule = (self.blood, self.clinic.schedule, self.chair)[step]
        return opening_id(
            schedule_id=schedule.id,
            visit_type_id=self.kinds[step].id,
            starts_at=self.clinic.at(hour, minute, on),
        )


def ward(cast: Cast, **rules: Any) -> Ward:
    clinic = surgery(cast.clinic, booking_policy="view")
    made = []
    for code, minutes, kind in (("labs", 15, "room"), ("infusion", 120, "chair")):
        resource = services.create_resource(
            organization=cast.clinic, kind=kind, name=code.title(), location=clinic.location
        )
        visit_type = services.create_visit_type(
            organization=cast.clinic,
            code=f"{code}-{clinic.visit_type.code}",
            name=code.title(),
            duration_minutes=minutes,
            booking_policy="view",
            **rules,
        )
        schedule = hours(
            resource, clinic.location, [visit_type], starts=time(8), ends=time(16), step=60
        )
        made.append((visit_type, schedule))
    (labs, blood), (infusion, chair) = made
    return Ward(clinic, labs, infusion, blood, chair)


def rules_of(place: Ward, **changed: Any) -> dict[str, Any]:
    """Return a plan: three infusions every 21 days, labs and the doctor before each."""
    return {
        "name": "Infusions",
        "first_on": TUESDAY,
        "every_days": 21,
        "cycles": 3,
        "tolerance_days": 2,
        "steps": [
            StepRule(place.labs.id, 1, 2),
            StepRule(place.clinic.visit_type.id, 0, 1, timedelta(minutes=30)),
            StepRule(place.infusion.id, gap=timedelta(minutes=30)),
        ],
        **changed,
    }


def lay_down(cast: Cast, place: Ward, now: datetime, **changed: Any) -> CarePlan:
    viewer = as_staff(cast.clinician, now)
    with identity(viewer.identity):
        return services.lay_down(
            viewer=viewer, patient_id=cast.anna.id, now=now, **rules_of(place, **changed)
        )


def proposed(user: User, plan: CarePlan, now: datetime) -> Proposed:
    viewer = viewer_of(user)
    with identity(viewer.identity):
        return services.propose_plan(viewer=viewer, plan_id=plan.id, now=now)


def ids(found: Proposed) -> dict[Cell, str]:
    """Return the opening ids of a proposal."""
    return {
        (cycle, step): opening_id(
            schedule_id=found.proposal.times[(cycle, step)].schedule_id,
            visit_type_id=found.series.rule.steps[step].visit_type_id,
            starts_at=found.proposal.times[(cycle, step)].starts_at,
        )
        for cycle, step in found.cells
    }


def book_all(user: User, plan: CarePlan, now: datetime) -> dict[Cell, Appointment]:
    """Book what is proposed; return the visits by cycle and step."""
    chosen = ids(proposed(user, plan, now))
    viewer = viewer_of(user)
    with identity(viewer.identity):
        services.book_plan(viewer=viewer, plan_id=plan.id, openings=chosen, now=now)
    return standing(plan)


def standing(plan: CarePlan) -> dict[Cell, Appointment]:
    with identity(system("registration")):
        return {
            (row.cycle, row.step.position): row.appointment
            for row in PlannedVisit.objects.filter(
                plan=plan, replaced_at__isnull=True
            ).select_related("appointment", "step")
        }


def local(place: Ward, visit: Appointment) -> str:
    return f"{visit.local_date} {visit.local_time:%H:%M}"


def staff_book(cast: Cast, opening: str, now: datetime) -> Appointment:
    """Let the clinic book somebody else."""
    viewer = as_staff(cast.nurse, now)
    with identity(viewer.identity):
        return services.book(
            viewer=viewer, patient_id=cast.brigid.id, opening=opening, planned=True, now=now
        )


def counted() -> tuple[int, int]:
    """Return how many visits there are, and how many places they claim."""
    with identity(system("registration")):
        return Appointment.objects.count(), ResourceClaim.objects.filter(active=True).count()
