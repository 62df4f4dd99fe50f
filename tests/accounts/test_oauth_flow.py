"""Authorization code with PKCE, refresh, revocation; client credentials of a laboratory."""

import hashlib
import secrets
from typing import Any

import pytest
from oauth2_provider.models import get_access_token_model, get_refresh_token_model

from accounts import services
from accounts.models import OAuthClient
from tests.accounts.phone import CALLBACK, IN_PROCESS, PASSWORD, SCOPES, Phone, http

pytestmark = pytest.mark.django_db


@pytest.fixture
def phone(anna_registered: None, now) -> Phone:
    return Phone(
        IN_PROCESS,
        services.register_mobile_client(name="Linden", redirect_uris=(CALLBACK,), now=now),
    )


def test_a_phone_signs_in_and_sees_its_own_record(phone: Phone) -> None:
    page = phone.ask()
    assert "Let “Linden” in?" in page.text
    assert "See your test results" in page.text
    assert "form-action 'self' org.linden.portal:" in page.headers["Content-Security-Policy"]
    back = phone.agree(page)
    assert back["state"] == phone.state
    assert back["iss"]
    token = phone.exchange(back["code"]).json()
    assert (token["token_type"], token["scope"], token["expires_in"]) == ("Bearer", SCOPES, 900)
    assert phone.me(token["access_token"]) == 200


def test_saying_no_gives_no_code(phone: Phone) -> None:
    back = phone.agree(phone.ask(), scope=SCOPES)
    assert back["error"] == "access_denied"
    assert "code" not in back


def test_consent_is_asked_again_even_when_the_client_would_rather_not(phone: Phone) -> None:
    phone.exchange(phone.code())
    page = phone.ask(approval_prompt="auto")
    assert page.status_code == 200
    assert "Let “Linden” in?" in page.text


def test_a_wrong_verifier_gives_no_token(phone: Phone) -> None:
    answer = phone.exchange(phone.code(), code_verifier=secrets.token_urlsafe(48))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_a_missing_verifier_gives_no_token(phone: Phone) -> None:
    assert phone.exchange(phone.code(), code_verifier="").status_code == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge_method": "plain"},
        {"code_challenge_method": ""},
        {"code_challenge": "", "code_challenge_method": ""},
    ],
)
def test_only_s256_is_accepted(phone: Phone, changes: dict[str, str]) -> None:
    answer = phone.ask(**changes)
    assert answer.status_code == 302
    assert "error=invalid_request" in answer.headers["Location"]


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "org.linden.portal:/callback/",
        "org.linden.portal:/callback?x=1",
        "org.linden.portal:/",
        "org.linden.portal.evil:/callback",
        "https://evil.example/callback",
        "http://127.0.0.1/callback",
        "javascript:alert(1)",
    ],
)
def test_a_redirect_that_is_not_the_registered_one_is_never_followed(
    phone: Phone, redirect_uri: str
) -> None:
    answer = phone.ask(redirect_uri=redirect_uri)
    assert answer.status_code == 400
    assert "Location" not in answer.headers


def test_another_redirect_at_the_token_address_gives_no_token(phone: Phone) -> None:
    answer = phone.exchange(phone.code(), redirect_uri="org.linden.portal:/other")
    assert answer.status_code == 400


def test_a_code_works_once(phone: Phone) -> None:
    code = phone.code()
    assert phone.exchange(code).status_code == 200
    assert phone.exchange(code).json()["error"] == "invalid_grant"


def test_a_code_of_another_client_gives_no_token(phone: Phone, now) -> None:
    code = phone.code()
    phone.client_id = services.register_mobile_client(
        name="Other", redirect_uris=(CALLBACK,), now=now
    )
    assert phone.exchange(code).json()["error"] == "invalid_grant"


def test_a_scope_outside_the_kind_of_client_is_refused(phone: Phone) -> None:
    for scope in ("staff", "labs.submit", "labs.read staff", "everything"):
        assert "error=invalid_scope" in phone.ask(scope=scope).headers["Location"]


def test_no_scope_asked_gives_no_token(phone: Phone) -> None:
    answer = phone.ask(scope="")
    assert answer.status_code == 302
    assert "error=" in answer.headers["Location"]


@pytest.mark.parametrize("response_type", ["token", "id_token", "code token"])
def test_the_implicit_flow_does_not_exist(phone: Phone, response_type: str) -> None:
    answer = phone.ask(response_type=response_type)
    assert "access_token" not in answer.headers.get("Location", "")
    assert answer.status_code in (302, 400)


def test_passwords_are_no_grant(phone: Phone) -> None:
    answer = phone.token(grant_type="password", username="anna@example.org", password=PASSWORD)
    assert answer.status_code == 400


