"""Domain events: typed facts, an outbox, and delivery to subscribers.

`publish` writes the event and one delivery row a subscriber in the caller's transaction;
`deliver_due` hands them over, at least once and in no promised order.
"""

from core.events.outbox import dead_deliveries, deliver_due, oldest_undelivered_at, publish
from core.events.registry import DomainEvent, event_type, subscribe, subscribers_of
from core.events.types import (
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentRescheduled,
    CheckInSubmitted,
    CommentPublished,
    ContactChanged,
    DeathRecorded,
    GrantChanged,
    PatientRegistered,
    ProfileChanged,
    ReportReviewed,
    ResultsFiled,
    VisitRequestAnswered,
)

__all__ = [
    "AppointmentBooked",
    "AppointmentCancelled",
    "AppointmentRescheduled",
    "CheckInSubmitted",
    "CommentPublished",
    "ContactChanged",
    "DeathRecorded",
    "DomainEvent",
    "GrantChanged",
    "PatientRegistered",
    "ProfileChanged",
    "ReportReviewed",
    "ResultsFiled",
    "VisitRequestAnswered",
    "dead_deliveries",
    "deliver_due",
    "event_type",
    "oldest_undelivered_at",
    "publish",
    "subscribe",
    "subscribers_of",
]
