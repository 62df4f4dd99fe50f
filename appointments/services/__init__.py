"""Writes of this app: visits (`booking`) and what can be booked (`supply`)."""

from appointments.claims import PatientBusy, TimeTaken
from appointments.services.booking import (
    AppointmentsInTheWay,
    NotOffered,
    NotSelfBookable,
    SlotTaken,
    StatusConflict,
    TooLateToCancel,
    block_time,
    book,
    cancel,
    change_status,
    lift_block,
)
from appointments.services.supply import (
    add_availability,
    add_exception,
    create_location,
    create_resource,
    create_schedule,
    create_visit_type,
)

__all__ = [
    "AppointmentsInTheWay",
    "NotOffered",
    "NotSelfBookable",
    "PatientBusy",
    "SlotTaken",
    "StatusConflict",
    "TimeTaken",
    "TooLateToCancel",
    "add_availability",
    "add_exception",
    "block_time",
    "book",
    "cancel",
    "change_status",
    "create_location",
    "create_resource",
    "create_schedule",
    "create_visit_type",
    "lift_block",
]
