"""Care plans: proposed in order, booked whole or not at all, moved as a series."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest
import time_machine

from accounts.models import Holiday
from appointments import services
from appointments.models import Appointment, CarePlan, PlannedVisit
from appointments.planner import Unmet
from core.db import identity, system
from core.errors import Forbidden, InvalidInput, NotFound
from tests.appointments.factories import book, cancel, surgery
from tests.appointments.orders import as_staff
from tests.appointments.series import (
    DAY,
    TUESDAY,
    Ward,
    book_all,
    counted,
    ids,
    lay_down,
    local,
    proposed,
    rules_of,
    staff_book,
    standing,
    ward,
)
from tests.appointments.test_race import at_once
from tests.cast import Cast
from tests.tokens import api_of, viewer_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def place(cast: Cast) -> Ward:
    return ward(cast)


@pytest.fixture
def plan(cast: Cast, place: Ward, now: datetime) -> CarePlan:
    return lay_down(cast, place, now)


# --- proposed -------------------------------------------------------------------------------------


def test_a_proposal_keeps_order_and_distance_beyond_the_horizon(
    cast: Cast, place: Ward, now: datetime
) -> None:
    """Six cycles reach 105 days, further than the 90 of the horizon."""
    found = proposed(cast.anna_user, lay_down(cast, place, now, cycles=6), now)
    assert found.proposal.unmet == ()
    mains = [found.proposal.times[(cycle, 2)].on for cycle in range(1, 7)]
    assert mains == [TUESDAY + 21 * n * DAY for n in range(6)]
    first = [found.proposal.times[(1, step)] for step in range(3)]
    assert [f"{time.on} {time.clock:%H:%M}" for time in first] == [
        "2026-11-30 10:00",
        "2026-11-30 11:30",
        "2026-12-01 08:00",
    ]
    assert counted() == (0, 0)


def test_what_others_have_is_not_proposed(
    cast: Cast, place: Ward, plan: CarePlan, now: datetime
) -> None:
    staff_book(cast, place.opening(2, 8), now)
    found = proposed(cast.anna_user, plan, now)
    assert f"{found.proposal.times[(1, 2)].clock:%H:%M}" == "10:00"


def test_her_own_visits_are_kept_free(
    cast: Cast, place: Ward, plan: CarePlan, now: datetime
) -> None:
    other = surgery(cast.clinic, duration_minutes=180)
    book(cast.anna_user, other.opening(9, on=TUESDAY), now)
    found = proposed(cast.anna_user, plan, now)
    assert f"{found.proposal.times[(1, 2)].clock:%H:%M}" == "12:00"


def test_a_holiday_moves_one_infusion(
    cast: Cast, place: Ward, plan: CarePlan, now: datetime
) -> None:
    Holiday.objects.create(organization=cast.clinic, date=date(2026, 12, 22), name="Day off")
    found = proposed(cast.anna_user, plan, now)
    assert [found.proposal.times[(cycle, 2)].on for cycle in (1, 2, 3)] == [
        TUESDAY,
        date(2026, 12, 23),
        date(2027, 1, 13),
    ]


def test_the_change_of_clocks_moves_no_hour(cast: Cast, place: Ward, now: datetime) -> None:
    """29 March 2027 is the day after Berlin's clocks went forward."""
    plan = lay_down(cast, place, now, first_on=date(2027, 3, 23), every_days=7, cycles=2)
    found = proposed(cast.anna_user, plan, now)
    before, after = (found.proposal.times[(cycle, 2)] for cycle in (1, 2))
    assert after.on - before.on == 7 * DAY
    assert after.starts_at - before.starts_at == 7 * DAY - timedelta(hours=1)


