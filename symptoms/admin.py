"""Check-ins, as staff see them: plans to set, answers to read, questions as published."""

from datetime import datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminSelectWidget

from accounts.admin_base import RoleTabularInline
from accounts.roles import Role
from core.areas import Area
from core.clock import utc_now
from patients.admin_base import StaffModelAdmin
from symptoms import services
from symptoms.models import (
    Answer,
    CheckIn,
    CheckInPlan,
    Composite,
    QuestionnaireResponse,
    SymptomAlert,
)

CHART_ROLES = frozenset({Role.NURSE, Role.CLINICIAN})


class PlanForm(forms.ModelForm):  # type: ignore[type-arg]
    """The terms of a plan, and what happens to it. A form and not a link: it changes something."""

    decision = forms.ChoiceField(
        choices=[
            ("", "Keep asking"),
            ("pause", "Pause from today, call off what is queued"),
            ("resume", "Ask again"),
            ("stop", "Stop for good, call off what is queued"),
        ],
        required=False,
        widget=UnfoldAdminSelectWidget,
    )

    class Meta:
        model = CheckInPlan
        fields: ClassVar = [
            "patient",
            "questionnaire",
            "organization",
            "every_weeks",
            "iso_weekday",
            "hour",
            "zone",
            "starts_on",
            "stops_on",
        ]


@admin.register(CheckInPlan)
class CheckInPlanAdmin(StaffModelAdmin):
    area = Area.SYMPTOMS
    writable = True
    writing_roles = CHART_ROLES
    form = PlanForm
    list_display = ("who", "questionnaire", "every_weeks", "next_opens_at", "is_active")
    list_filter = ("is_active", "paused_reason", "stop_reason")
    list_select_related = ("patient", "questionnaire")
    ordering = ("next_opens_at", "id")
    terms = ("every_weeks", "iso_weekday", "hour", "zone")
    states = ("next_opens_at", "paused_reason", "resumes_on", "is_active", "stop_reason")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        made = list(PlanForm.Meta.fields)
        if obj is None:
            return made
        open_to_me = self.has_change_permission(request, obj)
        return [*made, *self.states, *(["decision"] if open_to_me else [])]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        if obj is None:
            return []
        free = (*self.terms, "decision")
        return [name for name in self.get_fields(request, obj) if name not in free]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_active = not isinstance(obj, CheckInPlan) or obj.is_active
        return is_active and super().has_change_permission(request, obj)

    def save_model(
        self, request: HttpRequest, obj: CheckInPlan, form: PlanForm, change: bool
    ) -> None:
        terms = {name: getattr(obj, name) for name in self.terms}
        now = utc_now()
        if not change:
            made = services.create_plan(
                patient_id=obj.patient_id,
                questionnaire_key=obj.questionnaire.key,
                organization_id=obj.organization_id,
                starts_on=obj.starts_on,
                stops_on=obj.stops_on,
                now=now,
                **terms,
            )
            obj.pk = made.pk
        elif set(form.changed_data) & set(self.terms):
            services.change_plan(plan_id=obj.id, now=now, **terms)
        if change:
            self._decide(obj, form.cleaned_data["decision"], now)

    def _decide(self, plan: CheckInPlan, decision: str, now: datetime) -> None:
        if decision == "pause":
            services.pause_plan(
                plan_id=plan.id,
                reason=CheckInPlan.PauseReason.STAFF,
                paused_from=now.astimezone(ZoneInfo(plan.zone)).date(),
                resumes_on=None,
                now=now,
            )
        elif decision == "resume":
            services.resume_plan(plan_id=plan.id, now=now)
        elif decision == "stop":
            services.stop_plan(plan_id=plan.id, reason=CheckInPlan.StopReason.ENDED, now=now)


@admin.register(CheckIn)
class CheckInAdmin(StaffModelAdmin):
    area = Area.SYMPTOMS
    list_display = ("who", "due_on", "status", "cancelled_reason", "expires_at")
    list_filter = ("status",)
    list_select_related = ("patient",)
    ordering = ("-opens_at", "-id")


class AnswerInline(RoleTabularInline):
    model = Answer
    fields = ("link_id", "attribute", "value", "code")
    readonly_fields = fields
    ordering = ("id",)


class AlertInline(RoleTabularInline):
    model = SymptomAlert
    fields = ("urgency", "concern", "reason", "symptom_key", "red_flag_key", "rule_version")
    readonly_fields = fields


class CompositeInline(RoleTabularInline):
    model = Composite
    fields = ("symptom_key", "grade")
    readonly_fields = fields


@admin.register(QuestionnaireResponse)
class QuestionnaireResponseAdmin(StaffModelAdmin):
    """Read-only: what she said is never edited."""

    area = Area.SYMPTOMS
    list_display = ("who", "submitted_at", "mode", "is_late")
    list_filter = ("mode", "is_late")
    list_select_related = ("patient",)
    ordering = ("-submitted_at", "-id")
    inlines = (AlertInline, AnswerInline, CompositeInline)
