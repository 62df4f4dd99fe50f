"""Writes of this app: visits, times that are kept, blocks, and what can be booked."""

from appointments.claims import PatientBusy, TimeTaken
from appointments.services.blocking import block_time, lift_block
from appointments.services.booking import book, book_held
from appointments.services.changing import cancel, change_status, start
from appointments.services.holding import hold, release, renew
from appointments.services.moving import confirm, reschedule, reschedule_held
from appointments.services.prechecking import (
    CheckInClosed,
    CheckInIncomplete,
    CheckInNotOpen,
    answer,
    complete,
)
from appointments.services.refusals import (
    AppointmentsInTheWay,
    HoldExpired,
    HoldRenewed,
    NotOffered,
    NotSelfBookable,
    OtherVisitType,
    SlotTaken,
    StatusConflict,
    TooLateToCancel,
    TooLateToMove,
    TooManyHolds,
    VersionConflict,
    WithAlternatives,
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
    "CheckInClosed",
    "CheckInIncomplete",
    "CheckInNotOpen",
    "HoldExpired",
    "HoldRenewed",
    "NotOffered",
    "NotSelfBookable",
    "OtherVisitType",
    "PatientBusy",
    "SlotTaken",
    "StatusConflict",
    "TemplateNeverFits",
    "TemplateOverlaps",
    "TimeTaken",
    "TooLateToCancel",
    "TooLateToMove",
    "TooManyHolds",
    "VersionConflict",
    "WithAlternatives",
    "add_availability",
    "add_exception",
    "answer",
    "block_time",
    "book",
    "book_held",
    "cancel",
    "change_status",
    "check_supply",
    "check_zone",
    "complete",
    "confirm",
    "create_location",
    "create_resource",
    "create_schedule",
    "create_visit_type",
    "hold",
    "lift_block",
    "release",
    "renew",
    "reschedule",
    "reschedule_held",
    "start",
]
