"""How much is due at the desk, for the first page of the staff site."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min, Q

from appointments.board import LATE
from appointments.models import Appointment, VisitRequest, WaitlistEntry
from appointments.requests import requests_for
from appointments.selectors import appointments_for
from appointments.waitlists import entries_for, offers_for, open_now
from patients.viewer import Viewer

_STILL_EXPECTED = (Appointment.Status.BOOKED, Appointment.Status.CHECKED_IN)
# Older ones are yesterday's, and somebody else's question.
_LOOKED_BACK = timedelta(hours=12)
AHEAD = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class DueAtTheDesk:
    """Counts in the viewer's reach. `oldest_request` is when the longest waiting one was made."""

    late: int
    soon: int
    soon_unfinished: int
    requests: int
    oldest_request: datetime | None
    waiting: int
    offers_open: int


def due_at_the_desk(viewer: Viewer, *, now: datetime) -> DueAtTheDesk:
    """Return what waits for the front desk at `now`. Four statements."""
    visits = appointments_for(viewer).filter(
        status__in=_STILL_EXPECTED, starts_at__gte=now - _LOOKED_BACK, starts_at__lt=now + AHEAD
    )
    unfinished = ~Q(visit_type__checkin_sections=[]) & Q(pre_visit__completed_at__isnull=True)
    counted = visits.aggregate(
        late=Count("id", filter=Q(starts_at__lte=now - LATE)),
        soon=Count("id", filter=Q(starts_at__gte=now)),
        soon_unfinished=Count("id", filter=Q(starts_at__gte=now) & unfinished),
    )
    asked = (
        requests_for(viewer)
        .filter(state=VisitRequest.State.OPEN)
        .aggregate(requests=Count("id"), oldest_request=Min("made_at"))
    )
    return DueAtTheDesk(
        **counted,
        **asked,
        waiting=entries_for(viewer).filter(status=WaitlistEntry.Status.ACTIVE).count(),
        offers_open=open_now(offers_for(viewer), now=now).count(),
    )
