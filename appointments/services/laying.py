"""Plans of visits: laid down and revoked by a clinician."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from appointments.models import Appointment, CarePlan, Location, PlanStep
from appointments.planner import StepRule
from appointments.plans import Series, plans_for, series_of
from appointments.selectors import visit_types_for
from appointments.services.changing import CANCELLABLE, cancel
from appointments.services.ordering import by_clinician, invalid
from appointments.services.refusals import NotOpen
from core.areas import Area
from core.errors import NotFound
from core.feed import record_change
from core.models import Change
from patients.viewer import Viewer

STEPS_AT_MOST = 6


def draft_plan(
    *,
    viewer: Viewer,
    patient_id: UUID,
    name: str,
    first_on: date,
    every_days: int,
    cycles: int,
    tolerance_days: int,
    steps: Sequence[StepRule],
    now: datetime,
    location_id: UUID | None = None,
) -> Series:
    """Return a plan that is not saved yet, to look at. The last step is the main visit.

    Raises: NotFound, Forbidden, InvalidInput.
    """
    by = by_clinician(viewer)
    kinds = {
        kind.id: kind
        for kind in visit_types_for(viewer, patient_id=patient_id, now=now).select_related(
            "organization"
        )
    }
    if not 1 <= len(steps) <= STEPS_AT_MOST:
        raise invalid("steps", "how-many", f"From 1 to {STEPS_AT_MOST} visits a cycle.")
    if not all(step.visit_type_id in kinds for step in steps):
        raise NotFound()
    location = None
    if location_id is not None:
        owners = {kind.organization_id for kind in kinds.values()}
        location = Location.objects.filter(id=location_id, organization__in=owners).first()
        if location is None:
            raise NotFound()
    for field, value, most in (
        ("cycles", cycles, 26),
        ("every_days", every_days, 120),
        ("tolerance_days", tolerance_days + 1, 15),
    ):
        if not 1 <= value <= most:
            raise invalid(field, "out-of-range", "Out of range.")
    if not name.strip():
        raise invalid("name", "required", "What should she read?")
    plan = CarePlan(
        patient_id=patient_id,
        name=name.strip()[:120],
        location=location,
        first_on=first_on,
        every_days=every_days,
        cycles=cycles,
        tolerance_days=tolerance_days,
        laid_down_at=now,
        laid_down_by_id=by,
    )
    rows = [
        PlanStep(
            plan=plan,
            position=position,
            visit_type=kinds[step.visit_type_id],
            days_before_least=step.least,
            days_before_most=step.most,
            gap_minutes=int(step.gap.total_seconds() // 60),
        )
        for position, step in enumerate(steps)
    ]
    try:
        series = series_of(plan, rows)
    except ValueError as error:
        raise invalid("steps", "contradiction", f"{error}.") from error
    if first_on < series.today(now):
        raise invalid("first_on", "past", "This day is over.")
    return series


def lay_down(*, viewer: Viewer, now: datetime, **rules: Any) -> CarePlan:
    """Save a plan; nothing is booked by that. Arguments and errors as `draft_plan`."""
    series = draft_plan(viewer=viewer, now=now, **rules)
    with transaction.atomic():
        series.plan.save(force_insert=True)
        PlanStep.objects.bulk_create(series.steps)
        follow_plan(series.plan, now)
    return series.plan


def revoke_plan(
    *, viewer: Viewer, plan_id: UUID, reason: str, now: datetime, cancel_visits: bool = False
) -> list[Appointment]:
    """End a plan, as a clinician; return the visits ahead that were cancelled, if asked to.

    Raises: NotFound, Forbidden, NotOpen, InvalidInput without a reason.
    """
    by = by_clinician(viewer)
    if not reason.strip():
        raise invalid("revoke_reason", "required", "Say why.")
    with transaction.atomic():
        plan = locked_plan(viewer, plan_id)
        series = series_of(read_plan(viewer, plan.id))
        plan.status, plan.revoked_at, plan.revoked_by_id = CarePlan.Status.REVOKED, now, by
        plan.revoke_reason = reason.strip()[:160]
        plan.save(update_fields=["status", "revoked_at", "revoked_by", "revoke_reason"])
        follow_plan(plan, now)
        ahead = [
            visit
            for visit in series.standing.values()
            if visit.starts_at > now and visit.status in CANCELLABLE
        ]
        if not cancel_visits:
            return []
        return [
            cancel(
                viewer=viewer,
                appointment_id=visit.id,
                reason=Appointment.CancellationReason.PROVIDER,
                now=now,
            )
            for visit in sorted(ahead, key=lambda visit: visit.starts_at)
        ]


def read_plan(viewer: Viewer, plan_id: UUID) -> CarePlan:
    plan = plans_for(viewer).filter(id=plan_id).first()
    if plan is None:
        raise NotFound()
    return plan


def active_plan(viewer: Viewer, plan_id: UUID) -> CarePlan:
    plan = read_plan(viewer, plan_id)
    if plan.status != CarePlan.Status.ACTIVE:
        raise NotOpen()
    return plan


def locked_plan(viewer: Viewer, plan_id: UUID) -> CarePlan:
    """Return an active plan, locked: a series is changed by one at a time."""
    found = CarePlan.objects.select_for_update(of=("self",)).filter(id=plan_id)
    if viewer.patient_id is not None:
        found = found.filter(patient_id=viewer.patient_id)
    plan = found.first()
    if plan is None:
        raise NotFound()
    if plan.status != CarePlan.Status.ACTIVE:
        raise NotOpen()
    return plan


def follow_plan(plan: CarePlan, now: datetime) -> None:
    record_change(
        patient_id=plan.patient_id,
        area=Area.APPOINTMENTS,
        resource="CarePlan",
        resource_id=plan.id,
        kind=Change.Kind.UPSERT,
        now=now,
    )
