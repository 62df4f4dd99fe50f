"""The check-in board: the day of a location as the front desk follows it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from appointments import services
from appointments.admin.own import own_locations
from appointments.board import Expected, Stage, board
from appointments.models import Appointment, Location
from core.clock import utc_now
from core.errors import NotFound
from patients.admin_base import person, viewer_of

ADDRESS = "admin:appointments_appointment_board"
_Status = Appointment.Status
_STEPS: dict[str, tuple[str, str]] = {
    "arrived": (_Status.ARRIVED, "Arrived"),
    "start": ("", "With staff"),
    "fulfilled": (_Status.FULFILLED, "Done"),
    "noshow": (_Status.NOSHOW, "Did not come"),
}
_NEXT: dict[Stage, tuple[str, ...]] = {
    Stage.EXPECTED: ("arrived", "noshow"),
    Stage.HERE: ("start", "fulfilled"),
    Stage.WITH_STAFF: ("fulfilled",),
    Stage.GONE: (),
}
_HEADINGS = {
    Stage.EXPECTED: ("Expected", "Nobody is expected any more today."),
    Stage.HERE: ("Here, waiting", "Nobody is waiting."),
    Stage.WITH_STAFF: ("With staff", "Nobody is with staff."),
    Stage.GONE: ("Over", "No visit of today is over yet."),
}


def board_view(page: Any, request: HttpRequest) -> HttpResponse:
    """Show the board, or carry out one step of one visit on it."""
    locations = own_locations(request)
    asked = request.GET.get("location", "")
    location = next((one for one in locations if str(one.id) == asked), None)
    if request.method == "POST":
        _step(page, request)
        return HttpResponseRedirect(_address(location))
    location = location or next(iter(locations), None)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Check-in board",
        "location": location,
        "locations": [(one.name, _address(one), one == location) for one in locations],
    }
    if location is not None:
        now = utc_now()
        rows = board(viewer_of(request), location=location, now=now)
        page.record_look([row.visit for row in rows], "board")
        may_change = page.has_change_permission(request)
        local = now.astimezone(ZoneInfo(location.zone))
        context |= {
            "heading": f"{local:%A}, {local.day} {local:%B}, {local:%H:%M}",
            "stages": [
                {
                    "title": title,
                    "empty": empty,
                    "rows": [
                        _row(row, may_change, now) for row in _in_order(rows) if row.stage == stage
                    ],
                }
                for stage, (title, empty) in _HEADINGS.items()
            ],
        }
    return TemplateResponse(request, "admin/appointments/board.html", context)


def _in_order(rows: list[Expected]) -> list[Expected]:
    """Return them by time; who waits is called by how long she waits."""
    return sorted(rows, key=lambda row: -(row.waiting.total_seconds() if row.waiting else 0))


def _row(row: Expected, may_change: bool, now: datetime) -> dict[str, Any]:
    visit = row.visit
    local = visit.starts_at.astimezone(ZoneInfo(visit.zone))
    steps = _NEXT[row.stage] if may_change else ()
    return {
        "id": visit.id,
        "version": visit.version,
        "time": f"{local:%H:%M}",
        "name": person(visit.patient),
        "link": reverse("admin:appointments_appointment_change", args=[visit.pk]),
        "detail": f"{visit.visit_type.name} · {visit.schedule.resource.name}",
        "note": _note(row),
        "late": row.late,
        "echeckin": _echeckin(row),
        "incomplete": bool(row.asked) and not row.complete,
        "steps": [
            (name, _STEPS[name][1]) for name in steps if name != "noshow" or now >= visit.starts_at
        ],
    }


def _note(row: Expected) -> str:
    if row.waiting is not None:
        return f"waits {int(row.waiting.total_seconds() // 60)} min"
    if row.late:
        return "late"
    if row.stage == Stage.GONE:
        return row.visit.get_status_display()
    return "confirmed" if row.visit.confirmed_at and row.stage == Stage.EXPECTED else ""


def _echeckin(row: Expected) -> str:
    if not row.asked:
        return ""
    if row.complete:
        return "eCheck-in complete"
    return f"eCheck-in {row.answered} of {row.asked}"


def _step(page: Any, request: HttpRequest) -> None:
    """Do what was pressed; say so when the visit has changed meanwhile."""
    if not page.has_change_permission(request):
        raise NotFound()
    try:
        visit_id, version = UUID(request.POST["visit"]), int(request.POST["version"])
        step = _STEPS[request.POST["step"]][0]
    except (KeyError, ValueError) as error:
        raise NotFound() from error
    change: Callable[..., Appointment] = services.start
    if step:
        change = services.change_status
    try:
        with transaction.atomic():
            visit = change(
                viewer=viewer_of(request),
                appointment_id=visit_id,
                version=version,
                now=utc_now(),
                **({"status": step} if step else {}),
            )
            page.log_change(request, visit, [{"changed": {"fields": ["status"]}}])
    except (services.VersionConflict, services.StatusConflict, services.NotYet) as refusal:
        messages.error(request, refusal.title)


def _address(location: Location | None) -> str:
    query = "" if location is None else "?" + urlencode({"location": location.id})
    return reverse(ADDRESS) + query
