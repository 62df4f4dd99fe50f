"""Who am I, the record's frame, its changes and its access log."""

import pytest

from core import feed
from core.db import identity, system
from core.models import AuditEvent
from patients import services
from tests.cast import Cast
from tests.tokens import PERSONAL, Api, api_of

pytestmark = pytest.mark.django_db


def looks(operation: str) -> list[AuditEvent]:
    with identity(system("housekeeping")):
        return list(AuditEvent.objects.filter(operation=operation).order_by("occurred_at"))


def test_me_lists_her_own_record_first(cast: Cast) -> None:
    answer = api_of(cast.anna_user).get("me")
    assert answer.status_code == 200
    records = answer.json()["records"]
    assert [(r["patient_id"], r["relation"]) for r in records] == [(str(cast.anna.pk), "patient")]
    assert records[0]["scopes"] == sorted(PERSONAL.split())


def test_me_lists_the_records_a_caregiver_may_open_cut_to_her_grant(cast: Cast) -> None:
    records = api_of(cast.dora).get("me").json()["records"]
    assert [(r["relation"], r["scopes"]) for r in records] == [("proxy", ["labs.read"])]


def test_me_is_audited_for_each_record_it_names(cast: Cast) -> None:
    api_of(cast.dora).get("me")
    assert [event.patient_id for event in looks("patients.me")] == [cast.anna.pk]


def test_me_shows_staff_their_roles(cast: Cast) -> None:
    assert api_of(cast.nurse, "staff").get("me").json()["roles"] == ["nurse"]


def test_the_frame_shows_her_profile_and_where_to_call(cast: Cast, now) -> None:
    with identity(system("registration")):
        services.record_fact(
            patient_id=cast.anna.pk,
            fact=services.NewFact(
                kind="marker", code="HER2", result="not-tested", source="Pathology report"
            ),
            recorded_by=cast.nurse,
            now=now,
        )
    body = api_of(cast.anna_user).get("patients/me").json()
    assert body["given_name"] == "Anna"
    assert body["birth_date"] == "1970-01-01"
    assert [place["phone_24h"] for place in body["organizations"]] == ["+49 30 5550199"]
    assert [(f["code"], f["result"]) for f in body["profile"]] == [("HER2", "not-tested")]


def test_a_caregiver_reads_the_frame_of_the_record_she_acts_in(cast: Cast) -> None:
    answer = api_of(cast.dora).get(f"patients/{cast.anna.pk}")
    assert answer.json()["relation"] == "proxy"
    assert answer.json()["scopes"] == ["labs.read"]


@pytest.mark.parametrize("path", ["", "/changes?area=labs", "/access-log"])
def test_a_stranger_and_a_missing_record_get_the_same_bytes(cast: Cast, path: str) -> None:
    api = api_of(cast.brigid.user)
    same_id = {"X-Request-Id": "the-same-request"}
    foreign = api.get(f"patients/{cast.anna.pk}{path}", **same_id)
    absent = api.get(f"patients/01999999-0000-7000-8000-000000000000{path}", **same_id)
    malformed = api.get(f"patients/no-such-id{path}", **same_id)
    assert foreign.status_code == absent.status_code == malformed.status_code == 404
    assert foreign.content == absent.content == malformed.content
    assert dict(foreign.headers) == dict(absent.headers)


def test_without_a_token_nothing_is_told(cast: Cast) -> None:
    answer = Api().get(f"patients/{cast.anna.pk}")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.json()["code"] == "not-authenticated"


def test_a_token_without_a_personal_scope_is_refused_before_the_id_is_read(cast: Cast) -> None:
    api = api_of(cast.nurse, "staff")
    assert api.get(f"patients/{cast.anna.pk}").status_code == 403
    assert api.get("patients/no-such-id").status_code == 403


def test_a_laboratory_reads_nothing(cast: Cast) -> None:
    lab = api_of(None, "labs.submit")
    assert lab.get(f"patients/{cast.anna.pk}").status_code == 401
    assert lab.get("me").status_code == 401


def test_personal_answers_are_never_stored(cast: Cast) -> None:
    answer = api_of(cast.anna_user).get("patients/me")
    assert answer.headers["Cache-Control"] == "no-store, private"