def test_what_cannot_be_met_is_said(cast: Cast, place: Ward, plan: CarePlan, now: datetime) -> None:
    for days in range(-2, 3):
        services.add_exception(schedule=place.chair, on=TUESDAY + (21 + days) * DAY, kind="closed")
    for days in range(3):
        services.add_exception(schedule=place.blood, on=TUESDAY + (42 + days) * DAY, kind="closed")
    found = proposed(cast.anna_user, plan, now)
    # The first infusion gives way by two days, and the second comes two days later still.
    assert found.proposal.unmet == ()
    assert found.proposal.times[(2, 2)].on >= TUESDAY + 24 * DAY
    for days in range(3, 10):
        services.add_exception(schedule=place.chair, on=TUESDAY + (21 + days) * DAY, kind="closed")
    found = proposed(cast.anna_user, plan, now)
    assert found.proposal.unmet == (Unmet(2, 2, "no-opening"),)


# --- booked ---------------------------------------------------------------------------------------


def test_she_books_all_of_it(cast: Cast, place: Ward, plan: CarePlan, now: datetime) -> None:
    visits = book_all(cast.anna_user, plan, now)
    assert len(visits) == 9
    assert counted() == (9, 9)
    with pytest.raises(services.PlanIncomplete):
        book_all(cast.anna_user, plan, now)


def test_losing_one_time_books_nothing(
    cast: Cast, place: Ward, plan: CarePlan, now: datetime
) -> None:
    chosen = ids(proposed(cast.anna_user, plan, now))
    staff_book(cast, chosen[(2, 1)], now)
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity), pytest.raises(services.PlanTimeLost) as refusal:
        services.book_plan(viewer=viewer, plan_id=plan.id, openings=chosen, now=now)
    assert refusal.value.extra["lost"] == {"cycle": 2, "step": 1, "reason": "slot-taken"}
    assert counted() == (1, 1)
    fresh = ids(refusal.value.fresh)
    assert fresh[(2, 1)] != chosen[(2, 1)]
    with identity(viewer.identity):
        services.book_plan(viewer=viewer, plan_id=plan.id, openings=fresh, now=now)
    assert len(standing(plan)) == 9


def test_only_the_whole_of_it_is_booked(
    cast: Cast, place: Ward, plan: CarePlan, now: datetime
) -> None:
    chosen = ids(proposed(cast.anna_user, plan, now))
    viewer = viewer_of(cast.anna_user)
    for wrong in (
        {cell: opening for cell, opening in chosen.items() if cell != (3, 2)},
        {**chosen, (4, 0): place.opening(0, 8)},
    ):
        with identity(viewer.identity), pytest.raises(services.PlanIncomplete):
            services.book_plan(viewer=viewer, plan_id=plan.id, openings=wrong, now=now)
    swapped = {**chosen, (1, 0): chosen[(1, 1)]}
    with identity(viewer.identity), pytest.raises(services.OtherVisitType):
        services.book_plan(viewer=viewer, plan_id=plan.id, openings=swapped, now=now)
    assert counted() == (0, 0)


@pytest.mark.parametrize(
    ("cell", "when", "code"),
    [
        ((1, 0), (0, 8, TUESDAY), "plan-order"),
        ((1, 1), (1, 9, TUESDAY), "plan-order"),
        ((2, 2), (2, 8, TUESDAY + 24 * DAY), "plan-order"),
        ((1, 2), (2, 8, TUESDAY - DAY), "plan-order"),
    ],
)
def test_times_of_her_own_choosing_must_fit(
    cast: Cast, place: Ward, plan: CarePlan, now: datetime, cell: Any, when: Any, code: str
) -> None:
    step, hour, on = when
    chosen = {**ids(proposed(cast.anna_user, plan, now)), cell: place.opening(step, hour, on=on)}
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity), pytest.raises(services.PlanOrder) as refusal:
        services.book_plan(viewer=viewer, plan_id=plan.id, openings=chosen, now=now)
    assert refusal.value.code == code
    assert refusal.value.extra["broken"]
    assert counted() == (0, 0)


def test_other_times_that_fit_are_as_good(
    cast: Cast, place: Ward, plan: CarePlan, now: datetime
) -> None:
    chosen = ids(proposed(cast.anna_user, plan, now))
    chosen |= {(1, 1): place.opening(1, 9), (1, 2): place.opening(2, 10)}
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity):
        services.book_plan(viewer=viewer, plan_id=plan.id, openings=chosen, now=now)
    assert local(place, standing(plan)[(1, 2)]) == "2026-12-01 10:00"


