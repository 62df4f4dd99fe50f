"""The desk opens records and finds patients."""

from typing import Any

import pytest

from accounts.models import User
from core.db import identity, system
from core.models import AuditEvent, Change, Event
from patients.models import Enrolment, Patient
from tests.cast import AUTHORITY, Cast
from tests.tokens import Api, api_of

pytestmark = pytest.mark.django_db


def body(**changes: Any) -> dict[str, Any]:
    return {
        "given_name": "Nadia",
        "family_name": "Neu",
        "birth_date": "1975-03-04",
        "sex": "female",
        "identifiers": [{"authority": AUTHORITY, "value": "900100"}],
    } | changes


@pytest.fixture
def desk(cast: Cast) -> Api:
    return api_of(cast.desk, "staff")


def test_the_desk_opens_a_record_at_her_clinic(cast: Cast, desk: Api) -> None:
    answer = desk.post("staff/patients", body())
    assert (answer.status_code, answer.json()["warnings"]) == (201, [])
    with identity(system("registration")):
        made = Patient.objects.get(id=answer.json()["id"])
        assert made.zone == "Europe/Berlin"
        assert Enrolment.objects.get(patient=made).organization_id == cast.clinic.pk


def test_opening_a_record_writes_audit_feed_and_event_with_it(cast: Cast, desk: Api) -> None:
    made = desk.post("staff/patients", body()).json()["id"]
    with identity(system("registration")):
        assert Change.objects.filter(patient_id=made, resource="Patient").count() == 1
    with identity(system("events")):
        assert Event.objects.filter(subject_id=made, type="patients.registered").count() == 1
    with identity(system("housekeeping")):
        events = AuditEvent.objects.filter(patient_id=made).order_by("operation")
        assert [(e.operation, e.actor_id) for e in events] == [
            ("patients.register", cast.desk.pk),
            ("patients.staff.register", cast.desk.pk),
        ]


def test_a_number_in_use_is_refused_and_nothing_stays(cast: Cast, desk: Api) -> None:
    answer = desk.post(
        "staff/patients", body(identifiers=[{"authority": AUTHORITY, "value": "900001"}])
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "identifier-in-use")
    assert b"900001" not in answer.content
    with identity(system("registration")):
        assert Patient.objects.filter(family_name="Neu").count() == 0


def test_the_same_number_of_another_authority_is_another_number(cast: Cast, desk: Api) -> None:
    other = body(identifiers=[{"authority": "OTHERLAB", "value": "900001"}])
    assert desk.post("staff/patients", other).status_code == 201


def test_two_identical_numbers_in_one_request_are_refused(desk: Api) -> None:
    number = {"authority": AUTHORITY, "value": "900100"}
    assert desk.post("staff/patients", body(identifiers=[number, number])).status_code == 409


def test_a_look_alike_is_a_warning(desk: Api) -> None:
    answer = desk.post("staff/patients", body(family_name="TESTMANN", birth_date="1970-01-01"))
    assert (answer.status_code, answer.json()["warnings"]) == (201, ["look-alike"])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"family_name": "—"}, "family_name"),
        ({"given_name": "Na\u0000dia"}, "given_name"),
        ({"birth_date": "2999-01-01"}, "birth_date"),
        ({"birth_date": "1850-01-01"}, "birth_date"),
        ({"birth_date": "1975-02-30"}, "birth_date"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"sex": "F"}, "sex"),
        ({"identifiers": [{"authority": "", "value": "1"}]}, "identifiers.0.authority"),
        ({"email": "not an address"}, "email"),
    ],
)
def test_bad_input_names_its_field(desk: Api, changes: dict[str, Any], field: str) -> None:
    answer = desk.post("staff/patients", body(**changes))
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_names_in_other_scripts_are_names(desk: Api) -> None:
    assert desk.post("staff/patients", body(family_name="Иванова")).status_code == 201
    assert desk.post("staff/patients", body(family_name="王", identifiers=[])).status_code == 201


