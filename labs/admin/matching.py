"""Whose results these are: what a message says beside the patient index, decided by two people."""

from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.db.models import Case, Value, When
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextInputWidget

from core import audit
from core.areas import Area
from core.clock import utc_now
from core.db import identity, system
from core.errors import DomainError, NotFound
from core.models import AuditEvent
from labs.admin.steps import StepsAdmin
from labs.models import IntakeItem, MatchDecision
from labs.services.candidates import (
    Candidate,
    Search,
    candidate_of,
    find_candidates,
    searches_of,
)
from labs.services.deciding import (
    NotDecidable,
    claim_decided,
    confirm_match,
    identity_in_doubt,
    open_item,
    propose_match,
    revoke_match,
)
from labs.services.matching import Claim, claim_of, read_particulars
from patients.names import normalised_family_name

WAITS, REMEMBERED, REVOKED = "waits for a second person", "remembered", "revoked"


class DayInput(UnfoldAdminTextInputWidget):
    """The browser's own field for a day."""

    input_type = "date"


class SearchForm(forms.Form):
    """Look for a patient by number, or by family name and birth date."""

    authority = forms.CharField(
        max_length=120, required=False, widget=UnfoldAdminTextInputWidget(), label="Number given by"
    )
    value = forms.CharField(
        max_length=80, required=False, widget=UnfoldAdminTextInputWidget(), label="Record number"
    )
    family_name = forms.CharField(
        max_length=100, required=False, widget=UnfoldAdminTextInputWidget()
    )
    birth_date = forms.DateField(required=False, widget=DayInput())

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        by_number = cleaned.get("authority") and cleaned.get("value")
        by_name = cleaned.get("family_name") and cleaned.get("birth_date")
        if not by_number and not by_name:
            raise forms.ValidationError(
                "Give a number and who gave it, or a family name and a birth date."
            )
        return cleaned

    def search(self) -> Search:
        return Search(**self.cleaned_data)


class ProposalForm(forms.Form):
    patient = forms.UUIDField(error_messages={"required": "Choose the patient."})
    reason = forms.CharField(max_length=300, widget=UnfoldAdminTextInputWidget())


def rows_of(candidates: list[Candidate], claim: Claim | None) -> list[dict[str, Any]]:
    """Return what the table of patients shows; None where there is nothing to compare with."""
    return [
        {
            "person": one.found,
            "numbers": [f"{value} ({authority})" for authority, value in one.numbers],
            "number_agrees": claim and (claim.authority, claim.identifier) in one.numbers,
            "name_agrees": claim
            and normalised_family_name(one.found.family_name) == claim.family_name_key,
            "birth_date_agrees": claim and one.found.birth_date == claim.birth_date,
        }
        for one in candidates
    ]


def record_candidates(candidates: list[Candidate], *, operation: str, now: datetime) -> None:
    """Audit that these patients were shown. Raises: AuditUnavailable."""
    if candidates:
        audit.record_for_patients(
            {one.found.id: [one.found.id] for one in candidates},
            action=AuditEvent.Action.READ,
            operation=operation,
            now=now,
            area=Area.INTAKE,
            resource="Patient",
        )


