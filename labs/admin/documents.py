"""Documents on the report page of the staff site: a list, and an audited download."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse

from clinical.report_kinds import ReportKind, kind_of
from core.attachments import make_harmless
from core.clock import utc_now
from core.errors import NotFound
from labs.admin.looks import record_look
from labs.models import DiagnosticReport, Document, Observation
from patients.admin_base import StaffModelAdmin


class ReportDocumentsAdmin(StaffModelAdmin):
    """Adds to the page of a report what it says in words and the files that came with it."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.document_view)
        return [
            path("document/<uuid:document_id>/", view, name="labs_diagnosticreport_document"),
            *super().get_urls(),
        ]

    def in_words(
        self, report: DiagnosticReport, results: list[Observation], *, now: datetime
    ) -> dict[str, Any]:
        """Return the texts and documents for the template; the list of files is audited."""
        documents = list(
            Document.objects.filter(patient_id=report.patient_id, report_id=report.pk)
            .select_related("attachment", "observation")
            .defer("attachment__content")
            .order_by("observation__position", "-observation__version", "position")
        )
        if documents:
            record_look(
                "DocumentReference",
                [row.pk for row in documents],
                patient_id=report.patient_id,
                operation="admin.diagnosticreport.documents",
                now=now,
            )
        kind = kind_of(report.category, report.loinc)
        files = {row.observation_id for row in documents}
        return {
            "kind": kind.value,
            "narrative": [
                row
                for row in results
                if kind is not ReportKind.LABORATORY
                and row.value_kind == "non_numeric"
                and row.value_text
                and row.pk not in files
            ],
            "documents": [
                {
                    "row": row,
                    "reference": bytes(row.reference).decode() if row.reference else "",
                    "address": row.attachment
                    and reverse("admin:labs_diagnosticreport_document", args=[row.pk]),
                }
                for row in documents
            ],
        }

    def document_view(self, request: HttpRequest, document_id: UUID) -> HttpResponse:
        """Hand out one file, older versions too. Raises: NotFound, also out of reach."""
        if not self.may_read(request):
            raise NotFound()
        found = (
            Document.objects.select_related("attachment")
            .filter(pk=document_id, attachment__isnull=False)
            .first()
        )
        if found is None or found.attachment is None:
            raise NotFound()
        record_look(
            "DocumentReference",
            [found.pk],
            patient_id=found.patient_id,
            operation="admin.document.content",
            now=utc_now(),
        )
        response = HttpResponse(bytes(found.attachment.content))
        make_harmless(response, media_type=found.attachment.media_type)
        return response
