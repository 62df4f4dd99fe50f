"""The facts that features tell each other. Ids and codes only, never values."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from core.events.registry import DomainEvent, event_type


@event_type
@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsFiled(DomainEvent):
    """A report version became part of a record, or visible in it; the subject is the report.

    `release` tells a later release of results apart that were filed with the same version.
    """

    type: ClassVar[str] = "labs.result.filed"

    report_version: int
    loincs: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    corrected: bool = False
    release: str = ""


@event_type
@dataclass(frozen=True, slots=True, kw_only=True)
class ReportReviewed(DomainEvent):
    """A member of staff marked a report as reviewed; the subject is the report."""

    type: ClassVar[str] = "labs.report.reviewed"

    report_version: int


@event_type
@dataclass(frozen=True, slots=True, kw_only=True)
class CommentPublished(DomainEvent):
    """A comment that the patient may read was published; the subject is the comment."""

    type: ClassVar[str] = "labs.comment.published"

    report_id: UUID


@event_type
@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentBooked(DomainEvent):
    """A visit was booked; the subject is the appointment."""

    type: ClassVar[str] = "appointments.booked"

    sequence: int


@event_type
@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentRescheduled(DomainEvent):
    """A visit was moved to another time or place; the subject is the appointment."""

    type: ClassVar[str] = "appointments.rescheduled"

    sequence: int
    by: str


@event_type
@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentCancelled(DomainEvent):
    """A visit was cancelled; the subject is the appointment."""

    type: ClassVar[str] = "appointments.cancelled"

    sequence: int
    by: str


@event_type
@dataclass(frozen=True, slots=True, kw_only=True)
class VisitRequestAnswered(DomainEvent):
    """The clinic answered a request for a visit in words; the subject is the request."""

    type: ClassVar[str] = "appointments.request.answered"

    state: str


@event_type
@dataclass(frozen=True, slots=True, kw_only=True)
class CheckInSubmitted(DomainEvent):
    """She answered a check-in; the subject is the response."""

    type: ClassVar[str] = "symptoms.check-in.submitted"

    check_in_id: UUID
    alerts: tuple[str, ...] = ()


@event_type
@dataclass(frozen=True, slots=True, kw_only=True)
class PatientRegistered(DomainEvent):
    """A record was opened; the subject is the patient."""

    type: ClassVar[str] = "patients.registered"


@event_type
@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileChanged(DomainEvent):
    """A fact of the disease profile was recorded; the subject is the fact."""

    type: ClassVar[str] = "patients.profile.changed"

    kind: str
    code: str


@event_type
@dataclass(frozen=True, slots=True, kw_only=True)
class ContactChanged(DomainEvent):
    """Contact was paused or resumed; the subject is the pause."""

    type: ClassVar[str] = "patients.contact.changed"

    paused: bool


@event_type
@dataclass(frozen=True, slots=True, kw_only=True)
class DeathRecorded(DomainEvent):
    """A death was recorded, or the record of one corrected; the subject is the patient."""

    type: ClassVar[str] = "patients.deceased"


@event_type
@dataclass(frozen=True, slots=True, kw_only=True)
class GrantChanged(DomainEvent):
    """Somebody may act for her, or no longer may; the subject is the grant."""

    type: ClassVar[str] = "patients.grant.changed"

    revoked: bool
