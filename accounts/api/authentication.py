"""Bearer tokens for the API. Cookies are not read here, so there is no CSRF to defend."""

import hashlib
from typing import Any

from oauth2_provider.models import get_access_token_model
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from core.context import current_client


class BearerAuthentication(BaseAuthentication):
    """Accept a live access token of an active user, or of a laboratory's client.

    One statement: token, user and client come together, found by the token's hash. A token of
    a client has no user. A token that is sent and not good is refused, never ignored.
    """

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        scheme, _, sent = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        token = (
            get_access_token_model()
            .objects.select_related("application", "user")
            .filter(token_checksum=hashlib.sha256(sent.strip()).hexdigest())
            .first()
        )
        if token is None or token.is_expired() or not self._usable(request, token):
            raise AuthenticationFailed()
        current_client.set(token.application.client_id)
        return token.user, token

    def _usable(self, request: Request, token: Any) -> bool:
        if token.application is None or not token.application.is_usable(request):
            return False
        if token.user is not None and not token.user.is_active:
            return False
        return not token.resource or bool(
            token.allows_audience(request.build_absolute_uri(request.path))
        )

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'