def test_an_address_opens_an_account_that_has_no_password_yet(desk: Api) -> None:
    made = desk.post("staff/patients", body(email="Nadia@Example.org")).json()["id"]
    user = User.objects.get(email="nadia@example.org")
    assert not user.has_usable_password()
    with identity(system("registration")):
        assert Patient.objects.get(id=made).user_id == user.pk


def test_an_address_in_use_is_refused_and_no_record_stays(cast: Cast, desk: Api) -> None:
    answer = desk.post("staff/patients", body(email="anna@example.org"))
    assert (answer.status_code, answer.json()["code"]) == (409, "email-in-use")
    with identity(system("registration")):
        assert Patient.objects.filter(family_name="Neu").count() == 0


def test_the_same_request_twice_opens_one_record(desk: Api) -> None:
    first = desk.post("staff/patients", body(), key="one-key-123")
    second = desk.post("staff/patients", body(), key="one-key-123")
    assert first.json() == second.json()
    assert second.headers["Idempotency-Replayed"] == "true"


def test_another_clinic_cannot_be_named(cast: Cast, desk: Api) -> None:
    answer = desk.post("staff/patients", body(organization=str(cast.other_clinic.pk)))
    assert answer.status_code == 404


@pytest.mark.parametrize("who", ["clinician", "lab"])
def test_roles_that_do_not_register_are_refused(cast: Cast, who: str) -> None:
    assert api_of(getattr(cast, who), "staff").post("staff/patients", body()).status_code == 403


def test_a_patient_does_not_reach_the_desk(cast: Cast) -> None:
    assert api_of(cast.anna_user).post("staff/patients", body()).status_code == 403
    # A token with the staff scope is no role.
    assert api_of(cast.anna_user, "staff").post("staff/patients", body()).status_code == 403


def find(api: Api, value: str = "900001") -> Any:
    return api.post(
        "staff/patients/$find", {"identifier": {"authority": AUTHORITY, "value": value}}
    )


def test_the_desk_finds_a_patient_by_number(cast: Cast, desk: Api) -> None:
    assert [row["id"] for row in find(desk).json()["items"]] == [str(cast.anna.pk)]


def test_finding_needs_no_idempotency_key_and_stores_no_answer(cast: Cast, desk: Api) -> None:
    answer = desk.call("POST", "staff/patients/$find")
    assert answer.json()["code"] != "idempotency-key-missing"


def test_a_patient_of_another_clinic_is_not_found(cast: Cast, desk: Api) -> None:
    assert find(desk, "900003").json()["items"] == find(desk, "123").json()["items"] == []


def test_the_desk_finds_by_name_and_birth_date(cast: Cast, desk: Api) -> None:
    answer = desk.post("staff/patients/$find", {"family_name": "probe", "birth_date": "1965-05-05"})
    assert [row["given_name"] for row in answer.json()["items"]] == ["Brigid"]


def test_a_search_that_says_nothing_or_too_much_is_invalid(desk: Api) -> None:
    assert desk.post("staff/patients/$find", {}).status_code == 422
    assert desk.post("staff/patients/$find", {"family_name": "probe"}).status_code == 422


def test_a_find_is_audited_for_the_patient_it_shows(cast: Cast, desk: Api) -> None:
    find(desk)
    with identity(system("housekeeping")):
        event = AuditEvent.objects.get(operation="patients.staff.find")
        assert (event.patient_id, event.action, event.actor_id) == (
            cast.anna.pk,
            "R",
            cast.desk.pk,
        )


def test_a_role_that_ended_reaches_nothing_from_the_next_call(cast: Cast, now) -> None:
    from accounts import services

    api = api_of(cast.desk, "staff")
    assert find(api).status_code == 200
    services.end_membership(membership_id=cast.desk.memberships.get().pk, now=now)
    assert find(api).status_code == 401
    assert find(api_of(cast.desk, "staff")).status_code == 403
