"""The addresses of visits and openings, as owner, caregiver, stranger and nobody."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from django.test import Client

from appointments.models import Appointment
from core.db import identity, system
from core.models import AuditEvent
from patients.models import CaregiverGrant
from tests.appointments.factories import MONDAY, Surgery, bearer, book, surgery
from tests.cast import Cast

pytestmark = pytest.mark.django_db

ME = "/api/v1/patients/me"


@pytest.fixture(autouse=True)
def clock(now: datetime) -> Iterator[None]:
    with time_machine.travel(now, tick=False):
        yield


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic, preparation="Bring your list of medicines.")


@pytest.fixture
def anna(cast: Cast) -> dict[str, str]:
    return bearer(cast.anna_user)


def get(client: Client, path: str, who: dict[str, str], **params: Any) -> Any:
    return client.get(path, params, headers={**who, "X-Request-Id": "same-request"})


def post(
    client: Client, path: str, who: dict[str, str], body: dict[str, Any], key: str = ""
) -> Any:
    headers = {**who, "Idempotency-Key": key or str(uuid4()), "X-Request-Id": "same-request"}
    return client.post(path, body, content_type="application/json", headers=headers)


def search(client: Client, who: dict[str, str], clinic: Surgery, **more: Any) -> Any:
    asked = {"visit_type": clinic.visit_type.id, "from": MONDAY, "to": MONDAY, **more}
    return get(client, f"{ME}/openings", who, **asked)


def test_openings_are_times_at_the_clinic(
    client: Client, clinic: Surgery, anna: dict[str, str]
) -> None:
    answer = search(client, anna, clinic)
    assert answer.status_code == 200
    body = answer.json()
    assert [item["start"]["local"][-5:] for item in body["items"]] == [
        "09:00", "09:30", "10:00", "10:30", "11:00", "11:30",
    ]  # fmt: skip
    first = body["items"][0]
    assert first["start"] == {
        "instant": "2026-11-23T08:00:00Z",
        "zone": "Europe/Berlin",
        "local": "2026-11-23T09:00",
        "weekday": "Monday",
        "text": "Monday, 23 November 2026, 09:00 CET",
    }
    assert first["end"]["local"] == "2026-11-23T09:30"
    assert first["with"] == "Dr Ahorn"
    assert first["location"] == {"id": str(clinic.location.id), "name": clinic.location.name}
    assert (body["next"], body["warnings"]) == (None, [])
    assert answer["Cache-Control"] == "no-store, private"


def test_book_read_list_and_cancel(
    client: Client, cast: Cast, clinic: Surgery, anna: dict[str, str]
) -> None:
    opening = search(client, anna, clinic).json()["items"][1]
    made = post(client, f"{ME}/appointments", anna, {"opening": opening["id"]})
    assert made.status_code == 201
    visit = made.json()
    assert visit["status"] == "booked"
    assert visit["start"] == opening["start"]
    assert visit["visit_type"]["preparation"] == "Bring your list of medicines."
    assert visit["location"]["directions"] == "Second floor."
    assert made["Location"] == f"{ME}/appointments/{visit['id']}"
    assert get(client, made["Location"], anna).json() == visit
    assert get(client, f"{ME}/appointments", anna).json()["items"] == [visit]
    assert opening["id"] not in [
        item["id"] for item in search(client, anna, clinic).json()["items"]
    ]
    gone = post(client, f"{made['Location']}/$cancel", anna, {"reason": "pat-lt"})
    assert gone.status_code == 200
    assert gone.json()["status"] == "cancelled"
    assert gone.json()["cancelled"]["reason"] == "pat-lt"
    assert gone.json()["sequence"] == 1
    assert opening in search(client, anna, clinic).json()["items"]
    again = post(client, f"{ME}/appointments", anna, {"opening": opening["id"]})
    assert again.status_code == 201


def test_losers_get_409_with_alternatives(
    client: Client, cast: Cast, clinic: Surgery, anna: dict[str, str], now: datetime
) -> None:
    book(cast.brigid.user, clinic.opening(9), now)
    answer = post(client, f"{ME}/appointments", anna, {"opening": clinic.opening(9)})
    body = answer.json()
    assert (answer.status_code, body["code"]) == (409, "slot-taken")
    assert answer["Content-Type"] == "application/problem+json"
    assert body["alternatives"] == search(client, anna, clinic, limit=5).json()["items"]
    booked = post(client, f"{ME}/appointments", anna, {"opening": body["alternatives"][0]["id"]})
    assert booked.status_code == 201


def test_a_replay_gives_the_first_answer_and_books_once(
    client: Client, cast: Cast, clinic: Surgery, anna: dict[str, str]
) -> None:
    body = {"opening": clinic.opening(9)}
    first = post(client, f"{ME}/appointments", anna, body, key="one-key")
    second = post(client, f"{ME}/appointments", anna, body, key="one-key")
    assert (second.status_code, second.json()) == (201, first.json())
    assert second["Idempotency-Replayed"] == "true"
    other = post(client, f"{ME}/appointments", anna, {"opening": clinic.opening(10)}, key="one-key")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    with identity(system("registration")):
        assert Appointment.objects.count() == 1


def test_she_cannot_book_two_visits_at_once(
    client: Client, cast: Cast, clinic: Surgery, anna: dict[str, str], now: datetime
) -> None:
    book(cast.anna_user, surgery(cast.clinic).opening(9), now)
    answer = post(client, f"{ME}/appointments", anna, {"opening": clinic.opening(9)})
    assert (answer.status_code, answer.json()["code"]) == (409, "patient-overlap")


def test_a_time_that_is_over_comes_with_alternatives(
    client: Client, clinic: Surgery, anna: dict[str, str], now: datetime
) -> None:
    with time_machine.travel(clinic.at(9, 1), tick=False):
        answer = post(client, f"{ME}/appointments", anna, {"opening": clinic.opening(9)})
    body = answer.json()
    assert (answer.status_code, body["code"]) == (409, "opening-not-offered")
    assert body["reason"] == "past"
    assert body["alternatives"][0]["start"]["local"] == "2026-11-23T09:30"


@pytest.mark.parametrize(
    ("params", "field", "code"),
    [
        ({"visit_type": "x"}, "visit_type", "invalid"),
        ({"from": "2026-11-23T09:00"}, "from", "invalid"),
        ({"to": "2026-11-22"}, "to", "before-from"),
        ({"to": "2026-12-24"}, "to", "range-too-long"),
        ({"to": "2036-11-23"}, "to", "range-too-long"),
        ({"limit": "0"}, "limit", "min_value"),
        ({"limit": "101"}, "limit", "max_value"),
        ({"cursor": "garbage"}, "cursor", "invalid"),
        ({"location": "x"}, "location", "invalid"),
    ],
)
def test_searches_that_make_no_sense_are_refused(
    client: Client,
    clinic: Surgery,
    anna: dict[str, str],
    params: dict[str, str],
    field: str,
    code: str,
) -> None:
    answer = search(client, anna, clinic, **params)
    assert answer.status_code == 422
    assert [(e["field"], e["code"]) for e in answer.json()["errors"]] == [(field, code)]


def test_a_range_of_31_days_is_read(client: Client, clinic: Surgery, anna: dict[str, str]) -> None:
    answer = search(client, anna, clinic, to="2026-12-23", limit=100)
    assert answer.status_code == 200
    assert len(answer.json()["items"]) == 100
    assert answer.json()["next"]


def test_without_dates_it_is_searched_until_the_page_is_full(
    client: Client, clinic: Surgery, anna: dict[str, str]
) -> None:
    answer = get(client, f"{ME}/openings", anna, visit_type=clinic.visit_type.id, limit=100).json()
    days = {item["start"]["local"][:10] for item in answer["items"]}
    assert (min(days), max(days), len(days)) == ("2026-11-23", "2026-12-15", 17)
    assert len(answer["items"]) == 100


def test_visits_that_the_clinic_books_say_so(
    client: Client, cast: Cast, anna: dict[str, str]
) -> None:
    asked = surgery(cast.clinic, booking_policy="request")
    answer = search(client, anna, asked)
    assert answer.json()["items"] == []
    assert answer.json()["warnings"] == ["not-self-bookable", "request-needed"]
    refused = post(client, f"{ME}/appointments", anna, {"opening": asked.opening(9)})
    assert (refused.status_code, refused.json()["code"]) == (409, "not-self-bookable")
    assert refused.json()["booking_policy"] == "request"


def test_foreign_and_missing_visits_are_the_same_404(
    client: Client, cast: Cast, clinic: Surgery, anna: dict[str, str], now: datetime
) -> None:
    foreign = book(cast.brigid.user, clinic.opening(9), now)
    bodies = set()
    for visit in (foreign.id, uuid4()):
        read = get(client, f"{ME}/appointments/{visit}", anna)
        cancelled = post(client, f"{ME}/appointments/{visit}/$cancel", anna, {})
        assert read.status_code == cancelled.status_code == 404
        bodies |= {read.content, cancelled.content}
    theirs = surgery(cast.other_clinic)
    for opening in (theirs.opening(9), "nonsense"):
        refused = post(client, f"{ME}/appointments", anna, {"opening": opening})
        assert refused.status_code == 404
        bodies.add(refused.content)
    for visit_type in (theirs.visit_type.id, uuid4()):
        answer = get(client, f"{ME}/openings", anna, visit_type=visit_type)
        assert answer.status_code == 404
        bodies.add(answer.content)
    assert len(bodies) == 1


ADDRESSES = [
    "openings?visit_type={visit_type}",
    "appointments",
    "appointments/{visit}",
    "visit-types",
    "locations",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_who_may_read(
    client: Client, cast: Cast, clinic: Surgery, now: datetime, address: str
) -> None:
    visit = book(cast.anna_user, clinic.opening(9), now)
    path = f"/api/v1/patients/{cast.anna.id}/" + address.format(
        visit_type=clinic.visit_type.id, visit=visit.id
    )

    def status(who: dict[str, str]) -> int:
        return int(get(client, path, who).status_code)

    assert status(bearer(cast.anna_user)) == 200
    assert status({}) == 401
    assert status(bearer(cast.anna_user, "labs.read")) == 403
    assert status(bearer(cast.brigid.user)) == 404
    assert status(bearer(cast.dora)) == 404, "her grant is for results only"
    with identity(system("registration")):
        CaregiverGrant.objects.update(scopes=["appointments.read"])
    assert status(bearer(cast.dora)) == 200
    assert status(bearer(cast.nurse)) == 404


def test_a_caregiver_books_with_the_write_scope_only(
    client: Client, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    path = f"/api/v1/patients/{cast.anna.id}/appointments"
    with identity(system("registration")):
        CaregiverGrant.objects.update(scopes=["appointments.read"])
    body = {"opening": clinic.opening(9)}
    assert post(client, path, bearer(cast.dora), body).status_code == 404
    with identity(system("registration")):
        CaregiverGrant.objects.update(scopes=["appointments.read", "appointments.write"])
    made = post(client, path, bearer(cast.dora), body)
    assert (made.status_code, made.json()["booked_via"]) == (201, "proxy")
    gone = post(client, f"{path}/{made.json()['id']}/$cancel", bearer(cast.dora), {})
    assert gone.json()["cancelled"]["reason"] == "pat-cpp"


def test_a_read_token_books_nothing(client: Client, cast: Cast, clinic: Surgery) -> None:
    reader = bearer(cast.anna_user, "appointments.read")
    answer = post(client, f"{ME}/appointments", reader, {"opening": clinic.opening(9)})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_upcoming_come_first_to_last_and_past_last_to_first(
    client: Client, cast: Cast, clinic: Surgery, anna: dict[str, str], now: datetime
) -> None:
    visits = [book(cast.anna_user, clinic.opening(hour), now) for hour in (11, 9, 10)]
    in_order = [str(visits[index].id) for index in (1, 2, 0)]

    def listed(**params: Any) -> list[str]:
        answer = get(client, f"{ME}/appointments", anna, **params).json()
        ids = [item["id"] for item in answer["items"]]
        return ids + (listed(**{**params, "cursor": answer["next"]}) if answer["next"] else [])

    assert listed() == listed(limit=1) == in_order
    assert listed(period="past") == []
    with time_machine.travel(clinic.at(10, 30), tick=False):
        assert listed() == in_order[2:]
        assert listed(period="past") == listed(period="past", limit=1) == in_order[1::-1]


def test_visit_types_and_locations_are_those_of_her_clinics(
    client: Client, cast: Cast, clinic: Surgery, anna: dict[str, str]
) -> None:
    surgery(cast.other_clinic)
    types = get(client, f"{ME}/visit-types", anna).json()["items"]
    assert [(item["id"], item["booking_policy"]) for item in types] == [
        (str(clinic.visit_type.id), "direct")
    ]
    places = get(client, f"{ME}/locations", anna).json()["items"]
    assert [(item["id"], item["zone"]) for item in places] == [
        (str(clinic.location.id), "Europe/Berlin")
    ]


@pytest.mark.parametrize("body", [{}, {"opening": ""}, {"opening": 5}, {"opening": "x" * 101}])
def test_a_booking_needs_an_opening(
    client: Client, clinic: Surgery, anna: dict[str, str], body: dict[str, Any]
) -> None:
    answer = post(client, f"{ME}/appointments", anna, body)
    assert answer.status_code in (404, 422)
    if answer.status_code == 422:
        assert answer.json()["errors"][0]["field"] == "opening"


def test_a_reason_in_the_clinics_name_is_refused(
    client: Client, cast: Cast, clinic: Surgery, anna: dict[str, str], now: datetime
) -> None:
    visit = book(cast.anna_user, clinic.opening(9), now)
    path = f"{ME}/appointments/{visit.id}/$cancel"
    for reason in ("prov", "nonsense", 5):
        answer = post(client, path, anna, {"reason": reason})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "reason"
    assert post(client, path, anna, {}).json()["cancelled"]["reason"] == "pat-cpp"
    again = post(client, path, anna, {})
    assert (again.status_code, again.json()["code"]) == (409, "appointment-status")


def test_reads_writes_and_refusals_are_audited(
    client: Client, cast: Cast, clinic: Surgery, anna: dict[str, str], now: datetime
) -> None:
    made = post(client, f"{ME}/appointments", anna, {"opening": clinic.opening(9)})
    get(client, made["Location"], anna)
    post(client, f"{ME}/appointments", bearer(cast.brigid.user), {"opening": clinic.opening(9)})
    with identity(system("housekeeping")):
        rows = list(
            AuditEvent.objects.order_by("id").values_list(
                "operation", "outcome", "resource_ids", "reason_code"
            )
        )
    visit = [UUID(made.json()["id"])]
    assert ("appointments.list", "success", visit, "") in rows
    assert ("appointments.read", "success", visit, "") in rows
    assert ("appointments.list", "denied", [], "slot-taken") in rows
