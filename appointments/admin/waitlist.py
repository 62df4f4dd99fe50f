"""The waitlist as the front desk works through it: who waits, for what, who was asked and why."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminSingleTimeWidget,
    UnfoldBooleanSwitchWidget,
)

from accounts.admin_base import RoleTabularInline
from accounts.roles import Role
from appointments import services
from appointments.admin.own import OwnRows
from appointments.models import Appointment, WaitlistEntry, WaitlistOffer, WaitlistWindow
from appointments.selectors import upcoming
from appointments.waiting import Window
from core.areas import Area
from core.clock import utc_now
from core.errors import DomainError, FieldError, InvalidInput
from core.timeobject import time_object
from patients.admin_base import StaffModelAdmin, shown_by, viewer_of

_DESK = frozenset({Role.FRONT_DESK, Role.NURSE, Role.CLINICIAN})
_WEEKDAYS = [(1, "Mon"), (2, "Tue"), (3, "Wed"), (4, "Thu"), (5, "Fri"), (6, "Sat"), (7, "Sun")]
_Status = WaitlistEntry.Status

WHY_PASSED_OVER = {
    "asked-about-another-time": "asked about another time",
    "asked-before": "was asked about it before",
    "did-not-answer": "left three offers unanswered: please call",
    "nobody-to-ask": "nobody to ask online: please call",
    "other-visit": "has another visit then",
    "paused": "contact is paused",
    "too-near": "too near for her to answer",
}


def window_words(window: WaitlistWindow) -> str:
    """Return a window in a few words, such as "Mon, Tue, from 09:00, until 24 Dec 2026"."""
    days = dict(_WEEKDAYS)
    words = [
        ", ".join(days[day] for day in window.iso_weekdays),
        f"from {window.time_from:%H:%M}" if window.time_from else "",
        f"before {window.time_until:%H:%M}" if window.time_until else "",
        f"on or after {window.first_on:%d %b %Y}" if window.first_on else "",
        f"until {window.last_on:%d %b %Y}" if window.last_on else "",
    ]
    return ", ".join(word for word in words if word) or "any time"


class StandingFilter(admin.SimpleListFilter):
    """Who waits; when nothing is chosen, everybody who still does."""

    title = "standing"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("asked", "Asked, no answer yet"),
            ("call", "Fits, but not asked"),
            ("fulfilled", "Fulfilled"),
            ("over", "Withdrawn or expired"),
        ]

    def choices(self, changelist: Any) -> Any:
        for choice in super().choices(changelist):
            if choice["query_string"] == changelist.get_query_string(remove=[self.parameter_name]):
                choice["display"] = "Waiting"
            yield choice

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        waiting = queryset.filter(status=_Status.ACTIVE)
        match self.value():
            case "asked":
                asked = WaitlistOffer.objects.filter(status=WaitlistOffer.Status.OPEN)
                return waiting.filter(id__in=asked.values("entry_id"))
            case "call":
                return waiting.exclude(passed_over="")
            case "fulfilled":
                return queryset.filter(status=_Status.FULFILLED)
            case "over":
                return queryset.filter(status__in=[_Status.WITHDRAWN, _Status.EXPIRED])
            case _:
                return waiting


class OfferInline(RoleTabularInline):
    model = WaitlistOffer
    verbose_name_plural = "Offered so far"
    fields = ("the_time", "status", "offered", "answer_by", "answerer", "why")
    readonly_fields = fields
    ordering = ("-offered_at",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.select_related("hold", "answered_by", "patient")

    answerer = shown_by("answered_by", "Answered by")

    @admin.display(description="Time offered")
    def the_time(self, offer: WaitlistOffer) -> str:
        return time_object(offer.hold.starts_at, offer.hold.zone)["text"]

    @admin.display(description="Offered at")
    def offered(self, offer: WaitlistOffer) -> str:
        return time_object(offer.offered_at, offer.hold.zone)["text"]

    @admin.display(description="Answer until")
    def answer_by(self, offer: WaitlistOffer) -> str:
        return time_object(offer.answer_until, offer.hold.zone)["text"]

    @admin.display(description="Why she was asked")
    def why(self, offer: WaitlistOffer) -> str:
        return str(offer.reason["text"])


class JoinForm(forms.ModelForm):
    """What she waits for, in one window; none of it filled in: any time."""

    earlier = forms.BooleanField(
        required=False,
        widget=UnfoldBooleanSwitchWidget(),
        label="Earlier than her next visit",
        help_text="She keeps that visit until she accepts an earlier time.",
    )
    first_on = forms.DateField(required=False, widget=UnfoldAdminSingleDateWidget())
    last_on = forms.DateField(required=False, widget=UnfoldAdminSingleDateWidget())
    iso_weekdays = forms.TypedMultipleChoiceField(
        required=False,
        coerce=int,
        choices=_WEEKDAYS,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        label="Weekdays",
        help_text="None: every day.",
    )
    time_from = forms.TimeField(
        required=False,
        widget=UnfoldAdminSingleTimeWidget(),
        help_text="By the clock of the clinic.",
    )
    time_until = forms.TimeField(
        required=False, widget=UnfoldAdminSingleTimeWidget(), help_text="A visit starts before it."
    )

    class Meta:
        model = WaitlistEntry
        fields: ClassVar = [
            "patient",
            "visit_type",
            "locations",
            "minimum_notice_minutes",
            "urgency_reason",
        ]
        labels: ClassVar = {
            "urgency_reason": "Urgent because",
            "minimum_notice_minutes": "Notice she needs (minutes)",
        }
        help_texts: ClassVar = {
            "urgency_reason": "For staff. Left empty it is routine.",
            "locations": "None: anywhere.",
        }


class UrgencyForm(forms.ModelForm):
    class Meta:
        model = WaitlistEntry
        fields: ClassVar = ["urgency_reason"]
        labels: ClassVar = {"urgency_reason": "Urgent because"}
        help_texts: ClassVar = {"urgency_reason": "For staff. Empty makes it routine again."}


@admin.register(WaitlistEntry)
class WaitlistEntryAdmin(OwnRows, StaffModelAdmin):
    """Urgent entries first, then who waits longest. Changes go through the services only."""

    area = Area.APPOINTMENTS
    writable = True
    writing_roles = _DESK
    owner = "visit_type__organization"
    owners: ClassVar = {**OwnRows.owners, "locations": "organization"}
    autocomplete_fields = ("patient",)
    list_display = (
        *("urgency_label", "waits", "who", "visit_type", "wants", "her_visit", "standing"),
    )
    list_filter = (StandingFilter, "urgency", "visit_type")
    list_select_related = ("patient", "visit_type__organization", "appointment")
    ordering = ("-urgency", "made_at", "id")
    inlines = (OfferInline,)
    actions = ("withdraw",)
    _shown = (
        *("who", "visit_type", "her_visit", "wants", "places", "minimum_notice_minutes"),
        *("standing", "waits", "maker", "made_via", "urgency", "setter"),
        *("urgency_set_at", "ended_at", "ending"),
    )

    maker = shown_by("made_by", "Asked by")
    setter = shown_by("urgency_set_by", "Urgency set by")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        asked = WaitlistOffer.objects.filter(status=WaitlistOffer.Status.OPEN)
        return (
            super()
            .get_queryset(request)
            .prefetch_related(
                "windows", "locations", Prefetch("offers", queryset=asked, to_attr="asked")
            )
        )

    @display(  # type: ignore[untyped-decorator]
        description="Urgency",
        ordering="urgency",
        label={"urgent": "danger", "routine": "info"},
    )
    def urgency_label(self, entry: WaitlistEntry) -> tuple[str, str]:
        return entry.urgency, entry.get_urgency_display()

    @admin.display(description="Waits for", ordering="made_at")
    def waits(self, entry: WaitlistEntry) -> str:
        age = (entry.ended_at or utc_now()) - entry.made_at
        return f"{age.days} days" if age.days > 1 else f"{age // timedelta(hours=1)} hours"

    @admin.display(description="Wants")
    def wants(self, entry: WaitlistEntry) -> str:
        windows = "; or ".join(window_words(window) for window in entry.windows.all())
        return windows or "any time"

    @admin.display(description="Places")
    def places(self, entry: WaitlistEntry) -> str:
        return ", ".join(place.name for place in entry.locations.all()) or "anywhere"

    @admin.display(description="Earlier than")
    def her_visit(self, entry: WaitlistEntry) -> str:
        visit = entry.appointment
        return time_object(visit.starts_at, visit.zone)["text"] if visit else "no visit yet"

    @admin.display(description="Standing")
    def standing(self, entry: Any) -> str:
        if entry.status != _Status.ACTIVE:
            return f"{entry.get_status_display()}: {entry.get_ending_display()}"
        for offer in entry.asked:
            until = time_object(offer.answer_until, entry.visit_type.organization.zone)["text"]
            return f"Asked, answer until {until}"
        if entry.passed_over:
            return f"Not asked: {WHY_PASSED_OVER.get(entry.passed_over, entry.passed_over)}"
        return "Nothing free that fits"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        waits = not isinstance(obj, WaitlistEntry) or obj.status == _Status.ACTIVE
        return waits and super().has_change_permission(request, obj)

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        kwargs["form"] = JoinForm if obj is None else UrgencyForm
        return super().get_form(request, obj, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        if obj is None:
            return [
                *("patient", "visit_type", "earlier", "first_on", "last_on", "iso_weekdays"),
                *("time_from", "time_until", "locations", "minimum_notice_minutes"),
                "urgency_reason",
            ]
        return [*self._shown, "urgency_reason"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else self._shown

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return () if obj is None else self.inlines

    def save_model(self, request: HttpRequest, obj: WaitlistEntry, form: Any, change: bool) -> None:
        """Put somebody in line, or say how urgent it is."""
        given, viewer, now = form.cleaned_data, viewer_of(request), utc_now()
        if change:
            services.set_urgency(
                viewer=viewer, entry_id=obj.id, reason=given["urgency_reason"], now=now
            )
            return
        window = Window(
            first_on=given["first_on"],
            last_on=given["last_on"],
            iso_weekdays=frozenset(given["iso_weekdays"]),
            time_from=given["time_from"],
            time_until=given["time_until"],
        )
        made = services.join(
            viewer=viewer,
            patient_id=obj.patient_id,
            visit_type_id=obj.visit_type_id,
            appointment_id=self._next_visit(request, obj) if given["earlier"] else None,
            windows=() if window == Window() else (window,),
            locations=[place.id for place in given["locations"]],
            minimum_notice=timedelta(minutes=given["minimum_notice_minutes"]),
            urgency_reason=given["urgency_reason"],
            now=now,
        )
        obj.pk = made.pk

    def _next_visit(self, request: HttpRequest, entry: WaitlistEntry) -> UUID:
        visit = (
            upcoming(viewer_of(request), now=utc_now())
            .filter(
                patient_id=entry.patient_id,
                visit_type_id=entry.visit_type_id,
                status=Appointment.Status.BOOKED,
                starts_at__gt=utc_now(),
            )
            .order_by("starts_at")
            .first()
        )
        if visit is None:
            message = "She has no visit of this kind that could be earlier."
            raise InvalidInput(message, errors=(FieldError("earlier", "no-visit", message),))
        return visit.id

    @admin.action(description="Withdraw: she waits no longer", permissions=["change"])
    def withdraw(self, request: HttpRequest, queryset: QuerySet[WaitlistEntry]) -> None:
        each_of(
            self,
            request,
            queryset,
            lambda entry_id: services.leave(
                viewer=viewer_of(request), entry_id=entry_id, now=utc_now()
            ),
            "withdrawn",
        )


class StatusFilter(admin.SimpleListFilter):
    """Offers by what became of them; when nothing is chosen, those still open."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        over = [choice for choice in WaitlistOffer.Status.choices if choice[0] != "open"]
        return [(str(code), str(label)) for code, label in over]

    def choices(self, changelist: Any) -> Any:
        for choice in super().choices(changelist):
            if choice["query_string"] == changelist.get_query_string(remove=[self.parameter_name]):
                choice["display"] = "Open"
            yield choice

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(status=self.value() or WaitlistOffer.Status.OPEN)


