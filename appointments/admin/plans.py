"""Care plans: laid down with a look at what it would give, and followed cycle by cycle."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import PermissionDenied
from django.db.models import Count, F, Min, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import cached_property
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from accounts.admin_base import roles_of
from accounts.roles import Role
from appointments import services
from appointments.admin.own import own_organizations
from appointments.models import CarePlan, Location, PlanStep, VisitType
from appointments.opening_ids import opening_id
from appointments.planner import Cell, StepRule
from appointments.plans import GIVEN_BACK, Series, plans_for, series_of
from appointments.services.planning import Proposed, unmet_words
from core.areas import Area
from core.clock import utc_now
from core.errors import DomainError, Forbidden, NotFound, Unavailable
from core.timeobject import time_object
from patients.admin_base import StaffModelAdmin, person, viewer_of
from patients.models import Patient

STEP_ROWS = 4
TO_BOOK, WHOLE, REVOKED = "to book", "booked", "revoked"
_DESK = frozenset({Role.FRONT_DESK, Role.NURSE, Role.CLINICIAN})


def _whole(label: str, *, least: int, most: int, initial: int, **more: Any) -> forms.IntegerField:
    return forms.IntegerField(
        label=label,
        min_value=least,
        max_value=most,
        initial=initial,
        widget=UnfoldAdminIntegerFieldWidget(attrs={"aria-label": label}),
        **more,
    )


class PatientChoice(forms.ModelChoiceField):
    def label_from_instance(self, obj: Patient) -> str:
        return f"{person(obj)} ({obj.birth_date.isoformat()})"


class PlanForm(forms.Form):
    patient = PatientChoice(
        queryset=Patient.objects.none(),
        widget=AutocompleteSelect(CarePlan._meta.get_field("patient"), admin.site),
    )
    name = forms.CharField(
        max_length=120,
        widget=UnfoldAdminTextInputWidget(),
        label="Name",
        help_text="She reads this, for example “Infusions”.",
    )
    first_on = forms.DateField(widget=UnfoldAdminSingleDateWidget(), label="First main visit on")
    every_days = _whole("Every so many days", least=1, most=120, initial=21)
    cycles = _whole("Cycles", least=1, most=26, initial=6)
    tolerance_days = _whole("Days it may be off", least=0, most=14, initial=2)
    location = forms.ModelChoiceField(
        queryset=Location.objects.none(),
        required=False,
        widget=UnfoldAdminSelectWidget(),
        label="Where",
        empty_label="Wherever there is room",
    )

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: Any = self.fields
        fields["patient"].queryset = Patient.objects.all()
        fields["location"].queryset = Location.objects.filter(
            organization__in=own_organizations(request), is_active=True
        ).order_by("name", "id")


class StepForm(forms.Form):
    visit_type = forms.ModelChoiceField(
        queryset=VisitType.objects.none(),
        required=False,
        widget=UnfoldAdminSelectWidget(attrs={"aria-label": "Visit"}),
        label="Visit",
        empty_label="-",
    )
    least = _whole("Days before, at least", least=0, most=14, initial=0, required=False)
    most = _whole("Days before, at most", least=0, most=14, initial=0, required=False)
    gap = _whole("Minutes after the one above", least=0, most=1440, initial=0, required=False)

    def __init__(self, *args: Any, kinds: QuerySet[VisitType], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: Any = self.fields
        fields["visit_type"].queryset = kinds

    @cached_property
    def rule(self) -> StepRule | None:
        told = self.cleaned_data
        if told.get("visit_type") is None:
            return None
        return StepRule(
            told["visit_type"].pk,
            told.get("least") or 0,
            told.get("most") or 0,
            timedelta(minutes=told.get("gap") or 0),
        )


StepFormSet = forms.formset_factory(StepForm, extra=STEP_ROWS, max_num=services.STEPS_AT_MOST)


class RevokeForm(forms.Form):
    reason = forms.CharField(
        max_length=160, widget=UnfoldAdminTextInputWidget(), label="Why (for staff)"
    )
    cancel_visits = forms.BooleanField(
        required=False,
        widget=UnfoldBooleanWidget(),
        label="Cancel the visits that are still ahead, too",
    )


class StatusFilter(admin.SimpleListFilter):
    """Active plans are shown when nothing is chosen."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("missing", "With visits to book"), ("revoked", "Revoked"), ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        for choice in super().choices(changelist):
            if choice["query_string"] == changelist.get_query_string(remove=[self.parameter_name]):
                choice["display"] = "Active"
            yield choice

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "all":
                return queryset
            case "revoked":
                return queryset.filter(status=CarePlan.Status.REVOKED)
            case "missing":
                return queryset.filter(status=CarePlan.Status.ACTIVE, stands__lt=F("wanted"))
            case _:
                return queryset.filter(status=CarePlan.Status.ACTIVE)


