"""Results and comments that are told of: wishes, events and notices worked off."""

from datetime import UTC, datetime, timedelta
from typing import Any

from core.db import identity, system
from core.events.outbox import deliver_due
from labs.services import telling
from labs.telling_rules import When, Wish
from notifications.models import Notification
from notifications.services import drain
from patients.models import CaregiverGrant
from tests.cast import Cast
from tests.tokens import viewer_of

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ANNA, DORA = "anna@example.org", "dora@example.org"
AFTER = Wish(When.AFTER_COMMENT)
NOW = Wish(When.NOW)


START = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)
"""Noon in Berlin."""


def wish(cast: Cast, wanted: Wish, at: datetime) -> None:
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity):
        telling.choose(
            viewer=viewer, wishes=dict.fromkeys(telling.wishes_of(cast.anna.id), wanted), now=at
        )


def work_off(at: datetime) -> None:
    while deliver_due(now=at):
        pass
    drain(now=at)


def rows(**terms: Any) -> list[Notification]:
    with identity(system("notifications")):
        return list(Notification.objects.filter(**terms).order_by("planned_at", "id"))


def sent_to(address: str) -> int:
    """Return how many result notices one person got."""
    return len(rows(recipient__email=address, channel="inbox", state="sent"))


def grant(cast: Cast, **changes: Any) -> None:
    with identity(system("registration")):
        assert CaregiverGrant.objects.filter(caregiver=cast.dora).update(**changes) == 1
