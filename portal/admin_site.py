"""The staff site: who is asking is told to PostgreSQL around view and rendering."""

from collections.abc import Callable, Iterable
from typing import Any

from allauth.account.decorators import secure_admin_login
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.shortcuts import redirect
from django.template.response import SimpleTemplateResponse
from django.utils import timezone
from django.utils.decorators import method_decorator
from unfold.sites import UnfoldAdminSite

from accounts.admin_base import RoleModelAdmin
from accounts.models import User
from core import audit
from core.clock import utc_now
from core.db import identity
from core.errors import NotFound, Unavailable
from core.models import AuditEvent
from patients.admin_base import StaffModelAdmin
from patients.viewer import Viewer, staff_viewer

# Alpine, the theme's script library, compiles the expressions in its attributes, and htmx and
# the theme set styles from script: docs/adr/0004-admin-csp.md says what was measured.
ADMIN_CSP = {
    "script-src": ["'self'", "'unsafe-eval'"],
    "style-src": ["'self'", "'unsafe-inline'"],
}


OWN_APPS = frozenset(
    {
        "core",
        "accounts",
        "patients",
        "notifications",
        "worklist",
        "labs",
        "appointments",
        "symptoms",
        "education",
    }
)


class AuditedAutocomplete(AutocompleteJsonView):
    """Django's search behind a form field, with a line in the audit for each patient shown."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.shown: list[Any] = []
        response = super().get(request, *args, **kwargs)
        if isinstance(self.model_admin, StaffModelAdmin):
            self.model_admin.record_look(self.shown, "search")
        return response

    def serialize_result(self, obj: Any, to_field_name: str) -> dict[str, str]:
        self.shown.append(obj)
        result = super().serialize_result(obj, to_field_name)
        if isinstance(self.model_admin, StaffModelAdmin):
            result["text"] = self.model_admin.label_of(obj)
        return result


class LindenAdminSite(UnfoldAdminSite):
    """Django's admin with the viewer of a member of staff on every request.

    A page, its rendering and its audit events are one transaction under her identity. Sign-in
    is the portal's own, with its limits and second factor.
    """

    site_title = "Linden"
    site_header = "Linden"
    index_title = "Today"
    enable_nav_sidebar = True

    @method_decorator(secure_admin_login)
    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Send a visitor to the portal's sign-in; Django's own form is never shown."""
        if not self.has_permission(request):
            raise PermissionDenied
        return redirect("admin:index")

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return redirect("account_change_password")

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Take pages whose roles are decided by us, and leave out those that libraries bring.

        Raises: ImproperlyConfigured for a page of our own apps on another base class.
        """
        if admin_class is None or not issubclass(admin_class, RoleModelAdmin):
            models = model_or_iterable if isinstance(model_or_iterable, Iterable) else None
            for page in [admin_class] if admin_class else (models or [model_or_iterable]):
                if page.__module__.partition(".")[0] in OWN_APPS:
                    raise ImproperlyConfigured(f"{page.__name__}: use RoleModelAdmin")
            return
        super().register(model_or_iterable, admin_class, **options)

    def has_permission(self, request: HttpRequest) -> bool:
        """Staff who work somewhere now; and a superuser, who reaches set-up pages only."""
        user = request.user
        if not isinstance(user, User) or not (user.is_active and user.is_staff):
            return False
        return bool(user.is_superuser or self.viewer(request).roles)

    def viewer(self, request: HttpRequest) -> Viewer:
        """Return the viewer of this request, read once."""
        found: Viewer | None = getattr(request, "viewer", None)
        if found is None:
            found = staff_viewer(user=request.user, now=utc_now(), purpose="admin")  # type: ignore[arg-type]
            request.viewer = found  # type: ignore[attr-defined]
        return found

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:
        inner = super().admin_view(view, cacheable)

        def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                return inner(request, *args, **kwargs)
            try:
                response = self._answer(request, inner, *args, **kwargs)
            except Unavailable as error:
                # No audit event, no page: what was rendered is dropped with its transaction.
                return HttpResponse(error.detail, status=error.status, content_type="text/plain")
            response["Cache-Control"] = "no-store, private"
            response._csp_update = ADMIN_CSP  # type: ignore[attr-defined]
            return response

        return wrapped

    def _answer(
        self, request: HttpRequest, view: Callable[..., HttpResponse], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Run view and rendering as the viewer. Raises: PermissionDenied, Unavailable."""
        viewer = self.viewer(request)
        try:
            # She reads times by her own clock.
            with identity(viewer.identity), timezone.override(viewer.zone):
                response = view(request, *args, **kwargs)
                if isinstance(response, SimpleTemplateResponse) and not response.is_rendered:
                    response.render()
        except PermissionDenied:
            self._record_denial(request, viewer, "forbidden")
            raise
        except NotFound:
            self._record_denial(request, viewer, "not-found")
            return HttpResponseNotFound("Not found.")
        return response

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        """Answer a search field of a form; whoever it shows is audited."""
        answer: HttpResponse = AuditedAutocomplete.as_view(admin_site=self)(request)  # type: ignore[assignment]
        return answer

    def _record_denial(self, request: HttpRequest, viewer: Viewer, code: str) -> None:
        match = request.resolver_match
        audit.record_denial(
            operation=f"admin.{match.url_name if match else 'unknown'}"[:80],
            now=utc_now(),
            reason_code=code,
            actor_kind=viewer.kind,
            actor_id=viewer.user_id,
            action=AuditEvent.Action.READ if request.method == "GET" else AuditEvent.Action.EXECUTE,
        )
