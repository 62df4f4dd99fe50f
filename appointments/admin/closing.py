"""Close a site or block people: choose, see who is affected, decide on each, confirm."""

from collections import Counter
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextInputWidget,
    UnfoldAdminTimeWidget,
)

from accounts.admin_base import roles_of
from appointments import services
from appointments.admin.own import ClinicClock, OwnRows, own_locations, own_organizations
from appointments.closures import span_of
from appointments.finding import Offered
from appointments.impact import LOOK_AHEAD_DAYS, Affected, Closing, Impact, impact_of
from appointments.models import Appointment, Location, Resource, SiteClosure
from appointments.opening_ids import opening_id
from appointments.services.closing import CLOSING_ROLES, REASONS
from core.areas import Area
from core.clock import utc_now
from core.errors import DomainError, InvalidInput, NotFound, Unavailable
from core.timeobject import time_object
from patients.admin_base import StaffModelAdmin, person, viewer_of

ADDRESS = "admin:appointments_appointment_closing"
KEEP, CANCEL = "keep", "cancel"


class PeopleChoice(forms.ModelMultipleChoiceField):
    def label_from_instance(self, obj: Resource) -> str:
        return f"{obj.name} ({obj.location.name})" if obj.location else obj.name


class ClosingForm(forms.Form):
    """What is closed, and from when until when by the clock of the place."""

    location = forms.ModelChoiceField(
        queryset=Location.objects.none(),
        widget=UnfoldAdminSelectWidget(),
        label="Place",
        empty_label=None,
    )
    people = PeopleChoice(
        queryset=Resource.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple(),
        label="Who or what",
        help_text="Nobody ticked: the whole place is closed. Whoever is ticked is blocked "
        "wherever they work.",
    )
    first = forms.DateField(widget=UnfoldAdminSingleDateWidget(), label="From day")
    last = forms.DateField(widget=UnfoldAdminSingleDateWidget(), label="To day, included")
    starts = forms.TimeField(
        required=False,
        widget=UnfoldAdminTimeWidget(),
        label="From time, on the first day",
        help_text="Empty: all day.",
    )
    ends = forms.TimeField(
        required=False,
        widget=UnfoldAdminTimeWidget(),
        label="Until time, on the last day",
        help_text="Empty: all day.",
    )
    reason = forms.CharField(
        max_length=120,
        widget=UnfoldAdminTextInputWidget(),
        label="Why",
        help_text="For staff; no patient data.",
    )
    cancellation = forms.ChoiceField(
        choices=[(one.value, one.label) for one in REASONS],
        widget=UnfoldAdminSelectWidget(),
        label="Recorded with visits that are cancelled",
    )

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: Any = self.fields
        fields["location"].queryset = Location.objects.filter(
            organization__in=own_organizations(request), is_active=True
        ).order_by("name", "id")
        fields["people"].queryset = (
            Resource.objects.filter(organization__in=own_organizations(request), is_active=True)
            .select_related("location")
            .order_by("kind", "name", "id")
        )

    def clean(self) -> dict[str, Any]:
        told: dict[str, Any] = super().clean() or {}
        first, last = told.get("first"), told.get("last")
        if first and last and last < first:
            self.add_error("last", "Ends before it starts.")
        starts, ends = told.get("starts"), told.get("ends")
        if first and first == last and starts and ends and ends <= starts:
            self.add_error("ends", "Ends before it starts.")
        return told

    def closing(self, now: datetime) -> Closing:
        """Return what is to be closed; not from before now."""
        told = self.cleaned_data
        starts_at, ends_at = span_of(
            told["location"].zone,
            first=told["first"],
            last=told["last"],
            starts=told["starts"],
            ends=told["ends"],
        )
        people = tuple(one.pk for one in told["people"])
        return Closing(
            starts_at if ends_at <= now else max(starts_at, now.replace(second=0, microsecond=0)),
            ends_at,
            location_id=None if people else told["location"].pk,
            resource_ids=people,
        )


