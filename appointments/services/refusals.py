"""Why a visit is not booked, moved or cancelled; each with a code that clients branch on."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from appointments.claims import TimeTaken
from appointments.finding import Offered, openings_for
from appointments.opening_ids import OpeningRef
from core.errors import DomainError
from patients.viewer import Viewer

ALTERNATIVES = 5
_ALTERNATIVE_DAYS = 14


class WithAlternatives(DomainError):
    """A refusal that comes with other openings of the same visit type."""

    def __init__(
        self, *, alternatives: Sequence[Offered] = (), extra: dict[str, Any] | None = None
    ) -> None:
        super().__init__(extra=extra)
        self.alternatives = tuple(alternatives)


class SlotTaken(WithAlternatives):
    """Somebody else has the time; others are offered."""

    code = TimeTaken.code
    title = TimeTaken.title


class NotOffered(WithAlternatives):
    """The opening is past, too soon, too far ahead, or its hours have changed."""

    code = "opening-not-offered"
    title = "This time cannot be booked any more."


class HoldExpired(WithAlternatives):
    """The hold has run out, was released, or was used already."""

    code = "hold-expired"
    title = "This time is no longer kept for you."


class HoldRenewed(DomainError):
    """A hold is renewed once."""

    code = "hold-renewed"
    title = "This time cannot be kept any longer. Please book it or choose another."


class TooManyHolds(DomainError):
    """She keeps as many openings as one person may."""

    code = "too-many-holds"
    title = "Several times are kept for you already. Please book or release one."


class NotSelfBookable(DomainError):
    """Visits of this type are not booked by patients directly."""

    code = "not-self-bookable"
    title = "The clinic books this kind of visit. Please call."


class TicketDates(WithAlternatives):
    """She has a ticket, but not for this day."""

    code = "ticket-dates"
    title = "Your permission to book this is for other dates."


class TicketUsed(DomainError):
    """Every visit that her ticket is good for is booked already."""

    code = "ticket-used"
    title = "Your permission to book this has been used."


class RequestNotNeeded(DomainError):
    """She asks for what she can book herself."""

    code = "request-not-needed"
    title = "You can book this kind of visit yourself."


class RequestedAlready(DomainError):
    """She has an open request for this kind of visit."""

    code = "requested-already"
    title = "You have asked for this kind of visit already."


class TooManyRequests(DomainError):
    """She has as many open requests as one person may."""

    code = "too-many-requests"
    title = "Several of your requests are still open. Please withdraw one first."


class NotOpen(DomainError):
    """What was asked for, ordered or laid down is settled already."""

    code = "not-open"
    title = "This has been settled already."


class PlanIncomplete(DomainError):
    """A plan is booked whole: every visit that is missing, and no other."""

    code = "plan-incomplete"
    status = 422
    title = "Please choose a time for every visit that is missing, and for no other."


class PlanOrder(DomainError):
    """The times break the order, a gap or the distance that the plan lays down."""

    code = "plan-order"
    title = "These times do not fit the plan."


class PlanTimeLost(DomainError):
    """One of the times cannot be had any more, so none was taken.

    `fresh` is a new proposal (`planning.Proposed`), None when there is none any more.
    """

    code = "plan-time-lost"
    title = "One of these times is gone. Nothing was changed."

    def __init__(self, *, lost: dict[str, Any], fresh: Any) -> None:
        super().__init__(extra={"lost": lost})
        self.fresh = fresh


class OtherVisitType(DomainError):
    """A visit is moved to a time of the same kind of visit."""

    code = "other-visit-type"
    title = "This time is for another kind of visit."


class StatusConflict(DomainError):
    """The visit is no longer in a state that allows this."""

    code = "appointment-status"
    title = "The visit is not in a state that allows this."


class NotYet(DomainError):
    """Nobody can have missed a visit that has not begun."""

    code = "not-yet"
    title = "The visit has not begun yet."


class VersionConflict(DomainError):
    """The visit has changed since the caller read it."""

    code = "version-conflict"
    title = "This visit has changed meanwhile. Please look at it again."


class TooLateToCancel(DomainError):
    """The visit has begun, or is so near that the clinic wants a call."""

    code = "too-late-to-cancel"
    title = "This visit can no longer be cancelled online. Please call."


class TooLateToMove(DomainError):
    """The visit has begun, or is so near that the clinic wants a call."""

    code = "too-late-to-reschedule"
    title = "This visit can no longer be moved online. Please call."


class AlreadyWaiting(DomainError):
    """She waits for this already; the answer says which entry it is."""

    code = "already-waiting"
    title = "You are on the waitlist for this already."


class NoWaitlist(DomainError):
    """The clinic keeps no waitlist for this kind of visit."""

    code = "no-waitlist"
    title = "There is no waitlist for this kind of visit."


class NotWaiting(DomainError):
    """The entry came to its end before."""

    code = "not-waiting"
    title = "This wish has come to its end already."


class OfferOver(WithAlternatives):
    """The offer was answered, taken back, or its time has ended."""

    code = "offer-over"
    title = "This offer is over."


class ClosingChanged(DomainError):
    """What the closing would affect is not what the member of staff saw.

    `extra` names visits by id: `new` and `changed` since she looked, `gone`, and `lost`: their
    chosen time cannot be had any more.
    """

    code = "closing-changed"
    title = "Something has changed since you looked. Nothing was closed, moved or cancelled."


class ClosingOutOfReach(DomainError):
    """Visits of patients whom she does not look after would be affected."""

    code = "closing-out-of-reach"
    title = "Visits of patients outside your reach are affected. Ask the front desk."


class CannotKeep(DomainError):
    """The visit needs what is closed."""

    code = "closing-cannot-keep"
    title = "A visit that should stay needs what is being closed."


class AppointmentsInTheWay(DomainError):
    """A block would cover time that is booked or held."""

    code = "time-in-use"
    title = "Some of this time is booked, held or blocked already."


def alternatives(
    viewer: Viewer, *, patient_id: UUID, ref: OpeningRef, now: datetime
) -> list[Offered]:
    """Return the next openings of the same schedule, else of the whole clinic.

    Losers come in crowds: one schedule is read first, because all of them together cost a
    hundred times as much.
    """
    first = max((ref.starts_at - timedelta(hours=14)).date(), now.date() - timedelta(days=1))

    def search(schedule_id: UUID | None, days: int) -> list[Offered]:
        return openings_for(
            viewer,
            patient_id=patient_id,
            visit_type_id=ref.visit_type_id,
            schedule_id=schedule_id,
            first=first,
            last=None,
            days=days,
            now=now,
            limit=ALTERNATIVES,
        ).items

    return search(ref.schedule_id, _ALTERNATIVE_DAYS) or search(None, _ALTERNATIVE_DAYS)
