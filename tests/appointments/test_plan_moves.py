"""Moving one visit of a series, and the rest with it."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from appointments import services
from appointments.models import Appointment, CarePlan
from appointments.planner import StepRule
from core.db import identity
from core.errors import NotFound
from tests.appointments.series import (
    DAY,
    TUESDAY,
    Ward,
    book_all,
    counted,
    ids,
    lay_down,
    local,
    staff_book,
    standing,
    ward,
)
from tests.appointments.test_holds import hold
from tests.cast import Cast
from tests.tokens import viewer_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def place(cast: Cast) -> Ward:
    return ward(cast)


@pytest.fixture
def plan(cast: Cast, place: Ward, now: datetime) -> CarePlan:
    return lay_down(cast, place, now)


def propose_move(cast: Cast, plan: CarePlan, visit: Appointment, opening: str, now: Any) -> Any:
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity):
        return services.propose_move(
            viewer=viewer, plan_id=plan.id, appointment_id=visit.id, opening=opening, now=now
        )


def move(cast: Cast, plan: CarePlan, openings: Any, now: datetime) -> list[Appointment]:
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity):
        return services.move_planned(viewer=viewer, plan_id=plan.id, openings=openings, now=now)


def as_moves(found: Any, visits: Any) -> dict[Any, str]:
    return {visits[cell].id: opening for cell, opening in ids(found).items()}


def test_moving_an_infusion_offers_to_move_what_follows(
    cast: Cast, place: Ward, plan: CarePlan, now: datetime
) -> None:
    visits = book_all(cast.anna_user, plan, now)
    found = propose_move(
        cast, plan, visits[(2, 2)], place.opening(2, 12, on=TUESDAY + 23 * DAY), now
    )
    # Its own labs and doctor no longer fit, so they come along; the third cycle follows.
    assert found.cells == ((2, 2), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))
    assert found.proposal.unmet == ()
    assert found.proposal.times[(3, 2)].on == TUESDAY + 44 * DAY
    assert f"{found.proposal.times[(3, 2)].clock:%H:%M}" == "08:00"
    moved = move(cast, plan, as_moves(found, visits), now)
    assert len(moved) == 6
    after = standing(plan)
    assert {cell: visit.id for cell, visit in after.items()} == {
        cell: visit.id for cell, visit in visits.items()
    }
    assert local(place, after[(3, 2)]) == "2027-01-14 08:00"
    assert (after[(3, 2)].sequence, after[(1, 2)].sequence) == (1, 0)
    assert counted() == (9, 9)


def test_a_series_moves_into_its_own_old_times(cast: Cast, place: Ward, now: datetime) -> None:
    """A week later each: the first one's new time is what the second one has."""
    plan = lay_down(
        cast, place, now, every_days=7, steps=[StepRule(place.infusion.id)], tolerance_days=6
    )
    visits = book_all(cast.anna_user, plan, now)
    week = place.opening(2, 8, on=TUESDAY + 7 * DAY)
    found = propose_move(cast, plan, visits[(1, 0)], week, now)
    assert [time.on for _, time in sorted(found.proposal.times.items())] == [
        TUESDAY + 7 * n * DAY for n in (1, 2, 3)
    ]
    # Not within the tolerance of the plan's first day, so it is not for her to move that far.
    with pytest.raises(services.PlanOrder):
        move(cast, plan, as_moves(found, visits), now)
    visits = standing(plan)
    found = propose_move(
        cast, plan, visits[(2, 0)], place.opening(2, 8, on=TUESDAY + 13 * DAY), now
    )
    assert found.proposal.times[(3, 0)].on == TUESDAY + 20 * DAY
    move(cast, plan, as_moves(found, visits), now)
    assert [visit.local_date for _, visit in sorted(standing(plan).items())] == [
        TUESDAY,
        TUESDAY + 13 * DAY,
        TUESDAY + 20 * DAY,
    ]


