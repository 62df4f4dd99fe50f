"""A copy of her results to keep: one file, one audit event, a few times a day."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.scopes import Scope
from core.api.renderers import JSONRenderer
from core.errors import DomainError
from labs import selectors
from labs.api.presentation import NOTE, result_json
from labs.api.renderers import CsvRenderer
from labs.api.trend_json import trend_json
from labs.api.views import DAYS, MAX_YEARS, LabView, day_filter
from labs.exports import table_of
from labs.services.copies import may_take_copy

MOST_RESULTS = 5_000


class TooManyExports(DomainError):
    """She took as many copies today as one person may."""

    code = "too-many-exports"
    status = 429
    title = "You have taken three copies in 24 hours. Please try again later."


class ExportTooLarge(DomainError):
    """More results than one file holds; none is left out silently."""

    code = "export-too-large"
    status = 422
    title = f"One file holds {MOST_RESULTS:,} results. Ask for fewer days with from and until."


class ResultsExportView(LabView):
    operation = "labs.results.export"
    resource = "Observation"
    scopes = {"GET": Scope.EXPORT}
    renderer_classes = (JSONRenderer, CsvRenderer)

    @extend_schema(
        operation_id="exportResults",
        parameters=DAYS,
        responses={
            (200, "application/json"): OpenApiTypes.OBJECT,
            (200, "text/csv"): OpenApiTypes.BINARY,
        },
    )
    def get(self, request: Request, format: str) -> HttpResponseBase:
        """All her results as one file, `json` or `csv`, with the trends they are in.

        Needs `labs.read` beside `export`. What is not released is not in it. Three in 24 hours.
        """
        if not may_take_copy(self.viewer, self.operation, now=self.now):
            raise TooManyExports()
        results, trends, warnings = self._made(request)
        if format == "csv":
            response = Response(table_of(results, trends))
        else:
            response = Response(
                {
                    "items": results,
                    "trends": trends,
                    "note": NOTE,
                    "as_of": self.now,
                    "warnings": warnings,
                }
            )
        # Neutral: the name of a file is stored in places that this system does not guard.
        response["Content-Disposition"] = f'attachment; filename="results.{format}"'
        response["X-Content-Type-Options"] = "nosniff"
        return response

    def _made(self, request: Request) -> tuple[list[Any], list[Any], list[str]]:
        """Return results, trends and warnings. The list is one statement: it is of one moment."""
        found = selectors.results_page(
            self.viewer,
            wanted=day_filter(request, self.viewer.zone),
            cursor=None,
            limit=MOST_RESULTS,
            now=self.now,
        )
        if found.next is not None:
            raise ExportTooLarge()
        page = self.page(found.rows)
        trends = [
            self.trend_since(key, self.now - timedelta(days=366 * MAX_YEARS))
            for key in sorted({row["analyte_key"] for row in found.rows} - {""})
        ]
        drawn = {UUID(id) for trend in trends for id in trend.as_sent}
        self.seen = drawn | {row["id"] for row in found.rows}
        results = [result_json(row, page) for row in found.rows]
        return results, [trend_json(trend, page) for trend in trends], page.warnings
