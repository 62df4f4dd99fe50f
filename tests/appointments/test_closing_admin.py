"""The page on which staff close a site or block people."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from accounts.models import User
from appointments.models import Block, SiteClosure
from core.db import identity, system
from core.models import AuditEvent
from tests.appointments.closings import dies, tickets
from tests.appointments.factories import MONDAY, Surgery, book, surgery
from tests.appointments.waitlist import visit_now
from tests.cast import Cast

pytestmark = pytest.mark.django_db

PAGE = "admin:appointments_appointment_closing"
TUESDAY = MONDAY + timedelta(days=1)


@pytest.fixture(autouse=True)
def clock(now: datetime) -> Iterator[None]:
    with time_machine.travel(now, tick=False):
        yield


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic)


def signed_in(client: Client, user: User) -> Client:
    client.force_login(user)
    return client


def asked(clinic: Surgery, **more: Any) -> dict[str, Any]:
    return {
        "location": str(clinic.location.id),
        "first": MONDAY,
        "last": MONDAY,
        "reason": "Storm",
        "cancellation": "oth-weath",
        **more,
    }


def sent(client: Client, body: dict[str, Any]) -> str:
    answer = client.post(reverse(PAGE), body)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def filled(page: str) -> dict[str, Any]:
    """Return what the rows of a preview send as they stand."""
    body: dict[str, Any] = {"visit": re.findall(r'name="visit" value="([^"]+)"', page)}
    for name, options in re.findall(
        r'<select class="closing-do" name="([^"]+)"(.*?)</select>', page, re.S
    ):
        (body[name],) = re.findall(r'<option value="([^"]+)" selected', options)
    return body


def test_the_calendar_leads_here_with_its_place_and_day(
    client: Client, cast: Cast, clinic: Surgery
) -> None:
    desk = signed_in(client, cast.desk)
    calendar = desk.get(
        reverse("admin:appointments_appointment_calendar"),
        {"location": clinic.location.id, "resource": clinic.doctor.id, "on": MONDAY},
    ).content.decode()
    (link,) = re.findall(r'href="([^"]*/closing/[^"]*)"', calendar)
    page = desk.get(link.replace("&amp;", "&")).content.decode()
    assert f'value="{MONDAY.isoformat()}"' in page
    assert re.search(rf'value="{clinic.doctor.id}"[^>]*checked', page)


def test_who_is_affected_is_shown_before_anything_happens(
    client: Client, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    visit = book(cast.anna_user, clinic.opening(9), now)
    desk = signed_in(client, cast.desk)
    page = sent(desk, asked(clinic))
    assert "Testmann, Anna" in page
    assert "Monday, 23 November 2026, 09:00 CET" in page
    assert "Tue 24 Nov, 09:00, Dr Ahorn" in page
    assert (visit_now(visit).version, SiteClosure.objects.count()) == (1, 0)
    with identity(system("housekeeping")):
        looked = AuditEvent.objects.filter(operation="admin.appointment.closing")
        assert [event.patient_id for event in looked] == [cast.anna.id]


def test_what_is_proposed_is_done_and_told(
    client: Client, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    one = book(cast.anna_user, clinic.opening(9), now)
    two = book(cast.brigid.user, clinic.opening(10), now)
    desk = signed_in(client, cast.desk)
    rows = filled(sent(desk, asked(clinic)))
    rows[f"do-{two.id}"] = "cancel"
    done = sent(desk, asked(clinic) | rows | {"confirm": "1"})
    assert "Moved" in done
    assert "Tuesday, 24 November 2026, 09:00 CET" in done
    assert "told, with a ticket to book anew" in done
    assert visit_now(one).starts_at == clinic.at(9, on=TUESDAY)
    assert visit_now(two).cancellation_reason == "oth-weath"
    assert len(tickets(cast.brigid)) == 1
    calendar = desk.get(
        reverse("admin:appointments_appointment_calendar"),
        {"location": clinic.location.id, "on": MONDAY},
    ).content.decode()
    assert "Closed: Storm" in calendar


def test_somebody_ticked_is_blocked_for_the_hours_told(
    client: Client, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    stays = book(cast.anna_user, clinic.opening(11), now)
    body = asked(clinic, people=[clinic.doctor.id], starts="09:00", ends="11:00")
    desk = signed_in(client, cast.desk)
    assert "No visit is in the way" in sent(desk, body)
    sent(desk, body | {"confirm": "1"})
    block = Block.objects.get()
    assert (block.starts_at, block.ends_at) == (clinic.at(9), clinic.at(11))
    assert visit_now(stays).version == 1
    assert not SiteClosure.objects.exists()


def test_what_is_new_since_the_preview_is_shown_first(
    client: Client, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    one = book(cast.anna_user, clinic.opening(9), now)
    desk = signed_in(client, cast.desk)
    rows = filled(sent(desk, asked(clinic)))
    rows[f"do-{one.id}"] = "cancel"
    book(cast.brigid.user, clinic.opening(10), now)
    again = sent(desk, asked(clinic) | rows | {"confirm": "1"})
    assert "Something has changed since you looked" in again
    assert "booked since you looked" in again
    assert "Probe, Brigid" in again
    assert filled(again)[f"do-{one.id}"] == "cancel"
    assert visit_now(one).status == "booked"
    sent(desk, asked(clinic) | filled(again) | {"confirm": "1"})
    assert SiteClosure.objects.count() == 1


def test_for_the_dead_cancelling_is_proposed_without_a_ticket(
    client: Client, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    visit = book(cast.anna_user, clinic.opening(9), now)
    dies(cast.anna, now)
    page = sent(signed_in(client, cast.desk), asked(clinic))
    assert "has died" in page
    assert filled(page)[f"do-{visit.id}"] == "cancel"
    assert "ticket to book anew" not in page


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"last": MONDAY - timedelta(days=1)}, "Ends before it starts."),
        ({"starts": "11:00", "ends": "11:00"}, "Ends before it starts."),
        ({"reason": ""}, "This field is required."),
        ({"first": "2026-11-01", "last": "2026-11-21"}, "This time is over."),
        ({"last": "2027-12-31"}, "At most a year."),
        ({"cancellation": "pat"}, "Select a valid choice"),
    ],
)
def test_what_cannot_be_closed_is_told(
    client: Client, cast: Cast, clinic: Surgery, change: dict[str, Any], words: str
) -> None:
    page = sent(signed_in(client, cast.desk), asked(clinic, **change))
    assert words in page
    assert "Who is affected" not in page


@pytest.mark.parametrize("visit", ["", "x:1", "01a20000-0000-7000-8000-000000000000:x"])
def test_a_broken_row_is_refused(client: Client, cast: Cast, clinic: Surgery, visit: str) -> None:
    page = sent(signed_in(client, cast.desk), asked(clinic, visit=[visit], confirm="1"))
    assert "Say for each visit" in page
    assert not SiteClosure.objects.exists()


def test_places_of_others_cannot_be_chosen(client: Client, cast: Cast, clinic: Surgery) -> None:
    other = signed_in(client, cast.other_nurse)
    surgery(cast.other_clinic)
    page = sent(other, asked(clinic, people=[clinic.doctor.id]))
    assert "Select a valid choice" in page
    assert clinic.location.name not in page


def test_the_page_is_for_those_who_may_close(client: Client, cast: Cast, clinic: Surgery) -> None:
    for user in (cast.lab, cast.anna_user):
        assert signed_in(client, user).get(reverse(PAGE)).status_code in (302, 404)
    for user in (cast.nurse, cast.clinician, cast.desk):
        assert signed_in(client, user).get(reverse(PAGE)).status_code == 200


def test_a_place_is_opened_again_from_its_list(client: Client, cast: Cast, clinic: Surgery) -> None:
    desk = signed_in(client, cast.desk)
    sent(desk, asked(clinic, confirm="1"))
    closure = SiteClosure.objects.get()
    listed = reverse("admin:appointments_siteclosure_changelist")
    assert "Storm" in desk.get(listed).content.decode()
    other = signed_in(Client(), cast.other_nurse)
    assert "Storm" not in other.get(listed).content.decode()
    desk.post(listed, {"action": "lift", "_selected_action": [closure.id]})
    closure.refresh_from_db()
    assert closure.lifted_by == cast.desk
    assert desk.get(reverse("admin:appointments_siteclosure_add")).status_code in (302, 403, 404)


def test_a_page_sent_twice_closes_once(client: Client, cast: Cast, clinic: Surgery) -> None:
    desk = signed_in(client, cast.desk)
    body = asked(clinic) | {"confirm": "1"}
    assert "already" not in sent(desk, body)
    assert "You have closed this place for this time already." in sent(desk, body)
    assert SiteClosure.objects.count() == 1
