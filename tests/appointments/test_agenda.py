"""The calendar of staff."""

from datetime import date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Holiday
from appointments import services
from appointments.agenda import Agenda, agenda
from core.db import identity, system
from core.models import AuditEvent
from patients.viewer import staff_viewer
from tests.appointments.factories import MONDAY, Surgery, book, cancel, surgery
from tests.appointments.test_holds import HELD_FOR, hold
from tests.cast import Cast, SignIn

pytestmark = pytest.mark.django_db


def read(
    cast: Cast,
    clinic: Surgery,
    now: datetime,
    *,
    first: date = MONDAY,
    days: int = 1,
    resource_id: UUID | None = None,
) -> Agenda:
    viewer = staff_viewer(user=cast.desk, now=now)
    with identity(viewer.identity):
        return agenda(
            viewer,
            location=clinic.location,
            first=first,
            days=days,
            now=now,
            resource_id=resource_id,
        )


def block(
    cast: Cast,
    clinic: Surgery,
    *,
    starts_at: datetime,
    ends_at: datetime,
    reason: str,
    now: datetime,
) -> None:
    with identity(staff_viewer(user=cast.desk, now=now).identity):
        services.block_time(
            actor=cast.desk,
            resource_id=clinic.doctor.id,
            starts_at=starts_at,
            ends_at=ends_at,
            reason=reason,
            now=now,
        )


def test_a_day_shows_hours_visits_holds_and_blocks(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic, buffer_after_minutes=10)
    visit = book(cast.anna_user, clinic.opening(9), now)
    hold(cast.anna_user, clinic.opening(10), now)
    block(cast, clinic, starts_at=clinic.at(11), ends_at=clinic.at(12), reason="Training", now=now)
    (column,) = read(cast, clinic, now).columns
    assert column.open == [(540, 720)]
    assert [(e.kind, e.from_minute, e.until_minute, e.words) for e in column.entries] == [
        ("booking", 540, 570, ""),
        ("hold", 600, 640, ""),
        ("block", 660, 720, "Training"),
    ]
    assert column.entries[0].visit == visit
    (later,) = read(cast, clinic, now + HELD_FOR).columns
    assert [entry.kind for entry in later.entries] == ["booking", "block"]


def test_what_is_cancelled_is_gone(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    visit = book(cast.anna_user, clinic.opening(9), now)
    cancel(cast.anna_user, visit.id, now)
    (column,) = read(cast, clinic, now).columns
    assert column.entries == []


def test_a_visit_out_of_reach_is_taken_time_without_a_name(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    book(cast.anna_user, clinic.opening(9), now)
    viewer = staff_viewer(user=cast.other_nurse, now=now)
    with identity(viewer.identity):
        found = agenda(viewer, location=clinic.location, first=MONDAY, days=1, now=now)
    assert [(entry.kind, entry.visit) for entry in found.columns[0].entries] == [("booking", None)]
    assert found.visits == []


def test_days_that_differ(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    tuesday, wednesday, thursday = (MONDAY + timedelta(days=n) for n in (1, 2, 3))
    services.add_exception(
        schedule=clinic.schedule, on=tuesday, kind="closed", starts=time(10), ends=time(11)
    )
    services.add_exception(schedule=clinic.schedule, on=wednesday, kind="closed")
    Holiday.objects.create(organization=cast.clinic, date=thursday, name="Day of rest")
    services.add_exception(
        schedule=clinic.schedule,
        on=thursday,
        kind="extra",
        starts=time(14),
        ends=time(15),
        slot_step_minutes=30,
    )
    week = read(cast, clinic, now, days=7, resource_id=clinic.doctor.id)
    assert [column.open for column in week.columns] == [
        [(540, 720)],
        [(540, 600), (660, 720)],
        [],
        [(840, 900)],
        [(540, 720)],
        [],
        [],
    ]
    assert (week.from_hour, week.until_hour) == (9, 15)


def test_a_block_over_midnight_stands_on_both_days(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    block(
        cast,
        clinic,
        starts_at=clinic.at(22),
        ends_at=clinic.at(1, on=MONDAY + timedelta(days=1)),
        reason="Moving house",
        now=now,
    )
    one, other = read(cast, clinic, now, days=2).columns
    assert [(e.from_minute, e.until_minute) for e in one.entries] == [(1320, 1440)]
    assert [(e.from_minute, e.until_minute) for e in other.entries] == [(0, 60)]


@pytest.mark.parametrize("on", [date(2027, 3, 28), date(2026, 10, 25)])
def test_the_wall_clock_decides_when_the_clocks_change(cast: Cast, now: datetime, on: date) -> None:
    clinic = surgery(cast.clinic, horizon_days=365)
    services.add_exception(
        schedule=clinic.schedule,
        on=on,
        kind="extra",
        starts=time(9),
        ends=time(12),
        slot_step_minutes=30,
    )
    before = datetime.combine(on, time(0), ZoneInfo("Europe/Berlin")) - timedelta(days=2)
    book(cast.anna_user, clinic.opening(9, on=on), max(before, now) if on > now.date() else before)
    (column,) = read(cast, clinic, before, first=on).columns
    assert [(e.from_minute, e.until_minute) for e in column.entries] == [(540, 570)]


def test_the_page_names_her_links_to_the_visit_and_is_audited(
    cast: Cast, now: datetime, sign_in: SignIn
) -> None:
    clinic = surgery(cast.clinic)
    visit = book(cast.anna_user, clinic.opening(9), now)
    desk: Client = sign_in(cast.desk)
    address = reverse("admin:appointments_appointment_calendar")
    page = desk.get(address, {"location": str(clinic.location.id), "on": str(MONDAY)})
    text = page.content.decode()
    assert "Testmann, Anna" in text
    assert reverse("admin:appointments_appointment_change", args=[visit.pk]) in text
    assert "Monday, 23 November 2026" in text
    with identity(system("housekeeping")):
        seen = AuditEvent.objects.get(operation="admin.appointment.calendar")
    assert (seen.patient_id, seen.resource_ids) == (cast.anna.id, [visit.id])
    week = desk.get(
        address,
        {
            "location": str(clinic.location.id),
            "resource": str(clinic.doctor.id),
            "on": str(MONDAY + timedelta(days=3)),
        },
    ).content.decode()
    assert "Testmann, Anna" in week
    assert "Week 48" in week


@pytest.mark.parametrize("on", ["", "nonsense", "2026-02-31", "0001-01-01", "9999-12-31"])
def test_a_date_that_is_none_shows_a_day(cast: Cast, sign_in: SignIn, on: str) -> None:
    clinic = surgery(cast.clinic)
    answer = sign_in(cast.desk).get(
        reverse("admin:appointments_appointment_calendar"),
        {"location": "x", "resource": str(clinic.doctor.id), "on": on},
    )
    assert answer.status_code == 200


def test_staff_of_another_clinic_see_another_calendar(
    cast: Cast, now: datetime, sign_in: SignIn
) -> None:
    clinic = surgery(cast.clinic)
    book(cast.anna_user, clinic.opening(9), now)
    answer = sign_in(cast.other_nurse).get(
        reverse("admin:appointments_appointment_calendar"),
        {"location": str(clinic.location.id), "on": str(MONDAY)},
    )
    text = answer.content.decode()
    assert clinic.location.name not in text
    assert "Testmann" not in text


def test_a_laboratory_has_no_calendar(cast: Cast, sign_in: SignIn) -> None:
    surgery(cast.clinic)
    answer = sign_in(cast.lab).get(reverse("admin:appointments_appointment_calendar"))
    assert answer.status_code == 404
