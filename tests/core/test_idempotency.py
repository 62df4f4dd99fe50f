"""The same POST twice: one change, the same answer; another body: refused; at once: wait."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections

from core.api import idempotency
from core.db import identity, system
from core.models import IdempotencyRecord
from patients.models import Patient
from patients.services import records
from tests.cast import Cast, make_cast
from tests.tokens import Api, api_of

PATH = "staff/patients"


def body(**changes: str) -> dict[str, Any]:
    return {"given_name": "Nadia", "family_name": "Neu", "birth_date": "1975-03-04"} | changes


def made() -> int:
    with identity(system("registration")):
        return Patient.objects.filter(family_name="Neu").count()


@pytest.mark.django_db
class TestOneAfterTheOther:
    @pytest.fixture
    def desk(self, cast: Cast) -> Api:
        return api_of(cast.desk, "staff")

    def test_a_replay_gives_the_same_answer_and_changes_nothing(self, desk: Api) -> None:
        first = desk.post(PATH, body(), key="key-1")
        again = desk.post(PATH, body(), key="key-1")
        assert (first.status_code, first.content) == (again.status_code, again.content)
        assert "Idempotency-Replayed" not in first.headers
        assert again.headers["Idempotency-Replayed"] == "true"
        assert made() == 1

    def test_the_order_of_members_is_no_other_body(self, desk: Api) -> None:
        desk.post(PATH, body(), key="key-1")
        turned = dict(reversed(body().items()))
        assert desk.post(PATH, turned, key="key-1").status_code == 201
        assert made() == 1

    def test_the_key_with_another_body_is_refused(self, desk: Api) -> None:
        desk.post(PATH, body(), key="key-1")
        answer = desk.post(PATH, body(given_name="Nora"), key="key-1")
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-key-reused")

    def test_the_key_of_another_person_is_another_key(self, cast: Cast, desk: Api) -> None:
        desk.post(PATH, body(), key="key-1")
        assert api_of(cast.nurse, "staff").post(PATH, body(), key="key-1").status_code == 201
        assert made() == 2

    def test_a_refused_request_may_be_mended_and_sent_again(self, desk: Api) -> None:
        assert desk.post(PATH, body(family_name=""), key="key-1").status_code == 422
        assert desk.post(PATH, body(), key="key-1").status_code == 201

    @pytest.mark.parametrize("key", ["", " ", "x" * 129])
    def test_a_post_without_a_usable_key_is_refused(self, desk: Api, key: str) -> None:
        answer = desk.post(PATH, body(), key=key or " ")
        assert (answer.status_code, answer.json()["code"]) == (400, "idempotency-key-missing")

    def test_a_replay_is_authorised_again(self, cast: Cast, desk: Api, now) -> None:
        desk.post(PATH, body(), key="key-1")
        cast.desk.memberships.update(valid_until=now)
        answer = desk.post(PATH, body(), key="key-1")
        assert answer.status_code == 403
        assert b"Idempotency-Replayed" not in answer.serialize_headers()

    def test_the_stored_answer_is_encrypted(self, desk: Api) -> None:
        patient_id = desk.post(PATH, body(), key="key-1").json()["id"]
        with identity(system("housekeeping")):
            from django.db import connection

            with connection.cursor() as cursor:
                cursor.execute("SELECT answer FROM core_idempotencyrecord")
                assert patient_id.encode() not in bytes(cursor.fetchone()[0])

    def test_answers_are_forgotten_after_two_days(self, desk: Api) -> None:
        desk.post(PATH, body(), key="key-1")
        with identity(system("housekeeping")):
            stored_at = IdempotencyRecord.objects.get().stored_at
            assert idempotency.prune(now=stored_at + timedelta(hours=48)) == 0
            assert idempotency.prune(now=stored_at + timedelta(hours=48, seconds=1)) == 1


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_while_the_first_runs_the_second_is_told_to_wait(
    now, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = api_of(make_cast(now).desk, "staff")
    inside, go_on = threading.Event(), threading.Event()
    look_alikes = records._look_alikes

    def slowly(*args: Any) -> int:
        inside.set()
        assert go_on.wait(10)
        return look_alikes(*args)

    monkeypatch.setattr(records, "_look_alikes", slowly)
    first: list[Any] = []

    def send() -> None:
        try:
            first.append(desk.post(PATH, body(), key="key-1"))
        finally:
            connections.close_all()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        assert inside.wait(10)
        second = desk.post(PATH, body(), key="key-1")
    finally:
        go_on.set()
        thread.join(10)
    assert (second.status_code, second.json()["code"]) == (409, "in-progress")
    assert first[0].status_code == 201
    assert desk.post(PATH, body(), key="key-1").content == first[0].content
    assert made() == 1
