"""Middleware for pages with cookies, passed by under /api/ and /fhir/.

The API knows bearer tokens only: no session is looked for, no cookie is read and none is set
there. Each class is the maintained one with one early way out. An answer of the API loads nothing
and is framed by nobody, so its content security policy is one fixed line.
"""

from typing import Any

from csp.middleware import CSPMiddleware
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest

_API = ("/api/", "/fhir/")
API_POLICY = (
    "default-src 'none'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'none'"
)


class _PagesOnly:
    get_response: Any

    def __call__(self, request: HttpRequest) -> Any:
        if request.path_info.startswith(_API):
            return self.get_response(request)
        return super().__call__(request)  # type: ignore[misc]


class PagePolicy(_PagesOnly, CSPMiddleware):
    """The content security policy: worked out for pages, fixed for the API, a file's own."""

    def __call__(self, request: HttpRequest) -> Any:
        response = super().__call__(request)
        if request.path_info.startswith(_API):
            response.headers.setdefault("Content-Security-Policy", API_POLICY)
        return response


class PageSessions(_PagesOnly, SessionMiddleware):
    """Sessions, on pages."""


class PageAuthentication(_PagesOnly, AuthenticationMiddleware):
    """The signed-in person, on pages."""


class PageMessages(_PagesOnly, MessageMiddleware):
    """One-time messages, on pages."""
