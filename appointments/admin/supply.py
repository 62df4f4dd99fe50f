"""Set-up of places, resources, visit types and their hours."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db import IntegrityError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.dates import WEEKDAYS
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget

from accounts.admin_base import ConfigModelAdmin, RoleTabularInline
from accounts.roles import Role
from appointments import services
from appointments.admin.own import OwnRows
from appointments.models import (
    Availability,
    AvailabilityException,
    ConsentText,
    Location,
    Resource,
    Schedule,
    Section,
    VisitType,
    VisitTypeNeed,
)
from appointments.preview import PreviewDay, next_weeks
from core.clock import utc_now
from core.errors import InvalidInput

PREVIEW = "_preview"


class _Previewed(Exception):
    """The hours were saved, looked at, and are taken back with the transaction."""

    def __init__(self, days: list[PreviewDay]) -> None:
        self.days = days


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
    list_display = ("name", "kind", "location", "lanes", "overbook_lanes", "is_active")
    list_filter = ("kind", "is_active")
    list_select_related = ("location",)
    ordering = ("name", "id")

    def save_model(self, request: HttpRequest, obj: Resource, form: Any, change: bool) -> None:
        services.save_resource(obj, now=utc_now())


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

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        if db_field.name != "checkin_sections":
            return super().formfield_for_dbfield(db_field, request, **kwargs)
        return forms.MultipleChoiceField(
            choices=Section.choices,
            required=False,
            widget=UnfoldAdminCheckboxSelectMultipleWidget,
            label="eCheck-in asks for",
            help_text=db_field.help_text,
        )

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Refuse a duration that fits the hours of a schedule no longer."""
        super().save_related(request, form, formsets, change)
        for schedule in form.instance.schedules.select_related("resource", "location"):
            services.check_supply(schedule)


class AvailabilityInline(RoleTabularInline):
    model = Availability
    verbose_name, verbose_name_plural = "hours of a weekday", "Weekly hours"
    hide_title = True
    writable = True
    can_delete = True
    extra = 0

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        if db_field.name == "iso_weekday":
            return forms.TypedChoiceField(
                choices=[(day + 1, name) for day, name in WEEKDAYS.items()],
                coerce=int,
                widget=UnfoldAdminSelectWidget,
                label="Weekday",
            )
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)


class ExceptionInline(AvailabilityInline):
    model = AvailabilityException  # type: ignore[assignment]
    verbose_name, verbose_name_plural = "day that differs", "Days that differ"
    ordering = ("-date",)


@admin.register(Schedule)
class ScheduleAdmin(SupplyAdmin):
    """The editor of weekly hours, and of the days that differ, with the next two weeks."""

    owner = "location__organization"
    list_display = ("resource", "location", "name", "is_active")
    list_filter = ("is_active",)
    list_select_related = ("resource", "location")
    ordering = ("resource__name", "location__name", "id")
    filter_horizontal = ("visit_types",)
    inlines = (AvailabilityInline, ExceptionInline)
    change_form_template = "admin/appointments/schedule.html"

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the hours, and refuse all of it when a visit never fits or hours overlap."""
        try:
            super().save_related(request, form, formsets, change)
        except IntegrityError as error:
            if "availability_no_overlap" not in str(error):
                raise
            raise services.TemplateOverlaps() from error
        services.check_supply(form.instance)
        if PREVIEW in request.POST:
            raise _Previewed(next_weeks(form.instance, now=utc_now()))

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except _Previewed as seen:
            left_out = (PREVIEW, "csrfmiddlewaretoken")
            return TemplateResponse(
                request,
                "admin/appointments/schedule_preview.html",
                {
                    **self.admin_site.each_context(request),
                    "title": "The next two weeks with these hours",
                    "days": seen.days,
                    "kept": [
                        (name, value)
                        for name in request.POST
                        if name not in left_out
                        for value in request.POST.getlist(name)
                    ],
                },
            )

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        shown = kwargs.get("obj")
        if shown is not None:
            context["days"] = next_weeks(shown, now=utc_now())
        return super().render_change_form(request, context, *args, **kwargs)


class ConsentTextForm(forms.ModelForm):
    class Meta:
        model = ConsentText
        fields: ClassVar = ["organization", "code", "title", "text"]
        help_texts: ClassVar = {
            "code": "The same code again is a new wording: everybody is asked again.",
        }


@admin.register(ConsentText)
class ConsentTextAdmin(SupplyAdmin):
    """Texts that people agree to or decline before a visit. A wording that is out stays."""

    form = ConsentTextForm
    list_display = ("title", "organization", "code", "version", "valid_from", "retired_at")
    list_select_related = ("organization",)
    ordering = ("code", "-version")
    actions = ("retire",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        shown = list(ConsentTextForm.Meta.fields)
        return shown if obj is None else [*shown, "version", "valid_from", "retired_at"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [] if obj is None else self.get_fields(request, obj)

    def save_model(
        self, request: HttpRequest, obj: ConsentText, form: ConsentTextForm, change: bool
    ) -> None:
        if change:
            return
        made = services.publish_consent(
            organization_id=obj.organization_id,
            code=obj.code,
            title=obj.title,
            text=obj.text,
            now=utc_now(),
        )
        obj.pk = made.pk

    @admin.action(description="Ask no longer", permissions=["change"])
    def retire(self, request: HttpRequest, queryset: QuerySet[ConsentText]) -> None:
        for text in queryset.filter(retired_at__isnull=True):
            services.retire_consent(text_id=text.id, now=utc_now())
            self.log_change(request, text, [{"changed": {"fields": ["retired_at"]}}])
