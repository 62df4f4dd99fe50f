"""The side bar of the staff site: pages grouped by the work they serve."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse, reverse_lazy

from accounts.admin_base import ConfigModelAdmin, RoleModelAdmin
from appointments.models import Appointment
from core.areas import Area
from patients.admin_base import StaffModelAdmin

# In the order in which a working day needs them.
SECTIONS: dict[str, tuple[str, frozenset[Area]]] = {
    "Today": ("today", frozenset({Area.WORKLIST})),
    "Visits": ("event", frozenset({Area.APPOINTMENTS})),
    "Patients": ("person", frozenset({Area.RECORD})),
    "Results": ("labs", frozenset({Area.LABS})),
    "Check-ins": ("ecg_heart", frozenset({Area.SYMPTOMS})),
    "Education": ("menu_book", frozenset({Area.EDUCATION})),
    "Intake": ("inbox", frozenset({Area.INTAKE})),
    "Notices": ("mail", frozenset({Area.NOTIFICATIONS, Area.MESSAGES})),
    "Oversight": ("policy", frozenset({Area.AUDIT})),
    "Set-up": ("settings", frozenset()),
}


VISIT_PAGES = (
    ("Check-in board", "how_to_reg", "appointments_appointment_board"),
    ("Calendar", "calendar_month", "appointments_appointment_calendar"),
)


def icon(request: HttpRequest) -> str:
    """Return the address of the site's icon."""
    return static("portal/icon.svg")


def section_of(page: RoleModelAdmin) -> str:
    """Return the section of a page: set-up pages apart, the others by their area."""
    if isinstance(page, ConfigModelAdmin) or not isinstance(page, StaffModelAdmin):
        return "Set-up"
    return next(
        (name for name, (_, areas) in SECTIONS.items() if page.area in areas),
        "Set-up",
    )


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the groups that this viewer may open."""
    items: dict[str, list[dict[str, Any]]] = {name: [] for name in SECTIONS}
    for model, page in admin.site._registry.items():
        if not isinstance(page, RoleModelAdmin) or not page.has_module_permission(request):
            continue
        section = section_of(page)
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        items[section].append(
            {
                "title": str(model._meta.verbose_name_plural).capitalize(),
                "icon": SECTIONS[section][0],
                "link": reverse(f"admin:{name}_changelist"),
            }
        )
    home = {"title": "Overview", "icon": "dashboard", "link": reverse_lazy("admin:index")}
    items["Today"].insert(0, home)
    if admin.site._registry[Appointment].has_module_permission(request):
        items["Visits"][:0] = [
            {"title": title, "icon": sign, "link": reverse_lazy(f"admin:{name}")}
            for title, sign, name in VISIT_PAGES
        ]
    return [
        {"title": section, "separator": index > 0, "items": rows}
        for index, (section, rows) in enumerate(items.items())
        if rows
    ]
