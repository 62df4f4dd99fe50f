"""Bearer tokens for the API. Cookies are not read here, so there is no CSRF to defend."""

from typing import Any

from oauth2_provider.contrib.rest_framework import OAuth2Authentication
from rest_framework.request import Request

from core.context import current_client


class BearerAuthentication(OAuth2Authentication):
    """Accept a live access token of an active user, or of a laboratory's client."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        found = super().authenticate(request)
        if found is None:
            return None
        user, token = found
        if user is not None and not user.is_active:
            return None
        if token.application is not None:
            current_client.set(token.application.client_id)
        return user, token
