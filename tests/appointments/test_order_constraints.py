"""Constraints of tickets and care plans, broken in SQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from appointments.models import CarePlan, PlannedVisit, PlanStep, Ticket
from core.db import identity, system
from tests.appointments.factories import book, surgery
from tests.appointments.series import Ward, book_all, lay_down, ward
from tests.cast import Cast
from tests.tokens import viewer_of

pytestmark = pytest.mark.django_db

DAY = date(2026, 12, 1)


@contextmanager
def refused(name: str) -> Iterator[None]:
    with (
        identity(system("registration")),
        pytest.raises(IntegrityError) as error,
        transaction.atomic(),
    ):
        yield
    assert error.value.__cause__.diag.constraint_name == name  # type: ignore[union-attr]


@pytest.fixture
def place(cast: Cast) -> Ward:
    return ward(cast)


@pytest.fixture
def plan(cast: Cast, place: Ward, now: datetime) -> CarePlan:
    return lay_down(cast, place, now)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"latest": DAY - timedelta(days=1)}, "ticket_earliest_before_latest"),
        ({"uses": 0}, "ticket_uses"),
        ({"uses": 53}, "ticket_uses"),
        ({"origin": "friend"}, "ticket_origin"),
        ({"cancelled": "at"}, "ticket_cancelled_by_somebody_for_a_reason"),
        ({"cancelled": "by"}, "ticket_cancelled_by_somebody_for_a_reason"),
        ({"cancelled": "both"}, "ticket_cancelled_by_somebody_for_a_reason"),
        ({"cancel_reason": "why"}, "ticket_cancelled_by_somebody_for_a_reason"),
    ],
)
def test_tickets(cast: Cast, now: datetime, changed: dict[str, Any], name: str) -> None:
    clinic = surgery(cast.clinic, booking_policy="ticket")
    fields: dict[str, Any] = {"earliest": DAY, "latest": DAY, **changed}
    cancelled = fields.pop("cancelled", "")
    if cancelled in ("at", "both"):
        fields["cancelled_at"] = now
    if cancelled in ("by", "both"):
        fields["cancelled_by"] = cast.clinician
    with refused(name):
        Ticket.objects.create(
            patient=cast.anna,
            visit_type=clinic.visit_type,
            ordered_at=now,
            ordered_by=cast.clinician,
            **fields,
        )


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"cycles": 0}, "care_plan_cycles"),
        ({"cycles": 27}, "care_plan_cycles"),
        ({"every_days": 0}, "care_plan_every"),
        ({"every_days": 121}, "care_plan_every"),
        ({"tolerance_days": 15}, "care_plan_tolerance"),
        ({"every_days": 5, "tolerance_days": 5}, "care_plan_tolerance"),
        ({"status": "revoked"}, "care_plan_revoked_by_somebody_for_a_reason"),
        ({"revoke_reason": "x"}, "care_plan_revoked_by_somebody_for_a_reason"),
        ({"status": "draft"}, "care_plan_revoked_by_somebody_for_a_reason"),
    ],
)
def test_care_plans(cast: Cast, now: datetime, changed: dict[str, Any], name: str) -> None:
    fields = {"cycles": 3, "every_days": 21, "tolerance_days": 2, **changed}
    with refused(name):
        CarePlan.objects.create(
            patient=cast.anna,
            name="Infusions",
            first_on=DAY,
            laid_down_at=now,
            laid_down_by=cast.clinician,
            **fields,
        )


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"position": 0}, "plan_step_position_once"),
        ({"days_before_least": 3, "days_before_most": 2}, "plan_step_days_before"),
        ({"days_before_most": 15}, "plan_step_days_before"),
        ({"gap_minutes": 1441}, "plan_step_gap"),
    ],
)
def test_steps(place: Ward, plan: CarePlan, changed: dict[str, Any], name: str) -> None:
    with refused(name):
        PlanStep.objects.create(plan=plan, visit_type=place.labs, **{"position": 9, **changed})


def test_a_cell_has_one_visit_and_it_belongs(
    cast: Cast, place: Ward, plan: CarePlan, now: datetime
) -> None:
    visits = book_all(cast.anna_user, plan, now)
    other = surgery(cast.clinic)
    stranger = book(cast.brigid.user, other.opening(9), now)
    hers = book(cast.anna_user, other.opening(10), now)
    with identity(system("registration")):
        step = PlanStep.objects.get(plan=plan, position=1)
        row = PlannedVisit.objects.get(appointment=visits[(1, 1)])
    for visit in (stranger, hers):
        with refused("planned_visit_belongs"):
            PlannedVisit.objects.create(
                plan=plan, patient=cast.anna, step=step, cycle=1, appointment=visit
            )
    with refused("planned_visit_belongs"):
        PlannedVisit.objects.create(
            plan=plan, patient=cast.anna, step=step, cycle=4, appointment=visits[(1, 1)]
        )
    with identity(system("registration")):
        PlannedVisit.objects.filter(id=row.id).update(replaced_at=now)
        with pytest.raises(DatabaseError), transaction.atomic():
            PlannedVisit.objects.filter(id=row.id).update(replaced_at=None)
        with pytest.raises(DatabaseError), transaction.atomic():
            PlannedVisit.objects.filter(plan=plan).update(cycle=2)


def test_a_plan_is_not_rewritten(plan: CarePlan, cast: Cast) -> None:
    with identity(system("registration")):
        for change in ({"every_days": 14}, {"patient": cast.brigid}, {"name": "x"}):
            with pytest.raises(DatabaseError), transaction.atomic():
                CarePlan.objects.filter(id=plan.id).update(**change)


def test_she_lays_down_no_plan_of_her_own(cast: Cast, plan: CarePlan, now: datetime) -> None:
    with identity(viewer_of(cast.anna_user).identity):
        with pytest.raises(DatabaseError), transaction.atomic():
            CarePlan.objects.create(
                patient=cast.anna,
                name="Mine",
                first_on=DAY,
                every_days=7,
                cycles=1,
                laid_down_at=now,
                laid_down_by=cast.anna_user,
            )
        with pytest.raises(DatabaseError), transaction.atomic():
            CarePlan.objects.filter(id=plan.id).update(
                status="revoked", revoked_at=now, revoked_by=cast.anna_user, revoke_reason="x"
            )
    with identity(viewer_of(cast.brigid.user).identity):
        assert (CarePlan.objects.count(), PlanStep.objects.count()) == (0, 0)
