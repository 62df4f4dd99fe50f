"""Holds and release rules on the staff site: placed, lifted and approved by people, audited."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminSplitDateTimeWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from accounts.roles import Role
from clinical.analytes import analytes
from core.areas import Area
from core.audit import STAFF_ONLY
from core.clock import utc_now
from core.errors import DomainError, NotFound
from labs.admin.steps import StepsAdmin
from labs.admin.words import clock_words
from labs.hl7.codes import is_loinc
from labs.holds import who_saw
from labs.models import DiagnosticReport, Observation, ReleaseHold, ReleaseRule
from labs.services.holding import hold, lift, release_now
from labs.services.ruling import approve_rule, end_rule
from patients.admin_base import StaffModelAdmin, person, viewer_of

LASTS, SOON, PAST, LIFTED = "held", "ends within a day", "past its backstop", "lifted"
SOON_IS = timedelta(hours=24)


class StandingFilter(admin.SimpleListFilter):
    """Holds by what they ask of staff."""

    title = "standing"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("held", "Held"), ("soon", "Ends within a day"), ("past", "Past its backstop")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        now = utc_now()
        unlifted = queryset.filter(lifted_at__isnull=True)
        if self.value() == "held":
            return unlifted.filter(backstop_at__gt=now)
        if self.value() == "soon":
            return unlifted.filter(backstop_at__gt=now, backstop_at__lte=now + SOON_IS)
        if self.value() == "past":
            return unlifted.filter(backstop_at__lte=now)
        return queryset


class PlaceForm(forms.Form):
    """Why and until when. Times are UTC, as everywhere on this site."""

    what = forms.ChoiceField(widget=UnfoldAdminSelectWidget(), label="What to hold")
    reason_code = forms.ChoiceField(
        choices=[
            (value, label)
            for value, label in ReleaseHold.Reason.choices
            if value != ReleaseHold.Reason.PATIENT_REQUEST
        ],
        widget=UnfoldAdminSelectWidget(),
        label="Reason",
    )
    words = forms.CharField(
        max_length=300, widget=UnfoldAdminTextInputWidget(), label="In words (staff only)"
    )
    backstop_at = forms.SplitDateTimeField(
        widget=UnfoldAdminSplitDateTimeWidget(), label="Shown by itself at (UTC)"
    )
    tells_of_delay = forms.BooleanField(
        required=False,
        widget=UnfoldBooleanWidget(),
        label="Tell her that some tests of the visit are not released yet, and until when",
    )


class ReleaseForm(forms.Form):
    reason = forms.CharField(max_length=300, widget=UnfoldAdminTextInputWidget(), label="Why now")


@admin.register(ReleaseHold)
class ReleaseHoldAdmin(StepsAdmin):
    """Holds, the next to end first. They are placed from the page of a report."""

    area = Area.LABS
    writing_roles = frozenset({Role.CLINICIAN})
    told = "lift_reason"
    list_display = ("who", "the_report", "standing", "backstop_at", "reason_code", "placed_by")
    list_filter = (StandingFilter, "reason_code")
    list_select_related = ("patient", "report", "placed_by")
    ordering = ("backstop_at", "id")
    actions_submit_line = ("lift_hold",)
    fields = (
        *("who", "the_report", "about", "standing", "reason_code", "words", "placed_by"),
        *(
            "placed_at",
            "backstop_at",
            "tells_of_delay",
            "seen_before",
            "lifted_at",
            "lifted_by",
            "lift_reason",
        ),
    )

    def operation_of(self, what: str) -> str:
        # A look at a hold in her own list of who looked would tell of it.
        return STAFF_ONLY + super().operation_of(what)

    def is_open(self, obj: ReleaseHold) -> bool:
        return (
            obj.lifted_at is None
            and obj.backstop_at > utc_now()
            and obj.reason_code != ReleaseHold.Reason.PATIENT_REQUEST
        )

    @action(description="Lift the hold")
    def lift_hold(self, request: HttpRequest, placed: ReleaseHold) -> None:
        lift(
            hold_id=placed.pk,
            actor=request.user,  # type: ignore[arg-type]
            reason=placed.lift_reason,
            now=utc_now(),
        )
        messages.success(request, "Lifted. What nothing else holds is visible to her now.")

    @display(description="patient", ordering="patient__family_name")
    def who(self, placed: ReleaseHold) -> str:
        return person(placed.patient)

    @display(description="report")
    def the_report(self, placed: ReleaseHold) -> str:
        address = reverse("admin:labs_diagnosticreport_change", args=[placed.report_id])
        return format_html('<a href="{}">{}</a>', address, placed.report.name)

    @display(description="about")
    def about(self, placed: ReleaseHold) -> str:
        if not placed.identity_key:
            return "the whole report"
        row = Observation.objects.filter(
            patient_id=placed.patient_id, identity_key=placed.identity_key
        ).first()
        return "one result" if row is None else row.display_name

    @display(
        description="standing", label={LASTS: "info", SOON: "warning", PAST: "danger", LIFTED: ""}
    )
    def standing(self, placed: ReleaseHold) -> str:
        now = utc_now()
        if placed.lifted_at is not None:
            return LIFTED
        if placed.backstop_at <= now:
            return PAST
        return SOON if placed.backstop_at <= now + SOON_IS else LASTS

    @display(description="seen before it was held")
    def seen_before(self, placed: ReleaseHold) -> str:
        words = {"patient": "the patient", "proxy": "a caregiver"}
        looks = [f"{words[look.kind]}, {clock_words(look.at)}" for look in who_saw(placed)]
        return "; ".join(looks) or "not opened on the portal"

    # --- from the page of a report --------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("place/<uuid:report_id>/", wrap(self.place_view), name="labs_releasehold_place"),
            path(
                "release/<uuid:report_id>/",
                wrap(self.release_view),
                name="labs_releasehold_release",
            ),
            *super().get_urls(),
        ]

    def place_view(self, request: HttpRequest, report_id: UUID) -> HttpResponse:
        """Ask why and until when, and hold. Raises: NotFound."""
        report = self._report(request, report_id)
        now = utc_now()
        results = list(
            Observation.objects.current()
            .filter(patient_id=report.patient_id, report_id=report.pk)
            .order_by("position", "id")
        )
        form = PlaceForm(request.POST or None, initial={"backstop_at": _default_backstop(now)})
        form.fields["what"].choices = [  # type: ignore[attr-defined]
            ("", "The whole report, and what still comes under it"),
            *((row.identity_key, row.display_name) for row in results),
        ]
        form.fields["what"].required = False
        if request.method == "POST" and form.is_valid():
            try:
                placed = hold(
                    report_id=report.pk,
                    identity_key=form.cleaned_data["what"],
                    reason_code=form.cleaned_data["reason_code"],
                    words=form.cleaned_data["words"],
                    backstop_at=form.cleaned_data["backstop_at"],
                    tells_of_delay=form.cleaned_data["tells_of_delay"],
                    actor=request.user,  # type: ignore[arg-type]
                    now=now,
                )
            except DomainError as refusal:
                messages.error(request, refusal.detail)
            else:
                if who_saw(placed):
                    messages.warning(
                        request, "Held. She or a caregiver may have seen it: see the hold."
                    )
                else:
                    messages.success(request, "Held. It was not opened on the portal before.")
                address = reverse("admin:labs_releasehold_change", args=[placed.pk])
                return HttpResponseRedirect(address)
        visible = any(row.visible_from and row.visible_from <= now for row in results)
        note = (
            "Some of it is visible to her already. It leaves her pages; she may have seen it."
            if visible
            else "She does not see it yet."
        )
        return self._ask(request, report, form, title="Hold results", note=note)

    def release_view(self, request: HttpRequest, report_id: UUID) -> HttpResponse:
        """Ask why, and release every result of a report at once. Raises: NotFound."""
        report = self._report(request, report_id)
        form = ReleaseForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                moved = release_now(
                    report_id=report.pk,
                    actor=request.user,  # type: ignore[arg-type]
                    reason=form.cleaned_data["reason"],
                    now=utc_now(),
                )
            except DomainError as refusal:
                messages.error(request, refusal.detail)
            else:
                messages.success(request, f"Released now: {moved}.")
                address = reverse("admin:labs_diagnosticreport_change", args=[report.pk])
                return HttpResponseRedirect(address)
        note = "Ends every hold of this report but one that she asked for herself."
        return self._ask(request, report, form, title="Release now", note=note)

    def _report(self, request: HttpRequest, report_id: UUID) -> DiagnosticReport:
        report = (
            DiagnosticReport.objects.select_related("patient").filter(pk=report_id).first()
            if self.may_write(request)
            else None
        )
        if report is None:
            raise NotFound()
        self.record_look([report], "report")
        return report

    def _ask(
        self,
        request: HttpRequest,
        report: DiagnosticReport,
        form: forms.Form,
        *,
        title: str,
        note: str,
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "note": note,
            "report": report,
            "who": person(report.patient),
            "form": form,
            "form_media": form.media,
        }
        return TemplateResponse(request, "admin/labs/release_step.html", context)


def _default_backstop(now: datetime) -> datetime:
    return (now + min(timedelta(days=7), settings.RELEASE_HOLD_AT_MOST)).replace(microsecond=0)


def may_decide(request: HttpRequest) -> bool:
    """Say whether the viewer may hold and release at all; her care team is asked when she does."""
    return Role.CLINICIAN in viewer_of(request).roles


class RuleForm(forms.ModelForm):
    analyte_key = forms.ChoiceField(
        label="Analyte",
        required=False,
        choices=lambda: [("", "-"), *((a.key, a.short_name) for a in analytes())],
        widget=UnfoldAdminSelectWidget,
    )

    class Meta:
        model = ReleaseRule
        fields = (
            *("organization", "laboratory", "name", "version", "result_class", "analyte_key"),
            *(
                "loinc",
                "timing",
                "amount",
                "at_time",
                "reason",
                "tells_of_delay",
                "valid_from",
                "valid_until",
            ),
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Read whole: a cursor left half-read would still be open when the page is done.
        for name in ("organization", "laboratory"):
            if name in self.fields:
                self.fields[name].choices = list(self.fields[name].choices)  # type: ignore[attr-defined]

    def clean_loinc(self) -> str:
        loinc = str(self.cleaned_data["loinc"]).strip()
        if loinc and not is_loinc(loinc):
            raise forms.ValidationError("Not a LOINC code: shape or check digit is wrong.")
        return loinc


@admin.register(ReleaseRule)
class ReleaseRuleAdmin(StaffModelAdmin):
    """Rules that delay results. One decides once a second person approved it, until it is ended."""

    area = Area.LABS
    writable = True
    writing_roles = frozenset({Role.CLINICIAN})
    form = RuleForm
    list_display = (
        *("name", "version", "organization", "laboratory", "about", "delay"),
        *("valid_from", "valid_until", "approved"),
    )
    list_filter = ("organization", "result_class")
    list_select_related = ("organization", "laboratory", "approved_by")
    ordering = ("organization__name", "name", "-version")
    actions_submit_line = ("approve",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and (
            obj is None or obj.approved_at is None or obj.valid_until is None
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # What has decided stays as it was; it is ended, and a new version follows it.
        if obj is None or obj.approved_at is None:
            return ()
        return [name for name in RuleForm.Meta.fields if name != "valid_until"]

    def get_actions_submit_line(self, request: HttpRequest, object_id: Any) -> list[Any]:
        rule = self.get_object(request, str(object_id))
        if rule is None or rule.approved_at is not None or rule.author_id == request.user.pk:
            return []
        if not self.has_change_permission(request, rule):
            return []
        return super().get_actions_submit_line(request, object_id)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Keep what was entered; whoever changes a draft stands for it, so another approves."""
        if change and obj.approved_at is not None:
            if obj.valid_until is not None:
                end_rule(rule_id=obj.pk, last_day=obj.valid_until, now=utc_now())
            return
        if not change or form.changed_data:
            obj.author = request.user
            super().save_model(request, obj, form, change)
        for step in self.get_actions_submit_line(request, obj.pk) if change else ():
            if step.action_name in request.POST:
                step.method(request, obj)

    @action(description="Approve")
    def approve(self, request: HttpRequest, rule: ReleaseRule) -> None:
        approve_rule(rule_id=rule.pk, actor=request.user, now=utc_now())  # type: ignore[arg-type]

    @display(description="about")
    def about(self, rule: ReleaseRule) -> str:
        return rule.loinc or rule.analyte_key or rule.get_result_class_display()

    @display(description="delay")
    def delay(self, rule: ReleaseRule) -> str:
        if rule.timing == "elapsed_hours":
            return f"{rule.amount} hours"
        return f"until {rule.at_time:%H:%M} of local day {rule.amount}"

    @display(description="approved", boolean=True)
    def approved(self, rule: ReleaseRule) -> bool:
        return rule.approved_at is not None
