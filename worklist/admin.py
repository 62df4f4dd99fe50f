"""The worklist, as staff work through it: what is most pressing first, with the reasons."""

from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Concat
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget

from accounts.admin_base import RoleTabularInline
from accounts.models import User
from core.areas import Area
from core.clock import utc_now
from patients.admin_base import StaffModelAdmin
from patients.models import Patient
from worklist import services
from worklist.models import Escalation, Evidence, WorkItem
from worklist.selectors import critical_results

CLOSURE_CODES = [
    ("called", "Called her"),
    ("seen", "Seen in person"),
    ("sent-to-emergency", "Sent to emergency"),
    ("no-action", "Nothing to do"),
    ("duplicate", "Dealt with elsewhere"),
    ("not-reached", "Could not reach her"),
]


class WorkForm(forms.ModelForm):  # type: ignore[type-arg]
    """Take an item, or close it with a code. A form and not a link: it changes something."""

    decision = forms.ChoiceField(
        choices=[("take", "I take it"), *CLOSURE_CODES],
        widget=UnfoldAdminSelectWidget,
        help_text="Everything but taking it closes the item.",
    )

    class Meta:
        model = WorkItem
        fields: ClassVar = ["closure_note"]


class EvidenceInline(RoleTabularInline):
    model = Evidence
    fields = ("added_at", "kind", "summary", "rule_id", "rule_version")
    readonly_fields = fields


class EscalationInline(RoleTabularInline):
    model = Escalation
    fields = ("step", "to_team", "at")
    readonly_fields = fields


class CriticalResultFilter(admin.SimpleListFilter):
    """Emergencies that a laboratory result is a reason for."""

    title = "critical results"
    parameter_name = "critical"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Yes")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(critical_results()) if self.value() == "yes" else queryset


@admin.register(WorkItem)
class WorkItemAdmin(StaffModelAdmin):
    area = Area.WORKLIST
    writable = True
    form = WorkForm
    list_display = (
        "due_at",
        "urgency_label",
        "title",
        "patient",
        "owner_team",
        "owner",
        "facts",
        "acknowledged_at",
    )
    list_filter = (
        *("urgency", "owner_team", CriticalResultFilter),
        ("closed_at", admin.EmptyFieldListFilter),
    )
    ordering = ("due_at", "id")
    inlines = (EvidenceInline, EscalationInline)
    fields = (
        "title",
        "patient",
        "concern",
        "urgency",
        "owner_team",
        "owner",
        "raised_at",
        "due_at",
        "acknowledged_at",
        "acknowledged_by",
        "closed_at",
        "closed_by",
        "closure_code",
        "decision",
        "closure_note",
    )
    readonly_fields = fields[:-2]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_open = not isinstance(obj, WorkItem) or obj.closed_at is None
        return is_open and super().has_change_permission(request, obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[WorkItem]:
        """Open items unless closed ones are asked for; staff without the area see none."""
        rows: QuerySet[WorkItem] = super().get_queryset(request)
        name = Patient.objects.filter(id=OuterRef("patient_id")).values_list(
            Concat("family_name", Value(", "), "given_name")
        )
        rows = rows.annotate(patient_name=Subquery(name))
        rows = rows.select_related("owner").prefetch_related("evidence")
        asked_for = any(name.startswith("closed_at") for name in request.GET)
        on_list = request.resolver_match and request.resolver_match.url_name
        if not asked_for and on_list == "worklist_workitem_changelist":
            rows = rows.filter(closed_at__isnull=True)
        return rows

    @display(  # type: ignore[untyped-decorator]
        description="urgency",
        label={
            "EMERGENCY": "danger",
            "SAME_DAY": "warning",
            "WITHIN_24H": "info",
            "ROUTINE": "success",
        },
    )
    def urgency_label(self, item: WorkItem) -> tuple[str, str]:
        return item.urgency, item.get_urgency_display()

    @admin.display(description="patient")
    def patient(self, item: WorkItem) -> str:
        if item.patient_id is None:
            return "not known yet"
        return format_html(
            '<a href="{}">{}</a>',
            reverse("admin:patients_patient_change", args=[item.patient_id]),
            getattr(item, "patient_name", None) or Patient(id=item.patient_id),
        )

    @admin.display(description="facts")
    def facts(self, item: WorkItem) -> str:
        return "; ".join(dict.fromkeys(row.summary for row in item.evidence.all()))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        open_to_me = self.has_change_permission(request, obj)
        return [name for name in self.fields if name != "decision" or open_to_me]

    def save_model(self, request: HttpRequest, obj: WorkItem, form: WorkForm, change: bool) -> None:
        actor = cast(User, request.user)
        decision = form.cleaned_data["decision"]
        if decision == "take":
            services.acknowledge(item_id=obj.id, actor=actor, now=utc_now())
        else:
            services.close(
                item_id=obj.id,
                actor=actor,
                closure_code=decision,
                note=form.cleaned_data["closure_note"],
                now=utc_now(),
            )
