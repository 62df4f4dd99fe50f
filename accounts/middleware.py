"""Middleware for pages with cookies, passed by under /api/.

The API knows bearer tokens only: no session is looked for, no cookie is read and none is set
there. Each class is Django's own with one early way out.
"""

from typing import Any

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest

_API = "/api/"


class _PagesOnly:
    get_response: Any

    def __call__(self, request: HttpRequest) -> Any:
        if request.path_info.startswith(_API):
            return self.get_response(request)
        return super().__call__(request)  # type: ignore[misc]


class PageSessions(_PagesOnly, SessionMiddleware):
    """Sessions, on pages."""


class PageAuthentication(_PagesOnly, AuthenticationMiddleware):
    """The signed-in person, on pages."""


class PageMessages(_PagesOnly, MessageMiddleware):
    """One-time messages, on pages."""
