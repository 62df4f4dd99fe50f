"""Staff set up and see what belongs to the organizations they work for."""

from collections.abc import Callable
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import SimpleTemplateResponse
from django.utils import timezone

from accounts.models import Membership, Organization
from appointments.models import Location
from core.clock import utc_now


def own_organizations(request: HttpRequest) -> QuerySet[Organization]:
    """Return where the viewer works now; everything for the superuser who sets up."""
    if request.user.is_superuser:  # type: ignore[union-attr]
        return Organization.objects.all()
    held = Membership.objects.active_at(utc_now()).filter(user=request.user)  # type: ignore[misc]
    return Organization.objects.filter(id__in=held.values("organization_id"))


def own_zone(request: HttpRequest) -> ZoneInfo:
    """Return the zone of the viewer's organization, in which the pages speak."""
    first = own_organizations(request).order_by("name").values_list("zone", flat=True).first()
    return ZoneInfo(first or "UTC")


def own_locations(request: HttpRequest) -> list[Location]:
    """Return the places the viewer's calendars and boards are about."""
    return list(
        Location.objects.filter(
            organization__in=own_organizations(request), is_active=True
        ).order_by("name", "id")
    )


class OwnRows:
    """Limits rows and choices to the viewer's organizations.

    `owner` is the path from the page's model to its organization; `owners` the same for the
    models that its fields choose from.
    """

    owner: ClassVar[str] = "organization"
    owners: ClassVar[dict[str, str]] = {
        "organization": "id",
        "location": "organization",
        "resource": "organization",
        "visit_type": "organization",
        "visit_types": "organization",
        "schedule": "location__organization",
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)  # type: ignore[misc]
        return rows.filter(**{f"{self.owner}__in": own_organizations(request)})

    def _choices(self, db_field: Any, request: HttpRequest, kwargs: dict[str, Any]) -> None:
        path = self.owners.get(db_field.name)
        if path is not None:
            kwargs["queryset"] = db_field.remote_field.model.objects.filter(
                **{f"{path}__in": own_organizations(request)}
            )

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        self._choices(db_field, request, kwargs)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)  # type: ignore[misc]

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        self._choices(db_field, request, kwargs)
        return super().formfield_for_manytomany(db_field, request, **kwargs)  # type: ignore[misc]


class ClinicClock:
    """Shows and reads the times of a page by the clock of the viewer's clinic."""

    def _at_the_clinic(self, request: HttpRequest, answer: Callable[[], HttpResponse]) -> Any:
        with timezone.override(own_zone(request)):
            response = answer()
            if isinstance(response, SimpleTemplateResponse) and not response.is_rendered:
                response.render()
        return response

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        shown = super().changeform_view  # type: ignore[misc]
        return self._at_the_clinic(request, lambda: shown(request, *args, **kwargs))

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        shown = super().changelist_view  # type: ignore[misc]
        return self._at_the_clinic(request, lambda: shown(request, *args, **kwargs))
