"""The same sign-in through a real web server, by a client library that is not ours."""

from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from requests_oauthlib import OAuth2Session

from accounts import services
from tests.accounts.phone import CALLBACK, SCOPES, Phone

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])


def test_a_public_library_signs_in_refreshes_and_loses_all_on_reuse(
    live_server: Any, anna_registered: None, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    client_id = services.register_mobile_client(name="Linden", redirect_uris=(CALLBACK,), now=now)
    phone = Phone(live_server.url, client_id)
    app = OAuth2Session(client_id, redirect_uri=CALLBACK, pkce="S256", scope=SCOPES.split())
    url, _ = app.authorization_url(f"{live_server.url}/o/authorize/")
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    back = phone.submit(phone.ask(**query), allow="Authorize").headers["Location"]
    first = dict(
        app.fetch_token(
            f"{live_server.url}/o/token/", authorization_response=back, include_client_id=True
        )
    )
    assert app.get(f"{live_server.url}/api/v1/me").status_code == 200
    second = dict(app.refresh_token(f"{live_server.url}/o/token/", client_id=client_id))
    assert phone.me(first["access_token"]) == 401
    assert phone.me(second["access_token"]) == 200
    assert phone.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"
    assert phone.me(second["access_token"]) == 401