def test_a_cancelled_visit_of_it_can_be_booked_again(
    cast: Cast, place: Ward, plan: CarePlan, now: datetime
) -> None:
    visits = book_all(cast.anna_user, plan, now)
    cancel(cast.anna_user, visits[(2, 0)].id, now)
    found = proposed(cast.anna_user, plan, now)
    assert found.cells == ((2, 0),)
    again = book_all(cast.anna_user, plan, now)
    assert again[(2, 0)].id != visits[(2, 0)].id
    assert {cell: visit.id for cell, visit in again.items() if cell != (2, 0)} == {
        cell: visit.id for cell, visit in visits.items() if cell != (2, 0)
    }
    with identity(system("registration")):
        assert PlannedVisit.objects.filter(replaced_at=now).count() == 1


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_two_at_once_book_one_series(cast: Cast, now: datetime) -> None:
    """She at home and the clinic; then she and somebody who wants one of the times."""
    place = ward(cast)
    plan = lay_down(cast, place, now)
    chosen = ids(proposed(cast.anna_user, plan, now))

    def by(viewer: Any) -> Any:
        with identity(viewer.identity):
            return services.book_plan(viewer=viewer, plan_id=plan.id, openings=chosen, now=now)

    both = [viewer_of(cast.anna_user), as_staff(cast.nurse, now)]
    results = at_once([lambda who=who: by(who) for who in both])  # type: ignore[misc]
    assert sorted(type(result).__name__ for result in results) == ["PlanIncomplete", "list"]
    assert counted() == (9, 9)


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_a_series_and_one_visit_at_once_on_one_time(cast: Cast, now: datetime) -> None:
    place = ward(cast)
    plan = lay_down(cast, place, now)
    chosen = ids(proposed(cast.anna_user, plan, now))
    viewer = viewer_of(cast.anna_user)

    def series() -> Any:
        with identity(viewer.identity):
            return services.book_plan(viewer=viewer, plan_id=plan.id, openings=chosen, now=now)

    results = at_once([series, lambda: staff_book(cast, chosen[(3, 0)], now)])
    names = sorted(type(result).__name__ for result in results)
    assert names in (["PlanTimeLost", "Appointment"][::-1], ["SlotTaken", "list"])
    assert counted()[0] == (1 if "PlanTimeLost" in names else 9)