@admin.register(CarePlan)
class CarePlanAdmin(StaffModelAdmin):
    """Plans by their next visit, the soonest first; those with nothing booked before them."""

    area = Area.APPOINTMENTS
    writable = True
    writing_roles = frozenset({Role.CLINICIAN})
    list_display = ("who", "name", "rhythm", "booked", "next_visit", "standing")
    list_display_links = ("who", "name")
    list_filter = (StatusFilter,)

    def get_ordering(self, request: HttpRequest) -> tuple[Any, ...]:
        # A method, because the system check knows columns only.
        return (F("next_at").asc(nulls_first=True), "id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[CarePlan]:
        own = PlanStep.objects.filter(visit_type__organization__in=own_organizations(request))
        live = Q(planned_visits__replaced_at__isnull=True) & ~Q(
            planned_visits__appointment__status__in=GIVEN_BACK
        )
        ahead = live & Q(planned_visits__appointment__starts_at__gt=utc_now())
        return (
            plans_for(viewer_of(request))
            .filter(id__in=own.values("plan_id"))
            .select_related("patient", "laid_down_by")
            .annotate(
                stands=Count("planned_visits", filter=live, distinct=True),
                wanted=Count("steps", distinct=True) * F("cycles"),
                next_at=Min("planned_visits__appointment__starts_at", filter=ahead),
            )
        )

    @display(description="rhythm")
    def rhythm(self, plan: CarePlan) -> str:
        return f"{plan.cycles} times, every {plan.every_days} days ± {plan.tolerance_days}"

    @display(description="booked")
    def booked(self, plan: CarePlan) -> str:
        return f"{plan.stands} of {plan.wanted}"  # type: ignore[attr-defined]

    @display(description="next visit", ordering="next_at")
    def next_visit(self, plan: CarePlan) -> str:
        at: datetime | None = plan.next_at  # type: ignore[attr-defined]
        return "-" if at is None else time_object(at, series_of(plan).zone)["text"]

    @display(
        description="state",
        label={TO_BOOK: "warning", WHOLE: "success", REVOKED: "danger"},
    )
    def standing(self, plan: CarePlan) -> str:
        if plan.status == CarePlan.Status.REVOKED:
            return REVOKED
        return WHOLE if plan.stands >= plan.wanted else TO_BOOK  # type: ignore[attr-defined]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if object_id is None:
            return self._lay_down(request)
        return self._follow(request, object_id)

    # --- laying down ------------------------------------------------------------------------------

    def _lay_down(self, request: HttpRequest) -> HttpResponse:
        """Ask for the rules, show what they give, and save them."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        kinds = VisitType.objects.filter(
            organization__in=own_organizations(request), is_active=True
        ).order_by("name", "id")
        data = request.POST or None
        form = PlanForm(data, request=request)
        steps = StepFormSet(data, prefix="steps", form_kwargs={"kinds": kinds})
        found: Proposed | None = None
        if request.method == "POST" and form.is_valid() and steps.is_valid():
            viewer, now = viewer_of(request), utc_now()
            rules = _rules(form, steps)
            self.record_look([form.cleaned_data["patient"]], "draft")
            try:
                if "lay_down" in request.POST:
                    plan = services.lay_down(viewer=viewer, now=now, **rules)
                    self.log_addition(request, plan, [{"added": {}}])
                    messages.success(request, "Laid down. Nothing is booked yet.")
                    return HttpResponseRedirect(
                        reverse("admin:appointments_careplan_change", args=[plan.pk])
                    )
                series = services.draft_plan(viewer=viewer, now=now, **rules)
                found = services.propose_series(viewer, series, now=now)
            except Unavailable:
                raise
            except DomainError as refusal:
                form.add_error(None, refusal.detail)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Lay down a care plan",
            "form": form,
            "steps": steps,
            "form_media": form.media + steps.media,
            "found": found and _proposal_rows(found),
        }
        return TemplateResponse(request, "admin/appointments/care_plan_form.html", context)

    # --- one plan ---------------------------------------------------------------------------------

    def _follow(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show each cycle, propose what is missing, book it, or revoke the plan."""
        if not self.may_read(request):
            raise PermissionDenied
        plan = self.get_object(request, object_id)
        if plan is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        revoke = RevokeForm(request.POST if "revoke" in request.POST else None)
        if request.method == "POST":
            done = self._decided(request, plan, revoke)
            if done is not None:
                return done
        series = series_of(plan)
        active = plan.status == CarePlan.Status.ACTIVE
        found = None
        if active and series.missing:
            found = services.propose_series(viewer_of(request), series, now=utc_now())
        self.record_look([plan], "read")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": plan.name,
            "plan": plan,
            "original": plan,
            "who": person(plan.patient),
            "rhythm": self.rhythm(plan),
            "laid_down": time_object(plan.laid_down_at, series.zone)["text"],
            "revoked": plan.revoked_at and time_object(plan.revoked_at, series.zone)["text"],
            "active": active,
            "names": [step.visit_type.name for step in series.steps],
            "cycles": _cycle_rows(series),
            "found": found and _proposal_rows(found),
            "may_book": bool(roles_of(request) & _DESK),
            "may_revoke": active and self.may_write(request),
            "revoke": revoke,
        }
        return TemplateResponse(request, "admin/appointments/care_plan.html", context)

    def _decided(
        self, request: HttpRequest, plan: CarePlan, revoke: RevokeForm
    ) -> HttpResponse | None:
        """Book or revoke as the pressed button says; None when the reason is missing."""
        viewer, now = viewer_of(request), utc_now()
        try:
            if "book" in request.POST:
                if not roles_of(request) & _DESK:
                    raise Forbidden()
                made = services.book_plan(
                    viewer=viewer, plan_id=plan.pk, openings=_chosen(request), now=now
                )
                done = f"Booked: {len(made)} visits. She is told."
            elif revoke.is_valid():
                gone = services.revoke_plan(
                    viewer=viewer, plan_id=plan.pk, now=now, **revoke.cleaned_data
                )
                done = f"Revoked. Visits cancelled: {len(gone)}."
            else:
                return None
        except Unavailable:
            raise
        except DomainError as refusal:
            messages.error(request, refusal.detail)
        else:
            self.log_change(request, plan, [{"changed": {"fields": ["visits", "status"]}}])
            messages.success(request, done)
        return HttpResponseRedirect(request.get_full_path())


