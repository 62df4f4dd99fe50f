"""Tables of visits: what is offered (supply), asked for and ordered (orders, plans), booked."""

from appointments.models.booking import (
    Appointment,
    AppointmentHistory,
    Block,
    BookingRule,
    Hold,
    PatientClaim,
    ResourceClaim,
)
from appointments.models.capabilities import CalendarFeed, VisitLink
from appointments.models.checkin import ConsentText, PreVisit, PreVisitAnswer, Section
from appointments.models.closures import SiteClosure
from appointments.models.orders import PreferredWindow, Ticket, VisitRequest
from appointments.models.plans import CarePlan, PlannedVisit, PlanStep
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
    "BookingRule",
    "CalendarFeed",
    "CarePlan",
    "ConsentText",
    "Hold",
    "Location",
    "PatientClaim",
    "PlanStep",
    "PlannedVisit",
    "PreVisit",
    "PreVisitAnswer",
    "PreferredWindow",
    "Resource",
    "ResourceClaim",
    "Schedule",
    "Section",
    "SiteClosure",
    "Ticket",
    "VisitLink",
    "VisitRequest",
    "VisitType",
    "VisitTypeNeed",
    "WaitlistEntry",
    "WaitlistOffer",
    "WaitlistWindow",
]
