"""Staff set a booking rule aside: with a permission, for a reason, and on the record (ADR 0041)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from accounts.models import Membership
from accounts.roles import Capability, roles_with
from appointments.models import Appointment, BookingRule, Location, ResourceClaim
from appointments.services.permission import OWN
from appointments.slots import is_offered
from appointments.supplies import Place, Supply
from core import audit
from core.areas import Area
from core.errors import DomainError, FieldError
from core.models import AuditEvent
from patients.viewer import Viewer

REASON_AT_MOST = 160
FURTHEST = timedelta(days=731)


class OverrideNeedsReason(DomainError):
    """A rule is set aside for a reason only."""

    code = "override-needs-reason"
    status = 422
    title = "Say in a few words why the rule is set aside."


class OverrideNotPermitted(DomainError):
    """Only some roles set rules aside, each in its own clinic."""

    code = "override-not-permitted"
    status = 403
    title = "Nurses and clinicians of this clinic may set this rule aside."


@dataclass(frozen=True, slots=True)
class Override:
    """That a member of staff sets rules aside, and why.

    Lead time and horizon give way as far as needed. `overbook`: when every usual place is taken,
    one of those for overbooking may be used.
    """

    reason: str
    overbook: bool = False


def may_override(viewer: Viewer, *, location_id: UUID, now: datetime) -> bool:
    """Return whether the viewer may set booking rules of this place aside."""
    if viewer.kind in OWN or viewer.user_id is None:
        return False
    return (
        Membership.objects.active_at(now)
        .filter(
            user_id=viewer.user_id,
            role__in=roles_with(Capability.OVERRIDE_BOOKING_RULES),
            organization__is_active=True,
            organization_id__in=Location.objects.filter(id=location_id).values("organization_id"),
        )
        .exists()
    )


def eased(
    viewer: Viewer, supply: Supply, override: Override, *, starts_at: datetime, now: datetime
) -> Supply:
    """Return the supply without the rules that stand in the way of this start.

    Raises: OverrideNotPermitted, OverrideNeedsReason.
    """
    if not may_override(viewer, location_id=supply.location_id, now=now):
        raise OverrideNotPermitted()
    words = override.reason.strip()
    if not words or len(words) > REASON_AT_MOST:
        field = FieldError("reason", "invalid", f"1 to {REASON_AT_MOST} characters.")
        raise OverrideNeedsReason(errors=(field,))
    overrides = {BookingRule.OVERBOOK} if override.overbook else set()
    visit = supply.visit
    match is_offered(hours=supply.hours, visit=visit, starts_at=starts_at, now=now):
        case "too-soon":
            overrides.add(BookingRule.LEAD_TIME)
            visit = replace(visit, lead_time=timedelta(0))
        case "too-far":
            overrides.add(BookingRule.HORIZON)
            visit = replace(visit, horizon=FURTHEST)
    return replace(supply, visit=visit, overrides=frozenset(overrides))


def set_aside(visit: Appointment, supply: Supply) -> list[str]:
    """Return the rules that a visit, once its time is claimed, really needed set aside."""
    overrides = set(supply.overrides)
    if BookingRule.OVERBOOK in overrides:
        taken = ResourceClaim.objects.filter(held_for=visit.id, active=True)
        places = {Place(*place) for place in taken.values_list("resource_id", "lane")}
        if not any(place in places for pool in supply.overbooking for place in pool):
            overrides.remove(BookingRule.OVERBOOK)
    return sorted(overrides)


def record_override(visit: Appointment, rules: Sequence[str], *, now: datetime) -> None:
    """Audit which rules were set aside, in the transaction of the change; never the words."""
    audit.record(
        action=AuditEvent.Action.EXECUTE,
        operation="appointments.override",
        area=Area.APPOINTMENTS,
        patient_id=visit.patient_id,
        resource="Appointment",
        resource_ids=[visit.id],
        fields=rules,
        now=now,
    )
