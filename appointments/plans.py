"""Reads of care plans: their rules, what stands of them, and what is free for the rest."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.db.models import Prefetch, QuerySet

from appointments.finding import Offered
from appointments.models import (
    Appointment,
    CarePlan,
    PatientClaim,
    PlannedVisit,
    PlanStep,
)
from appointments.planner import Cell, SeriesRule, StepRule, Time
from appointments.slots import Opening, Taken, openings
from appointments.supplies import Supply, supply_for, time_taken
from core.errors import NotFound
from patients.viewer import Viewer

_DAY = timedelta(days=1)
# A clinician's plan may reach further than the horizon of a kind of visit.
PLANNED_AHEAD = timedelta(days=1100)
GIVEN_BACK = frozenset({Appointment.Status.CANCELLED, Appointment.Status.ENTERED_IN_ERROR})


def plans_for(viewer: Viewer) -> QuerySet[CarePlan]:
    """Return the plans in reach, with their steps and the visits that were booked for them."""
    found = CarePlan.objects.select_related("location").prefetch_related(
        Prefetch(
            "steps",
            PlanStep.objects.select_related("visit_type__organization").order_by("position"),
        ),
        Prefetch(
            "planned_visits",
            PlannedVisit.objects.filter(replaced_at__isnull=True).select_related(
                "appointment__visit_type",
                "appointment__location",
                "appointment__schedule__resource",
            ),
        ),
    )
    return found if viewer.patient_id is None else found.filter(patient_id=viewer.patient_id)


@dataclass(frozen=True, slots=True)
class Series:
    """A plan as the planner sees it. `standing` are its live visits, by cycle and step."""

    plan: CarePlan
    steps: tuple[PlanStep, ...]
    rule: SeriesRule
    standing: Mapping[Cell, Appointment]

    @property
    def zone(self) -> str:
        """The zone in which its days are spoken of before a place is known."""
        if self.plan.location is not None:
            return self.plan.location.zone
        return self.steps[-1].visit_type.organization.zone

    @property
    def missing(self) -> list[Cell]:
        return [cell for cell in self.rule.cells() if cell not in self.standing]

    def today(self, now: datetime) -> date:
        return now.astimezone(ZoneInfo(self.zone)).date()

    def completed(self, now: datetime) -> bool:
        return not self.missing and all(visit.ends_at <= now for visit in self.standing.values())


def series_of(plan: CarePlan, steps: Sequence[PlanStep] | None = None) -> Series:
    """Return the series of a plan from `plans_for`, or of one not yet saved with `steps`.

    Raises: ValueError for rules that contradict each other.
    """
    rows = tuple(plan.steps.all()) if steps is None else tuple(steps)
    standing = {}
    for planned in plan.planned_visits.all() if steps is None else ():
        if planned.appointment.status not in GIVEN_BACK:
            position = next(n for n, row in enumerate(rows) if row.pk == planned.step_id)
            standing[(planned.cycle, position)] = planned.appointment
    rule = SeriesRule(
        first_on=plan.first_on,
        every_days=plan.every_days,
        cycles=plan.cycles,
        tolerance_days=plan.tolerance_days,
        steps=tuple(
            StepRule(
                row.visit_type_id,
                row.days_before_least,
                row.days_before_most,
                timedelta(minutes=row.gap_minutes),
            )
            for row in rows
        ),
    )
    return Series(plan, rows, rule, standing)


def time_of(visit: Appointment) -> Time:
    return Time(visit.starts_at, visit.ends_at, visit.zone, visit.schedule_id)


class Free:
    """What is free for the steps of a series, read once and worked out by the day.

    Two statements for each kind of visit and one for her own visits. `moving` are visits of
    the series that are about to move: their places and her time count as free.
    """

    def __init__(
        self,
        viewer: Viewer,
        series: Series,
        *,
        now: datetime,
        moving: Collection[Cell] = (),
    ) -> None:
        rule = series.rule
        self._now, self._series = now, series
        self._found: dict[tuple[UUID, date], list[Time]] = {}
        self._supplies: dict[UUID, list[Supply]] = defaultdict(list)
        self._taken: dict[UUID, dict] = {}
        leaving_out = [series.standing[cell].id for cell in moving]
        today = now.date()
        stands = [visit.local_date for visit in series.standing.values()]
        span = rule.every_days + rule.tolerance_days
        last = max([rule.first_on, today, *stands]) + (rule.cycles * span + 15) * _DAY
        self._last = last
        for visit_type_id in {step.visit_type_id for step in rule.steps}:
            try:
                _, supplies = supply_for(
                    viewer,
                    patient_id=series.plan.patient_id,
                    visit_type_id=visit_type_id,
                    location_id=series.plan.location_id,
                    first=today,
                    last=last,
                    now=now,
                )
            except NotFound:
                # Retired meanwhile, or no longer at this place: there is nothing free.
                continue
            self._supplies[visit_type_id] = [
                replace(
                    supply,
                    visit=replace(supply.visit, horizon=max(supply.visit.horizon, PLANNED_AHEAD)),
                )
                for supply in supplies
            ]
            self._taken[visit_type_id], _ = time_taken(
                supplies,
                patient_id=series.plan.patient_id,
                first=today,
                last=last,
                now=now,
                leaving_out=leaving_out,
            )
        own = {visit.id for visit in series.standing.values()}
        self.hers = [
            Time(during.lower, during.upper, "UTC", series.plan.patient_id)
            for during in PatientClaim.objects.filter(
                patient_id=series.plan.patient_id,
                active=True,
                during__overlap=DateTimeTZRange(now, None),
            )
            .exclude(appointment_id__in=own)
            .values_list("during", flat=True)
        ]

    def __call__(self, step: int, on: date) -> list[Time]:
        """Return what is free for a step on a date at the place, whatever she has then."""
        visit_type_id = self._series.rule.steps[step].visit_type_id
        key = (visit_type_id, on)
        if key not in self._found:
            self._found[key] = [
                Time(opening.starts_at, opening.ends_at, supply.hours.zone, opening.schedule_id)
                for supply in self._supplies[visit_type_id]
                for opening in self._openings(supply, on)
            ]
        return self._found[key]

    def _openings(self, supply: Supply, on: date) -> list[Opening]:
        taken = self._taken[supply.visit_type_id]
        return list(
            openings(
                schedule_id=supply.schedule_id,
                visit_type_id=supply.visit_type_id,
                hours=supply.hours,
                visit=supply.visit,
                needs=[[taken[place] for place in pool] for pool in supply.pools],
                hers=Taken(),
                first=on,
                last=min(on, self._last),
                now=self._now,
            )
        )

    def offered(self, step: int, time: Time) -> Offered:
        """Return where a time of this step comes from."""
        visit_type_id = self._series.rule.steps[step].visit_type_id
        supply = next(
            supply
            for supply in self._supplies[visit_type_id]
            if supply.schedule_id == time.schedule_id
        )
        return Offered(
            Opening(time.schedule_id, visit_type_id, time.starts_at, time.ends_at), supply
        )
