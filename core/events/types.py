"""The facts that features tell each other. Ids and codes only, never values."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from core.events.registry import DomainEvent, event_type


@event_type
@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsFiled(DomainEvent):
    """A report version became part of a record; the subject is the report."""

    type: ClassVar[str] = "labs.result.filed"

    report_version: int
    loincs: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    corrected: bool = False


@event_type
@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentBooked(DomainEvent):
    """A visit was booked; the subject is the appointment."""

    type: ClassVar[str] = "appointments.booked"

    sequence: int


@event_type
@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentCancelled(DomainEvent):
    """A visit was cancelled; the subject is the appointment."""

    type: ClassVar[str] = "appointments.cancelled"

    sequence: int
    by: str


@event_type
@dataclass(frozen=True, slots=True, kw_only=True)
class CheckInSubmitted(DomainEvent):
    """She answered a check-in; the subject is the response."""

    type: ClassVar[str] = "symptoms.check-in.submitted"

    check_in_id: UUID
    alerts: tuple[str, ...] = ()
