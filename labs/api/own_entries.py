"""What a patient or caregiver adds herself: her reading marks, and results from elsewhere."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.scopes import Scope
from core.db import identity, system
from core.timeobject import time_object
from labs import selectors
from labs.api import serializers
from labs.api.presentation import result_json
from labs.api.views import LabView
from labs.services import outside
from labs.services.seen import mark_seen


class ReportSeenView(LabView):
    operation = "labs.reports.seen"
    resource = "DiagnosticReport"
    scopes = {"POST": Scope.LABS_READ}

    @extend_schema(
        operation_id="markReportSeen",
        request=serializers.ReadReport,
        responses=serializers.SeenReport,
    )
    def post(self, request: Request, report_id: UUID) -> Response:
        """Say that you have opened this report. Yours alone; nobody else's mark moves."""
        body = serializers.ReadReport(data=request.data)
        body.is_valid(raise_exception=True)
        seen_at = mark_seen(
            self.viewer,
            report_id=report_id,
            read_at=body.validated_data.get("as_of"),
            now=self.now,
        )
        self.seen = [report_id]
        seen = time_object(seen_at, self.viewer.zone, self.viewer.language)
        return Response({"report_id": report_id, "seen": seen})


class _OutsideView(LabView):
    """Writing needs both: to read results, and to send what the patient says of herself."""

    resource = "Observation"
    scopes = dict.fromkeys(("POST", "PUT", "DELETE"), Scope.SYMPTOMS_WRITE)

    def entry(self, request: Request) -> outside.OutsideEntry:
        """Return what was typed in. Raises: ValidationError."""
        body = serializers.OutsideResult(data=request.data)
        body.is_valid(raise_exception=True)
        sent = body.validated_data
        return outside.OutsideEntry(
            analyte_key=sent["analyte"],
            value=sent["value"],
            unit=sent["unit"],
            range=sent["range"],
            taken_on=sent["taken_on"],
            where=sent["where"],
            decimal_comma=sent["decimal_comma"],
        )

    def shown(self, result_id: UUID, status: int) -> Response:
        self.seen = [result_id]
        # Row security goes by the database's clock, which may be a moment behind ours.
        with identity(system("outside-results")):
            row = selectors.one_result(self.viewer, result_id=result_id, now=self.now)
        return Response(result_json(row, self.page([row])), status=status)


class OutsideResultsView(_OutsideView):
    operation = "labs.outside.enter"

    @extend_schema(
        operation_id="enterOutsideResult",
        request=serializers.OutsideResult,
        responses={201: serializers.Result},
    )
    def post(self, request: Request) -> Response:
        """Type in a result of another laboratory. Nobody of the staff is told."""
        return self.shown(outside.enter(self.viewer, self.entry(request), now=self.now), 201)


class OutsideResultView(_OutsideView):
    operation = "labs.outside.change"

    @extend_schema(
        operation_id="correctOutsideResult",
        request=serializers.OutsideResult,
        responses=serializers.Result,
    )
    def put(self, request: Request, result_id: UUID) -> Response:
        """Correct what you typed in: a new version with a new id."""
        entry = self.entry(request)
        return self.shown(outside.correct(self.viewer, result_id, entry, now=self.now), 200)

    @extend_schema(operation_id="takeBackOutsideResult", request=None, responses={204: None})
    def delete(self, request: Request, result_id: UUID) -> Response:
        """Take back what you typed in."""
        outside.take_back(self.viewer, result_id, now=self.now)
        self.seen = [result_id]
        return Response(status=204)
