"""Staff roles and the least that each needs (DECISIONS 9).

`REACH[role][area]` says which patients a role reaches in an area: those enrolled in her
organization, those of her care team, or only work queues that carry no chart (`queue`).
The SQL function `role_reach` is made from this table; a test holds the two together.
"""

from enum import StrEnum

from core.areas import Area


class Role(StrEnum):
    FRONT_DESK = "front_desk"
    NURSE = "nurse"
    CLINICIAN = "clinician"
    LABORATORY = "laboratory"
    CONTENT_EDITOR = "content_editor"
    BILLING = "billing"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


ENROLLED, CARE_TEAM, QUEUE = "enrolled", "care_team", "queue"

_CHART = (
    Area.RECORD,
    Area.APPOINTMENTS,
    Area.LABS,
    Area.SYMPTOMS,
    Area.MESSAGES,
    Area.NOTIFICATIONS,
    Area.WORKLIST,
)

REACH: dict[Role, dict[Area, str]] = {
    Role.FRONT_DESK: {
        Area.RECORD: ENROLLED,
        Area.APPOINTMENTS: ENROLLED,
        Area.NOTIFICATIONS: ENROLLED,
    },
    Role.NURSE: dict.fromkeys(_CHART, ENROLLED),
    Role.CLINICIAN: dict.fromkeys(_CHART, CARE_TEAM),
    Role.LABORATORY: {Area.INTAKE: QUEUE},
    Role.CONTENT_EDITOR: {Area.EDUCATION: QUEUE},
    Role.BILLING: {Area.BILLING: ENROLLED},
    Role.AUDITOR: {Area.AUDIT: QUEUE},
    Role.ADMINISTRATOR: {},
}


class Capability(StrEnum):
    """What some roles may do beyond what an area lets them do."""

    OVERRIDE_BOOKING_RULES = "override_booking_rules"


CAPABILITIES: dict[Role, frozenset[Capability]] = {
    Role.NURSE: frozenset({Capability.OVERRIDE_BOOKING_RULES}),
    Role.CLINICIAN: frozenset({Capability.OVERRIDE_BOOKING_RULES}),
}


def roles_with(capability: Capability) -> frozenset[Role]:
    """Return the roles that have a capability."""
    return frozenset(role for role, held in CAPABILITIES.items() if capability in held)


def areas_of_roles(roles: set[str]) -> frozenset[str]:
    """Return every area that a holder of `roles` may use at all."""
    return frozenset(area for role in roles for area in REACH[Role(role)])


def role_reach_sql() -> str:
    """Return the SQL that defines `role_reach(role, area)`."""
    cases = "\n".join(
        f"    WHEN role = '{role}' AND area = '{area}' THEN '{reach}'"
        for role, areas in REACH.items()
        for area, reach in areas.items()
    )
    return (
        "CREATE OR REPLACE FUNCTION role_reach(role text, area text) RETURNS text\n"
        f"LANGUAGE sql IMMUTABLE AS $$ SELECT CASE\n{cases}\n    ELSE '' END $$;"
    )
