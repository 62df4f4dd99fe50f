"""Set-up of places, resources, visit types and their hours."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db import IntegrityError
from django.http import HttpRequest

from accounts.admin_base import ConfigModelAdmin, RoleTabularInline
from accounts.roles import Role
from appointments import services
from appointments.admin.own import OwnRows
from appointments.models import (
    Availability,
    AvailabilityException,
    Location,
    Resource,
    Schedule,
    VisitType,
    VisitTypeNeed,
)
from core.errors import InvalidInput


class SupplyAdmin(OwnRows, ConfigModelAdmin):
    """Nothing here speaks of a patient: everybody who books may read it."""

    roles = frozenset({Role.ADMINISTRATOR, Role.FRONT_DESK, Role.NURSE, Role.CLINICIAN})
    writing_roles = frozenset({Role.ADMINISTRATOR, Role.FRONT_DESK})


class LocationForm(forms.ModelForm):
    class Meta:
        model = Location
        fields: ClassVar = [
            "organization",
            "name",
            "zone",
            "address",
            "phone",
            "directions",
            "is_active",
        ]

    def clean_zone(self) -> str:
        zone = str(self.cleaned_data["zone"])
        try:
            services.check_zone(zone)
        except InvalidInput as refusal:
            raise forms.ValidationError(refusal.errors[0].message) from refusal
        return zone


@admin.register(Location)
class LocationAdmin(SupplyAdmin):
    form = LocationForm
    list_display = ("name", "organization", "zone", "phone", "is_active")
    list_select_related = ("organization",)
    ordering = ("name", "id")


@admin.register(Resource)
class ResourceAdmin(SupplyAdmin):
    list_display = ("name", "kind", "location", "lanes", "is_active")
    list_filter = ("kind", "is_active")
    list_select_related = ("location",)
    ordering = ("name", "id")


class NeedInline(RoleTabularInline):
    model = VisitTypeNeed
    writable = True


@admin.register(VisitType)
class VisitTypeAdmin(SupplyAdmin):
    list_display = (
        "name",
        "organization",
        "modality",
        "duration_minutes",
        "booking_policy",
        "is_active",
    )
    list_filter = ("booking_policy", "modality", "is_active")
    list_select_related = ("organization",)
    ordering = ("name", "id")
    inlines = (NeedInline,)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Refuse a duration that fits the hours of a schedule no longer."""
        super().save_related(request, form, formsets, change)
        for schedule in form.instance.schedules.select_related("resource", "location"):
            services.check_supply(schedule)


class AvailabilityInline(RoleTabularInline):
    model = Availability
    writable = True
    can_delete = True

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)


class ExceptionInline(AvailabilityInline):
    model = AvailabilityException  # type: ignore[assignment]
    ordering = ("-date",)


@admin.register(Schedule)
class ScheduleAdmin(SupplyAdmin):
    """The editor of weekly hours, and of the days that differ."""

    owner = "location__organization"
    list_display = ("resource", "location", "name", "is_active")
    list_filter = ("is_active",)
    list_select_related = ("resource", "location")
    ordering = ("resource__name", "location__name", "id")
    filter_horizontal = ("visit_types",)
    inlines = (AvailabilityInline, ExceptionInline)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the hours, and refuse all of it when a visit never fits or hours overlap."""
        try:
            super().save_related(request, form, formsets, change)
        except IntegrityError as error:
            if "availability_no_overlap" not in str(error):
                raise
            raise services.TemplateOverlaps() from error
        services.check_supply(form.instance)
