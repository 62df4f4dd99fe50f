"""Tickets: a clinician lets a patient book visits of one kind herself."""

from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, F, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextareaWidget

from accounts.roles import Role
from appointments import services
from appointments.admin.own import OwnRows, own_zone
from appointments.models import Ticket, VisitType
from appointments.requests import words
from core.areas import Area
from core.clock import utc_now
from patients.admin_base import StaffModelAdmin, viewer_of

OPEN, USED, EXPIRED, CANCELLED = "open", "used", "expired", "cancelled"


class StandingFilter(admin.SimpleListFilter):
    """What can be booked with is shown when nothing is chosen."""

    title = "standing"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(USED, "Used"), (EXPIRED, "Expired"), (CANCELLED, "Cancelled"), ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        for choice in super().choices(changelist):
            if choice["query_string"] == changelist.get_query_string(remove=[self.parameter_name]):
                choice["display"] = "Open"
            yield choice

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        today = utc_now().astimezone(own_zone(request)).date()
        live = queryset.filter(cancelled_at__isnull=True)
        match self.value():
            case "all":
                return queryset
            case "cancelled":
                return queryset.filter(cancelled_at__isnull=False)
            case "expired":
                return live.filter(latest__lt=today)
            case "used":
                return live.filter(used__gte=F("uses"))
            case _:
                return live.filter(latest__gte=today, used__lt=F("uses"))


class OrderForm(forms.ModelForm):
    words_for_her = forms.CharField(
        required=False,
        max_length=services.NOTE_AT_MOST,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        label="What it is for",
        help_text="She reads this.",
    )

    class Meta:
        model = Ticket
        fields: ClassVar = ["patient", "visit_type", "earliest", "latest", "uses"]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        earliest, latest = cleaned.get("earliest"), cleaned.get("latest")
        if earliest and latest and latest < earliest:
            self.add_error("latest", "Ends before it starts.")
        return cleaned


class CancelForm(forms.ModelForm):
    class Meta:
        model = Ticket
        fields: ClassVar = ["cancel_reason"]
        help_texts: ClassVar = {"cancel_reason": "For staff. Visits that are booked stay booked."}


@admin.register(Ticket)
class TicketAdmin(OwnRows, StaffModelAdmin):
    """Tickets, the first to end first."""

    area = Area.APPOINTMENTS
    writable = True
    writing_roles = frozenset({Role.CLINICIAN})
    owner = "visit_type__organization"
    autocomplete_fields = ("patient",)
    list_display = ("who", "visit_type", "earliest", "latest", "left", "standing", "by")
    list_filter = (StandingFilter, "origin", "visit_type")
    list_select_related = ("patient", "visit_type__organization", "ordered_by")
    ordering = ("latest", "id")
    actions_submit_line = ("cancel_it",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Ticket]:
        live = ~Q(bookings__status__in=["cancelled", "entered-in-error"])
        return super().get_queryset(request).annotate(used=Count("bookings", filter=live))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and (
            obj is None or obj.cancelled_at is None
        )

    @display(description="visits left")
    def left(self, ticket: Ticket) -> str:
        return f"{max(0, ticket.uses - ticket.used)} of {ticket.uses}"  # type: ignore[attr-defined]

    @display(
        description="standing",
        label={OPEN: "success", USED: "info", EXPIRED: "warning", CANCELLED: "danger"},
    )
    def standing(self, ticket: Ticket) -> str:
        if ticket.cancelled_at is not None:
            return CANCELLED
        zone = ZoneInfo(ticket.visit_type.organization.zone)
        if ticket.latest < utc_now().astimezone(zone).date():
            return EXPIRED
        return USED if ticket.used >= ticket.uses else OPEN  # type: ignore[attr-defined]

    @display(description="ordered by", ordering="ordered_by__family_name")
    def by(self, ticket: Ticket) -> str:
        return ticket.ordered_by.full_name

    @display(description="what it is for")
    def words_for_her(self, ticket: Ticket) -> str:
        return words(ticket.note) or "-"

    @display(description="cancelled by")
    def who_cancelled(self, ticket: Ticket) -> str:
        return ticket.cancelled_by.full_name if ticket.cancelled_by else "-"

    # --- the form: order, and afterwards only cancel ----------------------------------------------

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = OrderForm if obj is None else CancelForm
        return super().get_form(request, obj, change, form=form, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        if obj is None:
            return [*OrderForm.Meta.fields, "words_for_her"]
        told = ["cancelled_at", "who_cancelled"] if obj.cancelled_at is not None else []
        return [
            *("who", "visit_type", "earliest", "latest", "left", "standing", "words_for_her"),
            *("origin", "ordered_at", "by"),
            *told,
            "cancel_reason",
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        if obj is None:
            return []
        return [name for name in self.get_fields(request, obj) if name != "cancel_reason"]

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if db_field.name == "visit_type" and field is not None:
            field.queryset = field.queryset.filter(
                booking_policy=VisitType.BookingPolicy.TICKET, is_active=True
            )
        return field

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        shown = {"show_save_and_continue": False, "show_save_and_add_another": False}
        if object_id is not None:
            shown["show_save"] = False
        return super().changeform_view(
            request, object_id, form_url, {**(extra_context or {}), **shown}
        )

    def get_actions_submit_line(self, request: HttpRequest, object_id: Any) -> list[Any]:
        ticket = self.get_object(request, str(object_id))
        if ticket is None or not self.has_change_permission(request, ticket):
            return []
        return super().get_actions_submit_line(request, object_id)

    def save_model(self, request: HttpRequest, obj: Ticket, form: Any, change: bool) -> None:
        if change:
            for step in self.get_actions_submit_line(request, obj.pk):
                if step.action_name in request.POST:
                    step.method(request, obj)
            return
        made = services.order_ticket(
            viewer=viewer_of(request),
            patient_id=obj.patient_id,
            visit_type_id=obj.visit_type_id,
            earliest=obj.earliest,
            latest=obj.latest,
            uses=obj.uses,
            note=form.cleaned_data["words_for_her"],
            now=utc_now(),
        )
        obj.pk = made.pk

    @action(description="Cancel the ticket")
    def cancel_it(self, request: HttpRequest, ticket: Ticket) -> None:
        services.cancel_ticket(
            viewer=viewer_of(request),
            ticket_id=ticket.pk,
            reason=ticket.cancel_reason,
            now=utc_now(),
        )
        messages.success(request, "Cancelled. She can book nothing more with it.")