@admin.register(WaitlistOffer)
class WaitlistOfferAdmin(OwnRows, StaffModelAdmin):
    """Who was offered what, and why. Staff answer for her when she calls."""

    area = Area.APPOINTMENTS
    writable = True
    writing_roles = _DESK
    owner = "entry__visit_type__organization"
    list_display = ("the_time", "who", "visit_type", "status", "answer_by", "why")
    list_filter = (StatusFilter,)
    list_select_related = ("patient", "hold", "entry__visit_type")
    ordering = ("answer_until", "id")
    fields = (
        *("who", "visit_type", "the_time", "status", "offered", "answer_by"),
        *("answerer", "answered_via", "why"),
    )
    readonly_fields = fields
    actions = ("accept", "decline")
    the_time, offered = OfferInline.the_time, OfferInline.offered
    answer_by, why = OfferInline.answer_by, OfferInline.why
    answerer = OfferInline.answerer

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.display(description="Kind of visit")
    def visit_type(self, offer: WaitlistOffer) -> str:
        return offer.entry.visit_type.name

    @admin.action(description="She accepts, on the phone", permissions=["change"])
    def accept(self, request: HttpRequest, queryset: QuerySet[WaitlistOffer]) -> None:
        each_of(
            self,
            request,
            queryset,
            lambda offer_id: services.accept(
                viewer=viewer_of(request), offer_id=offer_id, now=utc_now()
            ),
            "accepted",
        )

    @admin.action(description="She declines, on the phone", permissions=["change"])
    def decline(self, request: HttpRequest, queryset: QuerySet[WaitlistOffer]) -> None:
        each_of(
            self,
            request,
            queryset,
            lambda offer_id: services.decline(
                viewer=viewer_of(request), offer_id=offer_id, now=utc_now()
            ),
            "declined",
        )


def each_of(
    page: StaffModelAdmin,
    request: HttpRequest,
    rows: QuerySet[Any],
    change: Callable[[UUID], Any],
    done: str,
) -> None:
    """Change each selected row by itself; refusals are told one by one."""
    count = 0
    for row in rows:
        try:
            with transaction.atomic():
                page.log_change(request, change(row.pk), [{"changed": {"fields": ["status"]}}])
            count += 1
        except DomainError as refusal:
            messages.error(request, f"{row}: {refusal.detail}")
    if count:
        messages.success(request, f"{count} {done}.")
