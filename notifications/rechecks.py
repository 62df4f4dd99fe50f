"""What a feature says about its own message just before it leaves.

Features register one function a purpose in `AppConfig.ready()`; the ledger never imports
them. The function runs inside the ledger's system identity and reads current state.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from notifications.models import Notification
from notifications.purposes import Purpose


@dataclass(frozen=True, slots=True)
class Skip:
    """Never send it: `reason` is a short code kept in the row."""

    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet: look again at `until`."""

    until: datetime


Recheck = Callable[[Notification, datetime], Skip | Wait | None]

_rechecks: dict[str, Recheck] = {}


def register(purpose: Purpose, recheck: Recheck) -> None:
    """Let `recheck(row, now)` decide about every row of `purpose`; None means send it."""
    _rechecks[purpose] = recheck


def recheck_of(purpose: str) -> Recheck | None:
    """Return the function registered for `purpose`, or None."""
    return _rechecks.get(purpose)
