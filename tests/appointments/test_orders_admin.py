"""The staff site: requests by age, tickets, and care plans."""

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from accounts.models import User
from appointments import services
from appointments.models import Appointment, CarePlan, Ticket
from core.db import identity, system
from core.models import AuditEvent
from tests.appointments.factories import MONDAY, Surgery, book, hours, surgery
from tests.appointments.orders import order
from tests.appointments.series import TUESDAY, Ward, lay_down, standing, ward
from tests.appointments.test_requests import ask, now_is
from tests.cast import Cast

pytestmark = pytest.mark.django_db

CANCEL = {"appointments_ticket_cancel_it": "1"}


def page(name: str, kind: str = "changelist", *args: object) -> str:
    return reverse(f"admin:appointments_{name}_{kind}", args=args)


@pytest.fixture(autouse=True)
def clock(now: datetime) -> Iterator[None]:
    with time_machine.travel(now, tick=False):
        yield


def signed_in(client: Client, user: User) -> Client:
    client.force_login(user)
    return client


def text(answer: Any) -> str:
    assert answer.status_code == 200, answer.status_code
    return str(answer.content.decode())


def shown(client: Client, address: str, **more: str) -> str:
    return text(client.get(address, more))


def sent(client: Client, address: str, **body: Any) -> str:
    return text(client.post(address, body, follow=True))


# --- requests -------------------------------------------------------------------------------------


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic, booking_policy="request")