def test_moving_labs_that_still_fit_moves_nothing_else(
    cast: Cast, place: Ward, plan: CarePlan, now: datetime
) -> None:
    visits = book_all(cast.anna_user, plan, now)
    found = propose_move(cast, plan, visits[(1, 0)], place.opening(0, 8, on=TUESDAY - DAY), now)
    assert found.cells == ((1, 0),)
    move(cast, plan, as_moves(found, visits), now)
    assert local(place, standing(plan)[(1, 0)]) == "2026-11-30 08:00"


def test_a_move_that_breaks_the_plan_is_refused(
    cast: Cast, place: Ward, plan: CarePlan, now: datetime
) -> None:
    visits = book_all(cast.anna_user, plan, now)
    alone = {visits[(2, 2)].id: place.opening(2, 8, on=TUESDAY + 25 * DAY)}
    with pytest.raises(services.PlanOrder):
        move(cast, plan, alone, now)
    assert standing(plan)[(2, 2)].starts_at == visits[(2, 2)].starts_at
    assert counted() == (9, 9)


def test_losing_one_time_moves_nothing(
    cast: Cast, place: Ward, plan: CarePlan, now: datetime
) -> None:
    visits = book_all(cast.anna_user, plan, now)
    before = {cell: visit.starts_at for cell, visit in visits.items()}
    target = place.opening(2, 12, on=TUESDAY + 23 * DAY)
    moves = as_moves(propose_move(cast, plan, visits[(2, 2)], target, now), visits)
    staff_book(cast, moves[visits[(3, 2)].id], now)
    with pytest.raises(services.PlanTimeLost) as refusal:
        move(cast, plan, moves, now)
    assert refusal.value.extra["lost"] == {"cycle": 3, "step": 2, "reason": "slot-taken"}
    assert {cell: visit.starts_at for cell, visit in standing(plan).items()} == before
    assert counted() == (10, 10)
    move(cast, plan, as_moves(refusal.value.fresh, visits), now)
    assert counted() == (10, 10)


def test_when_the_leading_time_is_lost_there_is_no_fresh_proposal(
    cast: Cast, place: Ward, plan: CarePlan, now: datetime
) -> None:
    visits = book_all(cast.anna_user, plan, now)
    target = place.opening(2, 12, on=TUESDAY + 23 * DAY)
    moves = as_moves(propose_move(cast, plan, visits[(2, 2)], target, now), visits)
    staff_book(cast, target, now)
    with pytest.raises(services.PlanTimeLost) as refusal:
        move(cast, plan, moves, now)
    assert refusal.value.fresh is None
    with pytest.raises(services.SlotTaken):
        propose_move(cast, plan, visits[(2, 2)], target, now)


def test_a_time_that_she_keeps_is_hers_to_move_to(cast: Cast, place: Ward, now: datetime) -> None:
    plan = lay_down(cast, place, now, steps=[StepRule(place.infusion.id)], cycles=1)
    visits = book_all(cast.anna_user, plan, now)
    target = place.opening(2, 12)
    place.infusion.booking_policy = "direct"
    place.infusion.save()
    hold(cast.anna_user, target, now)
    found = propose_move(cast, plan, visits[(1, 0)], target, now)
    move(cast, plan, as_moves(found, visits), now)
    assert local(place, standing(plan)[(1, 0)]) == "2026-12-01 12:00"


def test_what_is_over_or_near_is_not_moved(
    cast: Cast, place: Ward, plan: CarePlan, now: datetime
) -> None:
    visits = book_all(cast.anna_user, plan, now)
    later = visits[(1, 2)].starts_at + timedelta(minutes=1)
    target = place.opening(2, 12, on=TUESDAY + DAY)
    with pytest.raises(services.StatusConflict):
        propose_move(cast, plan, visits[(1, 2)], target, later)
    with pytest.raises(services.TooLateToMove):
        move(cast, plan, {visits[(1, 2)].id: target}, later)
    with pytest.raises(NotFound):
        propose_move(cast, plan, Appointment(id=uuid4()), target, now)
