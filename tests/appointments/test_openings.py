"""What a patient is offered, and that it tells her nothing about others."""

from datetime import datetime, timedelta
from datetime import time as time_of_day
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from accounts.models import Holiday
from appointments import finding, services
from appointments.finding import OpeningPage
from core.db import identity, system
from core.errors import InvalidInput, NotFound
from tests.appointments.factories import MONDAY, Surgery, book, hours, surgery
from tests.cast import Cast
from tests.tokens import viewer_of

pytestmark = pytest.mark.django_db


def offered(cast: Cast, clinic: Surgery, now: datetime, **more: object) -> OpeningPage:
    viewer = viewer_of(cast.anna_user)
    asked = {
        "visit_type_id": clinic.visit_type.id,
        "first": MONDAY,
        "last": MONDAY,
        "limit": 100,
        **more,
    }
    with identity(viewer.identity):
        return finding.openings_for(
            viewer,
            patient_id=cast.anna.id,
            now=now,
            **asked,  # type: ignore[arg-type]
        )


def clock(page: OpeningPage) -> list[str]:
    return [
        f"{item.opening.starts_at.astimezone(ZoneInfo(item.supply.hours.zone)):%H:%M}"
        for item in page.items
    ]


ALL = ["09:00", "09:30", "10:00", "10:30", "11:00", "11:30"]