def test_refreshing_rotates_and_the_old_access_token_ends(phone: Phone) -> None:
    first = phone.exchange(phone.code()).json()
    second = phone.refresh(first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert phone.me(second["access_token"]) == 200
    assert phone.me(first["access_token"]) == 401


def test_a_refresh_token_used_twice_ends_the_whole_family(phone: Phone) -> None:
    first = phone.exchange(phone.code()).json()
    second = phone.refresh(first["refresh_token"]).json()
    assert phone.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"
    assert phone.me(second["access_token"]) == 401
    assert phone.refresh(second["refresh_token"]).json()["error"] == "invalid_grant"


def test_revoking_ends_access_and_refresh(phone: Phone) -> None:
    token = phone.exchange(phone.code()).json()
    answer = http(phone.web).post(
        f"{phone.web}/o/revoke/",
        data={"client_id": phone.client_id, "token": token["refresh_token"]},
        timeout=10,
    )
    assert answer.status_code == 200
    assert phone.me(token["access_token"]) == 401
    assert phone.refresh(token["refresh_token"]).status_code == 400


def test_tokens_are_stored_hashed(phone: Phone) -> None:
    token = phone.exchange(phone.code()).json()
    stored = get_access_token_model().objects.get()
    assert stored.token == ""
    assert stored.token_checksum == hashlib.sha256(token["access_token"].encode()).hexdigest()
    assert get_refresh_token_model().objects.get().token == ""


def test_closing_the_account_ends_its_tokens(phone: Phone, now) -> None:
    from accounts.models import User

    token = phone.exchange(phone.code()).json()
    services.deactivate_account(user=User.objects.get(email="anna@example.org"), now=now)
    assert phone.me(token["access_token"]) == 401
    assert phone.refresh(token["refresh_token"]).status_code == 400


def test_a_retired_client_gets_nothing(phone: Phone, now) -> None:
    token = phone.exchange(phone.code()).json()
    services.retire_client(client_id=phone.client_id, now=now)
    assert phone.me(token["access_token"]) == 401
    assert phone.ask().status_code == 400


@pytest.mark.parametrize("place", ["params", "data"])
def test_a_token_outside_the_header_is_no_token(phone: Phone, place: str) -> None:
    token = phone.exchange(phone.code()).json()["access_token"]
    options: dict[str, Any] = {place: {"access_token": token}}
    answer = http(phone.web).get(f"{phone.web}/api/v1/me", timeout=10, **options)
    assert answer.status_code == 401


# --- a laboratory ---


def credentials(now) -> tuple[str, services.ClientCredentials]:
    return IN_PROCESS, services.register_laboratory_client(name="Main laboratory", now=now)


def test_a_laboratory_signs_in_with_its_secret(db, now) -> None:
    web, lab = credentials(now)
    answer = http(web).post(
        f"{web}/o/token/",
        auth=(lab.client_id, lab.client_secret),
        data={"grant_type": "client_credentials", "scope": "labs.submit"},
        timeout=10,
    )
    assert answer.json()["scope"] == "labs.submit"
    assert "refresh_token" not in answer.json()
    assert get_access_token_model().objects.get().user is None


def test_the_laboratorys_secret_is_stored_hashed(db, now) -> None:
    _, lab = credentials(now)
    stored = OAuthClient.objects.get(client_id=lab.client_id).client_secret
    assert lab.client_secret not in stored
    assert stored.startswith("argon2")


@pytest.mark.parametrize("scope", ["labs.read", "staff", "labs.submit labs.read"])
def test_a_laboratory_gets_no_scope_of_people(db, now, scope: str) -> None:
    web, lab = credentials(now)
    answer = http(web).post(
        f"{web}/o/token/",
        auth=(lab.client_id, lab.client_secret),
        data={"grant_type": "client_credentials", "scope": scope},
        timeout=10,
    )
    assert answer.json()["error"] == "invalid_scope"


def test_a_wrong_secret_gives_no_token(db, now) -> None:
    web, lab = credentials(now)
    answer = http(web).post(
        f"{web}/o/token/",
        auth=(lab.client_id, "wrong"),
        data={"grant_type": "client_credentials", "scope": "labs.submit"},
        timeout=10,
    )
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_a_laboratory_may_ask_about_its_own_tokens_only(phone: Phone, now) -> None:
    web, lab = credentials(now)
    auth = (lab.client_id, lab.client_secret)
    own = (
        http(web)
        .post(
            f"{web}/o/token/",
            auth=auth,
            data={"grant_type": "client_credentials", "scope": "labs.submit"},
            timeout=10,
        )
        .json()["access_token"]
    )
    hers = phone.exchange(phone.code()).json()["access_token"]

    def about(token: str) -> dict[str, Any]:
        return (
            http(web)
            .post(f"{web}/o/introspect/", auth=auth, data={"token": token}, timeout=10)
            .json()
        )

    assert about(own)["active"] is True
    assert about(hers) == {"active": False}
    assert about("no-such-token") == {"active": False}


@pytest.mark.parametrize(
    "path",
    ["applications/", "applications/register/", "authorized_tokens/", "device/", "register/"],
)
def test_nobody_registers_a_client_over_the_web(db, path: str) -> None:
    assert http(IN_PROCESS).get(f"{IN_PROCESS}/o/{path}", timeout=10).status_code == 404
