"""Pages of the staff site that show patient data: an area decides, every look is recorded."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from accounts.admin_base import RoleModelAdmin, roles_of
from accounts.models import User
from core import audit
from core.areas import Area
from core.clock import utc_now
from core.models import AuditEvent
from patients.models import Patient
from patients.viewer import Viewer


def person(patient: Patient) -> str:
    """Return the name for a page; never for a log."""
    return f"{patient.family_name}, {patient.given_name}"


def by_whom(user: User | None, patient: Patient) -> str:
    """Return who did something, as a page says it."""
    if user is None:
        return "-"
    if user.pk == patient.user_id:
        return "the patient"
    return user.full_name if user.is_staff else "a caregiver"


def shown_by(field: str, label: str) -> Callable[[Any, Any], str]:
    """Return a column that says in words who the user of `field` is; rows have a `patient`."""

    @admin.display(description=label)
    def column(page: Any, row: Any) -> str:
        return by_whom(getattr(row, field), row.patient)

    return column


def viewer_of(request: HttpRequest) -> Viewer:
    """Return the viewer that the site put on the request."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    return viewer


class StaffModelAdmin(RoleModelAdmin):
    """A page on one `area` of the record; row security decides which rows it shows.

    Open to everybody whose roles use the area, or to `roles` alone when given. Read-only
    unless `writable`; then open to `writing_roles` when given. Each list, record and history
    that is shown is audited for each patient it shows. Being a superuser opens nothing.
    A page on rows without a `patient_id` overrides `patient_of`.
    """

    area: ClassVar[Area]

    def may_read(self, request: HttpRequest) -> bool:
        viewer = getattr(request, "viewer", None)
        if viewer is None or not viewer.may(self.area):
            return False
        return not self.roles or bool(roles_of(request) & self.roles)

    @admin.display(description="patient", ordering="patient__family_name")
    def who(self, row: Any) -> str:
        """Name the patient of a row; the page selects her with it."""
        return person(row.patient)

    def audit_area(self) -> Area:
        return self.area

    def patient_of(self, obj: Any) -> UUID | None:
        """Return whose record `obj` belongs to; None while nobody knows."""
        return obj.pk if isinstance(obj, Patient) else super().patient_of(obj)

    def label_of(self, obj: Any) -> str:
        """Return what a search field shows for `obj`; `__str__` never names anybody."""
        return str(obj)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = super().changelist_view(request, *args, **kwargs)
        if isinstance(response, TemplateResponse):
            change_list = (response.context_data or {}).get("cl")
            # The rows are read here once; rendering uses the same list.
            rows = [] if change_list is None else list(change_list.result_list)
            if change_list is not None:
                change_list.result_list = rows
            self.record_look(rows, "list")
        return response

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = super().changeform_view(request, *args, **kwargs)
        if isinstance(response, TemplateResponse):
            shown = (response.context_data or {}).get("original")
            if shown is not None:
                self.record_look([shown], "read")
        return response

    def history_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = super().history_view(request, *args, **kwargs)
        if isinstance(response, TemplateResponse):
            shown = (response.context_data or {}).get("object")
            self.record_look([] if shown is None else [shown], "history")
        return response

    def record_look(self, rows: list[Any], what: str) -> None:
        """Audit that `rows` were shown: one event for each patient among them.

        Raises: AuditUnavailable.
        """
        by_patient: dict[UUID | None, list[UUID]] = defaultdict(list)
        for row in rows:
            by_patient[self.patient_of(row)].append(row.pk)
        audit.record_for_patients(
            by_patient or {None: []},
            action=AuditEvent.Action.READ,
            operation=self.operation_of(what),
            now=utc_now(),
            area=self.area,
            resource=self.opts.object_name,
        )
