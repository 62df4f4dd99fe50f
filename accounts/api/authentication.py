"""Bearer tokens for the API. Cookies are not read here, so there is no CSRF to defend."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from oauth2_provider.models import get_access_token_model
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts.models import User
from core.clock import utc_now
from core.context import current_client
from core.prepared import prepared_cursor

_WANTED = frozenset(
    {
        "id", "email", "given_name", "family_name", "language", "zone", "is_active", "is_staff",
        "is_superuser",
    }
)  # fmt: skip
# `from_db` takes values in the order of the model's fields; the others stay deferred.
_USER_COLUMNS = tuple(f.attname for f in User._meta.concrete_fields if f.attname in _WANTED)


def _find_token(columns: str = "", joins: str = "") -> str:
    """Return the SQL of the token check; parameters are those of `joins`, then the checksum.

    By hand: it runs in every request, and the ORM takes longer than PostgreSQL.
    """
    return f"""
SELECT t.scope, t.expires, t.resource, c.client_id, c.is_active,
       {", ".join(f"u.{column}" for column in _USER_COLUMNS)}{columns}
FROM oauth2_provider_accesstoken t
JOIN accounts_oauthclient c ON c.id = t.application_id
LEFT JOIN accounts_user u ON u.id = t.user_id {joins}
WHERE t.token_checksum = %s
"""  # noqa: S608


# How the toolkit stores a token that names no resource (RFC 8707); other tokens are rare.
_UNBOUND: tuple[object, ...] = ("", "[]", "null", None, [])


def _is_for_us(request: Request, checksum: str) -> bool:
    token = get_access_token_model().objects.get(token_checksum=checksum)
    return bool(token.allows_audience(request.build_absolute_uri(request.path)))


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A live access token: what it may be used for, and which client holds it.

    `beside` are the columns that the view asked for with `beside_token`.
    """

    scopes: frozenset[str]
    client_id: str
    user_id: UUID | None
    beside: tuple[Any, ...] = ()


class BesideToken:
    """What a view wants to know in the statement of the token check, as SQL.

    `joins` may use the person `u`; `parameters` takes the view's address arguments.
    """

    def __init__(
        self, *, columns: str, joins: str, parameters: Callable[[dict[str, Any]], list[Any]]
    ) -> None:
        self.statement = _find_token(f", {columns}", joins)
        self.parameters = parameters


_TOKEN_ALONE = _find_token()


def _statement(request: Request, checksum: str) -> tuple[str, list[Any]]:
    asked = request.parser_context or {}
    beside = getattr(asked.get("view"), "beside_token", None)
    if beside is None:
        return _TOKEN_ALONE, [checksum]
    return beside.statement, [*beside.parameters(asked["kwargs"]), checksum]


class BearerAuthentication(BaseAuthentication):
    """Accept a live access token of an active user, or of a laboratory's client.

    One statement: token, user and client come together, found by the token's hash, and with
    them what the view asks for as `beside_token`. A token of a client has no user. A token that
    is sent and not good is refused, never ignored.
    """

    def authenticate(self, request: Request) -> tuple[User | None, BearerToken] | None:
        scheme, _, sent = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        checksum = hashlib.sha256(sent.strip()).hexdigest()
        with prepared_cursor() as cursor:
            cursor.execute(*_statement(request, checksum))
            row = cursor.fetchone()
        if row is None:
            raise AuthenticationFailed()
        scope, expires, resource, client_id, client_is_active, *rest = row
        person, beside = rest[: len(_USER_COLUMNS)], tuple(rest[len(_USER_COLUMNS) :])
        if expires <= utc_now() or not client_is_active:
            raise AuthenticationFailed()
        if resource not in _UNBOUND and not _is_for_us(request, checksum):
            raise AuthenticationFailed()
        user = None if person[0] is None else User.from_db("default", _USER_COLUMNS, person)
        if user is not None and not user.is_active:
            raise AuthenticationFailed()
        current_client.set(client_id)
        user_id = user.pk if user else None
        return user, BearerToken(frozenset(scope.split()), client_id, user_id, beside)

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'
