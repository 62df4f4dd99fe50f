"""What hours make of the next two weeks: for whoever edits them, before patients see it."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from accounts.models import Holiday
from appointments.agenda import open_spans
from appointments.models import Appointment, Schedule
from appointments.slots import DayException, Hours, Taken, VisitRule, WeeklyHours, openings

DAYS = 14
_PLANNED = (
    Appointment.Status.BOOKED,
    Appointment.Status.CHECKED_IN,
    Appointment.Status.ARRIVED,
    Appointment.Status.PENDING,
)


@dataclass(frozen=True, slots=True)
class PreviewDay:
    """One local date: when it is open, the starts of each visit type, and visits planned.

    Starts are what the hours alone allow, whatever is booked. `outside` counts the visits that
    stand where these hours are closed.
    """

    on: date
    spans: list[str]
    why_closed: str
    starts: list[tuple[str, int, str]]
    booked: int
    outside: int


def next_weeks(schedule: Schedule, *, now: datetime) -> list[PreviewDay]:
    """Return the next 14 local dates of a schedule, today first. Six statements."""
    zone = ZoneInfo(schedule.location.zone)
    first = now.astimezone(zone).date()
    last = first + timedelta(days=DAYS - 1)
    weekly = list(schedule.availabilities.all())
    changes = list(schedule.exceptions.filter(date__range=(first, last)))
    holidays = frozenset(
        Holiday.objects.filter(
            organization_id=schedule.location.organization_id, date__range=(first, last)
        ).values_list("date", flat=True)
    )
    hours = Hours(
        zone=schedule.location.zone,
        weekly=tuple(
            WeeklyHours(
                row.iso_weekday,
                row.starts,
                row.ends,
                row.slot_step_minutes,
                row.valid_from,
                row.valid_until,
            )
            for row in weekly
        ),
        exceptions=tuple(
            DayException(
                row.date,
                "extra" if row.kind == "extra" else "closed",
                row.starts,
                row.ends,
                row.slot_step_minutes,
            )
            for row in changes
        ),
        holidays=holidays,
    )
    starts = _starts(schedule, hours, first, last)
    visits: dict[date, list[Appointment]] = {}
    for visit in schedule.appointments.filter(local_date__range=(first, last), status__in=_PLANNED):
        visits.setdefault(visit.local_date, []).append(visit)
    days = []
    for on in (first + timedelta(days=n) for n in range(DAYS)):
        spans = open_spans(on, weekly, [one for one in changes if one.date == on], on in holidays)
        planned = visits.get(on, [])
        days.append(
            PreviewDay(
                on=on,
                spans=[f"{_clock(start)}–{_clock(end)}" for start, end in spans],  # noqa: RUF001
                why_closed="" if spans else _why(on, hours),
                starts=starts.get(on, []),
                booked=len(planned),
                outside=sum(not _inside(visit, spans, zone) for visit in planned),
            )
        )
    return days


def _starts(
    schedule: Schedule, hours: Hours, first: date, last: date
) -> dict[date, list[tuple[str, int, str]]]:
    """Return for each date and visit type the number of starts and the first and last."""
    zone = ZoneInfo(hours.zone)
    midnight = datetime.combine(first, datetime.min.time(), zone)
    found: dict[date, list[tuple[str, int, str]]] = {}
    for visit_type in schedule.visit_types.filter(is_active=True).order_by("name"):
        by_day: dict[date, list[str]] = {}
        for opening in openings(
            schedule_id=schedule.id,
            visit_type_id=visit_type.id,
            hours=hours,
            visit=VisitRule(duration=timedelta(minutes=visit_type.duration_minutes)),
            needs=[[Taken()]],
            hers=Taken(),
            first=first,
            last=last,
            now=midnight,
        ):
            local = opening.starts_at.astimezone(zone)
            by_day.setdefault(local.date(), []).append(f"{local:%H:%M}")
        for on, clocks in by_day.items():
            found.setdefault(on, []).append(
                (visit_type.name, len(clocks), f"{clocks[0]} to {clocks[-1]}")
            )
    return found


def _why(on: date, hours: Hours) -> str:
    if on in hours.holidays:
        return "holiday"
    if any(one.on == on and one.kind == "closed" for one in hours.exceptions):
        return "closed on this day"
    return "no hours"


def _inside(visit: Appointment, spans: list[tuple[int, int]], zone: ZoneInfo) -> bool:
    start, end = visit.starts_at.astimezone(zone), visit.ends_at.astimezone(zone)
    first, last = start.hour * 60 + start.minute, end.hour * 60 + end.minute
    return any(low <= first and last <= high for low, high in spans)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
