"""Results as staff read them. Nothing here can be changed: a correction is a new message."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.contrib.admin.views.main import ORDER_VAR
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe
from unfold.decorators import display

from clinical.specimens import sampled
from clinical.states import PortalState, Tier, patient_label
from core.areas import Area
from core.clock import utc_now
from core.errors import NotFound
from labs.admin import baselines
from labs.admin.documents import ReportDocumentsAdmin
from labs.admin.filters import (
    ChangedFilter,
    MyPatientsFilter,
    ResultReviewedFilter,
    ReviewedFilter,
)
from labs.admin.looks import record_results, remember_reading
from labs.admin.paging import BoundedPaginator, PagedList, WaitingFirst
from labs.admin.release import may_decide
from labs.admin.reviewing import ReviewPages
from labs.admin.words import (
    EXCLUDED_BECAUSE,
    TIER_LABELS,
    TYPED_IN,
    WAITING,
    released_words,
    whose,
)
from labs.charts import draw, inline
from labs.holds import holds_of_report
from labs.models import DiagnosticReport, Observation
from labs.queues import RANK, waiting_reports
from labs.reviews import is_reviewed
from labs.selectors import series_rows
from labs.staff_reading import (
    baselines_of,
    grade_words,
    grades_of,
    liver_pattern,
    staff_results,
)
from labs.trend_words import shown
from labs.trends import background_of, known_analyte, trend_of
from patients.admin_base import StaffModelAdmin, person
from patients.models import Patient
from worklist.models import Evidence

TREND_YEARS = 10
_TIER_OF_RANK = {rank: tier for tier, rank in RANK.items()}


class WaitingFilter(admin.SimpleListFilter):
    """Reports with a result that nobody of the staff has taken yet."""

    title = "waiting for somebody"
    parameter_name = "waiting"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Yes"), ("no", "No")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "yes":
            return queryset.filter(pk__in=waiting_reports())
        if self.value() == "no":
            return queryset.exclude(pk__in=waiting_reports())
        return queryset


class WorstFilter(admin.SimpleListFilter):
    title = "most serious result"
    parameter_name = "worst"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(rank), TIER_LABELS[tier]) for tier, rank in RANK.items() if rank]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        return queryset.filter(worst_rank=int(chosen)) if chosen in ("1", "2", "3") else queryset


@admin.register(DiagnosticReport)
class DiagnosticReportAdmin(ReviewPages, ReportDocumentsAdmin):
    """The queue of reports: what waits first, by seriousness, then the oldest; then the newest."""

    area = Area.LABS
    list_display = (
        *("who", "name", "worst_label", "waiting", "reviewed", "collected", "status"),
        "laboratory",
    )
    list_filter = (
        *(ReviewedFilter, WaitingFilter, ChangedFilter, MyPatientsFilter, WorstFilter),
        *("status", "laboratory"),
    )
    list_select_related = ("patient", "laboratory")
    search_fields = ("patient__family_name__istartswith",)
    fields = (
        *("who", "name", "loinc", "laboratory", "category", "status", "version", "corrected"),
        *("collected_at", "resulted_at", "filed_at", "released"),
    )
    readonly_fields = ("who", "released")
    change_form_outer_before_template = "admin/labs/report.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[DiagnosticReport]:
        # Annotated before it is ordered, so not through super().
        reports: QuerySet[DiagnosticReport] = self.model._default_manager.get_queryset()
        results = Observation.objects.filter(
            patient_id=OuterRef("patient_id"), report_id=OuterRef("pk")
        )
        untaken = Evidence.objects.filter(
            kind="observation", item__closed_at__isnull=True, item__acknowledged_at__isnull=True
        )
        return reports.annotate(
            waits=Exists(results.filter(id__in=untaken.values("reference"))),
            was_reviewed=is_reviewed(),
        )

    def get_ordering(self, request: HttpRequest) -> Any:
        if request.GET.get(ReviewedFilter.parameter_name) == "no":
            # What nobody reviewed yet: the most serious first, then the oldest.
            return ("-worst_rank", "effective_at", "id")
        return ("-effective_at", "-id")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[PagedList]:
        return PagedList

    def get_paginator(self, request: HttpRequest, queryset: Any, *args: Any, **more: Any) -> Any:
        asked = ORDER_VAR in request.GET or ReviewedFilter.parameter_name in request.GET
        if asked:
            return BoundedPaginator(queryset, *args, **more)
        return WaitingFirst(queryset, *args, waiting=waiting_reports(), **more)

    @display(description="patient", ordering="patient__family_name")
    def who(self, report: DiagnosticReport) -> str:
        return person(report.patient)

    @display(
        description="most serious",
        label={
            TIER_LABELS[Tier.URGENT]: "danger",
            TIER_LABELS[Tier.ATTENTION]: "warning",
            TIER_LABELS[Tier.FINE]: "success",
        },
    )
    def worst_label(self, report: Any) -> str:
        return TIER_LABELS[_TIER_OF_RANK[report.worst_rank]]

    @display(description="taken", label={WAITING: "danger"})
    def waiting(self, report: Any) -> str:
        return WAITING if report.waits else "-"

    @display(description="reviewed", boolean=True)
    def reviewed(self, report: Any) -> bool:
        return bool(report.was_reviewed)

    @display(description="collected", ordering="effective_at")
    def collected(self, report: DiagnosticReport) -> datetime:
        return report.effective_at

    @display(description="released to the patient")
    def released(self, report: DiagnosticReport) -> str:
        return released_words(report.visible_from, utc_now())

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        report = None if object_id is None else self.get_object(request, object_id)
        if report is not None and self.may_read(request):
            extra_context = {**(extra_context or {}), **self._sheet(request, report)}
        return super().changeform_view(request, object_id, form_url, extra_context)

    def _sheet(self, request: HttpRequest, report: DiagnosticReport) -> dict[str, Any]:
        """Return what the page shows above the frame, and record that its rows were seen."""
        now = utc_now()
        viewer = request.viewer  # type: ignore[attr-defined]
        results = staff_results(patient_id=report.patient_id, report_id=report.pk)
        pattern = liver_pattern(
            viewer,
            patient_id=report.patient_id,
            report_id=report.pk,
            at=report.effective_at,
            now=now,
        )
        record_results(
            [row.id for result in results for row in (result.row, *result.earlier)],
            reports=[report.pk],
            patient_id=report.patient_id,
            operation="admin.diagnosticreport.results",
            now=now,
        )
        said = self.said_about(request, report)
        return {
            **self.in_words(report, [result.row for result in results], now=now),
            **said,
            "results": [
                {
                    "row": result.row,
                    "not_corrected": said["obstacles"].get(result.row.pk, ()),
                    "label": patient_label(PortalState(result.row.state)),
                    "grades": [grade_words(grade) for grade in result.grades],
                    "times_uln": result.times_uln and f"{result.times_uln:.1f}",
                    "earlier": result.earlier,
                    "sampled": sampled(result.row.specimen_type, result.row.body_site),
                    "released": released_words(result.row.visible_from, now),
                    "trend": trend_address(result.row),
                }
                for result in results
            ],
            "r_ratio": pattern.r and f"{pattern.r.r:.1f} ({pattern.r.pattern})",
            "hys_law": pattern.hys_law,
            "may_open_message": viewer.may(Area.INTAKE),
            "may_decide": may_decide(request),
            "report": report,
            "who": whose(report.patient),
            "holds": holds_of_report(report, now=now),
            "every_report": reverse("admin:labs_diagnosticreport_changelist")
            + f"?patient__id__exact={report.patient_id}",
            "report_versions": report.versions.order_by("-version"),
        }


def trend_address(row: Observation) -> str:
    """Return the address of the trend page; empty for a test outside the catalogue."""
    if not row.analyte_key:
        return ""
    return reverse("admin:labs_observation_trend", args=[row.patient_id, row.analyte_key])


@admin.register(Observation)
class ObservationAdmin(StaffModelAdmin):
    """One version of one result, with all that stands behind its verdict."""

    area = Area.LABS
    paginator = BoundedPaginator
    list_display = ("who", "display_name", "value", "state_label", "collected", "status", "version")
    list_filter = (
        *("tier", "state", "status", "origin", "discrepancy", ResultReviewedFilter),
        *(MyPatientsFilter, "laboratory"),
    )
    list_select_related = ("patient",)
    search_fields = ("patient__family_name__istartswith",)
    ordering = ("-effective_at", "-id")
    readonly_fields = (
        "who",
        "value",
        "meaning",
        "range_used",
        "grades",
        "released",
        "links",
        "history",
    )
    fieldsets = (
        (None, {"fields": ("who", "display_name", "value", "meaning", "links", "history")}),
        (
            "Verdict",
            {
                "fields": (
                    *("state", "tier", "reason", "rule_id", "rule_version", "basis"),
                    *("computed_state", "flag_state", "discrepancy", "staff_critical"),
                    *("comparable", "review_codes", "range_used", "grades"),
                )
            },
        ),
        (
            "As the laboratory sent it",
            {
                "fields": (
                    *("code", "code_text", "code_system", "loinc", "value_type", "value_text"),
                    *("unit_text", "range_text", "flags", "status_sent", "status"),
                    *("effective_at", "effective_basis", "issued_at", "method", "performer"),
                    *("specimen_type", "body_site", "specimen", "lab_comment"),
                )
            },
        ),
        (
            "Where it stands",
            {
                "fields": (
                    *("origin", "version", "superseded_at", "withdrawn_at", "is_stale"),
                    *("derived_method", "parser_version", "filed_at", "released"),
                    *("release_basis", "release_rule_version", "announced_at"),
                )
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Observation]:
        results: QuerySet[Observation] = super().get_queryset(request)
        match = request.resolver_match
        # The list shows what counts; an older version is opened from its successor.
        if match is not None and match.url_name == "labs_observation_changelist":
            return results.filter(superseded_at__isnull=True)
        return results

    def record_look(self, rows: list[Any], what: str) -> None:
        super().record_look(rows, what)
        reports = ((row.patient_id, row.report_id) for row in rows if row.report_id)
        remember_reading(reports, now=utc_now())

    @display(description="patient", ordering="patient__family_name")
    def who(self, row: Observation) -> str:
        return person(row.patient)

    @display(description="value")
    def value(self, row: Observation) -> str:
        value = f"{row.value_text} {row.unit_text}".strip()
        return f"{value} ({TYPED_IN})" if row.origin == Observation.Origin.PATIENT else value

    @display(description="collected", ordering="effective_at")
    def collected(self, row: Observation) -> datetime:
        return row.effective_at

    @display(
        description="state",
        ordering="state",
        label={
            **{patient_label(s): "warning" for s in PortalState},
            patient_label(PortalState.IN_RANGE): "success",
            patient_label(PortalState.CRITICAL): "danger",
            patient_label(PortalState.CRITICAL_LOW): "danger",
            patient_label(PortalState.CRITICAL_HIGH): "danger",
            patient_label(PortalState.OFF_SCALE_HIGH): "danger",
        },
    )
    def state_label(self, row: Observation) -> str:
        return patient_label(PortalState(row.state))

    @display(description="what the state means")
    def meaning(self, row: Observation) -> str:
        return patient_label(PortalState(row.state))

    @display(description="range used")
    def range_used(self, row: Observation) -> str:
        low, high = (
            "" if bound is None else f"{bound.normalize():f}"
            for bound in (row.range_used_low, row.range_used_high)
        )
        return f"{low} to {high}" if low or high else "-"

    @display(description="CTCAE 5.0, for orientation")
    def grades(self, row: Observation) -> str:
        grades = grades_of(row, baselines_of(row.patient_id))
        return "; ".join(grade_words(grade) for grade in grades) or "-"

    @display(description="released to the patient")
    def released(self, row: Observation) -> str:
        return released_words(row.visible_from, utc_now())

    @display(description="see also")
    def links(self, row: Observation) -> str:
        report = row.report_id and reverse(
            "admin:labs_diagnosticreport_change", args=[row.report_id]
        )
        pages = (("report", report), ("trend", trend_address(row)))
        return format_html_join(
            " · ", '<a href="{}">{}</a>', ((page, name) for name, page in pages if page)
        )

    @display(description="earlier and later versions")
    def history(self, row: Observation) -> str:
        others = (
            Observation.objects.filter(patient_id=row.patient_id, identity_key=row.identity_key)
            .exclude(pk=row.pk)
            .order_by("version")
        )
        parts = [
            format_html(
                '<a href="{}">version {}</a>: {} {} ({})',
                reverse("admin:labs_observation_change", args=[other.pk]),
                other.version,
                other.value_text,
                other.unit_text,
                other.status,
            )
            for other in others
        ]
        return mark_safe("<br>".join(parts)) or "-"  # noqa: S308 (each part is escaped)

    # --- the trend of one analyte ---------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.trend_view)
        set_view = self.admin_site.admin_view(baselines.set_view)
        return [
            path(
                "trend/<uuid:patient_id>/<slug:analyte_key>/baseline/",
                set_view,
                name="labs_observation_baseline",
            ),
            path(
                "trend/<uuid:patient_id>/<slug:analyte_key>/", view, name="labs_observation_trend"
            ),
            *super().get_urls(),
        ]

    def trend_view(self, request: HttpRequest, patient_id: UUID, analyte_key: str) -> HttpResponse:
        """Show one analyte of one patient. Raises: NotFound, also when nothing is in reach."""
        if not self.may_read(request):
            raise NotFound()
        now = utc_now()
        viewer = request.viewer  # type: ignore[attr-defined]
        analyte = known_analyte(analyte_key)
        rows = series_rows(
            viewer,
            patient_id=patient_id,
            analyte_key=analyte_key,
            since=now - timedelta(days=366 * TREND_YEARS),
            now=now,
        )
        patient = Patient.objects.filter(pk=patient_id).first()
        if not rows or patient is None:
            raise NotFound()
        trend = trend_of(analyte, rows, background=background_of(rows), zone=patient.zone)
        record_results(
            [row["id"] for row in rows],
            reports=[row["report_id"] for row in rows if row["report_id"]],
            patient_id=patient_id,
            operation="admin.observation.trend",
            now=now,
        )
        numbers = {point.result_id: shown(point.number) for point in trend.drawn}
        excluded = {item.result_id: item.reason for item in trend.series.excluded}
        picture = draw(trend, zone=patient.zone, picture_format="svg")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": analyte.plain_name,
            "who": whose(patient),
            "analyte": analyte,
            "patient_id": patient_id,
            "trend": trend,
            "zone": ZoneInfo(patient.zone),
            **baselines.context(request, trend, patient),
            # matplotlib escapes every text it draws.
            "picture": mark_safe(inline(picture)),  # noqa: S308
            "points": [
                {
                    **row,
                    "number": numbers[str(row["id"])],
                    "label": patient_label(PortalState(row["state"])),
                    "released": released_words(row["visible_from"], now),
                }
                for row in reversed(rows)
                if str(row["id"]) in numbers
            ],
            "left_out": [
                {**row, "because": EXCLUDED_BECAUSE[excluded[str(row["id"])]]}
                for row in reversed(rows)
                if str(row["id"]) in excluded
            ],
        }
        return TemplateResponse(request, "admin/labs/trend.html", context)
