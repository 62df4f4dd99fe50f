"""She asks that a report is not shown to her until a day, and takes that back."""

from datetime import datetime
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.scopes import Scope
from core.api.serializers import Section
from core.areas import Area
from core.errors import NotFound
from labs.holds import own_requests
from labs.models import ReleaseHold
from labs.services.holding import request_hold, take_back
from patients.api.views import PatientView


class HoldRequest(serializers.Serializer):
    report_id = serializers.UUIDField()
    until = serializers.DateTimeField(help_text="With an offset. Shown again by itself then.")


class HoldItem(serializers.Serializer):
    id = serializers.UUIDField()
    report_id = serializers.UUIDField()
    placed_at = serializers.DateTimeField()
    until = serializers.DateTimeField()


class HoldList(Section):
    items = HoldItem(many=True)


class HoldsView(PatientView):
    """Hers alone: a caregiver gets 404. Only what she asked for herself stands here."""

    area = Area.LABS
    operation = "labs.hold-requests"
    resource = "ReleaseHold"
    scopes = {"GET": Scope.LABS_READ, "POST": Scope.LABS_READ}

    @extend_schema(operation_id="listHoldRequests", responses=HoldList)
    def get(self, request: Request) -> Response:
        """The reports that she asked not to be shown for now."""
        if self.viewer.kind != "patient":
            raise NotFound()
        found = list(own_requests(self.viewer, now=self.now))
        self.seen = [row.id for row in found]
        return Response({"items": [_item(row) for row in found], "as_of": self.now, "warnings": []})

    @extend_schema(operation_id="requestHold", request=HoldRequest, responses={201: HoldItem})
    def post(self, request: Request) -> Response:
        """Hide a report from her, and from who acts for her, until then."""
        body = HoldRequest(data=request.data)
        body.is_valid(raise_exception=True)
        until: datetime = body.validated_data["until"]
        placed = request_hold(
            viewer=self.viewer,
            report_id=body.validated_data["report_id"],
            until=until,
            now=self.now,
        )
        self.seen = [placed.id]
        return Response(_item(placed), status=201)


class EndHoldView(PatientView):
    area = Area.LABS
    operation = "labs.hold-requests.end"
    resource = "ReleaseHold"
    scopes = {"POST": Scope.LABS_READ}

    @extend_schema(operation_id="endHoldRequest", request=None, responses=HoldItem)
    def post(self, request: Request, hold_id: UUID) -> Response:
        """Show the report again, as far as nothing else keeps it."""
        placed = take_back(viewer=self.viewer, hold_id=hold_id, now=self.now)
        self.seen = [placed.id]
        return Response(_item(placed))


def _item(row: ReleaseHold) -> dict[str, Any]:
    return {
        "id": row.id,
        "report_id": row.report_id,
        "placed_at": row.placed_at,
        "until": row.backstop_at,
    }
