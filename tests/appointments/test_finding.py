"""Find openings over kinds of visit, places, people, days and times."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine

from appointments import services
from appointments.finding import OpeningPage, Search, find
from core.db import identity
from core.errors import InvalidInput, NotFound
from tests.appointments.factories import MONDAY, Surgery, book, hours, surgery
from tests.cast import Cast
from tests.tokens import Api, api_of, viewer_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock(now: datetime) -> Iterator[None]:
    with time_machine.travel(now, tick=False):
        yield


@pytest.fixture
def anna(cast: Cast) -> Api:
    return api_of(cast.anna_user, "appointments.read appointments.write")


def search(
    cast: Cast, now: datetime, wanted: Search, *, limit: int = 20, cursor: str | None = None
) -> OpeningPage:
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity):
        return find(
            viewer, patient_id=cast.anna.id, wanted=wanted, now=now, limit=limit, cursor=cursor
        )


def of(*clinics: Surgery, **more: Any) -> Search:
    return Search(visit_type_ids=tuple(one.visit_type.id for one in clinics), **more)


def starts(page: OpeningPage) -> list[datetime]:
    return [item.opening.starts_at for item in page.items]


def test_the_next_openings_of_several_clinics_come_as_one_list(cast: Cast, now: datetime) -> None:
    one, other = surgery(cast.clinic), surgery(cast.clinic, duration_minutes=60)
    seen: list[tuple[datetime, Any]] = []
    cursor = None
    while True:
        page = search(cast, now, of(one, other, first=MONDAY, last=MONDAY), limit=4, cursor=cursor)
        seen += [(item.opening.starts_at, item.opening.visit_type_id) for item in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 6 + 5
    assert [at for at, _ in seen] == sorted(at for at, _ in seen)


def test_without_an_end_it_looks_until_the_page_is_full(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    for day in range(30):
        services.add_exception(
            schedule=clinic.schedule, on=MONDAY + timedelta(days=day), kind="closed"
        )
    page = search(cast, now, of(clinic), limit=7)
    assert starts(page)[0] == clinic.at(9, on=date(2026, 12, 23))
    assert len(page.items) == 7
    following = search(cast, now, of(clinic), limit=7, cursor=page.next)
    assert starts(following)[0] > starts(page)[-1]


def test_without_an_end_it_ends_at_the_horizon(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic, horizon_days=20)
    page = search(cast, now, of(clinic), limit=100)
    # Fifteen working days of six openings: to 11 December, the last Friday within twenty days.
    assert (len(page.items), page.next) == (90, None)
    assert starts(page)[-1] == clinic.at(11, 30, on=date(2026, 12, 11))


def test_days_of_the_week(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    page = search(cast, now, of(clinic, weekdays=frozenset({2, 4})), limit=13)
    assert {at.isoweekday() for at in starts(page)} == {2, 4}


def test_times_of_the_day_with_both_edges(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    page = search(
        cast,
        now,
        of(
            clinic,
            first=MONDAY,
            last=MONDAY,
            starts_from=time(9, 30),
            starts_until=time(10, 30),
        ),
    )
    assert starts(page) == [clinic.at(9, 30), clinic.at(10)]


def test_times_are_the_clock_of_the_clinic_when_the_clocks_change(
    cast: Cast, now: datetime
) -> None:
    clinic = surgery(cast.clinic, horizon_days=200)
    page = search(
        cast,
        now,
        of(
            clinic,
            first=date(2027, 3, 26),
            last=date(2027, 3, 29),
            starts_from=time(9),
            starts_until=time(9, 30),
        ),
    )
    assert [at.astimezone(UTC).hour for at in starts(page)] == [8, 7]


def test_one_person_among_several(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    other = services.create_resource(
        organization=cast.clinic, kind="practitioner", name="Dr Birke", location=clinic.location
    )
    hours(other, clinic.location, [clinic.visit_type])
    wanted = of(clinic, first=MONDAY, last=MONDAY, practitioner_ids=(other.id,))
    assert {item.supply.resource_id for item in search(cast, now, wanted).items} == {other.id}
    both = of(clinic, first=MONDAY, last=MONDAY)
    assert len(search(cast, now, both).items) == 12


def test_one_place_among_several(cast: Cast, now: datetime) -> None:
    one, other = surgery(cast.clinic), surgery(cast.clinic)
    wanted = of(one, other, first=MONDAY, last=MONDAY, location_ids=(other.location.id,))
    assert {item.supply.location_id for item in search(cast, now, wanted).items} == {
        other.location.id
    }


def test_a_kind_of_visit_that_is_not_hers_does_not_exist(cast: Cast, now: datetime) -> None:
    own, foreign = surgery(cast.clinic), surgery(cast.other_clinic)
    with pytest.raises(NotFound):
        search(cast, now, of(own, foreign))
    for nowhere in ({"location_ids": (uuid4(),)}, {"practitioner_ids": (uuid4(),)}):
        with pytest.raises(NotFound):
            search(cast, now, of(own, **nowhere))


def test_a_kind_that_she_cannot_book_gives_a_hint_beside_the_others(
    cast: Cast, now: datetime
) -> None:
    one = surgery(cast.clinic)
    asked = surgery(cast.clinic, booking_policy="request")
    page = search(cast, now, of(one, asked, first=MONDAY, last=MONDAY))
    assert {item.opening.visit_type_id for item in page.items} == {one.visit_type.id}
    assert page.hints == ("not-self-bookable", "request-needed")


def test_a_cursor_belongs_to_its_search(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    page = search(cast, now, of(clinic), limit=1)
    with pytest.raises(InvalidInput):
        search(cast, now, of(clinic, weekdays=frozenset({1})), cursor=page.next)


def test_a_month_is_one_call(cast: Cast, now: datetime, anna: Api) -> None:
    clinic = surgery(cast.clinic)
    book(cast.anna_user, clinic.opening(9), now)
    days = anna.get(
        "patients/me/opening-days",
        {"visit_type": str(clinic.visit_type.id), "from": "2026-11-23", "to": "2026-12-23"},
    ).json()["items"]
    assert len(days) == 23
    assert (days[0]["date"], days[0]["openings"]) == ("2026-11-23", 5)
    assert days[0]["first"]["start"]["local"] == "2026-11-23T09:30"
    assert (days[1]["openings"], days[1]["first"]["practitioner"]) == (6, str(clinic.doctor.id))


def test_the_search_through_the_api(cast: Cast, anna: Api) -> None:
    one, other = surgery(cast.clinic), surgery(cast.clinic)
    found = anna.get(
        "patients/me/openings",
        {
            "visit_type": f"{one.visit_type.id},{other.visit_type.id}",
            "location": str(other.location.id),
            "weekday": "1,5",
            "starts_from": "10:00",
            "starts_until": "11:00",
            "limit": "3",
        },
    ).json()
    assert [item["start"]["local"] for item in found["items"]] == [
        "2026-11-23T10:00",
        "2026-11-23T10:30",
        "2026-11-27T10:00",
    ]
    assert {item["visit_type"] for item in found["items"]} == {str(other.visit_type.id)}


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"visit_type": "x"}, "visit_type"),
        ({"visit_type": ","}, "visit_type"),
        ({"visit_type": ",".join(str(uuid4()) for _ in range(21))}, "visit_type"),
        ({"weekday": "0"}, "weekday"),
        ({"weekday": "8"}, "weekday"),
        ({"weekday": "12"}, "weekday"),
        ({"location": "nowhere"}, "location"),
        ({"practitioner": "1' OR 1=1"}, "practitioner"),
        ({"starts_from": "25:00"}, "starts_from"),
        ({"starts_from": "11:00", "starts_until": "11:00"}, "starts_until"),
        ({"from": "2026-11-24", "to": "2026-11-23"}, "to"),
        ({"from": "2026-11-24", "to": "2036-11-24"}, "to"),
        ({"from": "2026-02-31"}, "from"),
    ],
)
@pytest.mark.parametrize("address", ["openings", "opening-days"])
def test_a_broken_search_says_what_is_wrong(
    cast: Cast, anna: Api, address: str, asked: dict[str, str], field: str
) -> None:
    clinic = surgery(cast.clinic)
    answer = anna.get(f"patients/me/{address}", {"visit_type": str(clinic.visit_type.id), **asked})
    assert answer.status_code in (400, 422)
    assert answer.json()["errors"][0]["field"] == field