def test_a_free_morning_is_offered(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    page = offered(cast, clinic, now)
    assert clock(page) == ALL
    assert page.items[0].supply.resource_name == "Dr Ahorn"


def test_others_bookings_are_gaps_and_nothing_more(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    free = offered(cast, clinic, now).items
    book(cast.brigid.user, clinic.opening(10), now)
    left = offered(cast, clinic, now).items
    assert [item.opening for item in left] == [
        item.opening for item in free if item.opening.starts_at != clinic.at(10)
    ]


def test_a_booking_a_hold_and_a_block_look_alike(cast: Cast, now: datetime) -> None:
    """What is left is the same whatever took the time."""
    left = []
    for kind in ("booking", "hold", "block"):
        clinic = surgery(cast.clinic)
        with identity(system("booking")):
            services_claim(clinic, kind, now)
        left.append(clock(offered(cast, clinic, now)))
    assert left[0] == left[1] == left[2] == [time for time in ALL if time != "10:00"]


def services_claim(clinic: Surgery, kind: str, now: datetime) -> None:
    clinic.doctor.claims.create(
        during=(clinic.at(10), clinic.at(10, 30)),
        kind=kind,
        expires_at=now + timedelta(minutes=5) if kind == "hold" else None,
        held_for=uuid4(),
        made_at=now,
    )


def test_an_expired_hold_is_free(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    with identity(system("booking")):
        services_claim(clinic, "hold", now)
    just_before = now + timedelta(minutes=5, microseconds=-1)
    assert "10:00" not in clock(offered(cast, clinic, just_before))
    assert clock(offered(cast, clinic, now + timedelta(minutes=5))) == ALL


def test_time_of_her_own_visits_is_not_offered(cast: Cast, now: datetime) -> None:
    clinic, elsewhere = surgery(cast.clinic), surgery(cast.clinic)
    book(cast.anna_user, elsewhere.opening(9, 30), now)
    book(cast.brigid.user, elsewhere.opening(11), now)
    assert clock(offered(cast, clinic, now)) == [time for time in ALL if time != "09:30"]


def test_holidays_of_the_clinic_close_it(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    Holiday.objects.create(organization=cast.clinic, date=MONDAY, name="Feast")
    assert offered(cast, clinic, now).items == []
    tuesday = MONDAY + timedelta(days=1)
    assert clock(offered(cast, clinic, now, first=tuesday, last=tuesday)) == ALL


def test_exceptions_are_honoured(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    at = time_of_day
    services.add_exception(
        schedule=clinic.schedule, on=MONDAY, kind="closed", starts=at(9), ends=at(11)
    )
    services.add_exception(
        schedule=clinic.schedule,
        on=MONDAY,
        kind="extra",
        starts=at(15),
        ends=at(16),
        slot_step_minutes=30,
    )
    assert clock(offered(cast, clinic, now)) == ["11:00", "11:30", "15:00", "15:30"]


def test_a_needed_room_decides_too(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic, needs=("room",))
    assert offered(cast, clinic, now).items == []
    room = services.create_resource(
        organization=cast.clinic, kind="room", name="Room", location=clinic.location
    )
    assert clock(offered(cast, clinic, now)) == ALL
    with identity(system("booking")):
        room.claims.create(
            during=(clinic.at(9), clinic.at(11)), kind="block", held_for=uuid4(), made_at=now
        )
    assert clock(offered(cast, clinic, now)) == ["11:00", "11:30"]


def test_pages_go_on_where_they_stopped_across_schedules(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    second = services.create_resource(
        organization=cast.clinic, kind="practitioner", name="Dr Birke", location=clinic.location
    )
    hours(second, clinic.location, [clinic.visit_type])
    asked = {"last": MONDAY + timedelta(days=4)}
    whole = offered(cast, clinic, now, **asked)
    assert len(whole.items) == 60
    assert whole.next is None
    pages, cursor = [], None
    while True:
        page = offered(cast, clinic, now, **asked, limit=7, cursor=cursor)
        pages += page.items
        cursor = page.next
        if cursor is None:
            break
    assert [item.opening for item in pages] == [item.opening for item in whole.items]


def test_a_cursor_is_bound_to_its_search_and_its_viewer(cast: Cast, now: datetime) -> None:
    clinic, other = surgery(cast.clinic), surgery(cast.clinic)
    cursor = offered(cast, clinic, now, limit=1).next
    for searched in (other, clinic):
        with pytest.raises(InvalidInput):
            offered(cast, searched, now, cursor=f"{cursor}x" if searched is clinic else cursor)


def test_schedule_and_location_narrow_the_search(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    second = services.create_resource(
        organization=cast.clinic, kind="practitioner", name="Dr Birke", location=clinic.location
    )
    schedule = hours(second, clinic.location, [clinic.visit_type])
    assert len(offered(cast, clinic, now).items) == 12
    assert len(offered(cast, clinic, now, schedule_id=schedule.id).items) == 6
    assert len(offered(cast, clinic, now, location_id=clinic.location.id).items) == 12


def test_what_she_cannot_reach_does_not_exist(cast: Cast, now: datetime) -> None:
    clinic, foreign = surgery(cast.clinic), surgery(cast.other_clinic)
    for asked in (
        {"visit_type_id": foreign.visit_type.id},
        {"visit_type_id": uuid4()},
        {"schedule_id": foreign.schedule.id},
        {"schedule_id": uuid4()},
        {"location_id": foreign.location.id},
        {"location_id": uuid4()},
    ):
        with pytest.raises(NotFound):
            offered(cast, clinic, now, **asked)


def test_a_viewer_does_not_search_for_another_patient(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity), pytest.raises(NotFound):
        finding.openings_for(
            viewer,
            patient_id=cast.brigid.id,
            visit_type_id=clinic.visit_type.id,
            first=MONDAY,
            last=MONDAY,
            now=now,
            limit=5,
        )


def test_visits_that_the_clinic_books_are_not_offered(cast: Cast, now: datetime) -> None:
    page = offered(cast, surgery(cast.clinic, booking_policy="request"), now)
    assert (page.items, page.hints) == ([], ("not-self-bookable", "request-needed"))


def test_what_is_retired_is_not_offered(cast: Cast, now: datetime) -> None:
    for row in ("schedule", "doctor", "location"):
        clinic = surgery(cast.clinic)
        retired = getattr(clinic, row)
        retired.is_active = False
        retired.save(update_fields=["is_active"])
        assert offered(cast, clinic, now).items == []


def test_everything_offered_can_be_booked(cast: Cast, now: datetime) -> None:
    clinic = surgery(
        cast.clinic, buffer_before_minutes=5, buffer_after_minutes=5, lead_time_minutes=60
    )
    book(cast.brigid.user, clinic.opening(10), now)
    while True:
        items = offered(cast, clinic, now).items
        if not items:
            break
        first = items[0].opening
        visit = book(cast.anna_user, clinic.opening_of(clinic.schedule, first.starts_at), now)
        assert (visit.starts_at, visit.ends_at) == (first.starts_at, first.ends_at)