def test_the_queue_shows_who_waits_longest_first(
    client: Client, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    desk = signed_in(client, cast.desk)
    assert "Testmann" not in shown(desk, page("visitrequest"))
    ask(cast.brigid.user, clinic, now - timedelta(hours=5))
    ask(cast.anna_user, clinic, now - timedelta(days=3), note="Her own words")
    queue = shown(desk, page("visitrequest"))
    assert 0 < queue.index("Testmann, Anna") < queue.index("Probe, Brigid")
    assert "3 days" in queue
    assert "5 hours" in queue
    assert "23 Nov to 29 Nov" in queue
    assert "Her own words" not in queue
    with identity(system("housekeeping")):
        looked = AuditEvent.objects.filter(operation="admin.visitrequest.list")
        assert set(looked.values_list("patient_id", flat=True)) >= {cast.anna.id, cast.brigid.id}


def test_staff_of_another_clinic_see_none(
    client: Client, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    asked = ask(cast.anna_user, clinic, now)
    other = signed_in(client, cast.other_nurse)
    assert "Testmann" not in shown(other, page("visitrequest"))
    assert other.get(page("visitrequest", "change", asked.pk)).status_code == 302


def test_the_desk_books_what_she_asked_for(
    client: Client, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    asked = ask(cast.anna_user, clinic, now, note="After nine, please")
    desk = signed_in(client, cast.desk)
    one = page("visitrequest", "change", asked.pk)
    seen = shown(desk, one)
    assert "After nine, please" in seen
    assert "Monday, 23 November 2026, 09:30 CET" in seen
    done = sent(desk, one, opening=clinic.opening(9, 30))
    assert "Booked: Monday, 23 November 2026, 09:30 CET" in done
    assert now_is(asked.id).state == "booked"
    after = shown(desk, one)
    assert "Free times" not in after
    assert "Booked" in after


def test_a_time_that_is_lost_is_told_and_nothing_is_decided(
    client: Client, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    asked = ask(cast.anna_user, clinic, now)
    one = page("visitrequest", "change", asked.pk)
    desk = signed_in(client, cast.desk)
    other = ask(cast.brigid.user, clinic, now)
    sent(desk, page("visitrequest", "change", other.pk), opening=clinic.opening(9))
    assert "just been taken" in sent(desk, one, opening=clinic.opening(9))
    assert now_is(asked.id).state == "open"


@pytest.mark.parametrize("button", ["answered", "declined"])
def test_the_desk_answers_in_words(
    client: Client, cast: Cast, clinic: Surgery, now: datetime, button: str
) -> None:
    asked = ask(cast.anna_user, clinic, now)
    one = page("visitrequest", "change", asked.pk)
    desk = signed_in(client, cast.desk)
    assert "This field is required" in sent(desk, one, answer=button, words=" ")
    assert "Answered" in sent(desk, one, answer=button, words="Please call us.")
    assert now_is(asked.id).state == button


def test_other_places_are_a_click_away(
    client: Client, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    birch = services.create_resource(
        organization=cast.clinic, kind="practitioner", name="Dr Birke", location=clinic.location
    )
    hours(birch, clinic.location, [clinic.visit_type])
    asked = ask(cast.anna_user, clinic, now, practitioner_id=clinic.doctor.id)
    one = page("visitrequest", "change", asked.pk)
    desk = signed_in(client, cast.desk)
    assert "Dr Birke" not in shown(desk, one)
    assert "Dr Birke" in shown(desk, one, elsewhere="1")


# --- tickets --------------------------------------------------------------------------------------


def test_a_clinician_orders_and_cancels_a_ticket(client: Client, cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic, booking_policy="ticket")
    direct = surgery(cast.clinic)
    clara = signed_in(client, cast.clinician)
    form = shown(clara, page("ticket", "add"))
    assert str(clinic.visit_type.pk) in form
    assert str(direct.visit_type.pk) not in form
    body = {
        "patient": cast.anna.pk,
        "visit_type": clinic.visit_type.pk,
        "earliest": MONDAY,
        "latest": MONDAY + timedelta(days=4),
        "uses": 2,
        "words_for_her": "Your next scan",
    }
    backwards = sent(clara, page("ticket", "add"), **{**body, "latest": date(2026, 11, 1)})
    assert "Ends before it starts." in backwards
    over = {"earliest": date(2026, 11, 1), "latest": date(2026, 11, 2)}
    assert "These days are over." in sent(clara, page("ticket", "add"), **{**body, **over})
    listed = sent(clara, page("ticket", "add"), **body)
    assert "Testmann, Anna" in listed
    assert "2 of 2" in listed
    book(cast.anna_user, clinic.opening(9), now)
    assert "1 of 2" in shown(clara, page("ticket"))
    with identity(system("registration")):
        ticket = Ticket.objects.get()
    one = page("ticket", "change", ticket.pk)
    assert "Your next scan" in shown(clara, one)
    assert "Say why." in sent(clara, one, cancel_reason="", **CANCEL)
    with identity(system("registration")):
        assert Ticket.objects.get().cancelled_at is None
    sent(clara, one, cancel_reason="Another plan", **CANCEL)
    with identity(system("registration")):
        assert Ticket.objects.get().cancelled_by_id == cast.clinician.pk
    assert "Testmann" not in shown(clara, page("ticket"))
    assert "Testmann" in shown(clara, page("ticket"), standing="cancelled")


def test_others_read_tickets_and_order_none(client: Client, cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic, booking_policy="ticket")
    order(cast, clinic, now)
    for user in (cast.nurse, cast.desk):
        staff = signed_in(client, user)
        assert "Testmann, Anna" in shown(staff, page("ticket"))
        assert staff.get(page("ticket", "add")).status_code == 403
    assert "Testmann" not in shown(signed_in(client, cast.other_nurse), page("ticket"))


@pytest.mark.parametrize(("standing", "count"), [("", 0), ("used", 1), ("expired", 1), ("all", 2)])
def test_tickets_are_found_by_what_became_of_them(
    client: Client, cast: Cast, now: datetime, standing: str, count: int
) -> None:
    clinic = surgery(cast.clinic, booking_policy="ticket")
    yesterday = now.date() - timedelta(days=1)
    order(cast, clinic, now - timedelta(days=2), earliest=yesterday, latest=yesterday)
    order(cast, clinic, now)
    book(cast.anna_user, clinic.opening(9), now)
    listed = shown(signed_in(client, cast.nurse), page("ticket"), standing=standing)
    assert listed.count("Testmann, Anna") == count


# --- care plans -----------------------------------------------------------------------------------


@pytest.fixture
def place(cast: Cast) -> Ward:
    return ward(cast)


def plan_body(cast: Cast, place: Ward, **changed: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "patient": cast.anna.pk,
        "name": "Infusions",
        "first_on": TUESDAY,
        "every_days": 21,
        "cycles": 3,
        "tolerance_days": 2,
        "location": "",
        "steps-TOTAL_FORMS": 4,
        "steps-INITIAL_FORMS": 0,
        "steps-0-visit_type": place.labs.pk,
        "steps-0-least": 1,
        "steps-0-most": 2,
        "steps-0-gap": 0,
        "steps-1-visit_type": place.clinic.visit_type.pk,
        "steps-1-least": 0,
        "steps-1-most": 1,
        "steps-1-gap": 30,
        "steps-2-visit_type": place.infusion.pk,
        "steps-2-least": 0,
        "steps-2-most": 0,
        "steps-2-gap": 30,
    }
    return body | changed


def plans() -> list[CarePlan]:
    with identity(system("registration")):
        return list(CarePlan.objects.all())


def test_a_clinician_looks_and_then_lays_down(client: Client, cast: Cast, place: Ward) -> None:
    clara = signed_in(client, cast.clinician)
    add = page("careplan", "add")
    assert "Lay down a care plan" in shown(clara, add)
    preview = sent(clara, add, **plan_body(cast, place), preview="1")
    assert "Tuesday, 1 December 2026, 08:00 CET" in preview
    assert "Tuesday, 12 January 2027, 08:00 CET" in preview
    assert plans() == []
    with identity(system("housekeeping")):
        looked = AuditEvent.objects.get(operation="admin.careplan.draft")
        assert looked.patient_id == cast.anna.id
    laid = sent(clara, add, **plan_body(cast, place), lay_down="1")
    assert "Laid down. Nothing is booked yet." in laid
    assert laid.count("no time yet") == 9
    assert "0 of 9" in shown(clara, page("careplan"))
    assert "0 of 9" in shown(clara, page("careplan"), status="missing")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"every_days": 3}, "a cycle would begin before the last one is over"),
        ({"first_on": "2026-11-20"}, "This day is over."),
        ({"steps-2-visit_type": ""}, "the last step is the main one"),
        ({"cycles": 27}, "less than or equal to 26"),
        ({"patient": ""}, "This field is required"),
    ],
)
def test_what_is_wrong_is_said_on_the_form(
    client: Client, cast: Cast, place: Ward, changed: dict[str, Any], words: str
) -> None:
    clara = signed_in(client, cast.clinician)
    body = plan_body(cast, place, **changed)
    assert words in sent(clara, page("careplan", "add"), **body, lay_down="1")
    assert plans() == []


def test_what_cannot_be_met_is_shown_before(client: Client, cast: Cast, place: Ward) -> None:
    for days in range(3):
        services.add_exception(
            schedule=place.chair, on=TUESDAY + timedelta(days=days), kind="closed"
        )
    clara = signed_in(client, cast.clinician)
    preview = sent(clara, page("careplan", "add"), **plan_body(cast, place), preview="1")
    assert "Cycle 1, Infusion: Nothing is free on its days." in preview


def values(seen: str) -> list[str]:
    return re.findall(r'name="visit" value="([^"]+)"', seen)


def test_the_desk_books_all_of_it_and_a_clinician_revokes(
    client: Client, cast: Cast, place: Ward, now: datetime
) -> None:
    plan = lay_down(cast, place, now)
    one = page("careplan", "change", plan.pk)
    desk = signed_in(client, cast.desk)
    seen = shown(desk, one)
    assert "Revoke" not in seen
    assert len(values(seen)) == 9
    done = sent(desk, one, book="1", visit=values(seen))
    assert "Booked: 9 visits." in done
    assert "no time yet" not in done
    assert "9 of 9" in shown(desk, page("careplan"))
    sent(desk, one, revoke="1", reason="x")
    assert not revoked(plan)
    clara = signed_in(client, cast.clinician)
    sent(clara, one, revoke="1", reason="Another treatment", cancel_visits="on")
    assert revoked(plan)
    with identity(system("registration")):
        assert Appointment.objects.filter(status="cancelled").count() == 9
    assert "Another treatment" in shown(clara, one)
    assert "Testmann" not in shown(clara, page("careplan"))
    assert "Testmann" in shown(clara, page("careplan"), status="revoked")


def revoked(plan: CarePlan) -> bool:
    with identity(system("registration")):
        return CarePlan.objects.get(id=plan.id).status == "revoked"


def test_a_proposal_that_is_no_longer_true_books_nothing(
    client: Client, cast: Cast, place: Ward, now: datetime
) -> None:
    plan = lay_down(cast, place, now)
    one = page("careplan", "change", plan.pk)
    desk = signed_in(client, cast.desk)
    chosen = values(shown(desk, one))
    services.add_exception(schedule=place.chair, on=TUESDAY, kind="closed")
    assert "Nothing was changed" in sent(desk, one, book="1", visit=chosen)
    assert standing(plan) == {}
    assert desk.post(one, {"book": "1", "visit": ["x-1-y"]}, follow=True).status_code == 200
    assert standing(plan) == {}


def test_only_clinicians_lay_down(client: Client, cast: Cast, place: Ward, now: datetime) -> None:
    plan = lay_down(cast, place, now)
    for user in (cast.nurse, cast.desk):
        staff = signed_in(client, user)
        assert staff.get(page("careplan", "add")).status_code == 403
        assert "Testmann, Anna" in shown(staff, page("careplan"))
    other = signed_in(client, cast.other_nurse)
    assert "Testmann" not in shown(other, page("careplan"))
    assert other.get(page("careplan", "change", plan.pk)).status_code == 302


def test_the_pages_are_audited(
    client: Client, cast: Cast, clinic: Surgery, place: Ward, now: datetime
) -> None:
    asked = ask(cast.anna_user, clinic, now)
    plan = lay_down(cast, place, now)
    nurse = signed_in(client, cast.nurse)
    shown(nurse, page("visitrequest", "change", asked.pk))
    shown(nurse, page("careplan", "change", plan.pk))
    with identity(system("housekeeping")):
        found = AuditEvent.objects.filter(patient_id=cast.anna.id).values_list(
            "operation", flat=True
        )
        assert {"admin.visitrequest.read", "admin.careplan.read"} <= set(found)
