"""Event types and who listens. `portal` fills the subscriptions when the project starts."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainEvent:
    """A fact about `subject_id`; payload fields are ids and codes only."""

    type: ClassVar[str]
    version: ClassVar[int] = 1

    subject_id: UUID
    patient_id: UUID | None


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a subscriber gets: the stored fact. It re-reads state before it acts."""

    event_id: UUID
    type: str
    version: int
    subject_id: UUID
    patient_id: UUID | None
    payload: dict[str, Any]
    occurred_at: datetime
    now: datetime


Handler = Callable[[Delivered], None]

_types: dict[str, type[DomainEvent]] = {}
_subscribers: dict[str, dict[str, Handler]] = {}


def event_type(cls: type[DomainEvent]) -> type[DomainEvent]:
    """Register a dataclass as an event type; its `type` must be unique."""
    if cls.type in _types and _types[cls.type] is not cls:
        raise ValueError(f"event type {cls.type} is taken")
    _types[cls.type] = cls
    return cls


def subscribe(event: type[DomainEvent], name: str, handler: Handler) -> None:
    """Let `handler` receive every future event of this type under a stable `name`."""
    _subscribers.setdefault(event.type, {})[name] = handler


def subscribers_of(type_name: str) -> dict[str, Handler]:
    """Return the handlers of an event type by name."""
    return _subscribers.get(type_name, {})
