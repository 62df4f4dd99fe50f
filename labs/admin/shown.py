"""Who was shown a result that was withdrawn or corrected: the auditor's pages.

They carry no name of a patient, no test and no value: an auditor sees the audit, not the chart.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from accounts.roles import Role
from core.areas import Area
from core.db import identity, system
from core.errors import NotFound
from labs.disclosure import shown_to, with_files
from labs.models import ChangedResult, Observation
from labs.models.results import CHANGED
from patients.admin_base import StaffModelAdmin

LISTED = 200


@dataclass(frozen=True, slots=True)
class Changed:
    """A version that was shown or could have been, without anything it said."""

    pk: UUID
    patient_id: UUID
    report_id: UUID | None
    version: int
    changed_at: datetime
    how: str
    address: str


@admin.register(ChangedResult)
class ChangedResultAdmin(StaffModelAdmin):
    area = Area.AUDIT
    roles = frozenset({Role.AUDITOR})

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not self.may_read(request):
            raise PermissionDenied
        rows = changed_results()
        self.record_look(rows, "list")
        context = {**self._frame(request, "Changed results"), "rows": rows, "listed": LISTED}
        return TemplateResponse(request, "admin/labs/changed_results.html", context)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if not self.may_read(request):
            raise PermissionDenied
        if object_id is None:
            raise PermissionDenied
        found = changed_results(only=_uuid(object_id))
        if not found:
            answer: HttpResponse = self._get_obj_does_not_exist_redirect(
                request, self.opts, object_id
            )
            return answer
        (row,) = found
        with identity(system("privacy-incident")):
            ids = with_files([row.pk], patient_id=row.patient_id)
            shown = shown_to(ids, patient_id=row.patient_id)
        self.record_look(found, "read")
        context = {**self._frame(request, "Who was shown it"), "row": row, "shown": shown}
        return TemplateResponse(request, "admin/labs/shown_to.html", context)

    def history_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        raise NotFound()

    def _frame(self, request: HttpRequest, title: str) -> dict[str, Any]:
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "every": reverse("admin:labs_changedresult_changelist"),
        }


def changed_results(*, only: UUID | None = None) -> list[Changed]:
    """Return what was changed last, up to `LISTED`; or the one row `only`, or none."""
    with identity(system("privacy-incident")):
        rows = Observation.objects.filter(CHANGED)
        if only is not None:
            rows = rows.filter(pk=only)
        found = list(rows.order_by("-superseded_at", "-id")[:LISTED])
        after = {
            later.supersedes_id: later
            for later in Observation.objects.filter(
                patient_id__in={row.patient_id for row in found},
                identity_key__in={row.identity_key for row in found},
                supersedes_id__in=[row.pk for row in found],
            )
        }
    return [
        Changed(
            pk=row.pk,
            patient_id=row.patient_id,
            report_id=row.report_id,
            version=row.version,
            changed_at=row.superseded_at,
            how=_how(row, after.get(row.pk)),
            address=reverse("admin:labs_changedresult_change", args=[row.pk]),
        )
        for row in found
        if row.superseded_at is not None
    ]


def _how(row: Observation, later: Observation | None) -> str:
    if later is not None and later.status_sent == "W":
        return "withdrawn: wrong patient"
    return "corrected" if row.withdrawn_at is None else "withdrawn"


def _uuid(text: str) -> UUID:
    """Return an id that no row has when `text` is none."""
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)
