"""Tumour markers that wait for a clinician of the care team."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import action, display

from accounts.roles import Role
from core.areas import Area
from core.audit import STAFF_ONLY
from core.clock import utc_now
from labs.admin.steps import StepsAdmin
from labs.models import BiomarkerProposal
from labs.services.biomarker_decisions import accept_marker, change_marker, refuse_marker
from patients.admin_base import person

_TYPED = ("decided_result", "decided_detail", "reason")


class DecisionFilter(admin.SimpleListFilter):
    """Open proposals unless asked otherwise: it is a queue."""

    title = "decision"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("decided", "Decided"), ("all", "All")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "all":
            return queryset
        if self.value() == "decided":
            return queryset.exclude(decision="")
        return queryset.filter(decision="")


@admin.register(BiomarkerProposal)
class BiomarkerProposalAdmin(StepsAdmin):
    """What results seem to say about a marker, the oldest first. Nothing counts until decided."""

    area = Area.LABS
    roles = frozenset({Role.CLINICIAN})
    told = "reason"
    list_display = (
        *("who", "marker", "finding", "specimen", "collected_on", "proposed_at", "decision"),
    )
    list_filter = (DecisionFilter, "marker")
    list_select_related = ("patient",)
    ordering = ("proposed_at", "id")
    actions_submit_line = ("accept", "change", "refuse")
    fields = (
        *("who", "marker", "finding", "source_text", "detail", "specimen", "collected_on"),
        *("the_report", "rule_version", "proposed_at", "decision", "decided_by", "decided_at"),
        *_TYPED,
    )

    def operation_of(self, what: str) -> str:
        # The queue holds results that are not released too; her list of who looked must not.
        return STAFF_ONLY + super().operation_of(what)

    def is_open(self, obj: BiomarkerProposal) -> bool:
        return obj.decision == ""

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [name for name in self.fields if name not in _TYPED]

    @action(description="Accept as read")
    def accept(self, request: HttpRequest, proposal: BiomarkerProposal) -> None:
        accept_marker(
            proposal_id=proposal.pk,
            actor=request.user,  # type: ignore[arg-type]
            now=utc_now(),
        )

    @action(description="Record as typed below")
    def change(self, request: HttpRequest, proposal: BiomarkerProposal) -> None:
        change_marker(
            proposal_id=proposal.pk,
            result=proposal.decided_result,
            detail=proposal.decided_detail,
            reason=proposal.reason,
            actor=request.user,  # type: ignore[arg-type]
            now=utc_now(),
        )

    @action(description="Refuse")
    def refuse(self, request: HttpRequest, proposal: BiomarkerProposal) -> None:
        refuse_marker(
            proposal_id=proposal.pk,
            reason=proposal.reason,
            actor=request.user,  # type: ignore[arg-type]
            now=utc_now(),
        )

    @display(description="patient")
    def who(self, proposal: BiomarkerProposal) -> str:
        return person(proposal.patient)

    @display(description="finding")
    def finding(self, proposal: BiomarkerProposal) -> str:
        return proposal.reading or f"not read: {proposal.unread.replace('-', ' ')}"

    @display(description="report")
    def the_report(self, proposal: BiomarkerProposal) -> str:
        address = reverse("admin:labs_diagnosticreport_change", args=[proposal.report_id])
        return format_html('<a href="{}">open</a>', address)
