"""Areas of the record, and what background work may reach.

An area is what a scope speaks of (`labs.read` is about `labs`); row security, audit and
the change feed use the same words.
"""

from enum import StrEnum


class Area(StrEnum):
    RECORD = "record"
    APPOINTMENTS = "appointments"
    LABS = "labs"
    SYMPTOMS = "symptoms"
    MESSAGES = "messages"
    EDUCATION = "education"
    BILLING = "billing"
    EXPORT = "export"
    NOTIFICATIONS = "notifications"
    WORKLIST = "worklist"
    INTAKE = "intake"
    AUDIT = "audit"


# What the system identity of a purpose may see: the least its work needs.
SYSTEM_PURPOSES: dict[str, frozenset[Area]] = {
    "lab-intake": frozenset({Area.RECORD, Area.LABS, Area.INTAKE}),
    "worklist": frozenset({Area.RECORD, Area.WORKLIST}),
    "notifications": frozenset(
        {Area.RECORD, Area.NOTIFICATIONS, Area.APPOINTMENTS, Area.SYMPTOMS, Area.LABS}
    ),
    "check-ins": frozenset({Area.RECORD, Area.SYMPTOMS}),
    "booking": frozenset({Area.RECORD, Area.APPOINTMENTS}),
    "privacy-incident": frozenset({Area.AUDIT, Area.LABS}),
    "outside-results": frozenset({Area.RECORD, Area.LABS}),
    "release": frozenset({Area.RECORD, Area.LABS}),
    "registration": frozenset({Area.RECORD, Area.APPOINTMENTS, Area.SYMPTOMS, Area.LABS}),
    "events": frozenset(),
    "housekeeping": frozenset({Area.AUDIT}),
    "metrics": frozenset(
        {Area.NOTIFICATIONS, Area.WORKLIST, Area.INTAKE, Area.LABS, Area.APPOINTMENTS}
    ),
}
