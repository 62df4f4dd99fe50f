"""The staff site: who is asking is told to PostgreSQL around view and rendering."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import SimpleTemplateResponse
from unfold.sites import UnfoldAdminSite

from core.clock import utc_now
from core.db import identity
from patients.viewer import staff_viewer


class LindenAdminSite(UnfoldAdminSite):
    """Django's admin with the viewer of a member of staff on every request."""

    def has_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_staff)

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:
        inner = super().admin_view(view, cacheable)

        def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                return inner(request, *args, **kwargs)
            viewer = staff_viewer(user=request.user, now=utc_now(), purpose="admin")
            request.viewer = viewer  # type: ignore[attr-defined]
            with identity(viewer.identity):
                response = inner(request, *args, **kwargs)
                if isinstance(response, SimpleTemplateResponse) and not response.is_rendered:
                    response.render()
            return response

        return wrapped
