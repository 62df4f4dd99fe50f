"""What every page of the staff site shares: roles decide, and logs hold no values.

Django's own permission rows are not used. A page asks the viewer that the site put on the
request (`portal/admin_site.py`): which roles she holds now, and which areas they reach.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import messages
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.admin.options import get_content_type_for_model
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.admin import ModelAdmin, StackedInline, TabularInline

from accounts.roles import Role
from core import audit
from core.areas import Area
from core.clock import utc_now
from core.errors import DomainError, Unavailable
from core.models import AuditEvent

_ACTIONS = {
    ADDITION: AuditEvent.Action.CREATE,
    CHANGE: AuditEvent.Action.UPDATE,
    DELETION: AuditEvent.Action.DELETE,
}


def roles_of(request: HttpRequest) -> frozenset[str]:
    """Return the roles that the viewer holds now; none when the site set no viewer."""
    viewer = getattr(request, "viewer", None)
    return frozenset() if viewer is None else viewer.roles


class RoleModelAdmin(ModelAdmin):
    """A page that some roles may read, and some of them may write. Nothing is deleted.

    `writable` False makes the page read-only for everybody. `roles` are those who may open
    it, `writing_roles` (default: the same) those who may add and change.
    """

    writable: ClassVar[bool] = False
    roles: ClassVar[frozenset[Role]] = frozenset()
    writing_roles: ClassVar[frozenset[Role]] = frozenset()

    list_per_page = 50
    list_max_show_all = 50
    show_full_result_count = False

    def may_read(self, request: HttpRequest) -> bool:
        return bool(roles_of(request) & self.roles)

    def may_write(self, request: HttpRequest) -> bool:
        if not self.writable or not self.may_read(request):
            return False
        return not self.writing_roles or bool(roles_of(request) & self.writing_roles)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.may_read(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may_read(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may_write(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may_write(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    # --- a refusal by a service is a message on the page, not a broken page -------------------

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._refusals_shown(request, super().changeform_view, *args, **kwargs)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._refusals_shown(request, super().changelist_view, *args, **kwargs)

    def _refusals_shown(
        self, request: HttpRequest, view: Callable[..., HttpResponse], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except Unavailable:
            raise
        except DomainError as refusal:
            if request.method != "POST":
                raise
            messages.error(request, refusal.detail)
            return HttpResponseRedirect(request.get_full_path())

    # --- who changed what: field names only ----------------------------------------------------

    def patient_of(self, obj: Any) -> UUID | None:
        """Return whose record `obj` belongs to; None when it is nobody's."""
        return getattr(obj, "patient_id", None)

    def audit_area(self) -> Area | str:
        return ""

    def operation_of(self, what: str) -> str:
        """Return the name under which a look or change on this page is recorded."""
        return f"admin.{self.opts.model_name}.{what}"

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return self._log(request, obj, ADDITION, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return self._log(request, obj, CHANGE, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        return [self._log(request, obj, DELETION, []) for obj in queryset]

    def _log(self, request: HttpRequest, obj: Model, flag: int, message: Any) -> Any:
        parts = _without_values(message)
        audit.record(
            action=_ACTIONS[flag],
            operation=self.operation_of(_ACTIONS[flag].name.lower()),
            now=utc_now(),
            area=self.audit_area(),
            patient_id=self.patient_of(obj),
            resource=self.opts.object_name,
            resource_ids=[obj.pk],
            fields=_field_names(parts),
        )
        return LogEntry.objects.create(
            user_id=str(request.user.pk),
            content_type_id=get_content_type_for_model(obj).pk,
            object_id=str(obj.pk),
            object_repr=f"{self.opts.model_name} {str(obj.pk)[-6:]}",
            action_flag=flag,
            change_message=_json(parts),
        )


class RoleInline:
    """Rows shown on another page: whoever may read that page reads them.

    Read-only unless `writable`; then whoever may write the page may add and change them.
    """

    writable: ClassVar[bool] = False
    extra = 0
    can_delete = False
    parent_model: type[Model]
    admin_site: Any

    def _page(self) -> RoleModelAdmin:
        page: RoleModelAdmin = self.admin_site.get_model_admin(self.parent_model)
        return page

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._page().may_read(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.writable and self._page().may_write(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.writable and self._page().may_write(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class RoleTabularInline(RoleInline, TabularInline):
    """A table of related rows."""


class RoleStackedInline(RoleInline, StackedInline):
    """Related rows, one below the other."""


class ConfigModelAdmin(RoleModelAdmin):
    """Set-up without patient data: for administrators, and for the superuser who begins."""

    writable = True
    roles = frozenset({Role.ADMINISTRATOR})

    def may_read(self, request: HttpRequest) -> bool:
        return super().may_read(request) or bool(request.user.is_superuser)  # type: ignore[union-attr]


def _without_values(message: Any) -> list[dict[str, dict[str, Any]]]:
    """Return Django's change message without the texts of the objects it speaks of."""
    if not isinstance(message, list):
        return []
    return [
        {
            what: {key: value for key, value in details.items() if key != "object"}
            for what, details in part.items()
        }
        for part in message
    ]


def _field_names(parts: Iterable[dict[str, dict[str, Any]]]) -> list[str]:
    names = {
        str(field)[:60]
        for part in parts
        for details in part.values()
        for field in details.get("fields", ())
    }
    return sorted(names)


def _json(parts: list[dict[str, dict[str, Any]]]) -> str:
    # LogEntry shows "object" of related rows; an empty text keeps its sentence readable.
    return json.dumps(
        [
            {what: {**details, "object": ""} if "name" in details else details}
            for part in parts
            for what, details in part.items()
        ]
    )
