"""Tables of visits: what is offered (supply) and what is booked (booking)."""

from appointments.models.booking import (
    Appointment,
    AppointmentHistory,
    Block,
    Hold,
    PatientClaim,
    ResourceClaim,
)
from appointments.models.capabilities import CalendarFeed, VisitLink
from appointments.models.checkin import ConsentText, PreVisit, PreVisitAnswer, Section
from appointments.models.supply import (
    Availability,
    AvailabilityException,
    Location,
    Resource,
    Schedule,
    VisitType,
    VisitTypeNeed,
)
from appointments.models.waitlist import WaitlistEntry, WaitlistOffer, WaitlistWindow

__all__ = [
    "Appointment",
    "AppointmentHistory",
    "Availability",
    "AvailabilityException",
    "Block",
    "CalendarFeed",
    "ConsentText",
    "Hold",
    "Location",
    "PatientClaim",
    "PreVisit",
    "PreVisitAnswer",
    "Resource",
    "ResourceClaim",
    "Schedule",
    "Section",
    "VisitLink",
    "VisitType",
    "VisitTypeNeed",
    "WaitlistEntry",
    "WaitlistOffer",
    "WaitlistWindow",
]
