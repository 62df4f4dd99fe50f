"""Review a report, and comment on it: forms on its page, and a page to write in."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from core.clock import utc_now
from core.errors import DomainError, InvalidInput, NotFound, Unavailable
from labs.admin.looks import record_results
from labs.admin.words import whose
from labs.models import Comment, CommentTemplate, DiagnosticReport, Observation
from labs.placeholders import LONGEST, TextRefused, filled, plain_text, unfilled
from labs.services.reviewing import (
    LANGUAGES,
    TAKE,
    ItemDecision,
    publish_comment,
    replace_comment,
    review_report,
    withdraw_comment,
)
from labs.staff_reviews import (
    current_results,
    obstacles_of,
    placeholder_values,
    review_sheet,
)
from patients.admin_base import StaffModelAdmin, viewer_of
from worklist.admin import CLOSURE_CODES

LEAVE = ""
_DECISIONS = [(LEAVE, "Leave it open"), (TAKE, "I take it"), *CLOSURE_CODES]


class DecisionsForm(forms.Form):
    """One choice for each open work item; left alone unless the reviewer says otherwise."""

    shown = forms.CharField(max_length=64, widget=forms.HiddenInput)

    def __init__(self, *args: Any, items: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.items = list(items)
        for item in self.items:
            self.fields[f"item-{item.pk}"] = forms.ChoiceField(
                choices=_DECISIONS, required=False, widget=UnfoldAdminSelectWidget()
            )
            self.fields[f"note-{item.pk}"] = forms.CharField(
                max_length=300, required=False, widget=UnfoldAdminTextInputWidget()
            )

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [
            {
                "item": item,
                "elsewhere": item.every - item.here,
                "decision": self[f"item-{item.pk}"],
                "note": self[f"note-{item.pk}"],
            }
            for item in self.items
        ]

    def decisions(self) -> list[ItemDecision]:
        said = self.cleaned_data
        return [
            ItemDecision(item.pk, said[f"item-{item.pk}"], said[f"note-{item.pk}"])
            for item in self.items
            if said[f"item-{item.pk}"] != LEAVE
        ]


class CommentForm(forms.Form):
    shown = forms.CharField(max_length=64, widget=forms.HiddenInput)
    language = forms.ChoiceField(choices=LANGUAGES, widget=UnfoldAdminSelectWidget())
    text = forms.CharField(
        max_length=LONGEST, widget=UnfoldAdminTextareaWidget(attrs={"rows": 8, "dir": "auto"})
    )

    def clean_text(self) -> str:
        try:
            kept = plain_text(self.cleaned_data["text"])
        except TextRefused as refusal:
            raise forms.ValidationError(str(refusal)) from refusal
        left = unfilled(kept)
        if left:
            raise forms.ValidationError(f"Fill in: {', '.join(left)}.")
        return kept


class ReplaceForm(CommentForm):
    reason = forms.CharField(max_length=300, widget=UnfoldAdminTextInputWidget())


class ReviewPages(StaffModelAdmin):
    """The addresses below a report's page that its forms are sent to."""

    def get_urls(self) -> list[URLPattern]:
        def page(route: str, view: Any, name: str) -> URLPattern:
            return path(
                route,
                self.admin_site.admin_view(view),
                name=f"labs_diagnosticreport_{name}",
            )

        return [
            page("<uuid:report_id>/review/", self.review_view, "review"),
            page("<uuid:report_id>/comment/", self.comment_view, "comment"),
            page("comments/<uuid:comment_id>/replace/", self.replace_view, "replace"),
            page("comments/<uuid:comment_id>/withdraw/", self.withdraw_view, "withdraw"),
            *super().get_urls(),
        ]

    def said_about(self, request: HttpRequest, report: DiagnosticReport) -> dict[str, Any]:
        """Return what the report's page shows of reviews, comments and work items."""
        sheet = review_sheet(viewer_of(request), report, now=utc_now())
        return {
            "said": sheet,
            "decisions": DecisionsForm(initial={"shown": sheet.shown}, items=sheet.items),
            "obstacles": obstacles_of(report),
        }

    def _report(self, request: HttpRequest, report_id: UUID) -> DiagnosticReport:
        """Return the report. Raises: NotFound, also for who may not read any."""
        report = self.get_object(request, str(report_id)) if self.may_read(request) else None
        if report is None:
            raise NotFound()
        found: DiagnosticReport = report
        return found

    def _back(self, report_id: UUID) -> HttpResponseRedirect:
        return HttpResponseRedirect(reverse("admin:labs_diagnosticreport_change", args=[report_id]))

    # --- the review -------------------------------------------------------------------------------

    def review_view(self, request: HttpRequest, report_id: UUID) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        report = self._report(request, report_id)
        sheet = review_sheet(viewer_of(request), report, now=utc_now())
        form = DecisionsForm(request.POST, items=sheet.items)
        if not form.is_valid():
            messages.error(request, "Choose for each item what happens with it.")
            return self._back(report_id)
        return self._done(
            request,
            report_id,
            "Marked as reviewed.",
            lambda: review_report(
                report_id=report_id,
                shown=form.cleaned_data["shown"],
                decisions=form.decisions(),
                actor=request.user,  # type: ignore[arg-type]
                now=utc_now(),
            ),
        )

    def _done(
        self, request: HttpRequest, report_id: UUID, words: str, step: Any
    ) -> HttpResponseRedirect:
        """Take a step and go back to the report; a refusal is a message there."""
        try:
            step()
        except (NotFound, Unavailable):
            raise
        except InvalidInput as refusal:
            messages.error(request, " ".join(error.message for error in refusal.errors))
        except DomainError as refusal:
            messages.error(request, refusal.detail)
        else:
            messages.success(request, words)
        return self._back(report_id)

    # --- comments ---------------------------------------------------------------------------------

    def comment_view(self, request: HttpRequest, report_id: UUID) -> HttpResponse:
        """Write a comment: from a template, with a preview, on the report or one result."""
        report = self._report(request, report_id)
        results = current_results(report)
        result = _chosen(results, request.GET.get("result", ""))
        if request.method == "POST":
            form = CommentForm(request.POST)
            if form.is_valid() and "publish" in request.POST:
                said = form.cleaned_data
                return self._done(
                    request,
                    report_id,
                    "Published.",
                    lambda: publish_comment(
                        report_id=report_id,
                        identity_key=result.identity_key if result else "",
                        actor=request.user,  # type: ignore[arg-type]
                        now=utc_now(),
                        **said,
                    ),
                )
            return self._write(request, report, form, results, result)
        form = CommentForm(initial=self._from_template(request, report, result))
        return self._write(request, report, form, results, result)

    def _from_template(
        self, request: HttpRequest, report: DiagnosticReport, result: Observation | None
    ) -> dict[str, str]:
        sheet = review_sheet(viewer_of(request), report, now=utc_now())
        empty = {"shown": sheet.shown, "language": "en", "text": ""}
        wanted = request.GET.get("template", "")
        template = next((t for t in _templates() if str(t.pk) == wanted), None)
        if template is None:
            return empty
        values = placeholder_values(report, result, patient=report.patient, now=utc_now())
        text = filled(template.text, values)
        return {**empty, "language": template.language, "text": text}

    def _write(
        self,
        request: HttpRequest,
        report: DiagnosticReport,
        form: CommentForm,
        results: list[Observation],
        result: Observation | None,
        replaced: Comment | None = None,
    ) -> HttpResponse:
        now = utc_now()
        record_results(
            [row.pk for row in results],
            reports=[report.pk],
            patient_id=report.patient_id,
            operation="admin.diagnosticreport.comment",
            now=now,
        )
        spoken_of = [result] if result else results
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Replace a comment" if replaced else "Comment",
            "who": whose(report.patient),
            "report": report,
            "form": form,
            "results": results,
            "result": result,
            "templates": [] if replaced else _templates(),
            "template": request.GET.get("template", ""),
            "replaced": replaced,
            "preview": form.cleaned_data.get("text", "")
            if form.is_bound and form.is_valid()
            else "",
            "waits": any(row.visible_from is None or row.visible_from > now for row in spoken_of),
        }
        return TemplateResponse(request, "admin/labs/comment.html", context)

    def _comment(self, request: HttpRequest, comment_id: UUID) -> Comment:
        found = Comment.objects.filter(pk=comment_id).first() if self.may_read(request) else None
        if found is None:
            raise NotFound()
        return found

    def replace_view(self, request: HttpRequest, comment_id: UUID) -> HttpResponse:
        old = self._comment(request, comment_id)
        report = self._report(request, old.report_id)
        results = current_results(report)
        result = next((row for row in results if row.identity_key == old.identity_key), None)
        if request.method == "POST":
            form = ReplaceForm(request.POST)
            if form.is_valid() and "publish" in request.POST:
                said = form.cleaned_data
                return self._done(
                    request,
                    report.pk,
                    "Replaced.",
                    lambda: replace_comment(
                        comment_id=old.pk,
                        shown=said["shown"],
                        text=said["text"],
                        reason=said["reason"],
                        actor=request.user,  # type: ignore[arg-type]
                        now=utc_now(),
                    ),
                )
        else:
            sheet = review_sheet(viewer_of(request), report, now=utc_now())
            form = ReplaceForm(
                initial={"shown": sheet.shown, "language": old.language, "text": old.text}
            )
        return self._write(request, report, form, results, result, replaced=old)

    def withdraw_view(self, request: HttpRequest, comment_id: UUID) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        comment = self._comment(request, comment_id)
        return self._done(
            request,
            comment.report_id,
            "Withdrawn.",
            lambda: withdraw_comment(
                comment_id=comment.pk,
                reason=request.POST.get("reason", ""),
                actor=request.user,  # type: ignore[arg-type]
                now=utc_now(),
            ),
        )


def _templates() -> list[CommentTemplate]:
    """Return the templates in use; row security leaves those of her own clinics."""
    return list(CommentTemplate.objects.filter(is_active=True).order_by("title", "language"))


def _chosen(results: list[Observation], wanted: str) -> Observation | None:
    """Return the result that an address names; None = the report. Raises: NotFound."""
    if not wanted:
        return None
    found = next((row for row in results if str(row.pk) == wanted), None)
    if found is None:
        raise NotFound()
    return found
