"""Times that are kept for her while she decides."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.scopes import Scope
from appointments import selectors, services
from appointments.api import serializers
from appointments.api.presentation import HOLD_FIELDS, hold_json
from appointments.api.views import AppointmentView
from appointments.models import Hold


class HoldView(AppointmentView):
    resource = "Slot"
    scopes = {
        "GET": Scope.APPOINTMENTS_READ,
        "POST": Scope.APPOINTMENTS_WRITE,
        "DELETE": Scope.APPOINTMENTS_WRITE,
    }

    def rows(self) -> list[dict[str, Any]]:
        kept = selectors.holds_for(self.viewer, now=self.now).filter(purpose=Hold.Purpose.BOOKING)
        return list(kept.order_by("starts_at", "id").values(*HOLD_FIELDS))

    def one(self, hold_id: UUID) -> dict[str, Any]:
        self.seen = [hold_id]
        row = next(row for row in self.rows() if row["id"] == hold_id)
        return hold_json(row, self.viewer.language)


class HoldListView(HoldView):
    operation = "appointments.holds.list"

    @extend_schema(operation_id="listHolds", responses=serializers.KeptOpeningList)
    def get(self, request: Request) -> Response:
        """The times that are kept for her now."""
        rows = self.rows()
        self.seen = [row["id"] for row in rows]
        return self.framed([hold_json(row, self.viewer.language) for row in rows])

    @extend_schema(
        operation_id="holdOpening",
        request=serializers.KeepRequest,
        responses={201: serializers.KeptOpening},
    )
    def post(self, request: Request) -> Response:
        """Keep an opening for five minutes. It stays hers alone and ends by itself."""
        body = serializers.KeepRequest(data=request.data)
        body.is_valid(raise_exception=True)
        with self.offering_others():
            made = services.hold(
                viewer=self.viewer, opening=body.validated_data["opening"], now=self.now
            )
        kept = request.path.replace("/appointments/$hold", "/holds")
        return Response(self.one(made.id), status=201, headers={"Location": f"{kept}/{made.id}"})


class HoldDetailView(HoldView):
    operation = "appointments.holds.release"

    @extend_schema(operation_id="releaseHold", responses={204: None})
    def delete(self, request: Request, hold_id: UUID) -> Response:
        """Give the time back; doing it twice is no error."""
        services.release(viewer=self.viewer, hold_id=hold_id, now=self.now)
        self.seen = [hold_id]
        return Response(status=204)


class RenewView(HoldView):
    operation = "appointments.holds.renew"

    @extend_schema(operation_id="renewHold", request=None, responses={200: serializers.KeptOpening})
    def post(self, request: Request, hold_id: UUID) -> Response:
        """Keep it for five minutes more, once."""
        with self.offering_others():
            services.renew(viewer=self.viewer, hold_id=hold_id, now=self.now)
        return Response(self.one(hold_id))
