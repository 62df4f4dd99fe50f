"""Results for a patient and her caregivers. Parse, one selector, render."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from re import fullmatch
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.utils.dateparse import parse_date, parse_datetime
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.scopes import Scope
from clinical.analytes import analytes
from clinical.panels import grouped, panels
from clinical.states import PortalState
from core.api.paging import page_limit
from core.areas import Area
from core.errors import FieldError, Forbidden, InvalidInput
from labs import selectors
from labs.api import serializers
from labs.api.presentation import NOTE, Page, report_in_words, report_json, result_json
from labs.api.renderers import PngRenderer, SvgRenderer
from labs.api.trend_json import trend_json
from labs.charts import PictureFormat, draw
from labs.filters import EVERYTHING, ReportFilter, ResultFilter
from labs.trends import Trend, background_of, known_analyte, trend_of
from patients.api.views import PatientView, person, scopes_of
from patients.care_frame import CareFrame, care_frame_of
from patients.viewer import Viewer

MAX_YEARS = 10
_PAGING = [
    OpenApiParameter("cursor", str, description="From `next` of the page before."),
    OpenApiParameter("limit", int, description="1 to 100, default 20."),
]
DAYS = [
    OpenApiParameter("from", OpenApiTypes.DATE, description="Collected on or after."),
    OpenApiParameter("until", OpenApiTypes.DATE, description="Collected before."),
]
_PANEL = OpenApiParameter("panel", str, description="One or more groups, comma-separated.")
_YEARS = OpenApiParameter("years", int, description="How far back, 1 to 10, default 5.")


class LabView(PatientView):
    """Whatever else an address needs, it needs the scope to read results."""

    area = Area.LABS
    scopes = {"GET": Scope.LABS_READ}

    def viewer_of(self, request: Request) -> Viewer:
        person(request)
        if Scope.LABS_READ not in scopes_of(request):
            raise Forbidden()
        viewer = super().viewer_of(request)
        viewer.require_grant(Scope.LABS_READ)
        return viewer

    def page(self, rows: list[dict[str, Any]]) -> Page:
        """Return what the results of one answer share, with their links."""
        page = Page(self.viewer, care_frame_of(rows[0]["care"]) if rows else CareFrame())
        page.load_links(rows)
        return page

    def trend_since(self, analyte_key: str, since: datetime) -> Trend:
        """Return one analyte over time. Raises: NotFound for one that nobody knows."""
        assert self.viewer.patient_id is not None
        analyte = known_analyte(analyte_key)
        rows = selectors.series_rows(
            self.viewer,
            patient_id=self.viewer.patient_id,
            analyte_key=analyte_key,
            since=since,
            now=self.now,
        )
        self.seen = [row["id"] for row in rows]
        return trend_of(analyte, rows, background=background_of(rows), zone=self.viewer.zone)


class ReportListView(LabView):
    operation = "labs.reports.list"
    resource = "DiagnosticReport"

    @extend_schema(
        operation_id="listReports",
        parameters=[
            *_PAGING,
            OpenApiParameter("new", bool, description="`true`: only what you have not opened."),
            _PANEL,
            *DAYS,
        ],
        responses=serializers.ReportList,
    )
    def get(self, request: Request) -> Response:
        """Reports, the latest collection first."""
        found = selectors.reports_page(
            self.viewer,
            wanted=_report_filter(request, self.viewer.zone),
            cursor=request.query_params.get("cursor"),
            limit=page_limit(request.query_params.get("limit")),
            now=self.now,
        )
        self.seen = [row["id"] for row in found.rows]
        page = Page(self.viewer, CareFrame())
        return Response(
            {
                "items": [report_json(row, page) for row in found.rows],
                "next": found.next,
                "new_count": found.rows[0]["new_count"] if found.rows else 0,
                "as_of": self.now,
                "warnings": [],
            }
        )


class ReportView(LabView):
    operation = "labs.reports.read"
    resource = "DiagnosticReport"

    @extend_schema(operation_id="readReport", responses=serializers.ReportDetail)
    def get(self, request: Request, report_id: UUID) -> Response:
        """One report: its results in the laboratory's order, and how to group them."""
        report, rows = selectors.report_with_results(self.viewer, report_id=report_id, now=self.now)
        self.seen = [report_id, *(row["id"] for row in rows)]
        page = self.page(rows)
        return Response(
            {
                **report_json(report, page),
                **report_in_words(report, rows, page),
                "results": [result_json(row, page) for row in rows],
                "panels": [
                    {
                        "key": panel.key,
                        "title": panel.title,
                        "what": panel.plain_what,
                        "result_ids": [rows[at]["id"] for at in positions],
                    }
                    for panel, positions in grouped([row["analyte_key"] for row in rows])
                ],
                "note": NOTE,
                "as_of": self.now,
                "warnings": page.warnings,
            }
        )


