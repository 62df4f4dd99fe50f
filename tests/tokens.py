"""Access tokens for tests, and a client that calls the API as a phone does."""

import secrets
import uuid
from datetime import timedelta
from typing import Any

from django.db import connection
from django.test import Client
from django.utils import timezone
from oauth2_provider.models import get_access_token_model, set_token_value

from accounts.models import OAuthClient, User
from patients.viewer import REACH_COLUMNS, Reach, Viewer, patient_viewer

PERSONAL = (
    "appointments.read appointments.write labs.read symptoms.read symptoms.write education.read"
)


def oauth_client(kind: OAuthClient.Kind = OAuthClient.Kind.MOBILE) -> OAuthClient:
    """Return a registered client of `kind`, made once a test."""
    laboratory = kind == OAuthClient.Kind.LABORATORY
    made, _ = OAuthClient.objects.get_or_create(
        client_id=f"test-{kind}",
        defaults={
            "kind": kind,
            "name": f"Test {kind}",
            "client_type": "confidential" if laboratory else "public",
            "authorization_grant_type": "client-credentials"
            if laboratory
            else "authorization-code",
            "redirect_uris": "" if laboratory else "org.linden.portal:/callback",
            "client_secret": "",
        },
    )
    return made


def token_for(user: User | None, scopes: str, *, lasts: timedelta = timedelta(minutes=15)) -> str:
    """Return a live bearer token; `user` None is a laboratory's own token."""
    kind = OAuthClient.Kind.MOBILE
    if user is None:
        kind = OAuthClient.Kind.LABORATORY
    elif scopes == "staff":
        kind = OAuthClient.Kind.STAFF_TOOL
    raw = secrets.token_urlsafe(32)
    token = get_access_token_model()(
        user=user, application=oauth_client(kind), scope=scopes, expires=timezone.now() + lasts
    )
    set_token_value(token, raw)
    token.save()
    return raw


class Api:
    """Calls /api/v1 with one person's token; every POST gets a fresh Idempotency-Key."""

    def __init__(self, token: str = "") -> None:
        self._client = Client(raise_request_exception=False)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str, params: dict[str, str] | None = None, **headers: str) -> Any:
        return self._client.get(
            f"/api/v1/{path}", params or {}, headers={**self._headers, **headers}
        )

    def post(self, path: str, body: Any, *, key: str | None = None, **headers: str) -> Any:
        return self._client.post(
            f"/api/v1/{path}",
            body,
            content_type="application/json",
            headers={
                "Idempotency-Key": key or str(uuid.uuid4()),
                **self._headers,
                **headers,
            },
        )

    def put(self, path: str, body: Any, **headers: str) -> Any:
        return self._client.put(
            f"/api/v1/{path}",
            body,
            content_type="application/json",
            headers={**self._headers, **headers},
        )

    def call(self, method: str, path: str, **headers: str) -> Any:
        return self._client.generic(method, f"/api/v1/{path}", headers={**self._headers, **headers})


def api_of(user: User | None, scopes: str = PERSONAL) -> Api:
    """Return the API as `user` sees it with `scopes`."""
    return Api(token_for(user, scopes))


def viewer_of(user: User) -> Viewer:
    """Return the viewer of the user's own record, with every scope."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(REACH_COLUMNS)} FROM resolve_reach(%s, NULL)",
            [user.pk],
        )
        row = cursor.fetchone()
    assert row is not None
    return patient_viewer(user=user, reach=Reach.of(row), token_scopes=None)
