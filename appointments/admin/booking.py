"""The day's visits, booking at the desk, and blocked time."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from accounts.admin_base import RoleTabularInline
from accounts.models import Membership, User
from accounts.roles import Capability, Role, roles_with
from appointments import services
from appointments.admin.agenda import calendar_view
from appointments.admin.board import board_view
from appointments.admin.closing import closing_view
from appointments.admin.echeckins import ShowsPreVisit
from appointments.admin.own import ClinicClock, OwnRows, own_zone
from appointments.models import Appointment, AppointmentHistory, Block, BookingRule
from appointments.opening_ids import opening_id
from core.areas import Area
from core.clock import utc_now
from core.errors import FieldError, InvalidInput, NotFound
from core.timeobject import time_object
from patients.admin_base import StaffModelAdmin, shown_by

_DESK = frozenset({Role.FRONT_DESK, Role.NURSE, Role.CLINICIAN})
_Status = Appointment.Status
_OVERRIDE = ("override_reason", "overbook")
_WHY_NOT = {
    "past": "This time is over.",
    "too-soon": "This is sooner than this kind of visit allows. Nurses and clinicians may set that "
    "aside, with a reason.",
    "too-far": "This is further ahead than this kind of visit allows. Nurses and clinicians may "
    "set that aside, with a reason.",
    "no-such-time": "No visit of this kind begins then: see the hours of the schedule.",
}


class DayFilter(admin.SimpleListFilter):
    """Which days; today when nothing is chosen."""

    title = "day"
    parameter_name = "day"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("tomorrow", "Tomorrow"),
            ("week", "Next 7 days"),
            ("coming", "All to come"),
            ("past", "Past"),
        ]

    def choices(self, changelist: Any) -> Any:
        for choice in super().choices(changelist):
            if choice["query_string"] == changelist.get_query_string(remove=[self.parameter_name]):
                choice["display"] = "Today"
            yield choice

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Appointment]
    ) -> QuerySet[Appointment]:
        today = utc_now().astimezone(own_zone(request)).date()
        days = timedelta(days=1)
        match self.value():
            case "tomorrow":
                return queryset.filter(local_date=today + days)
            case "week":
                return queryset.filter(local_date__range=(today, today + 6 * days))
            case "coming":
                return queryset.filter(local_date__gte=today)
            case "past":
                return queryset.filter(local_date__lt=today)
            case _:
                return queryset.filter(local_date=today)


class HistoryInline(RoleTabularInline):
    model = AppointmentHistory
    verbose_name_plural = "History"
    hide_title = True
    fields = ("version", "at", "action", "status", "starts_at", "via", "by", "reason", "set_aside")
    readonly_fields = fields
    ordering = ("version",)
    by = shown_by("actor", "By")

    @admin.display(description="Rule set aside")
    def set_aside(self, row: AppointmentHistory) -> str:
        rules = ", ".join(BookingRule(rule).label for rule in row.overrides)
        return f"{rules}: {row.override_reason}" if rules else "-"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.select_related("actor", "patient")


class BookForm(forms.ModelForm):
    """A visit at the desk. `override_reason` and `overbook` are for those who may use them."""

    override_reason = forms.CharField(
        required=False,
        max_length=services.REASON_AT_MOST,
        label="Why a rule is set aside",
        widget=UnfoldAdminTextInputWidget,
        help_text="Only when the visit is sooner or further ahead than usual, or overbooked. "
        "The reason stays with the visit.",
    )
    overbook = forms.BooleanField(
        required=False,
        label="Use a place for overbooking",
        widget=UnfoldBooleanWidget,
        help_text="When every usual place is taken then.",
    )

    class Meta:
        model = Appointment
        fields: ClassVar = ["patient", "schedule", "visit_type", "local_date", "local_time"]
        help_texts: ClassVar = {"local_time": "By the clock of the location."}

    def override(self) -> services.Override | None:
        reason, overbook = (self.cleaned_data.get(name) for name in _OVERRIDE)
        if not reason and not overbook:
            return None
        return services.Override(reason=reason or "", overbook=bool(overbook))


@admin.register(Appointment)
class AppointmentAdmin(ShowsPreVisit, OwnRows, StaffModelAdmin):
    """Visits by time, the next one first. Changes go through the services only."""

    area = Area.APPOINTMENTS
    writable = True
    writing_roles = _DESK
    owner = "location__organization"
    form = BookForm
    autocomplete_fields = ("patient",)
    list_display = ("when", "status", "who", "visit_type", "with_whom", "location")
    list_filter = (DayFilter, "status")
    list_select_related = ("patient", "visit_type", "schedule__resource", "location")
    ordering = ("starts_at", "id")
    inlines = (HistoryInline,)
    booker = shown_by("booked_by", "Booked by")
    canceller = shown_by("cancelled_by", "Cancelled by")
    actions = ("check_in", "arrive", "fulfil", "no_show", "cancel_by_clinic")

    def get_urls(self) -> list[URLPattern]:
        return [
            path(
                "calendar/",
                self.admin_site.admin_view(self.calendar_view),
                name="appointments_appointment_calendar",
            ),
            path(
                "board/",
                self.admin_site.admin_view(self.board_view),
                name="appointments_appointment_board",
            ),
            path(
                "closing/",
                self.admin_site.admin_view(self.closing_view),
                name="appointments_appointment_closing",
            ),
            *super().get_urls(),
        ]

    def closing_view(self, request: HttpRequest) -> HttpResponse:
        """Close a site or block people, with a look at whom it affects."""
        return closing_view(self, request)

    def calendar_view(self, request: HttpRequest) -> HttpResponse:
        """Show the calendar. Raises: NotFound to those who may not open this page."""
        if not self.may_read(request):
            raise NotFound()
        return calendar_view(self, request)

    def board_view(self, request: HttpRequest) -> HttpResponse:
        """Show the check-in board. Raises: NotFound to those who may not open this page."""
        if not self.may_read(request):
            raise NotFound()
        return board_view(self, request)

    @admin.display(description="Time", ordering="starts_at")
    def when(self, visit: Appointment) -> str:
        return time_object(visit.starts_at, visit.zone)["text"]

    @admin.display(description="With", ordering="schedule__resource__name")
    def with_whom(self, visit: Appointment) -> str:
        return visit.schedule.resource.name

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        if obj is None:
            return [*BookForm.Meta.fields, *(_OVERRIDE if self._may_override(request) else ())]
        return [
            "when",
            "status",
            "who",
            "visit_type",
            "with_whom",
            "location",
            "booked_at",
            "booker",
            "created_via",
            "cancelled_at",
            "canceller",
            "cancellation_reason",
            *self.echeckin_field(request, obj),
        ]

    @staticmethod
    def _may_override(request: HttpRequest) -> bool:
        held = Membership.objects.active_at(utc_now()).filter(user=request.user)  # type: ignore[misc]
        return held.filter(role__in=roles_with(Capability.OVERRIDE_BOOKING_RULES)).exists()

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [] if obj is None else self.get_fields(request, obj)

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return () if obj is None else self.inlines

    def save_model(
        self, request: HttpRequest, obj: Appointment, form: BookForm, change: bool
    ) -> None:
        """Book at the desk. A visit that exists is changed by actions only."""
        if change:
            return
        zone = obj.schedule.location.zone
        wall = datetime.combine(obj.local_date, obj.local_time)
        starts_at = wall.replace(tzinfo=ZoneInfo(zone))
        if time_object(starts_at, zone)["local"] != f"{wall:%Y-%m-%dT%H:%M}":
            raise InvalidInput(
                "The clock skips this time.",
                errors=(FieldError("local_time", "no-such-time", "The clock skips it."),),
            )
        try:
            made = services.book(
                viewer=request.viewer,  # type: ignore[attr-defined]
                patient_id=obj.patient_id,
                opening=opening_id(
                    schedule_id=obj.schedule_id,
                    visit_type_id=obj.visit_type_id,
                    starts_at=starts_at,
                ),
                override=form.override(),
                now=utc_now(),
            )
        except services.NotOffered as refusal:
            raise InvalidInput(_WHY_NOT[refusal.extra["reason"]]) from refusal
        obj.pk = made.pk

    # --- on the day: each selected visit by itself, refusals told one by one ---

    def _each(
        self,
        request: HttpRequest,
        visits: QuerySet[Appointment],
        change: Callable[[UUID], Appointment],
        done: str,
    ) -> None:
        count = 0
        for visit in visits:
            try:
                with transaction.atomic():
                    self.log_change(
                        request, change(visit.id), [{"changed": {"fields": ["status"]}}]
                    )
                count += 1
            except services.StatusConflict:
                messages.error(request, f"{self.when(visit)}: it is {visit.status} already.")
            except services.NotYet as refusal:
                messages.error(request, f"{self.when(visit)}: {refusal.title}")
        if count:
            messages.success(request, f"{count} {done}.")

    def _become(self, request: HttpRequest, visits: QuerySet[Appointment], status: str) -> None:
        self._each(
            request,
            visits,
            lambda visit_id: services.change_status(
                viewer=request.viewer,  # type: ignore[attr-defined]
                appointment_id=visit_id,
                status=status,
                now=utc_now(),
            ),
            _Status(status).label.lower(),
        )

    @admin.action(description="Checked in", permissions=["change"])
    def check_in(self, request: HttpRequest, queryset: QuerySet[Appointment]) -> None:
        self._become(request, queryset, _Status.CHECKED_IN)

    @admin.action(description="Arrived", permissions=["change"])
    def arrive(self, request: HttpRequest, queryset: QuerySet[Appointment]) -> None:
        self._become(request, queryset, _Status.ARRIVED)

    @admin.action(description="Fulfilled", permissions=["change"])
    def fulfil(self, request: HttpRequest, queryset: QuerySet[Appointment]) -> None:
        self._become(request, queryset, _Status.FULFILLED)

    @admin.action(description="Did not come", permissions=["change"])
    def no_show(self, request: HttpRequest, queryset: QuerySet[Appointment]) -> None:
        self._become(request, queryset, _Status.NOSHOW)

    @admin.action(description="Cancel by the clinic", permissions=["change"])
    def cancel_by_clinic(self, request: HttpRequest, queryset: QuerySet[Appointment]) -> None:
        self._each(
            request,
            queryset,
            lambda visit_id: services.cancel(
                viewer=request.viewer,  # type: ignore[attr-defined]
                appointment_id=visit_id,
                reason=Appointment.CancellationReason.PROVIDER,
                now=utc_now(),
            ),
            "cancelled",
        )


class BlockForm(forms.ModelForm):
    class Meta:
        model = Block
        fields: ClassVar = ["resource", "starts_at", "ends_at", "reason"]
        help_texts: ClassVar = {"reason": "For staff; no patient data."}


@admin.register(Block)
class BlockAdmin(ClinicClock, OwnRows, StaffModelAdmin):
    """Time kept free of visits. Times on these pages are the clinic's."""

    area = Area.APPOINTMENTS
    writable = True
    writing_roles = _DESK
    owner = "resource__organization"
    form = BlockForm
    list_display = ("resource", "starts_at", "ends_at", "reason", "lifted_at")
    list_filter = ("resource__kind",)
    list_select_related = ("resource",)
    ordering = ("-starts_at", "-id")
    actions = ("lift",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [] if obj is None else list(BlockForm.Meta.fields)

    def save_model(self, request: HttpRequest, obj: Block, form: BlockForm, change: bool) -> None:
        if change:
            return
        assert isinstance(request.user, User)
        made = services.block_time(
            actor=request.user,
            resource_id=obj.resource_id,
            starts_at=obj.starts_at,
            ends_at=obj.ends_at,
            reason=obj.reason,
            now=utc_now(),
        )
        obj.pk = made.pk

    @admin.action(description="Lift", permissions=["change"])
    def lift(self, request: HttpRequest, queryset: QuerySet[Block]) -> None:
        assert isinstance(request.user, User)
        for block in queryset.filter(lifted_at__isnull=True):
            services.lift_block(actor=request.user, block_id=block.id, now=utc_now())
            self.log_change(request, block, [{"changed": {"fields": ["lifted_at"]}}])