def closing_view(page: Any, request: HttpRequest) -> HttpResponse:
    """Ask, show who is affected, or close. Raises: NotFound to those who may not close."""
    if not page.may_read(request) or not roles_of(request) & set(CLOSING_ROLES):
        raise NotFound()
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Close or block time",
        "calendar": reverse("admin:appointments_appointment_calendar"),
    }
    locations = own_locations(request)
    if not locations:
        return TemplateResponse(request, "admin/appointments/closing.html", context)
    if request.method == "POST":
        form = ClosingForm(request.POST, request=request)
    else:
        form = ClosingForm(request=request, initial=_asked(request, locations))
    context["form"] = form
    if request.method == "POST" and form.is_valid():
        now = utc_now()
        closing = form.closing(now)
        viewer = viewer_of(request)
        try:
            services.require_may_close(viewer, closing, now=now)
        except InvalidInput as refusal:
            form.add_error(None, refusal.detail)
            return TemplateResponse(request, "admin/appointments/closing.html", context)
        refused: dict[str, Any] = {}
        if "confirm" in request.POST:
            try:
                done = _close(request, form, closing, now)
            except Unavailable:
                raise
            except DomainError as refusal:
                form.add_error(None, refusal.detail)
                refused = refusal.extra
            else:
                page.record_look([*done.moved, *done.cancelled, *done.kept], "closed")
                return TemplateResponse(
                    request, "admin/appointments/closed.html", context | _told(done, form)
                )
        found = impact_of(viewer, closing, now=now)
        page.record_look([one.visit for one in found.visits], "closing")
        context |= _preview(request, form, closing, found, refused)
    return TemplateResponse(request, "admin/appointments/closing.html", context)


def _asked(request: HttpRequest, locations: list[Location]) -> dict[str, Any]:
    """Return what the calendar's link says: the place, the person and the day."""
    asked = request.GET
    location = next((one for one in locations if str(one.id) == asked.get("location")), None)
    on = asked.get("on", "")
    return {
        "location": (location or locations[0]).pk,
        "people": [asked["resource"]] if asked.get("resource") else [],
        "first": on,
        "last": on,
    }


# --- the preview ----------------------------------------------------------------------------------


def _preview(
    request: HttpRequest, form: ClosingForm, closing: Closing, found: Impact, refused: Any
) -> dict[str, Any]:
    zone = form.cleaned_data["location"].zone
    rows = [_row(request, one, refused) for one in found.visits]
    actions = Counter(row["chosen"] if row["chosen"] in (KEEP, CANCEL) else "move" for row in rows)
    return {
        "previewed": True,
        "what": _what(form),
        "when": _span(closing.starts_at, closing.ends_at, zone),
        "rows": rows,
        "counts": [
            (len(rows), "affected"),
            (actions["move"], "proposed to move"),
            (actions[CANCEL], "proposed to cancel"),
            (actions[KEEP], "may stay"),
            (found.offers, "waitlist offers end"),
            (found.holds, "times being booked end"),
        ],
        "unseen": found.unseen,
        "look_ahead": LOOK_AHEAD_DAYS,
        "gone": len(refused.get("gone", ())),
    }


def _row(request: HttpRequest, one: Affected, refused: Any) -> dict[str, Any]:
    visit = one.visit
    here: list[tuple[str, str]] = []
    elsewhere: list[tuple[str, str]] = []
    for offered in one.alternatives:
        same = offered.supply.location_id == visit.location_id
        (here if same else elsewhere).append(_option(offered, same))
    groups = [("Move, same place", here), ("Move, another place", elsewhere)]
    rebook = "Cancel, with a ticket to book anew" if one.may_rebook else "Cancel"
    stay = [(KEEP, "Leave it as it is")] if one.may_keep else []
    groups += [("Or", [*stay, (CANCEL, rebook)])]
    values = {value for _, options in groups for value, _ in options}
    posted = request.POST.get(f"do-{visit.id}", "")
    return {
        "id": visit.id,
        "version": visit.version,
        "who": person(visit.patient),
        "died": visit.patient.deceased_at is not None,
        "kind": visit.visit_type.name,
        "when": time_object(visit.starts_at, visit.zone)["text"],
        "whom": visit.schedule.resource.name,
        "where": visit.location.name,
        "link": reverse("admin:appointments_appointment_change", args=[visit.pk]),
        "plan": one.plan and one.plan.plan.name,
        "plan_link": one.plan
        and reverse("admin:appointments_careplan_change", args=[one.plan.plan_id]),
        "groups": [(label, options) for label, options in groups if options],
        "chosen": posted if posted in values else _proposal(one),
        "mark": next(
            (
                words
                for key, words in (
                    ("new", "booked since you looked"),
                    ("changed", "changed since you looked"),
                    ("lost", "the chosen time is gone"),
                )
                if visit.id in refused.get(key, ())
            ),
            "this needs what is closed" if refused.get("visit") == visit.id else "",
        ),
    }


def _proposal(one: Affected) -> str:
    if one.visit.patient.deceased_at is not None:
        return CANCEL
    if one.may_keep:
        return KEEP
    return CANCEL if one.proposed is None else _option(one.proposed, True)[0]


def _option(offered: Offered, same: bool) -> tuple[str, str]:
    opening, supply = offered.opening, offered.supply
    where = "" if same else f", {supply.location_name}"
    return (
        opening_id(
            schedule_id=opening.schedule_id,
            visit_type_id=opening.visit_type_id,
            starts_at=opening.starts_at,
        ),
        f"{_short(opening.starts_at, supply.hours.zone)}, {supply.resource_name}{where}",
    )


