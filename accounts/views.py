"""The OAuth pages that the toolkit leaves more open than we want them."""

import base64
import binascii
import json
from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, JsonResponse
from oauth2_provider.exceptions import OAuthToolkitError
from oauth2_provider.views import AuthorizationView, IntrospectTokenView
from oauthlib.oauth2.rfc6749.errors import InvalidRequestError, InvalidScopeError, OAuth2Error


class ConsentView(AuthorizationView):
    """Ask the person, in plain words, whether this app may act for her. Always asks.

    The answer leaves by a redirect to the app, which browsers hold to the form's policy: the
    page allows exactly the address of this request.
    """

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        # A client could ask for `approval_prompt=auto` and skip the question.
        asked = request.GET.copy()
        asked["approval_prompt"] = "force"
        request.GET = asked  # type: ignore[assignment]
        response: HttpResponse = super().get(request, *args, **kwargs)
        target = _form_target(self.oauth2_data.get("redirect_uri", ""))
        if target:
            response._csp_update = {"form-action": [target]}  # type: ignore[attr-defined]
        response["Cache-Control"] = "no-store, private"
        return response

    def validate_authorization_request(self, request: HttpRequest) -> tuple[Any, dict[str, Any]]:
        """Refuse a plain challenge, and a request for nothing, before she is asked."""
        scopes, credentials = super().validate_authorization_request(request)
        refusal: OAuth2Error | None = None
        if credentials.get("code_challenge_method") != "S256":
            refusal = InvalidRequestError(
                description="Send code_challenge_method=S256.", state=credentials.get("state")
            )
        elif not scopes:
            refusal = InvalidScopeError(
                description="Say what you ask for.", state=credentials.get("state")
            )
        if refusal is not None:
            raise OAuthToolkitError(error=refusal, redirect_uri=credentials["redirect_uri"])
        return scopes, credentials


def _form_target(redirect_uri: str) -> str:
    parts = urlsplit(redirect_uri)
    if parts.scheme in ("http", "https"):
        return f"{parts.scheme}://{parts.netloc}"
    return f"{parts.scheme}:" if parts.scheme else ""


class OwnTokenIntrospectionView(IntrospectTokenView):
    """A confidential client may ask about its own tokens, and learns no name."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        answer = super().post(request, *args, **kwargs)
        if answer.status_code != 200:
            return answer
        found: dict[str, Any] = json.loads(answer.content)
        if found.get("client_id") != _asking_client(request):
            found = {"active": False}
        found.pop("username", None)
        response = JsonResponse(found)
        response["Cache-Control"] = "no-store"
        return response


def _asking_client(request: HttpRequest) -> str:
    """Return the client id that the request authenticated with (the toolkit checked it)."""
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return request.POST.get("client_id", "")
    try:
        return base64.b64decode(sent).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""
