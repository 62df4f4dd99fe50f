"""Links in messages about visits: made when a message leaves, used to confirm or cancel.

Whoever has the link may say that she comes, or cancel, as the person it was sent to could; what
else the visit is needs a sign-in. Nothing is changed by opening one.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from accounts.scopes import Scope
from appointments.capabilities import FoundLink, new_link_token
from appointments.models import Appointment, VisitLink
from appointments.selectors import appointments_for
from appointments.services.changing import cancel
from appointments.services.moving import confirm
from appointments.services.reminding import STANDING
from appointments.services.visits import locked, past_cutoff
from core.errors import DomainError, NotFound
from notifications.models import Notification
from patients.viewer import Viewer

LINK_SCOPES = frozenset(str(s) for s in (Scope.APPOINTMENTS_READ, Scope.APPOINTMENTS_WRITE))


class LinkOutdated(DomainError):
    """The visit was moved, cancelled or has begun since the message was sent."""

    code = "link-outdated"
    title = "This date has changed since the message was sent."


class Standing(StrEnum):
    """What became of the visit that a message spoke of."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    MOVED = "moved"
    CANCELLED = "cancelled"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class OpenedLink:
    """A link as its page shows it. `may_cancel`: online, by this person, now."""

    visit: Appointment
    standing: Standing
    may_answer: bool
    may_cancel: bool


def link_for_notice(row: Notification, now: datetime) -> str:
    """Return the path of a fresh link for a message that is about to leave.

    Empty when the visit has begun. Runs in the ledger's identity.
    """
    visit = Appointment.objects.filter(id=row.subject_id, patient_id=row.patient_id).first()
    if visit is None or visit.starts_at <= now:
        return ""
    token, stored = new_link_token()
    VisitLink.objects.update_or_create(
        patient_id=row.patient_id,
        notification_id=row.id,
        defaults={
            "appointment_id": visit.id,
            "user_id": row.recipient_id,
            "sequence": visit.sequence,
            "token_hash": stored,
            "made_at": now,
            "expires_at": visit.starts_at,
        },
    )
    return f"v/{token}"


def read_link(*, viewer: Viewer, link: FoundLink, now: datetime) -> OpenedLink:
    """Return what a link shows at `now`; changes nothing. Raises: NotFound."""
    visit = (
        appointments_for(viewer)
        .select_related("visit_type", "location")
        .filter(id=link.appointment_id)
        .first()
    )
    if visit is None:
        raise NotFound()
    standing = _standing(visit, link.sequence)
    may_write = str(Scope.APPOINTMENTS_WRITE) in viewer.scopes
    may_answer = may_write and standing in (Standing.OPEN, Standing.CONFIRMED)
    return OpenedLink(
        visit=visit,
        standing=standing,
        may_answer=may_answer,
        may_cancel=may_answer and not past_cutoff(viewer, visit, now),
    )


def _standing(visit: Appointment, sequence: int) -> Standing:
    if visit.status == Appointment.Status.CANCELLED:
        return Standing.CANCELLED
    if visit.status not in STANDING:
        return Standing.OVER
    if visit.sequence != sequence:
        return Standing.MOVED
    return Standing.OPEN if visit.confirmed_at is None else Standing.CONFIRMED


def answer_link(*, viewer: Viewer, link: FoundLink, coming: bool, now: datetime) -> UUID:
    """Confirm the visit, or cancel it, as the person whom the link was sent to.

    Raises: NotFound (also without the scope), LinkOutdated, StatusConflict, TooLateToCancel.
    """
    viewer.require_grant(Scope.APPOINTMENTS_WRITE)
    visit = locked(viewer, link.appointment_id)
    if _standing(visit, link.sequence) not in (Standing.OPEN, Standing.CONFIRMED):
        raise LinkOutdated()
    act = confirm if coming else cancel
    return act(viewer=viewer, appointment_id=visit.id, version=visit.version, now=now).id
