"""What patients ask for: a queue by age, and the page on which a request becomes a visit."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.dates import WEEKDAYS_ABBR
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from accounts.roles import Role
from appointments import services
from appointments.admin.own import OwnRows
from appointments.finding import Offered
from appointments.models import PreferredWindow, VisitRequest
from appointments.opening_ids import opening_id
from appointments.requests import windows_of, words
from appointments.wishes import Window
from core.areas import Area
from core.clock import utc_now
from core.errors import DomainError, Unavailable
from core.timeobject import time_object
from patients.admin_base import StaffModelAdmin, person, viewer_of

_State = VisitRequest.State
LATE_AFTER = timedelta(days=2)
OPENINGS_SHOWN = 24


class StateFilter(admin.SimpleListFilter):
    """What waits is shown when nothing is chosen."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        settled = [(value, label) for value, label in _State.choices if value != _State.OPEN]
        return [*settled, ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        for choice in super().choices(changelist):
            if choice["query_string"] == changelist.get_query_string(remove=[self.parameter_name]):
                choice["display"] = "Open"
            yield choice

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "all":
            return queryset
        return queryset.filter(state=self.value() or _State.OPEN)


def window_words(window: Window) -> str:
    """Return a window as the desk says it: “1 Dec to 4 Dec, Mon, Wed, before noon”."""
    first, last = (f"{on.day} {on:%b}" for on in (window.first, window.last))
    parts = [first if window.first == window.last else f"{first} to {last}"]
    if window.weekdays:
        parts.append(", ".join(str(WEEKDAYS_ABBR[day - 1]) for day in sorted(window.weekdays)))
    if window.part_of_day != "any":
        parts.append(PreferredWindow.PartOfDay(window.part_of_day).label.lower())
    return ", ".join(parts)


def age_words(made_at: datetime, now: datetime) -> str:
    """Return how long something has waited, in the largest unit that fits."""
    hours = int((now - made_at).total_seconds() // 3600)
    if hours < 1:
        return "less than an hour"
    count, unit = (hours, "hour") if hours < 48 else (hours // 24, "day")
    return f"{count} {unit}{'' if count == 1 else 's'}"


class AnswerForm(forms.Form):
    words = forms.CharField(
        max_length=services.NOTE_AT_MOST,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        label="Your answer, which she reads",
    )


@admin.register(VisitRequest)
class VisitRequestAdmin(OwnRows, StaffModelAdmin):
    """Requests by age, the oldest first. One opens the page where a time is found for it."""

    area = Area.APPOINTMENTS
    writing_roles = frozenset({Role.FRONT_DESK, Role.NURSE, Role.CLINICIAN})
    writable = True
    owner = "visit_type__organization"
    list_display = ("waiting", "who", "visit_type", "windows", "wish", "standing")
    list_display_links = ("waiting", "who")
    list_filter = (StateFilter, "visit_type")
    list_select_related = (
        "patient",
        "visit_type__organization",
        "location",
        "practitioner",
    )
    ordering = ("made_at", "id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[VisitRequest]:
        found = super().get_queryset(request).prefetch_related("windows")
        return found.select_related(*self.list_select_related)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @display(
        description="waiting for", ordering="made_at", label={"late": "danger", "fresh": "info"}
    )
    def waiting(self, asked: VisitRequest) -> Any:
        lasted = age_words(asked.made_at, asked.decided_at or utc_now())
        late = asked.state == _State.OPEN and utc_now() - asked.made_at > LATE_AFTER
        return ("late" if late else "fresh", lasted)

    @display(description="when it suits her")
    def windows(self, asked: VisitRequest) -> str:
        return "; ".join(map(window_words, windows_of(asked)))

    @display(description="wish")
    def wish(self, asked: VisitRequest) -> str:
        return ", ".join(str(found.name) for found in (asked.practitioner, asked.location) if found)

    @display(
        description="state",
        ordering="state",
        label={"Open": "warning", "Booked": "success", "Declined": "danger"},
    )
    def standing(self, asked: VisitRequest) -> str:
        return asked.get_state_display()

    # --- one request ------------------------------------------------------------------------------

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show what she asks beside the times that fit; book one, or answer."""
        if object_id is None or not self.may_read(request):
            raise PermissionDenied
        asked = self.get_object(request, object_id)
        if asked is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        form = AnswerForm(request.POST if "answer" in request.POST else None)
        if request.method == "POST" and self.may_write(request):
            done = self._decided(request, asked, form)
            if done is not None:
                return done
        elsewhere = "elsewhere" in request.GET
        found: list[Offered] = []
        if asked.state == _State.OPEN:
            found = services.fitting_openings(
                viewer_of(request),
                asked,
                now=utc_now(),
                limit=OPENINGS_SHOWN,
                only_wish=not elsewhere,
            )
        self.record_look([asked], "read")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "A visit that she asks for",
            "asked": asked,
            "original": asked,
            "who": person(asked.patient),
            "waiting": age_words(asked.made_at, asked.decided_at or utc_now()),
            "made": time_object(asked.made_at, asked.visit_type.organization.zone)["text"],
            "windows": [window_words(window) for window in windows_of(asked)],
            "wish": self.wish(asked),
            "note": words(asked.note),
            "answer": words(asked.answer),
            "is_open": asked.state == _State.OPEN,
            "may_write": self.may_write(request),
            "elsewhere": elsewhere,
            "openings": [_row(offered) for offered in found],
            "form": form,
            "visit": asked.appointment_id
            and reverse("admin:appointments_appointment_change", args=[asked.appointment_id]),
        }
        return TemplateResponse(request, "admin/appointments/visit_request.html", context)

    def _decided(
        self, request: HttpRequest, asked: VisitRequest, form: AnswerForm
    ) -> HttpResponse | None:
        """Book or answer as the pressed button says; None when the words are missing."""
        viewer, now = viewer_of(request), utc_now()
        opening = request.POST.get("opening", "")
        if not opening and not form.is_valid():
            return None
        try:
            with transaction.atomic():
                if opening:
                    made = services.book_request(
                        viewer=viewer, request_id=asked.pk, opening=opening, now=now
                    )
                    when = time_object(made.starts_at, made.zone)["text"]
                    done = f"Booked: {when}. She is told."
                else:
                    declined = request.POST["answer"] == "declined"
                    services.answer_request(
                        viewer=viewer,
                        request_id=asked.pk,
                        words=form.cleaned_data["words"],
                        state="declined" if declined else "answered",
                        now=now,
                    )
                    done = "Answered. She is told that there is something to read."
                self.log_change(request, asked, [{"changed": {"fields": ["state"]}}])
        except Unavailable:
            raise
        except DomainError as refusal:
            messages.error(request, refusal.detail)
            return HttpResponseRedirect(request.get_full_path())
        messages.success(request, done)
        return HttpResponseRedirect(reverse("admin:appointments_visitrequest_changelist"))


def _row(offered: Offered) -> dict[str, str]:
    opening, supply = offered.opening, offered.supply
    local = opening.starts_at.astimezone(ZoneInfo(supply.hours.zone))
    return {
        "id": opening_id(
            schedule_id=opening.schedule_id,
            visit_type_id=opening.visit_type_id,
            starts_at=opening.starts_at,
        ),
        "when": time_object(opening.starts_at, supply.hours.zone)["text"],
        "day": f"{local:%Y-%m-%d}",
        "whom": supply.resource_name,
        "where": supply.location_name,
    }
