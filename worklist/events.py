"""Facts that the worklist tells other parts. `portal` connects who listens."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from core.events import DomainEvent, event_type


@event_type
@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItemEscalated(DomainEvent):
    """Nobody took an item in time and it went one step up; the subject is the item."""

    type: ClassVar[str] = "worklist.escalated"

    step: int
    to_team: str
    organization_id: UUID | None
