"""One envelope for every error, and never a value in it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests.cast import Cast
from tests.tokens import Api, api_of, token_for

pytestmark = pytest.mark.django_db

MEMBERS = {"type", "title", "status", "detail", "code", "errors", "request_id"}


def assert_problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store, private"
    body = json.loads(answer.content)
    assert set(body) >= MEMBERS
    assert (body["status"], body["code"], body["type"]) == (status, code, f"/problems/{code}")
    assert body["request_id"] == answer.headers["X-Request-Id"]
    return dict(body)


def send(token: str, body: bytes, content_type: str = "application/json") -> Any:
    return Client(raise_request_exception=False).post(
        "/api/v1/staff/patients/$find",
        body,
        content_type=content_type,
        headers={"Authorization": f"Bearer {token}"},
    )


def test_401_without_a_token() -> None:
    assert_problem(Api().get("patients/me"), 401, "not-authenticated")


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Bearer no-such-token", "Basic YTpi", "Bearer a b"]
)
def test_401_with_something_that_is_no_token(header: str) -> None:
    answer = Client().get("/api/v1/patients/me", headers={"Authorization": header})
    assert_problem(answer, 401, "not-authenticated")


def test_403_for_a_role_that_never_may(cast: Cast) -> None:
    assert_problem(api_of(cast.lab, "staff").post("staff/patients", {}), 403, "forbidden")


def test_404_under_the_api_is_a_problem_too() -> None:
    assert_problem(Api().get("no/such/address"), 404, "not-found")


def test_404_for_a_record_out_of_reach(cast: Cast) -> None:
    assert_problem(api_of(cast.brigid.user).get(f"patients/{cast.anna.pk}"), 404, "not-found")


def test_405_for_a_method_the_address_does_not_take(cast: Cast) -> None:
    assert_problem(api_of(cast.anna_user).call("PUT", "patients/me"), 405, "method-not-allowed")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "not-json"),
        (b"\xff\xfe", "not-json"),
        (b"[" * 33 + b"]" * 33, "too-deep"),
        (b"[" + b"1," * 200 + b"1]", "too-many-items"),
    ],
)
def test_400_for_a_body_that_cannot_be_read(cast: Cast, body: bytes, code: str) -> None:
    assert_problem(send(token_for(cast.desk, "staff"), body), 400, code)


def test_a_body_at_the_limits_is_read(cast: Cast) -> None:
    token = token_for(cast.desk, "staff")
    deep = b'{"family_name":' * 31 + b"1" + b"}" * 31
    assert_problem(send(token, deep), 422, "invalid")
    wide = b'{"family_name":[' + b"1," * 199 + b"1]}"
    assert_problem(send(token, wide), 422, "invalid")


def test_413_for_a_body_that_is_too_large(cast: Cast) -> None:
    token = token_for(cast.desk, "staff")
    assert_problem(send(token, b'"' + b"x" * 1_048_576 + b'"'), 413, "body-too-large")


def test_415_for_another_format(cast: Cast) -> None:
    token = token_for(cast.desk, "staff")
    assert_problem(send(token, b"a=b", "text/plain"), 415, "unsupported-media-type")


def test_422_names_the_field_and_not_the_value(cast: Cast) -> None:
    answer = api_of(cast.desk, "staff").post(
        "staff/patients/$find", {"family_name": "x" * 300, "birth_date": "yesterday-canary"}
    )
    body = assert_problem(answer, 422, "invalid")
    assert {error["field"] for error in body["errors"]} == {"family_name", "birth_date"}
    assert all({"field", "code", "message"} == set(error) for error in body["errors"])
    assert "canary" not in json.dumps(body)


def test_500_says_nothing_about_what_broke(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("canary-in-an-error for Anna")

    monkeypatch.setattr("patients.selectors.own_patient", broken)
    body = assert_problem(api_of(cast.anna_user).get("patients/me"), 500, "internal-error")
    assert "canary" not in json.dumps(body)
    assert "RuntimeError" in logged()
    assert "canary" not in logged()
    assert "Anna" not in logged()


@pytest.mark.parametrize("sent", ["", "short", "with space in it", "x" * 65, "bad\tid-12345"])
def test_a_request_id_that_is_not_plain_is_replaced(sent: str) -> None:
    answer = Api().get("patients/me", **{"X-Request-Id": sent})
    assert answer.headers["X-Request-Id"] != sent


def test_a_plain_request_id_comes_back() -> None:
    answer = Api().get("patients/me", **{"X-Request-Id": "trace.me-12345"})
    assert answer.headers["X-Request-Id"] == "trace.me-12345"
