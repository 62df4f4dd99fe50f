"""Tokens of links and calendar addresses: made, and found again before any identity exists.

What is found says who stands behind a token; what that person may do now is asked next
(`patients.selectors.viewer_in`).
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from core.crypto import keyed_digest

_LINK, _FEED = "visit-link", "calendar-feed"


def new_link_token() -> tuple[str, str]:
    """Return a fresh token of 256 random bits, and what is stored of it."""
    return _new(_LINK)


def new_feed_token() -> tuple[str, str]:
    """Return a fresh token of 256 random bits, and what is stored of it."""
    return _new(_FEED)


def _new(purpose: str) -> tuple[str, str]:
    token = secrets.token_urlsafe(32)
    return token, keyed_digest(purpose, token)


@dataclass(frozen=True, slots=True)
class FoundLink:
    """Whom a link was sent to, and about which state of which visit."""

    id: UUID
    user_id: UUID
    patient_id: UUID
    appointment_id: UUID
    sequence: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class FoundFeed:
    """Whose calendar reads which record."""

    id: UUID
    user_id: UUID
    patient_id: UUID


def find_link(token: str, *, now: datetime) -> FoundLink | None:
    """Return what a token of a link stands for, or None when it is unknown or over."""
    row = _found("SELECT * FROM visit_link_of(%s)", keyed_digest(_LINK, token))
    link = FoundLink(*row) if row else None
    return link if link is not None and now < link.expires_at else None


def find_feed(token: str) -> FoundFeed | None:
    """Return what a token of a calendar address stands for; None when unknown or revoked."""
    row = _found("SELECT * FROM calendar_feed_of(%s)", keyed_digest(_FEED, token))
    return FoundFeed(*row) if row else None


def _found(statement: str, stored: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, [stored])
        return cursor.fetchone()