# --- laid down and revoked ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"cycles": 0}, "out-of-range"),
        ({"cycles": 27}, "out-of-range"),
        ({"every_days": 121}, "out-of-range"),
        ({"tolerance_days": 15}, "out-of-range"),
        ({"every_days": 3}, "contradiction"),
        ({"first_on": date(2026, 11, 21)}, "past"),
        ({"name": " "}, "required"),
        ({"steps": []}, "how-many"),
    ],
)
def test_rules_that_make_no_sense(
    cast: Cast, place: Ward, now: datetime, changed: dict[str, Any], code: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        lay_down(cast, place, now, **changed)
    assert refusal.value.errors[0].code == code


def test_only_a_clinician_lays_down_and_revokes(
    cast: Cast, place: Ward, plan: CarePlan, now: datetime
) -> None:
    asked = {"patient_id": cast.anna.id, "now": now, **rules_of(place)}
    nurse, anna = as_staff(cast.nurse, now), viewer_of(cast.anna_user)
    with identity(nurse.identity), pytest.raises(Forbidden):
        services.lay_down(viewer=nurse, **asked)
    with identity(anna.identity), pytest.raises(NotFound):
        services.lay_down(viewer=anna, **asked)
    for viewer, refusal in ((nurse, Forbidden), (anna, NotFound)):
        with identity(viewer.identity), pytest.raises(refusal):
            services.revoke_plan(viewer=viewer, plan_id=plan.id, reason="x", now=now)


@pytest.mark.parametrize("cancel_visits", [False, True])
def test_revoking_cancels_what_is_ahead_only_when_asked_to(
    cast: Cast, place: Ward, plan: CarePlan, now: datetime, cancel_visits: bool
) -> None:
    visits = book_all(cast.anna_user, plan, now)
    viewer = as_staff(cast.clinician, now)
    after_the_first = visits[(1, 2)].ends_at
    with identity(viewer.identity):
        gone = services.revoke_plan(
            viewer=viewer,
            plan_id=plan.id,
            reason="Another treatment",
            cancel_visits=cancel_visits,
            now=after_the_first,
        )
        with pytest.raises(services.NotOpen):
            services.revoke_plan(viewer=viewer, plan_id=plan.id, reason="x", now=now)
    assert len(gone) == (6 if cancel_visits else 0)
    with identity(system("registration")):
        assert Appointment.objects.filter(status="cancelled").count() == len(gone)
    with pytest.raises(services.NotOpen):
        proposed(cast.anna_user, plan, now)


def test_a_strangers_plan_does_not_exist(
    cast: Cast, place: Ward, plan: CarePlan, now: datetime
) -> None:
    with pytest.raises(NotFound):
        proposed(cast.brigid.user, plan, now)
    other = as_staff(cast.other_nurse, now)
    with identity(other.identity), pytest.raises(NotFound):
        services.propose_plan(viewer=other, plan_id=plan.id, now=now)


# --- API ------------------------------------------------------------------------------------------


def test_the_whole_way_by_api(cast: Cast, place: Ward, plan: CarePlan, now: datetime) -> None:
    with time_machine.travel(now, tick=False):
        api = api_of(cast.anna_user)
        address = f"patients/me/care-plans/{plan.id}"
        (listed,) = api.get("patients/me/care-plans").json()["items"]
        assert (listed["status"], len(listed["missing"]), listed["visits"]) == ("active", 9, [])
        reader = api_of(cast.anna_user, "appointments.read")
        proposal = reader.post(f"{address}/$propose", {})
        assert proposal.status_code == 200, proposal.content
        visits = proposal.json()["visits"]
        assert (proposal.json()["complete"], len(visits)) == (True, 9)
        assert visits[2]["opening"]["start"]["local"] == "2026-12-01T08:00"
        chosen = [
            {"cycle": v["cycle"], "step": v["step"], "opening": v["opening"]["id"]} for v in visits
        ]
        assert reader.post(f"{address}/$book", {"visits": chosen}).status_code == 403
        twice = api.post(f"{address}/$book", {"visits": [*chosen, chosen[0]]})
        assert (twice.status_code, twice.json()["errors"][0]["code"]) == (422, "twice")
        few = api.post(f"{address}/$book", {"visits": chosen[1:]})
        assert (few.status_code, few.json()["code"]) == (422, "plan-incomplete")
        staff_book(cast, chosen[4]["opening"], now)
        lost = api.post(f"{address}/$book", {"visits": chosen})
        assert (lost.status_code, lost.json()["code"]) == (409, "plan-time-lost")
        assert lost.json()["lost"] == {"cycle": 2, "step": 1, "reason": "slot-taken"}
        chosen = [
            {"cycle": v["cycle"], "step": v["step"], "opening": v["opening"]["id"]}
            for v in lost.json()["proposal"]["visits"]
        ]
        booked = api.post(f"{address}/$book", {"visits": chosen})
        assert booked.status_code == 200, booked.content
        assert (len(booked.json()["visits"]), booked.json()["missing"]) == (9, [])
        second = booked.json()["visits"][5]["appointment"]
        target = {
            "appointment": second,
            "opening": place.opening(2, 12, on=TUESDAY + 23 * DAY),
        }
        offer = api.post(f"{address}/$propose-move", target).json()
        assert [(v["cycle"], v["step"]) for v in offer["visits"]][:1] == [(2, 2)]
        moves = [
            {"appointment": v["appointment"], "opening": v["opening"]["id"]}
            for v in offer["visits"]
        ]
        done = api.post(f"{address}/$move", {"moves": moves})
        assert done.status_code == 200, done.content
        assert done.json()["visits"][5]["start"]["local"] == "2026-12-24T12:00"
        stranger = api_of(cast.brigid.user)
        for call in ("$propose", "$book", "$propose-move", "$move"):
            body = {"visits": chosen, "moves": moves, **target}
            assert stranger.post(f"{address}/{call}", body).status_code == 404