def _short(at: datetime, zone: str) -> str:
    local = at.astimezone(ZoneInfo(zone))
    return f"{local:%a} {local.day} {local:%b}, {local:%H:%M}"


def _span(starts_at: datetime, ends_at: datetime, zone: str) -> str:
    return f"{_short(starts_at, zone)} to {_short(ends_at, zone)} ({zone})"


def _what(form: ClosingForm) -> str:
    people = form.cleaned_data["people"]
    if not people:
        return f"{form.cleaned_data['location'].name}, the whole place"
    return ", ".join(one.name for one in people)


# --- closing --------------------------------------------------------------------------------------


def _close(
    request: HttpRequest, form: ClosingForm, closing: Closing, now: datetime
) -> services.Closed:
    with transaction.atomic():
        return services.close(
            viewer=viewer_of(request),
            closing=closing,
            reason=form.cleaned_data["reason"],
            cancellation=form.cleaned_data["cancellation"],
            decisions=_decisions(request),
            now=now,
        )


def _decisions(request: HttpRequest) -> dict[UUID, services.Decision]:
    """Return what was chosen for each visit that the page showed. Raises: InvalidInput."""
    found: dict[UUID, services.Decision] = {}
    try:
        for told in request.POST.getlist("visit"):
            visit_id, _, version = told.partition(":")
            chosen = request.POST[f"do-{visit_id}"]
            found[UUID(visit_id)] = (
                services.Decision(int(version), "keep" if chosen == KEEP else "cancel")
                if chosen in (KEEP, CANCEL)
                else services.Decision(int(version), "move", chosen)
            )
    except (ValueError, KeyError) as error:
        raise InvalidInput("Say for each visit what is to become of it.") from error
    return found


def _told(done: services.Closed, form: ClosingForm) -> dict[str, Any]:
    """Return what the result page says was done."""
    ticketed = Counter((one.patient_id, one.visit_type_id) for one in done.tickets)
    span = done.closure or done.blocks[0]
    return {
        "title": "Closed" if done.closure else "Blocked",
        "what": _what(form),
        "when": _span(span.starts_at, span.ends_at, form.cleaned_data["location"].zone),
        "reason": span.reason,
        "sections": [
            ("Moved", "She is told the new time.", [_line(one) for one in done.moved]),
            (
                "Cancelled",
                "",
                [
                    (
                        *_line(one),
                        "has died, nobody is told"
                        if one.patient.deceased_at is not None
                        else "told, with a ticket to book anew"
                        if ticketed[one.patient_id, one.visit_type_id]
                        else "told, no ticket",
                    )
                    for one in done.cancelled
                ],
            ),
            ("Left as they are", "Nobody is told.", [_line(one) for one in done.kept]),
        ],
        "ended": (done.offers, done.holds),
        "day": span.starts_at.astimezone(ZoneInfo(form.cleaned_data["location"].zone)).date(),
        "location": form.cleaned_data["location"],
    }


def _line(visit: Appointment) -> tuple[str, ...]:
    return (
        person(visit.patient),
        visit.visit_type.name,
        time_object(visit.starts_at, visit.zone)["text"],
        reverse("admin:appointments_appointment_change", args=[visit.pk]),
    )


@admin.register(SiteClosure)
class SiteClosureAdmin(ClinicClock, OwnRows, StaffModelAdmin):
    """Places that are closed for a time, the latest first; lifted here."""

    area = Area.APPOINTMENTS
    writable = True
    writing_roles = frozenset(CLOSING_ROLES)
    owner = "location__organization"
    list_display = ("location", "starts_at", "ends_at", "reason", "made_by", "lifted_at")
    list_filter = ("location",)
    list_select_related = ("location", "made_by")
    ordering = ("-starts_at", "-id")
    actions = ("lift",)
    fields = ("location", "starts_at", "ends_at", "reason", "made_at", "made_by", "lifted_at")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        # Who is affected is decided on the page for closing.
        return False

    @admin.action(description="Open again", permissions=["change"])
    def lift(self, request: HttpRequest, queryset: QuerySet[SiteClosure]) -> None:
        lifted = 0
        for closure in queryset.filter(lifted_at__isnull=True):
            services.lift_closure(viewer=viewer_of(request), closure_id=closure.id, now=utc_now())
            self.log_change(request, closure, [{"changed": {"fields": ["lifted_at"]}}])
            lifted += 1
        if lifted:
            messages.success(request, f"{lifted} open again. Visits that went stay where they are.")
