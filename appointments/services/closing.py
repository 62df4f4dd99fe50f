"""Close a site, or block people and things: whoever is in the way is moved or cancelled with it.

All of it happens or nothing. Locks are taken in one order: what waits and is kept, the visits,
then the site or the resources. Whoever books meanwhile is either seen, and then the closing is
refused, or finds the time closed.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from accounts.models import Membership
from accounts.roles import Role
from appointments.claims import TimeTaken, without_deadlock
from appointments.impact import Closing
from appointments.models import Appointment, Location, Resource, SiteClosure
from appointments.services.clearing import Closed, Closer, Decision, HeldMeanwhile, changed, invalid
from appointments.services.permission import OWN
from appointments.services.refusals import StatusConflict
from core import audit
from core.areas import Area
from core.errors import Forbidden, NotFound
from core.models import AuditEvent
from patients.viewer import Viewer

CLOSING_ROLES = (Role.FRONT_DESK, Role.NURSE, Role.CLINICIAN)
AT_MOST = timedelta(days=366)
_ATTEMPTS = 4
_Reason = Appointment.CancellationReason
REASONS = (_Reason.PROVIDER, _Reason.PROVIDER_PERSONAL, _Reason.EQUIPMENT, _Reason.WEATHER)


def require_may_close(viewer: Viewer, closing: Closing, *, now: datetime) -> None:
    """Let staff with the right role at the clinic of everything that is closed pass.

    Raises: NotFound for what is of another clinic, Forbidden for another role, InvalidInput.
    """
    if viewer.kind in OWN or viewer.user_id is None:
        raise NotFound()
    if closing.location_id is not None:
        owners = Location.objects.filter(id=closing.location_id).values_list(
            "organization_id", flat=True
        )
        organizations, wanted = list(owners), 1
    else:
        of_resources = Resource.objects.filter(id__in=closing.resource_ids)
        organizations = list(of_resources.values_list("organization_id", flat=True))
        wanted = len(set(closing.resource_ids))
    if not organizations or len(organizations) < wanted:
        raise NotFound()
    roles: dict[UUID, set[str]] = {}
    for organization_id, role in (
        Membership.objects.active_at(now)
        .filter(user_id=viewer.user_id, organization__is_active=True)
        .values_list("organization_id", "role")
    ):
        roles.setdefault(organization_id, set()).add(role)
    if not set(organizations) <= roles.keys():
        raise NotFound()
    if not all(roles[one] & set(CLOSING_ROLES) for one in organizations):
        raise Forbidden()
    if closing.starts_at >= closing.ends_at:
        raise invalid("ends_at", "before-start", "Ends before it starts.")
    if closing.ends_at <= now:
        raise invalid("ends_at", "past", "This time is over.")
    if closing.ends_at - closing.starts_at > AT_MOST:
        raise invalid("ends_at", "too-long", "At most a year.")


def close(
    *,
    viewer: Viewer,
    closing: Closing,
    reason: str,
    decisions: Mapping[UUID, Decision],
    now: datetime,
    cancellation: str = _Reason.PROVIDER,
) -> Closed:
    """Close what `closing` says, and do with each visit in the way what was decided.

    `decisions` has every visit in the way, as the member of staff saw it. Whoever is cancelled
    gets a ticket to book anew, but where only the clinic books, and never after a death.
    `reason` is for staff. Each patient hears of her visit once, by its own event.
    Raises: NotFound, Forbidden, InvalidInput, StatusConflict, ClosingOutOfReach, CannotKeep,
    PlanOrder, ClosingChanged; then nothing has changed.
    """
    require_may_close(viewer, closing, now=now)
    if not reason.strip():
        raise invalid("reason", "required", "Say why.")
    if cancellation not in REASONS:
        raise invalid("cancellation", "invalid_choice", "Not a reason here.")
    _refuse_the_same_again(viewer, closing)
    done: list[Closed] = []

    def attempt() -> None:
        done.append(Closer(viewer, closing, reason.strip()[:120], cancellation, now).run(decisions))

    for _ in range(_ATTEMPTS):
        try:
            without_deadlock(attempt)
        except HeldMeanwhile:
            continue
        except TimeTaken:
            # Booked, held or blocked while this was under way.
            break
        return done[-1]
    raise changed(viewer, closing, decisions)


def _refuse_the_same_again(viewer: Viewer, closing: Closing) -> None:
    """Let a page that is sent twice close once. Raises: StatusConflict."""
    if closing.location_id is None:
        return
    standing = SiteClosure.objects.filter(
        location_id=closing.location_id,
        starts_at=closing.starts_at,
        ends_at=closing.ends_at,
        made_by_id=viewer.user_id,
        lifted_at__isnull=True,
    )
    if standing.exists():
        raise StatusConflict("You have closed this place for this time already.")


def lift_closure(*, viewer: Viewer, closure_id: UUID, now: datetime) -> SiteClosure:
    """Open a site again; what was moved or cancelled stays so.

    Raises: NotFound, Forbidden, StatusConflict.
    """
    closure = SiteClosure.objects.select_for_update(of=("self",)).filter(id=closure_id).first()
    if closure is None:
        raise NotFound()
    if closure.lifted_at is not None:
        raise StatusConflict("This closure is lifted already.")
    # Judged by its place alone: a closure that is over may be lifted, too.
    span = Closing(now, now + timedelta(minutes=1), location_id=closure.location_id)
    require_may_close(viewer, span, now=now)
    closure.lifted_at, closure.lifted_by_id = now, viewer.user_id
    closure.save(update_fields=["lifted_at", "lifted_by"])
    audit.record(
        action=AuditEvent.Action.UPDATE,
        operation="appointments.closing.lift",
        area=Area.APPOINTMENTS,
        resource="SiteClosure",
        resource_ids=[closure.id],
        now=now,
    )
    return closure