def test_the_same_record_answers_304_and_the_look_is_still_recorded(cast: Cast) -> None:
    api = api_of(cast.anna_user)
    etag = api.get("patients/me").headers["ETag"]
    again = api.get("patients/me", **{"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert len(looks("patients.record")) == 2


def test_changes_start_at_now_and_then_tell_what_changed(cast: Cast, now) -> None:
    api = api_of(cast.anna_user)
    first = api.get("patients/me/changes", {"area": "record"}).json()
    assert first["items"] == []
    with identity(system("registration")):
        feed.record_change(
            patient_id=cast.brigid.pk,
            area="record",
            resource="Patient",
            resource_id=cast.brigid.pk,
            kind="upsert",
            now=now,
        )
    again = api.get("patients/me/changes", {"area": "record", "since": first["next"]})
    assert again.status_code == 200


def test_changes_of_an_area_outside_the_token_are_refused(cast: Cast) -> None:
    api = api_of(cast.anna_user, "labs.read")
    assert api.get("patients/me/changes", {"area": "symptoms"}).status_code == 403


def test_changes_of_an_area_outside_the_grant_look_absent(cast: Cast) -> None:
    answer = api_of(cast.dora).get(f"patients/{cast.anna.pk}/changes", {"area": "symptoms"})
    assert answer.status_code == 404


def test_a_cursor_of_another_area_is_refused(cast: Cast) -> None:
    api = api_of(cast.anna_user)
    cursor = api.get("patients/me/changes", {"area": "labs"}).json()["next"]
    answer = api.get("patients/me/changes", {"area": "record", "since": cursor})
    assert (answer.status_code, answer.json()["code"]) == (422, "since-invalid")


def test_an_unknown_area_is_invalid(cast: Cast) -> None:
    answer = api_of(cast.anna_user).get("patients/me/changes", {"area": "everything"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "area")


def test_she_reads_who_looked_at_her_record(cast: Cast) -> None:
    api_of(cast.dora).get(f"patients/{cast.anna.pk}")
    api = api_of(cast.anna_user)
    api.get("patients/me")
    lines = [line["text"] for line in api.get("patients/me/access-log").json()["items"]]
    assert lines == [
        "You looked at your personal details.",
        "Dora, for you looked at your personal details.",
    ]


def test_reading_the_access_log_is_in_the_access_log(cast: Cast) -> None:
    api = api_of(cast.anna_user)
    api.get("patients/me/access-log")
    lines = [line["text"] for line in api.get("patients/me/access-log").json()["items"]]
    assert lines == ["You looked at this list of who looked."]


def test_a_caregiver_does_not_read_the_access_log(cast: Cast) -> None:
    assert api_of(cast.dora).get(f"patients/{cast.anna.pk}/access-log").status_code == 404


def test_the_access_log_pages_without_losing_or_repeating_a_line(cast: Cast) -> None:
    api = api_of(cast.anna_user)
    for _ in range(5):
        api.get("patients/me")
    first = api.get("patients/me/access-log", {"limit": "2"}).json()
    second = api.get("patients/me/access-log", {"limit": "2", "cursor": first["next"]}).json()
    ids = [line["id"] for line in first["items"] + second["items"]]
    assert len(set(ids)) == 4


def test_a_dead_patients_account_opens_nothing(cast: Cast, now) -> None:
    api = api_of(cast.anna_user)
    with identity(system("registration")):
        services.record_death(patient_id=cast.anna.pk, deceased_at=now, now=now)
    assert api.get("patients/me").status_code == 401
    assert api_of(cast.anna_user).get("patients/me").status_code == 404
    assert api_of(cast.dora).get(f"patients/{cast.anna.pk}").status_code == 404


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PUT", "PATCH", "DELETE", "POST"])
def test_a_method_that_the_address_does_not_take_is_405(cast: Cast, method: str) -> None:
    assert api_of(cast.anna_user).call(method, "patients/me").status_code == 405


def test_head_answers_like_get_without_a_body(cast: Cast) -> None:
    answer = api_of(cast.anna_user).call("HEAD", "patients/me")
    assert (answer.status_code, answer.content) == (200, b"")
