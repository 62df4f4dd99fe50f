"""How many visits one person may book herself, and how often she may change her mind.

Visits that a clinician asked for, by a ticket or a plan, and what the clinic books do not count
and are never refused here: the limits are against calendars filled for nothing.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings

from appointments.services.permission import OWN
from core.errors import DomainError
from core.prepared import prepared_cursor
from patients.viewer import Viewer

WINDOW = timedelta(hours=24)


class TooManyVisits(DomainError):
    """She has booked as many visits as one person may; `at_most` says how many."""

    code = "too-many-visits"
    title = "Several visits are booked for you already. Please call for another one."


class TooManyCancellations(DomainError):
    """She has booked and cancelled in circles; `again_at` says when she can book again."""

    code = "too-many-cancellations"
    status = 429
    title = "Many of your visits were cancelled today. Please call, or book tomorrow."


def check_limits(viewer: Viewer, *, patient_id: UUID, now: datetime) -> None:
    """Refuse a booking that goes beyond what she may book herself; staff always may.

    Her bookings are let through one at a time from here to the end of the transaction, so
    that several at once are counted, too. Raises: TooManyVisits, TooManyCancellations.
    """
    if viewer.kind not in OWN:
        return
    with prepared_cursor() as cursor:
        cursor.execute(
            "SELECT open_visits, turning_point FROM own_visits(%s, %s, %s, %s)",
            [patient_id, now, now - WINDOW, settings.OWN_CANCELLATIONS_A_DAY],
        )
        ((open_visits, turning_point),) = cursor.fetchall()
    if open_visits >= settings.OWN_VISITS_AT_MOST:
        raise TooManyVisits(extra={"at_most": settings.OWN_VISITS_AT_MOST})
    if turning_point is not None:
        raise TooManyCancellations(extra={"again_at": (turning_point + WINDOW).isoformat()})
