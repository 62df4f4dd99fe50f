"""Facts of this app that only it and the project speak of."""

from dataclasses import dataclass
from typing import ClassVar

from core.events.registry import DomainEvent, event_type


@event_type
@dataclass(frozen=True, slots=True, kw_only=True)
class WaitlistOfferOver(DomainEvent):
    """Somebody gave an offered time back: it may be offered on. The subject is the offer."""

    type: ClassVar[str] = "appointments.waitlist.offer-over"

    status: str
