"""Open and keep a record's frame: who she is, who looks after her, who may act for her.

Each write is one transaction with its audit event, its line in the change feed and its domain
event. Rows are written as the system's `registration`; who may call is decided by the caller
(view, admin, command), and the audit event names the person whose identity was in force.
"""

from patients.services.people import (
    AlreadyEnrolled,
    AlreadyGranted,
    AlreadyOnTeam,
    SharedMailbox,
    add_to_care_team,
    end_enrolment,
    enrol,
    grant_caregiver,
    pause_contact,
    record_death,
    resume_contact,
    revoke_grant,
)
from patients.services.records import (
    Demographics,
    IdentifierInUse,
    NewFact,
    NewIdentifier,
    Registered,
    add_identifier,
    correct_demographics,
    record_fact,
    register_patient,
)

__all__ = [
    "AlreadyEnrolled",
    "AlreadyGranted",
    "AlreadyOnTeam",
    "Demographics",
    "IdentifierInUse",
    "NewFact",
    "NewIdentifier",
    "Registered",
    "SharedMailbox",
    "add_identifier",
    "add_to_care_team",
    "correct_demographics",
    "end_enrolment",
    "enrol",
    "grant_caregiver",
    "pause_contact",
    "record_death",
    "record_fact",
    "register_patient",
    "resume_contact",
    "revoke_grant",
]
