"""Tables of visits: what is offered (supply) and what is booked (booking)."""

from appointments.models.booking import (
    Appointment,
    AppointmentHistory,
    Block,
    Hold,
    PatientClaim,
    ResourceClaim,
)
from appointments.models.supply import (
    Availability,
    AvailabilityException,
    Location,
    Resource,
    Schedule,
    VisitType,
    VisitTypeNeed,
)

__all__ = [
    "Appointment",
    "AppointmentHistory",
    "Availability",
    "AvailabilityException",
    "Block",
    "Hold",
    "Location",
    "PatientClaim",
    "Resource",
    "ResourceClaim",
    "Schedule",
    "VisitType",
    "VisitTypeNeed",
]
