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
    TemplateNeverFits,
    TemplateOverlaps,
    add_availability,
    add_exception,
    check_supply,
    check_zone,
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
    "TemplateNeverFits",
    "TemplateOverlaps",
    "TimeTaken",
    "TooLateToCancel",
    "add_availability",
    "add_exception",
    "block_time",
    "book",
    "cancel",
    "change_status",
    "check_supply",
    "check_zone",
    "create_location",
    "create_resource",
    "create_schedule",
    "create_visit_type",
    "lift_block",
]
