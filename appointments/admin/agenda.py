"""The calendar: a day of a location, or a week of one of its people and things."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.dateparse import parse_date

from appointments.admin.own import own_locations
from appointments.agenda import Agenda, Column, Entry, agenda
from appointments.models import Appointment, Location
from core.clock import utc_now
from patients.admin_base import person, viewer_of

ADDRESS = "admin:appointments_appointment_calendar"
CLOSING = "admin:appointments_appointment_closing"
_HOUR_REM = 4.5
_TWO_LINES_REM = 2.6
_WORDS = {"hold": "Being booked", "block": "Blocked", "closed": "Closed", "booking": "Taken"}
_COLOURS = {
    "booked": "#0f766e",
    "checked-in": "#1d4ed8",
    "arrived": "#7c3aed",
    "fulfilled": "#4b5563",
    "noshow": "#b91c1c",
}


@dataclass(frozen=True, slots=True)
class Box:
    """One entry as the page draws it: places in rem and percent."""

    title: str
    detail: str
    time: str
    link: str
    kind: str
    colour: str
    style: str
    short: bool


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _box(entry: Entry, from_minute: int, until_minute: int) -> Box:
    # What lasts longer than the page shows is drawn from its first to its last hour.
    start, end = max(entry.from_minute, from_minute), min(entry.until_minute, until_minute)
    top = (start - from_minute) / 60 * _HOUR_REM
    height = max((end - start) / 60 * _HOUR_REM, 1.2)
    width = 100 / entry.lanes
    visit = entry.visit
    shown = visit is not None
    return Box(
        title=person(visit.patient) if visit else _WORDS[entry.kind],
        detail=_detail(visit, entry) if visit else entry.words,
        time=f"{_clock(entry.from_minute)}–{_clock(entry.until_minute)}",  # noqa: RUF001
        link=reverse("admin:appointments_appointment_change", args=[visit.pk]) if visit else "",
        kind="visit" if shown else entry.kind,
        colour=_COLOURS.get(visit.status, "#0f766e") if visit else "",
        style=(
            f"top:{top:.2f}rem;height:{height:.2f}rem;"
            f"left:{entry.lane * width:.2f}%;width:{width:.2f}%"
        ),
        short=height < _TWO_LINES_REM,
    )


def _detail(visit: Appointment, entry: Entry) -> str:
    words = [visit.visit_type.name, _state(visit)]
    return " · ".join([*words, "overbooked"] if entry.overbooked else words)


def _state(visit: Appointment) -> str:
    if visit.status == Appointment.Status.ARRIVED and visit.started_at is not None:
        return "in progress"
    if visit.status == Appointment.Status.BOOKED and visit.confirmed_at is not None:
        return "confirmed"
    return visit.get_status_display().lower()


def _drawn(column: Column, found: Agenda, week: bool, today: date) -> dict[str, Any]:
    first = found.from_hour * 60
    return {
        "title": f"{column.on:%a} {column.on.day} {column.on:%b}" if week else column.resource.name,
        "detail": "" if week else column.resource.get_kind_display(),
        "today": week and column.on == today,
        "open": [
            f"top:{(start - first) / 60 * _HOUR_REM:.2f}rem;"
            f"height:{(end - start) / 60 * _HOUR_REM:.2f}rem"
            for start, end in column.open
        ],
        "boxes": [_box(entry, first, found.until_hour * 60) for entry in column.entries],
    }


def _chosen(request: HttpRequest, locations: list[Location]) -> tuple[Location, UUID | None, date]:
    asked = request.GET.get("location", "")
    location = next((one for one in locations if str(one.id) == asked), locations[0])
    try:
        resource = UUID(request.GET.get("resource", ""))
    except ValueError:
        resource = None
    today = utc_now().astimezone(ZoneInfo(location.zone)).date()
    try:
        on = parse_date(request.GET.get("on", "")) or today
    except ValueError:
        on = today
    # A calendar has an end: dates beyond cannot be reckoned with.
    return location, resource, min(max(on, date(2000, 1, 10)), date(2200, 1, 1))


def calendar_view(page: Any, request: HttpRequest) -> HttpResponse:
    """Show one day of a location, or one week of a resource."""
    context: dict[str, Any] = {**admin.site.each_context(request), "title": "Calendar"}
    locations = own_locations(request)
    if not locations:
        return TemplateResponse(request, "admin/appointments/calendar.html", context)
    location, resource_id, on = _chosen(request, locations)
    now = utc_now()
    week = resource_id is not None
    first = on - timedelta(days=on.isoweekday() - 1) if week else on
    found = agenda(
        viewer_of(request),
        location=location,
        first=first,
        days=7 if week else 1,
        now=now,
        resource_id=resource_id,
    )
    page.record_look(found.visits, "calendar")
    local = now.astimezone(ZoneInfo(location.zone))

    def to(**changes: object) -> str:
        asked = {"location": location.id, "resource": resource_id or "", "on": on} | changes
        return f"{reverse(ADDRESS)}?{urlencode(asked)}"

    step = timedelta(days=7 if week else 1)
    context |= {
        "location": location,
        "locations": [
            (one.name, to(location=one.id, resource=""), one == location) for one in locations
        ],
        "people": _people(location, resource_id, to),
        "on": on,
        "heading": _heading(first, week),
        "previous": to(on=on - step),
        "next": to(on=on + step),
        "today": to(on=local.date()),
        "closing": f"{reverse(CLOSING)}?{urlencode(_closing(location, resource_id, on))}",
        "hours": [_clock(hour * 60) for hour in range(found.from_hour, found.until_hour)],
        "height": f"{(found.until_hour - found.from_hour) * _HOUR_REM:.2f}",
        "hour_height": f"{_HOUR_REM:.2f}",
        "columns": [_drawn(one, found, week, local.date()) for one in found.columns],
        "now": _now_line(found, local, first, week),
    }
    return TemplateResponse(request, "admin/appointments/calendar.html", context)


def _closing(location: Location, resource_id: UUID | None, on: date) -> dict[str, object]:
    """Return what the page for closing starts with."""
    return {"location": location.id, "resource": resource_id or "", "on": on}


def _people(location: Location, chosen: UUID | None, to: Any) -> list[tuple[str, str, bool]]:
    found = dict(
        location.schedules.filter(is_active=True, resource__is_active=True)
        .order_by("resource__name")
        .values_list("resource_id", "resource__name")
    )
    return [
        ("Everybody, one day", to(resource=""), chosen is None),
        *((name, to(resource=key), key == chosen) for key, name in found.items()),
    ]


def _heading(first: date, week: bool) -> str:
    if not week:
        return f"{first:%A}, {first.day} {first:%B %Y}"
    last = first + timedelta(days=6)
    return f"Week {first.isocalendar().week}: {first.day} {first:%b} to {last.day} {last:%b %Y}"


def _now_line(found: Agenda, local: datetime, first: date, week: bool) -> str:
    """Return where the line of this moment is drawn; nothing on other days."""
    minute = local.hour * 60 + local.minute
    days = 7 if week else 1
    inside = found.from_hour * 60 <= minute < found.until_hour * 60
    if not inside or not 0 <= (local.date() - first).days < days:
        return ""
    return f"{(minute - found.from_hour * 60) / 60 * _HOUR_REM:.2f}"