def _rules(form: PlanForm, steps: Any) -> dict[str, Any]:
    told = form.cleaned_data
    return {
        "patient_id": told["patient"].pk,
        "location_id": told["location"] and told["location"].pk,
        "steps": [step.rule for step in steps if step.rule is not None],
        **{
            name: told[name]
            for name in ("name", "first_on", "every_days", "cycles", "tolerance_days")
        },
    }


def _chosen(request: HttpRequest) -> dict[Cell, str]:
    """Return the openings of the proposal that was on the page. Raises: NotFound."""
    chosen = {}
    for value in request.POST.getlist("visit"):
        cycle, _, rest = value.partition("-")
        step, _, opening = rest.partition("-")
        if not (cycle.isdecimal() and step.isdecimal()):
            raise NotFound()
        chosen[(int(cycle), int(step))] = opening
    return chosen


def _proposal_rows(found: Proposed) -> dict[str, Any]:
    """Return the visits that are proposed, for a table, and why some are not."""
    rows = []
    for cell in found.cells:
        time = found.proposal.times.get(cell)
        if time is None:
            continue
        supply = found.free.offered(cell[1], time).supply
        opening = opening_id(
            schedule_id=time.schedule_id,
            visit_type_id=supply.visit_type_id,
            starts_at=time.starts_at,
        )
        rows.append(
            {
                "cycle": cell[0],
                "name": found.series.steps[cell[1]].visit_type.name,
                "when": time_object(time.starts_at, time.zone)["text"],
                "whom": supply.resource_name,
                "where": supply.location_name,
                "value": f"{cell[0]}-{cell[1]}-{opening}",
            }
        )
    return {
        "rows": rows,
        "complete": not found.proposal.unmet,
        "unmet": [unmet_words(found.series, unmet) for unmet in found.proposal.unmet],
    }


def _cycle_rows(series: Series) -> list[dict[str, Any]]:
    """Return one row for each cycle with its visits, None for one without a time."""
    rows = []
    for cycle in range(1, series.rule.cycles + 1):
        visits = [series.standing.get((cycle, step)) for step in range(len(series.steps))]
        rows.append(
            {
                "number": cycle,
                "visits": [
                    visit
                    and {
                        "when": time_object(visit.starts_at, visit.zone)["text"],
                        "status": visit.get_status_display(),
                        "link": reverse("admin:appointments_appointment_change", args=[visit.pk]),
                    }
                    for visit in visits
                ],
            }
        )
    return rows