@admin.register(MatchDecision)
class MatchDecisionAdmin(StepsAdmin):
    """Decisions, those that wait for a second person first. They are proposed from the queue."""

    area = Area.INTAKE
    told = "revocation_reason"
    list_display = ("standing", "laboratory", "patient", "decided_by", "decided_at", "confirmed_at")
    list_filter = (
        ("confirmed_at", admin.EmptyFieldListFilter),
        ("revoked_at", admin.EmptyFieldListFilter),
        "laboratory",
    )
    list_select_related = ("laboratory", "decided_by")
    actions_submit_line = ("confirm", "revoke")
    fields = (
        *("standing", "laboratory", "authority", "identifier", "family_name_key", "birth_date"),
        *("reason", "the_message", "decided_by", "decided_at", "confirmed_by", "confirmed_at"),
        *("revoked_by", "revoked_at", "revocation_reason"),
    )
    change_form_outer_before_template = "admin/labs/match_patient.html"

    def get_ordering(self, request: HttpRequest) -> Any:
        waiting = When(confirmed_at__isnull=True, revoked_at__isnull=True, then=Value(0))
        return (Case(waiting, default=Value(1)), "-decided_at", "-id")

    def is_open(self, obj: MatchDecision) -> bool:
        return obj.revoked_at is None

    def get_actions_submit_line(self, request: HttpRequest, object_id: Any) -> list[Any]:
        steps = super().get_actions_submit_line(request, object_id)
        decision = self.get_object(request, str(object_id))
        waits = decision is not None and decision.confirmed_at is None
        if waits and decision.decided_by_id != request.user.pk:
            return steps
        return [step for step in steps if not step.action_name.endswith("_confirm")]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = dict(extra_context or {})
        decision = None if object_id is None else self.get_object(request, object_id)
        if decision is not None and request.method == "GET" and self.may_read(request):
            context |= self._beside(request, decision)
        return super().changeform_view(request, object_id, form_url, context)

    def _beside(self, request: HttpRequest, decision: MatchDecision) -> dict[str, Any]:
        now = utc_now()
        found = candidate_of(decision.patient_id, request.user, now=now)  # type: ignore[arg-type]
        record_candidates(found, operation="admin.matchdecision.patient", now=now)
        return {"candidates": rows_of(found, claim_decided(decision)), "choose": False}

    @action(description="Confirm as the second person")
    def confirm(self, request: HttpRequest, decision: MatchDecision) -> None:
        done = confirm_match(
            decision_id=decision.pk,
            actor=request.user,  # type: ignore[arg-type]
            now=utc_now(),
        )
        messages.success(request, f"Confirmed. Messages processed again: {len(done)}.")

    @action(description="Revoke")
    def revoke(self, request: HttpRequest, decision: MatchDecision) -> None:
        filed = revoke_match(
            decision_id=decision.pk,
            actor=request.user,  # type: ignore[arg-type]
            reason=decision.revocation_reason,
            now=utc_now(),
        )
        told = f" A nurse is told of results it had filed: {len(filed)}." if filed else ""
        messages.success(request, f"Revoked.{told}")

    @display(description="standing", label={WAITS: "warning", REMEMBERED: "success"})
    def standing(self, decision: MatchDecision) -> str:
        if decision.revoked_at is not None:
            return REVOKED
        return WAITS if decision.confirmed_at is None else REMEMBERED

    @display(description="message")
    def the_message(self, decision: MatchDecision) -> str:
        if decision.message_id is None:
            return "-"
        address = reverse("admin:labs_inboundmessage_change", args=[decision.message_id])
        return format_html('<a href="{}">open</a>', address)

    # --- proposing, from a row of the queue -------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.propose_view)
        return [
            path("propose/<uuid:item_id>/", view, name="labs_matchdecision_propose"),
            *super().get_urls(),
        ]

    def propose_view(self, request: HttpRequest, item_id: UUID) -> HttpResponse:
        """Show the person in doubt beside candidates; search on, or propose one of them.

        Raises: NotFound, also when a decision does not settle the row.
        """
        if not self.may_write(request):
            raise NotFound()
        now = utc_now()
        proposing = "propose" in request.POST
        proposal = ProposalForm(request.POST if proposing else None)
        if proposing and proposal.is_valid():
            answer = self._propose(request, item_id, proposal, now=now)
            if answer is not None:
                return answer
        search = SearchForm(request.POST if "search" in request.POST else None)
        return self._compare(request, item_id, search, proposal, now=now)

    def _propose(
        self, request: HttpRequest, item_id: UUID, proposal: ProposalForm, *, now: datetime
    ) -> HttpResponse | None:
        try:
            decision = propose_match(
                item_id=item_id,
                patient_id=proposal.cleaned_data["patient"],
                actor=request.user,  # type: ignore[arg-type]
                reason=proposal.cleaned_data["reason"],
                now=now,
            )
        except DomainError as refusal:
            messages.error(request, refusal.detail)
            return None
        messages.success(request, "Proposed. Somebody else must confirm it.")
        return HttpResponseRedirect(reverse("admin:labs_matchdecision_change", args=[decision.pk]))

    def _compare(
        self,
        request: HttpRequest,
        item_id: UUID,
        search: SearchForm,
        proposal: ProposalForm,
        *,
        now: datetime,
    ) -> HttpResponse:
        try:
            item = open_item(item_id)
        except NotDecidable:
            raise NotFound() from None
        laboratory = item.laboratory
        assert laboratory is not None
        with identity(system("lab-intake")):
            pid = identity_in_doubt(item, now=now)
        who, _ = read_particulars(pid, laboratory)
        claim = claim_of(pid, laboratory)
        looked_for = search.is_bound and search.is_valid()
        searches = (
            [search.search()]
            if looked_for
            else searches_of(who, family_name=pid.family if pid else "")
        )
        viewer = request.viewer  # type: ignore[attr-defined]
        candidates = find_candidates(viewer, request.user, searches, now=now)  # type: ignore[arg-type]
        record_item(item, now=now)
        record_candidates(candidates, operation="admin.matchdecision.candidates", now=now)
        decision = standing_decision(claim)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Whose results are these?",
            "item": item,
            "pid": pid,
            "numbers": who.numbers if who else (),
            "decidable": claim is not None,
            "decision": decision,
            "candidates": rows_of(candidates, claim),
            "choose": claim is not None and decision is None,
            "search": search,
            "proposal": proposal,
        }
        return TemplateResponse(request, "admin/labs/match_propose.html", context)


def standing_decision(claim: Claim | None) -> MatchDecision | None:
    """Return the decision about this very tuple that is proposed or remembered."""
    if claim is None:
        return None
    return MatchDecision.objects.filter(**asdict(claim), revoked_at__isnull=True).first()


def record_item(item: IntakeItem, *, now: datetime) -> None:
    """Audit that what the message says of the person was shown. Raises: AuditUnavailable."""
    audit.record(
        action=AuditEvent.Action.READ,
        operation="admin.matchdecision.compare",
        now=now,
        area=Area.INTAKE,
        resource="IntakeItem",
        resource_ids=[item.pk],
    )
