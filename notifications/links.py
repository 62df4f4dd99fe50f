"""Where the link in a message leads: the portal's front page, or an address a feature makes.

Features register one function a purpose in `AppConfig.ready()`, as for `rechecks`. It runs in
the ledger's system identity just before a message leaves by a way that others may read, and
returns the path after the portal's address. Such a path holds a token of its own and no id.
"""

from collections.abc import Callable
from datetime import datetime

from django.conf import settings

from notifications.models import Notification
from notifications.purposes import Purpose

LinkMaker = Callable[[Notification, datetime], str]

_makers: dict[str, LinkMaker] = {}


def register(purpose: Purpose, make: LinkMaker) -> None:
    """Let `make(row, now)` give the path of every link of `purpose`; empty for the front page."""
    _makers[purpose] = make


def link_of(row: Notification, now: datetime) -> str:
    """Return the address in a message. What stays in the portal needs no address of its own."""
    make = _makers.get(row.purpose)
    if make is None or row.channel == Notification.Channel.INBOX:
        return str(settings.BASE_URL)
    path = make(row, now)
    return f"{settings.BASE_URL}/{path}" if path else str(settings.BASE_URL)
