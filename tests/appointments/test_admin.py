"""The staff site: the day's visits, booking at the desk, blocks, and the editor of hours."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.roles import Role
from appointments import services
from appointments.models import Appointment, Block, CalendarFeed, Schedule
from core.db import identity, system
from core.models import AuditEvent
from tests.appointments.factories import MONDAY, Surgery, book, surgery
from tests.cast import Cast, staff
from tests.tokens import viewer_of

pytestmark = pytest.mark.django_db


def page(name: str, kind: str = "changelist", *args: object) -> str:
    return reverse(f"admin:appointments_{name}_{kind}", args=args)


@pytest.fixture(autouse=True)
def on_the_day(now: datetime) -> Iterator[None]:
    """Monday, eight o'clock at the clinic."""
    with time_machine.travel(now + timedelta(hours=22), tick=False):
        yield


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic)


@pytest.fixture
def desk(client: Client, cast: Cast) -> Client:
    client.force_login(cast.desk)
    return client


def visit_of(visit: Appointment) -> Appointment:
    with identity(system("registration")):
        return Appointment.objects.get(id=visit.id)


def act(browser: Client, action: str, *rows: Any) -> str:
    name = rows[0]._meta.model_name
    answer = browser.post(
        page(name) + "?day=coming" if name == "appointment" else page(name),
        {"action": action, "_selected_action": [str(row.pk) for row in rows]},
        follow=True,
    )
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_day_is_listed_by_time(
    desk: Client, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    book(cast.anna_user, clinic.opening(11), now)
    book(cast.brigid.user, clinic.opening(9), now)
    book(cast.anna_user, clinic.opening(9, on=MONDAY + timedelta(days=1)), now)
    shown = desk.get(page("appointment")).content.decode()
    assert shown.index("09:00 CET") < shown.index("11:00 CET")
    assert "24 November" not in shown
    assert "24 November" in desk.get(page("appointment"), {"day": "tomorrow"}).content.decode()
    assert "24 November" in desk.get(page("appointment"), {"day": "week"}).content.decode()
    assert "09:00 CET" not in desk.get(page("appointment"), {"day": "past"}).content.decode()


def test_a_list_of_visits_is_audited(
    desk: Client, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    visit = book(cast.anna_user, clinic.opening(11), now)
    desk.get(page("appointment"))
    with identity(system("housekeeping")):
        look = AuditEvent.objects.get(operation="admin.appointment.list")
    assert (look.patient_id, look.resource_ids) == (cast.anna.id, [visit.id])


def test_the_desk_follows_a_visit(desk: Client, cast: Cast, clinic: Surgery, now: datetime) -> None:
    visit = book(cast.anna_user, clinic.opening(9), now)
    for action, status in (("arrive", "arrived"), ("fulfil", "fulfilled")):
        assert f"1 {status}" in act(desk, action, visit)
        assert visit_of(visit).status == status
    assert "fulfilled already" in act(desk, "no_show", visit)
    assert visit_of(visit).status == "fulfilled"


def test_the_desk_cancels_for_the_clinic(
    desk: Client, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    visit = book(cast.anna_user, clinic.opening(9), now)
    assert "1 cancelled" in act(desk, "cancel_by_clinic", visit)
    after = visit_of(visit)
    assert (after.cancellation_reason, after.cancelled_by_id) == ("prov", cast.desk.pk)
    book(cast.brigid.user, clinic.opening(9), now)


def test_the_desk_books(desk: Client, cast: Cast, clinic: Surgery) -> None:
    form = {
        "patient": str(cast.anna.id),
        "schedule": str(clinic.schedule.id),
        "visit_type": str(clinic.visit_type.id),
        "local_date": "2026-11-23",
        "local_time": "10:30",
    }
    assert desk.get(page("appointment", "add")).status_code == 200
    assert desk.post(page("appointment", "add"), form).status_code == 302
    with identity(system("registration")):
        made = Appointment.objects.get()
    assert (made.starts_at, made.created_via) == (clinic.at(10, 30), "staff")
    refused = desk.post(page("appointment", "add"), form, follow=True).content.decode()
    assert "has just been taken" in refused
    with identity(system("registration")):
        assert Appointment.objects.count() == 1
    assert desk.get(page("appointment", "change", made.pk)).status_code == 200


def test_a_time_that_the_clock_skips_is_refused(desk: Client, cast: Cast, clinic: Surgery) -> None:
    answer = desk.post(
        page("appointment", "add"),
        {
            "patient": str(cast.anna.id),
            "schedule": str(clinic.schedule.id),
            "visit_type": str(clinic.visit_type.id),
            "local_date": "2027-03-28",
            "local_time": "02:30",
        },
        follow=True,
    )
    assert "The clock skips this time." in answer.content.decode()


def test_a_nurse_of_another_clinic_sees_and_changes_nothing(
    client: Client, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    visit = book(cast.anna_user, clinic.opening(9), now)
    client.force_login(cast.other_nurse)
    assert "09:00 CET" not in client.get(page("appointment")).content.decode()
    act(client, "arrive", visit)
    assert visit_of(visit).status == "booked"
    for name, row in (
        ("appointment", visit),
        ("schedule", clinic.schedule),
        ("location", clinic.location),
        ("resource", clinic.doctor),
        ("visittype", clinic.visit_type),
    ):
        assert client.get(page(name, "change", row.pk)).status_code == 302
        assert clinic.doctor.name not in client.get(page(name)).content.decode()


def test_blocks_speak_the_clinics_time(desk: Client, cast: Cast, clinic: Surgery) -> None:
    form = {
        "resource": str(clinic.doctor.id),
        "starts_at_0": "2026-11-24",
        "starts_at_1": "09:00",
        "ends_at_0": "2026-11-24",
        "ends_at_1": "12:00",
        "reason": "Training",
    }
    assert desk.post(page("block", "add"), form).status_code == 302
    block = Block.objects.get()
    assert block.starts_at == clinic.at(9, on=MONDAY + timedelta(days=1))
    assert "Tue 24 Nov 2026, 09:00 CET" in desk.get(page("block")).content.decode()
    assert "blocked already" in desk.post(page("block", "add"), form, follow=True).content.decode()
    act(desk, "lift", block)
    block.refresh_from_db()
    assert block.lifted_by_id == cast.desk.pk


def hours_form(schedule: Schedule, *rows: tuple[str, str]) -> dict[str, Any]:
    form: dict[str, Any] = {
        "resource": str(schedule.resource_id),
        "location": str(schedule.location_id),
        "visit_types": [str(row.pk) for row in schedule.visit_types.all()],
        "name": "",
        "is_active": "on",
        "availabilities-TOTAL_FORMS": len(rows),
        "availabilities-INITIAL_FORMS": 0,
        "exceptions-TOTAL_FORMS": 0,
        "exceptions-INITIAL_FORMS": 0,
    }
    for index, (starts, ends) in enumerate(rows):
        form |= {
            f"availabilities-{index}-iso_weekday": 6,
            f"availabilities-{index}-starts": starts,
            f"availabilities-{index}-ends": ends,
            f"availabilities-{index}-slot_step_minutes": 30,
            f"availabilities-{index}-valid_from": "2026-01-01",
        }
    return form


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ((("09:00", "12:00"), ("12:00", "13:00")), None),
        ((("09:00", "09:20"),), "too short"),
        ((("09:00", "12:00"), ("11:00", "13:00")), "at this time already"),
    ],
)
def test_the_editor_refuses_hours_that_never_fit_or_overlap(
    desk: Client, clinic: Surgery, rows: Any, words: str | None
) -> None:
    before = clinic.schedule.availabilities.count()
    address = page("schedule", "change", clinic.schedule.pk)
    assert desk.get(address).status_code == 200
    answer = desk.post(address, hours_form(clinic.schedule, *rows), follow=True)
    assert answer.status_code == 200
    added = clinic.schedule.availabilities.count() - before
    if words is None:
        assert added == len(rows)
    else:
        assert words in answer.content.decode()
        assert added == 0


def test_a_location_needs_a_real_zone(desk: Client, cast: Cast) -> None:
    form = {"organization": str(cast.clinic.pk), "name": "New", "zone": "Mars/Olympus"}
    assert "Not an IANA time zone." in desk.post(page("location", "add"), form).content.decode()


@pytest.mark.parametrize(
    ("role", "reads", "writes"),
    [
        (Role.ADMINISTRATOR, True, True),
        (Role.FRONT_DESK, True, True),
        (Role.NURSE, True, False),
        (Role.LABORATORY, False, False),
    ],
)
def test_who_sets_up_supply(
    client: Client, cast: Cast, clinic: Surgery, role: Role, reads: bool, writes: bool
) -> None:
    user: User = staff("zoe", role, cast.clinic)
    client.force_login(user)
    assert (client.get(page("schedule")).status_code == 200) is reads
    assert (client.get(page("schedule", "add")).status_code == 200) is writes


def test_the_desk_ends_a_calendar_address_of_its_own_patients(
    desk: Client, cast: Cast, now: datetime
) -> None:
    feeds = []
    for user in (cast.anna_user, cast.carla.user):
        viewer = viewer_of(user)
        with identity(viewer.identity):
            made = services.make_feed(viewer=viewer, titles="full", now=now)
        feeds.append(made.feed)
    shown = desk.get(page("calendarfeed")).content.decode()
    assert str(feeds[0].pk) in shown
    assert str(feeds[1].pk) not in shown
    assert "22 Nov 2026, 10:00 CET" in shown
    assert made.feed.token_hash not in shown
    assert "1 ended" in act(desk, "end", *feeds)
    assert "0 ended" in act(desk, "end", feeds[0])
    with identity(system("booking")):
        ended = CalendarFeed.objects.filter(revoked_by=cast.desk)
        assert [feed.id for feed in ended] == [feeds[0].id]
    assert str(feeds[0].pk) in desk.get(page("calendarfeed"), {"use": "ended"}).content.decode()
    assert desk.get(page("calendarfeed", "add")).status_code == 403


def test_addresses_that_nothing_reads_can_be_found(desk: Client, cast: Cast, now: datetime) -> None:
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity):
        feed = services.make_feed(viewer=viewer, titles="full", now=now).feed
    unread = {"use": "unread"}
    at = now + timedelta(hours=22)
    for days, listed in ((90, False), (91, True)):
        with identity(system("booking")):
            CalendarFeed.objects.update(last_read_at=at - timedelta(days=days))
        shown = desk.get(page("calendarfeed"), unread).content.decode()
        assert (str(feed.pk) in shown) is listed
