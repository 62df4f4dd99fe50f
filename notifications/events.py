"""Facts that the ledger tells other parts. `portal` connects who listens."""

from dataclasses import dataclass
from typing import ClassVar

from core.events import DomainEvent, event_type


@event_type
@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeNotReached(DomainEvent):
    """A message that had to arrive did not, or nobody knows; the subject is the ledger row."""

    type: ClassVar[str] = "notifications.not-reached"

    purpose: str
    reason: str
