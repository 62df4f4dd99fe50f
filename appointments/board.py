"""The check-in board: who is expected at a location today, who is here, and who is late."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from django.db.models import Count, Max, Q, QuerySet

from appointments.models import Appointment, AppointmentHistory, Location, PreVisit
from appointments.selectors import appointments_for
from patients.viewer import Viewer

LATE = timedelta(minutes=10)
_Status = Appointment.Status
_ON_BOARD = (
    _Status.BOOKED,
    _Status.CHECKED_IN,
    _Status.ARRIVED,
    _Status.FULFILLED,
    _Status.NOSHOW,
)


class Stage(StrEnum):
    EXPECTED = "expected"
    HERE = "here"
    WITH_STAFF = "with-staff"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Expected:
    """One visit of the day. `waiting` since she arrived; `late` when she should be here.

    `answered` of `asked` eCheck-in sections; `asked` is 0 when the visit asks for none.
    """

    visit: Appointment
    stage: Stage
    late: bool
    waiting: timedelta | None
    asked: int
    answered: int
    complete: bool


def visits_today(viewer: Viewer, *, location: Location, now: datetime) -> QuerySet[Appointment]:
    """Return the visits in the viewer's reach on the location's own date."""
    today = now.astimezone(ZoneInfo(location.zone)).date()
    return appointments_for(viewer).filter(
        location=location, local_date=today, status__in=_ON_BOARD
    )


def board(viewer: Viewer, *, location: Location, now: datetime) -> list[Expected]:
    """Return the day's visits by time. Two statements."""
    visits = list(
        visits_today(viewer, location=location, now=now)
        .select_related("patient", "visit_type", "schedule__resource")
        .annotate(
            arrived_at=Max(
                "history__at",
                filter=Q(
                    history__status=_Status.ARRIVED,
                    history__action=AppointmentHistory.Action.STATUS,
                ),
            )
        )
        .order_by("starts_at", "id")
    )
    began = {
        one.appointment_id: one
        for one in PreVisit.objects.filter(appointment__in=visits).annotate(
            answered=Count("answers", filter=Q(answers__superseded_at__isnull=True))
        )
    }
    return [_expected(visit, began.get(visit.id), now) for visit in visits]


def _expected(visit: Appointment, began: PreVisit | None, now: datetime) -> Expected:
    stage = _stage(visit)
    arrived_at: datetime | None = getattr(visit, "arrived_at", None)
    here = stage == Stage.HERE and arrived_at is not None
    return Expected(
        visit=visit,
        stage=stage,
        late=stage == Stage.EXPECTED and now >= visit.starts_at + LATE,
        waiting=now - arrived_at if here and arrived_at is not None else None,
        asked=len(visit.visit_type.checkin_sections),
        answered=0 if began is None else int(getattr(began, "answered", 0)),
        complete=began is not None and began.completed_at is not None,
    )


def _stage(visit: Appointment) -> Stage:
    if visit.status == _Status.ARRIVED:
        return Stage.HERE if visit.started_at is None else Stage.WITH_STAFF
    return Stage.EXPECTED if visit.status in (_Status.BOOKED, _Status.CHECKED_IN) else Stage.GONE