class ResultListView(LabView):
    operation = "labs.results.list"
    resource = "Observation"

    @extend_schema(
        operation_id="listResults",
        parameters=[
            *_PAGING,
            OpenApiParameter("analyte", str, description="One or more keys, comma-separated."),
            OpenApiParameter("state", str, description="One or more states, comma-separated."),
            _PANEL,
            *DAYS,
        ],
        responses=serializers.ResultList,
    )
    def get(self, request: Request) -> Response:
        """Results across reports, the latest collection first."""
        found = selectors.results_page(
            self.viewer,
            wanted=_filter(request, self.viewer.zone),
            cursor=request.query_params.get("cursor"),
            limit=page_limit(request.query_params.get("limit")),
            now=self.now,
        )
        self.seen = [row["id"] for row in found.rows]
        page = self.page(found.rows)
        return Response(
            {
                "items": [result_json(row, page) for row in found.rows],
                "next": found.next,
                "note": NOTE,
                "as_of": self.now,
                "warnings": page.warnings,
            }
        )


def _words(request: Request, name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return the comma-separated words of a parameter. Raises: InvalidInput."""
    raw = request.query_params.get(name)
    if not raw:
        return ()
    words = tuple(word for word in raw.split(",") if word)
    if not set(words) <= set(known):
        raise InvalidInput(errors=(FieldError(name, "unknown", "Not one of the known words."),))
    return words


def _start_of(request: Request, name: str, zone: str) -> datetime | None:
    """Return an instant as sent, or the start of a day in `zone`. Raises: InvalidInput."""
    raw = request.query_params.get(name)
    if not raw:
        return None
    try:
        day = parse_date(raw)
        instant = None if day else parse_datetime(raw)
    except ValueError:
        day, instant = None, None
    if day is not None:
        return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
    if instant is None or instant.tzinfo is None:
        raise InvalidInput(errors=(FieldError(name, "not-a-date", "Send a date: 2026-03-29."),))
    return instant


def _filter(request: Request, zone: str) -> ResultFilter:
    if not request.query_params:
        return EVERYTHING
    return replace(
        day_filter(request, zone),
        analytes=_words(request, "analyte", (analyte.key for analyte in analytes())),
        panels=_panels(request),
        states=_words(request, "state", PortalState),
    )


def day_filter(request: Request, zone: str) -> ResultFilter:
    """Return the filter that `DAYS` ask for. Raises: InvalidInput."""
    return ResultFilter(
        collected_from=_start_of(request, "from", zone),
        collected_until=_start_of(request, "until", zone),
    )


def _panels(request: Request) -> tuple[str, ...]:
    return _words(request, "panel", (panel.key for panel in panels()))


def _report_filter(request: Request, zone: str) -> ReportFilter:
    return ReportFilter(
        new=_words(request, "new", ("true", "false")) == ("true",),
        panels=_panels(request),
        collected_from=_start_of(request, "from", zone),
        collected_until=_start_of(request, "until", zone),
    )


class AnalyteListView(LabView):
    operation = "labs.analytes.list"
    resource = "Observation"

    @extend_schema(operation_id="listAnalytes", responses=serializers.AnalyteList)
    def get(self, request: Request) -> Response:
        """What was measured at least once, for a menu of trends."""
        assert self.viewer.patient_id is not None
        keys = selectors.analytes_of(self.viewer, patient_id=self.viewer.patient_id, now=self.now)
        items = [known_analyte(key) for key in keys]
        return Response(
            {
                "items": [
                    {"key": a.key, "name": a.short_name, "plain_name": a.plain_name} for a in items
                ],
                "next": None,
                "as_of": self.now,
                "warnings": [],
            }
        )


class _TrendBase(LabView):
    resource = "Observation"

    def trend(self, request: Request, analyte_key: str) -> Trend:
        return self.trend_since(analyte_key, self.now - timedelta(days=366 * _years(request)))


def _years(request: Request) -> int:
    raw = request.query_params.get("years", "5")
    if not fullmatch("[0-9]{1,2}", raw) or not 1 <= int(raw) <= MAX_YEARS:
        raise InvalidInput(errors=(FieldError("years", "out-of-range", "Send 1 to 10."),))
    return int(raw)


class TrendView(_TrendBase):
    operation = "labs.trend.read"

    @extend_schema(operation_id="readTrend", parameters=[_YEARS], responses=serializers.TrendData)
    def get(self, request: Request, analyte_key: str) -> Response:
        """One analyte over time, as numbers, with the range of each point."""
        trend = self.trend(request, analyte_key)
        page = Page(self.viewer, CareFrame())
        return Response({**trend_json(trend, page), "as_of": self.now, "warnings": []})


class TrendPictureView(_TrendBase):
    operation = "labs.trend.picture"
    renderer_classes = (SvgRenderer, PngRenderer)

    @extend_schema(
        operation_id="readTrendPicture",
        parameters=[_YEARS],
        responses={
            (200, "image/svg+xml"): OpenApiTypes.BINARY,
            (200, "image/png"): OpenApiTypes.BINARY,
        },
    )
    def get(self, request: Request, analyte_key: str, format: PictureFormat) -> Response:
        """The same as a picture, readable on a phone; an SVG carries a text alternative."""
        trend = self.trend(request, analyte_key)
        return Response(draw(trend, zone=self.viewer.zone, picture_format=format))
