"""The staff site: the line by urgency and age, who was asked and why, and answers by phone."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from appointments.models import WaitlistEntry, WaitlistOffer
from core.db import identity, system
from core.models import AuditEvent
from patients.models import ContactPause
from tests.appointments.factories import Surgery, book, surgery
from tests.appointments.test_admin import page
from tests.appointments.waitlist import (
    at,
    decline,
    entry_now,
    entry_of,
    offers,
    tick,
    visit_now,
    wait,
    wait_for,
)
from tests.cast import Cast

pytestmark = pytest.mark.django_db

NINE = at(9)
# What the page sends for the offers that it shows.
NO_OFFERS = {"offers-TOTAL_FORMS": "0", "offers-INITIAL_FORMS": "0"}


@pytest.fixture(autouse=True)
def clock(now: datetime) -> Iterator[None]:
    with time_machine.travel(now, tick=False):
        yield


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic)


@pytest.fixture
def desk(client: Client, cast: Cast) -> Client:
    client.force_login(cast.desk)
    return client


def shown(browser: Client, name: str, **query: str) -> str:
    answer = browser.get(page(name), query)
    assert answer.status_code == 200
    return answer.content.decode()


def act(browser: Client, action: str, row: Any) -> str:
    answer = browser.post(
        page(row._meta.model_name),
        {"action": action, "_selected_action": [str(row.pk)]},
        follow=True,
    )
    assert answer.status_code == 200
    return answer.content.decode()


def form(cast: Cast, clinic: Surgery, **values: Any) -> dict[str, Any]:
    return {
        "patient": str(cast.anna.id),
        "visit_type": str(clinic.visit_type.id),
        "minimum_notice_minutes": "0",
        "urgency_reason": "",
        **values,
    }


def test_urgent_first_then_who_waits_longest(
    desk: Client, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    visit = book(cast.anna_user, clinic.opening(11), now)
    wait(cast.anna_user, clinic, now - timedelta(days=12), windows=[NINE])
    wait_for(cast.desk, cast.brigid.id, clinic, now, urgency_reason="pain")
    wait(cast.anna_user, clinic, now - timedelta(days=3), visit=visit)
    text = shown(desk, "waitlistentry")
    assert text.index("Probe, Brigid") < text.index("12 days") < text.index("3 days")
    assert "from 09:00, before 09:30, on or after 23 Nov 2026, until 23 Nov 2026" in text
    assert "Monday, 23 November 2026, 11:00 CET" in text
    assert "no visit yet" in text
    with identity(system("housekeeping")):
        looks = AuditEvent.objects.filter(operation="admin.waitlistentry.list")
        assert {look.patient_id for look in looks} == {cast.anna.id, cast.brigid.id}


def test_the_queue_says_who_is_asked_and_whom_to_call(
    desk: Client, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    wait(cast.anna_user, clinic, now, windows=[NINE])
    wait(cast.brigid.user, clinic, now, windows=[at(10)])
    with identity(system("registration")):
        ContactPause.objects.create(patient=cast.brigid, reason="holiday", starts_at=now)
    tick(now)
    text = shown(desk, "waitlistentry")
    assert "Asked, answer until Sunday, 22 November 2026, 12:00 CET" in text
    assert "Not asked: contact is paused" in text
    asked = shown(desk, "waitlistentry", standing="asked")
    assert "Testmann, Anna" in asked
    assert "Probe, Brigid" not in asked
    call = shown(desk, "waitlistentry", standing="call")
    assert "Probe, Brigid" in call
    assert "Testmann, Anna" not in call


def test_an_entry_shows_who_was_offered_what_and_why(
    desk: Client, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    entry = wait(cast.anna_user, clinic, now, windows=[NINE])
    tick(now)
    decline(cast.anna_user, offers()[0], now)
    text = desk.get(page("waitlistentry", "change", entry.id)).content.decode()
    assert "Monday, 23 November 2026, 09:00 CET" in text
    assert "number 1 of 1 it fitted" in text
    assert "Declined" in text


def test_the_desk_puts_somebody_in_line(
    desk: Client, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    assert desk.get(page("waitlistentry", "add")).status_code == 200
    answer = desk.post(
        page("waitlistentry", "add"),
        form(
            cast,
            clinic,
            first_on="2026-11-23",
            last_on="2026-11-27",
            iso_weekdays=["1", "3"],
            time_from="09:00",
            time_until="11:00",
            locations=[str(clinic.location.id)],
            minimum_notice_minutes="90",
            urgency_reason="Pain since Friday",
        ),
    )
    assert answer.status_code == 302, answer.content.decode()
    with identity(system("booking")):
        entry = WaitlistEntry.objects.get()
        (window,) = entry.windows.all()
        assert list(entry.locations.all()) == [clinic.location]
    assert (entry.patient_id, entry.made_by_id, entry.made_via) == (
        cast.anna.id,
        cast.desk.pk,
        "staff",
    )
    assert (entry.urgency, entry.urgency_set_by_id) == ("urgent", cast.desk.pk)
    assert (window.iso_weekdays, f"{window.time_from:%H:%M}") == ([1, 3], "09:00")
    assert entry.minimum_notice_minutes == 90
    refused = desk.post(page("waitlistentry", "add"), form(cast, clinic), follow=True)
    assert "on the waitlist for this already" in refused.content.decode()


def test_the_desk_asks_for_an_earlier_time_than_her_next_visit(
    desk: Client, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    refused = desk.post(page("waitlistentry", "add"), form(cast, clinic, earlier="on"), follow=True)
    assert "no visit of this kind" in refused.content.decode()
    visit = book(cast.anna_user, clinic.opening(11), now)
    desk.post(page("waitlistentry", "add"), form(cast, clinic, earlier="on"))
    entry = entry_of(cast.anna)
    assert entry.appointment_id == visit.id
    with identity(system("booking")):
        assert not entry.windows.exists()


def test_the_desk_says_how_urgent_it_is(
    desk: Client, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    entry = wait(cast.anna_user, clinic, now)
    address = page("waitlistentry", "change", entry.id)
    for reason, urgency in (("fever", "urgent"), ("", "routine")):
        assert desk.post(address, {"urgency_reason": reason, **NO_OFFERS}).status_code == 302
        assert (entry_now(entry).urgency, entry_now(entry).urgency_reason) == (urgency, reason)


def test_the_desk_withdraws(desk: Client, cast: Cast, clinic: Surgery, now: datetime) -> None:
    entry = wait(cast.anna_user, clinic, now, windows=[NINE])
    tick(now)
    assert "1 withdrawn" in act(desk, "withdraw", entry)
    assert (entry_now(entry).status, entry_now(entry).ended_by_id) == ("withdrawn", cast.desk.pk)
    assert offers()[0].status == "withdrawn"
    assert "Testmann" not in shown(desk, "waitlistentry")
    assert "Testmann" in shown(desk, "waitlistentry", standing="over")
    # What is over is only looked at.
    address = page("waitlistentry", "change", entry.id)
    assert desk.get(address).status_code == 200
    assert desk.post(address, {"urgency_reason": "late"}).status_code == 403


@pytest.mark.parametrize(("action", "starts"), [("accept", 9), ("decline", 11)])
def test_the_desk_answers_for_her(
    desk: Client, cast: Cast, clinic: Surgery, now: datetime, action: str, starts: int
) -> None:
    visit = book(cast.anna_user, clinic.opening(11), now)
    wait(cast.anna_user, clinic, now, visit=visit, windows=[NINE])
    tick(now)
    (offer,) = offers()
    assert "Monday, 23 November 2026, 09:00 CET" in shown(desk, "waitlistoffer")
    assert f"1 {offers_word(action)}" in act(desk, action, offer)
    assert visit_now(visit).starts_at == clinic.at(starts)
    with identity(system("booking")):
        answered = WaitlistOffer.objects.get()
    assert (answered.answered_by_id, answered.answered_via) == (cast.desk.pk, "staff")
    assert desk.get(page("waitlistoffer", "change", offer.id)).status_code == 200


def offers_word(action: str) -> str:
    return {"accept": "accepted", "decline": "declined"}[action]


def test_an_answer_that_comes_too_late_is_told(
    desk: Client, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    wait(cast.anna_user, clinic, now, windows=[NINE])
    tick(now)
    (offer,) = offers()
    with time_machine.travel(offer.answer_until, tick=False):
        desk.force_login(cast.desk)
        assert "This offer is over" in act(desk, "accept", offer)


def test_an_empty_line_is_an_ordinary_page(desk: Client, cast: Cast) -> None:
    for name in ("waitlistentry", "waitlistoffer"):
        assert "0 " in shown(desk, name)


def test_another_clinic_sees_nobody(
    client: Client, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    entry = wait(cast.anna_user, clinic, now, windows=[NINE])
    tick(now)
    client.force_login(cast.other_nurse)
    for name in ("waitlistentry", "waitlistoffer"):
        assert "Testmann" not in shown(client, name)
    assert client.get(page("waitlistentry", "change", entry.id)).status_code == 302
    client.force_login(cast.lab)
    assert client.get(page("waitlistentry")).status_code == 403


def test_visit_types_say_how_their_line_works(desk: Client, cast: Cast, clinic: Surgery) -> None:
    text = desk.get(
        reverse("admin:appointments_visittype_change", args=[clinic.visit_type.id])
    ).content.decode()
    assert "Urgent first, then who waits longest" in text
