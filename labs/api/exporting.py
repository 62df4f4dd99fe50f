"""A copy of her results to keep: one file, one audit event, a few times a day."""

from datetime import timedelta
from typing import Any

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.scopes import Scope
from core import audit
from core.api.renderers import JSONRenderer
from core.errors import DomainError, Forbidden
from labs import selectors
from labs.api.presentation import NOTE, Page, result_json
from labs.api.renderers import CsvRenderer
from labs.api.trend_json import trend_json
from labs.api.views import MAX_YEARS, LabView
from labs.exports import table_of
from labs.filters import EVERYTHING
from labs.trends import background_of, known_analyte, trend_of
from patients.care_frame import CareFrame

EXPORTS_A_DAY = 3
_PAGE = 100


class TooManyExports(DomainError):
    """She took as many copies today as one person may."""

    code = "too-many-exports"
    status = 429
    title = "You have taken several copies today. Please try again tomorrow."


class ResultsExportView(LabView):
    operation = "labs.results.export"
    resource = "Observation"
    scopes = {"GET": Scope.EXPORT}
    renderer_classes = (JSONRenderer, CsvRenderer)

    @extend_schema(
        operation_id="exportResults",
        responses={
            (200, "application/json"): OpenApiTypes.OBJECT,
            (200, "text/csv"): OpenApiTypes.BINARY,
        },
    )
    def get(self, request: Request, format: str) -> HttpResponseBase:
        """All her results as one file, `json` or `csv`, with the trends they are in.

        Needs `labs.read` beside `export`. What is not released is not in it. Three a day.
        """
        if Scope.LABS_READ not in self.viewer.scopes:
            raise Forbidden()
        if (
            audit.times_done(
                self.viewer.patient_id,
                self.viewer.user_id,
                self.operation,
                since=self.now - timedelta(days=1),
            )
            >= EXPORTS_A_DAY
        ):
            raise TooManyExports()
        results, trends = self._results(), self._trends()
        if format == "csv":
            response = Response(table_of(results, trends))
        else:
            response = Response(
                {"items": results, "trends": trends, "note": NOTE, "as_of": self.now}
            )
        # Neutral: the name of a file is stored in places that this system does not guard.
        response["Content-Disposition"] = f'attachment; filename="results.{format}"'
        response["X-Content-Type-Options"] = "nosniff"
        return response

    def _results(self) -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            found = selectors.results_page(
                self.viewer, wanted=EVERYTHING, cursor=cursor, limit=_PAGE, now=self.now
            )
            page = self.page(found.rows)
            shown += [result_json(row, page) for row in found.rows]
            if found.next is None:
                self.seen = [result["id"] for result in shown]
                return shown
            cursor = found.next

    def _trends(self) -> list[dict[str, Any]]:
        """Return the series that the list, the chart and the detail draw too."""
        assert self.viewer.patient_id is not None
        patient_id, trends = self.viewer.patient_id, []
        for key in selectors.analytes_of(self.viewer, patient_id=patient_id, now=self.now):
            rows = selectors.series_rows(
                self.viewer,
                patient_id=patient_id,
                analyte_key=key,
                since=self.now - timedelta(days=366 * MAX_YEARS),
                now=self.now,
            )
            trend = trend_of(
                known_analyte(key), rows, background=background_of(rows), zone=self.viewer.zone
            )
            trends.append(trend_json(trend, Page(self.viewer, CareFrame())))
        return trends
