"""The waitlist through the API: as the patient, her caregiver, a stranger, and with bad input."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine

from appointments.api.waitlist_serializers import OfferItem, WaitlistItem
from core.db import identity, system
from core.models import AuditEvent
from patients.models import CaregiverGrant
from tests.appointments.factories import Surgery, book, surgery
from tests.appointments.waitlist import at, offers, tick, visit_now, wait
from tests.architecture.test_answers import undeclared
from tests.cast import Cast
from tests.tokens import Api, api_of

pytestmark = pytest.mark.django_db

SCOPES = "appointments.read appointments.write"
WAITLIST, OFFERS = "patients/me/waitlist", "patients/me/waitlist-offers"
NINE = at(9)


@pytest.fixture(autouse=True)
def clock(now: datetime) -> Iterator[Any]:
    with time_machine.travel(now, tick=False) as traveller:
        yield traveller


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic)


@pytest.fixture
def anna(cast: Cast) -> Api:
    return api_of(cast.anna_user, SCOPES)


def test_the_whole_way(cast: Cast, clinic: Surgery, anna: Api, now: datetime) -> None:
    visit = book(cast.anna_user, clinic.opening(11), now)
    made = anna.post(
        WAITLIST,
        {
            "appointment": str(visit.id),
            "windows": [
                {"from": "2026-11-23", "until": "2026-11-23", "time_until": "09:30"},
                {"weekdays": [2, 4], "part_of_day": "afternoon"},
            ],
            "locations": [str(clinic.location.id)],
            "minimum_notice_minutes": 60,
        },
    )
    assert made.status_code == 201, made.content
    entry = made.json()
    assert made["Location"].endswith(entry["id"])
    assert (entry["status"], entry["appointment_status"]) == ("active", "waitlist")
    assert entry["appointment"] == str(visit.id)
    assert entry["windows"] == [
        {
            "from": "2026-11-23",
            "until": "2026-11-23",
            "weekdays": [],
            "time_from": None,
            "time_until": "09:30",
        },
        {
            "from": None,
            "until": None,
            "weekdays": [2, 4],
            "time_from": "12:00",
            "time_until": "17:00",
        },
    ]
    assert entry["locations"] == [{"id": str(clinic.location.id), "name": clinic.location.name}]
    assert entry["waiting_since"]["zone"] == "Europe/Berlin"
    tick(now)
    (offer,) = anna.get(OFFERS, {"open": "true"}).json()["items"]
    assert (offer["status"], offer["participant_status"]) == ("open", "needs-action")
    assert offer["start"]["text"] == "Monday, 23 November 2026, 09:00 CET"
    assert offer["answer_until"]["text"] == "Sunday, 22 November 2026, 12:00 CET"
    assert (offer["instead_of"], offer["visit"], offer["with"]) == (
        str(visit.id),
        None,
        "Dr Ahorn",
    )
    read = anna.get(f"{WAITLIST}/{entry['id']}").json()
    assert read["open_offer"] == offer["id"]
    accepted = anna.post(f"{OFFERS}/{offer['id']}/$accept", {})
    assert accepted.status_code == 200, accepted.content
    assert (accepted.json()["status"], accepted.json()["visit"]) == ("accepted", str(visit.id))
    assert visit_now(visit).starts_at == clinic.at(9)
    after = anna.get(f"{WAITLIST}/{entry['id']}").json()
    assert (after["status"], after["appointment_status"], after["ending"]) == (
        "fulfilled",
        "booked",
        "offer-accepted",
    )
    assert undeclared(anna.get(WAITLIST).json()["items"], WaitlistItem(many=True)) == []
    assert undeclared(anna.get(OFFERS).json()["items"], OfferItem(many=True)) == []
    assert anna.get(OFFERS, {"open": "true"}).json()["items"] == []
    shown = anna.get(WAITLIST, {"status": "active"}).json()["items"]
    assert shown == []


def test_refusals_have_stable_codes(
    cast: Cast, clinic: Surgery, anna: Api, now: datetime, clock: Any
) -> None:
    body = {"visit_type": str(clinic.visit_type.id), "windows": [{"time_until": "09:30"}]}
    first = anna.post(WAITLIST, body)
    again = anna.post(WAITLIST, body)
    assert (again.status_code, again.json()["code"]) == (409, "already-waiting")
    assert again.json()["entry"] == first.json()["id"]
    tick(now)
    (offer,) = anna.get(OFFERS).json()["items"]
    clock.move_to(now + timedelta(hours=2))
    anna = api_of(cast.anna_user, SCOPES)
    late = anna.post(f"{OFFERS}/{offer['id']}/$accept", {})
    assert (late.status_code, late.json()["code"]) == (409, "offer-over")
    assert late.json()["offer_status"] == "expired"
    assert late.json()["alternatives"]
    # Over by the clock, although nothing has run since.
    assert anna.get(OFFERS).json()["items"][0]["status"] == "expired"
    assert anna.get(OFFERS, {"open": "true"}).json()["items"] == []
    tick(now + timedelta(hours=2))
    (second,) = anna.get(OFFERS, {"open": "true"}).json()["items"]
    declined = anna.post(f"{OFFERS}/{second['id']}/$decline", {})
    assert (declined.status_code, declined.json()["participant_status"]) == (200, "declined")
    left = anna.post(f"{WAITLIST}/{first.json()['id']}/$withdraw", {})
    assert (left.status_code, left.json()["appointment_status"]) == (200, "cancelled")
    none = surgery(cast.clinic, waitlist_open=False)
    refused = anna.post(WAITLIST, {"visit_type": str(none.visit_type.id)})
    assert (refused.status_code, refused.json()["code"]) == (409, "no-waitlist")
    asked = surgery(cast.clinic, booking_policy="request")
    refused = anna.post(WAITLIST, {"visit_type": str(asked.visit_type.id)})
    assert (refused.status_code, refused.json()["code"]) == (409, "not-self-bookable")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"windows": [{"weekdays": [8]}]},
        {"windows": [{"weekdays": [0]}]},
        {"windows": [{"time_from": "25:00"}]},
        {"windows": [{"time_from": "10:00", "part_of_day": "morning"}]},
        {"windows": [{"part_of_day": "night"}]},
        {"windows": [{"from": "23.11.2026"}]},
        {"windows": [{"from": "2026-11-24", "until": "2026-11-23"}]},
        {"windows": [{"until": "2026-11-21"}]},
        {"windows": [{"time_from": "11:00", "time_until": "10:00"}]},
        {"windows": "always"},
        {"minimum_notice_minutes": -1},
        {"minimum_notice_minutes": 43201},
        {"locations": ["here"]},
    ],
)
def test_what_makes_no_sense_is_refused(
    clinic: Surgery, anna: Api, body: dict[str, object]
) -> None:
    if body:
        body = {"visit_type": str(clinic.visit_type.id), **body}
    answer = anna.post(WAITLIST, body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.content
    assert answer.json()["errors"]


def test_urgency_is_not_hers_to_set(clinic: Surgery, anna: Api, cast: Cast) -> None:
    made = anna.post(
        WAITLIST,
        {"visit_type": str(clinic.visit_type.id), "urgency": "urgent", "urgency_reason": "now"},
    )
    assert made.status_code == 201
    assert "urgency" not in made.json()
    with identity(system("booking")):
        from appointments.models import WaitlistEntry

        assert WaitlistEntry.objects.get().urgency == "routine"


def test_foreign_and_missing_ids_are_the_same(
    cast: Cast, clinic: Surgery, anna: Api, now: datetime
) -> None:
    entry = wait(cast.anna_user, clinic, now, windows=[NINE])
    tick(now)
    (offer,) = offers()
    brigid = api_of(cast.brigid.user, SCOPES)
    foreign = [
        brigid.get(f"{WAITLIST}/{entry.id}"),
        brigid.post(f"{WAITLIST}/{entry.id}/$withdraw", {}),
        brigid.post(f"{OFFERS}/{offer.id}/$accept", {}),
        brigid.post(f"{OFFERS}/{offer.id}/$decline", {}),
    ]
    missing = [
        brigid.get(f"{WAITLIST}/{uuid4()}"),
        brigid.post(f"{WAITLIST}/{uuid4()}/$withdraw", {}),
        brigid.post(f"{OFFERS}/{uuid4()}/$accept", {}),
        brigid.post(f"{OFFERS}/{uuid4()}/$decline", {}),
    ]
    for one, other in zip(foreign, missing, strict=True):
        assert one.status_code == other.status_code == 404
        same = [{k: v for k, v in a.json().items() if k != "request_id"} for a in (one, other)]
        assert same[0] == same[1]
    assert brigid.get(WAITLIST).json()["items"] == brigid.get(OFFERS).json()["items"] == []
    elsewhere = surgery(cast.other_clinic)
    for body in (
        {"visit_type": str(elsewhere.visit_type.id)},
        {"visit_type": str(uuid4())},
        {"appointment": str(uuid4())},
        {"visit_type": str(clinic.visit_type.id), "locations": [str(elsewhere.location.id)]},
    ):
        assert brigid.post(WAITLIST, body).status_code == 404
    assert offers()[0].status == "open"


def test_scopes_and_grants_are_asked(cast: Cast, clinic: Surgery, anna: Api, now: datetime) -> None:
    reader = api_of(cast.anna_user, "appointments.read")
    assert reader.get(WAITLIST).status_code == 200
    assert reader.post(WAITLIST, {"visit_type": str(clinic.visit_type.id)}).status_code == 403
    assert api_of(cast.anna_user, "labs.read").get(OFFERS).status_code == 403
    assert Api().get(WAITLIST).status_code == 401
    dora = api_of(cast.dora, SCOPES)
    hers = f"patients/{cast.anna.id}"
    assert dora.get(f"{hers}/waitlist").status_code == 404
    for scopes, status in ((["appointments.read"], 404), (SCOPES.split(), 201)):
        with identity(system("registration")):
            CaregiverGrant.objects.filter(patient=cast.anna).update(scopes=scopes)
        assert dora.get(f"{hers}/waitlist").status_code == 200
        made = dora.post(
            f"{hers}/waitlist",
            {"visit_type": str(clinic.visit_type.id), "windows": [{"time_until": "09:30"}]},
        )
        assert made.status_code == status
    tick(now)
    (offer,) = dora.get(f"{hers}/waitlist-offers").json()["items"]
    accepted = dora.post(f"{hers}/waitlist-offers/{offer['id']}/$accept", {})
    assert accepted.status_code == 200
    with identity(system("housekeeping")):
        event = AuditEvent.objects.get(operation="appointments.waitlist-offers.accept")
    assert (event.actor_id, event.patient_id) == (cast.dora.pk, cast.anna.id)


def test_the_same_answer_twice_is_one_visit(
    cast: Cast, clinic: Surgery, anna: Api, now: datetime
) -> None:
    wait(cast.anna_user, clinic, now, windows=[NINE])
    tick(now)
    address = f"{OFFERS}/{offers()[0].id}/$accept"
    first = anna.post(address, {}, key="once")
    again = anna.post(address, {}, key="once")
    assert (first.status_code, again.status_code) == (200, 200)
    assert again["Idempotency-Replayed"] == "true"
    assert first.json() == again.json()
    assert len(anna.get("patients/me/appointments").json()["items"]) == 1


def test_lists_are_paged_and_take_the_same_statements(cast: Cast, anna: Api, now: datetime) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    counts = []
    for number in range(3):
        wait(cast.anna_user, surgery(cast.clinic), now + timedelta(seconds=number))
        with CaptureQueriesContext(connection) as captured:
            assert len(anna.get(WAITLIST).json()["items"]) == number + 1
        counts.append(len(captured))
    assert len(set(counts)) == 1
    first = anna.get(WAITLIST, {"limit": "2"}).json()
    rest = anna.get(WAITLIST, {"limit": "2", "cursor": first["next"]}).json()
    ids = [item["id"] for item in first["items"] + rest["items"]]
    assert (len(ids), len(set(ids)), rest["next"]) == (3, 3, None)
    assert anna.get(OFFERS, {"cursor": first["next"]}).status_code == 422
