"""She asks for a visit, reads what became of it, and may take it back."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from appointments import requests, services
from appointments.api.serializers import OpeningLocation
from appointments.api.views import AppointmentView
from appointments.models import PreferredWindow, VisitRequest
from appointments.wishes import Window
from core.api.paging import keyset_page
from core.api.serializers import ListFrame, TimeObject
from core.errors import NotFound
from core.timeobject import time_object, time_object_or_none


class WindowItem(serializers.Serializer):
    """Days, and times of day, that would suit her."""

    until = serializers.DateField(help_text="Last day, at the place of the visit.")
    weekdays = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=7),
        required=False,
        default=list,
        max_length=7,
        help_text="1 is Monday; empty is any.",
    )
    part_of_day = serializers.ChoiceField(
        PreferredWindow.PartOfDay.choices, default=PreferredWindow.PartOfDay.ANY.value
    )

    def get_fields(self) -> dict[str, serializers.Field]:
        # `from` is a keyword of Python.
        return {"from": serializers.DateField(), **super().get_fields()}


class VisitRequestNew(serializers.Serializer):
    visit_type = serializers.UUIDField()
    windows = serializers.ListField(
        child=WindowItem(), min_length=1, max_length=services.WINDOWS_AT_MOST
    )
    location = serializers.UUIDField(required=False, default=None, allow_null=True)
    practitioner = serializers.UUIDField(
        required=False, default=None, allow_null=True, help_text="A resource of a schedule."
    )
    note = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=services.NOTE_AT_MOST
    )


class RequestedVisitType(serializers.Serializer):
    id = serializers.UUIDField()
    code = serializers.CharField()
    name = serializers.CharField()


class RequestedPractitioner(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()


class VisitRequestItem(serializers.Serializer):
    id = serializers.UUIDField()
    status = serializers.CharField(
        help_text="FHIR Appointment.status: proposed, booked, cancelled."
    )
    response = serializers.ChoiceField(
        ["needs-action", "accepted", "tentative", "declined"],
        help_text="The clinic's: FHIR AppointmentResponse.participantStatus.",
    )
    standing = serializers.ChoiceField(VisitRequest.State.choices)
    visit_type = RequestedVisitType()
    windows = WindowItem(many=True)
    location = OpeningLocation(allow_null=True)
    practitioner = RequestedPractitioner(allow_null=True)
    note = serializers.CharField()
    made = TimeObject()
    decided = TimeObject(allow_null=True)
    answer = serializers.CharField(help_text="The clinic's words, or empty.")
    appointment = serializers.UUIDField(allow_null=True, help_text="The visit that came of it.")


class VisitRequestList(ListFrame):
    items = VisitRequestItem(many=True)


class VisitRequestQuery(serializers.Serializer):
    limit = serializers.IntegerField(required=False, default=20, min_value=1, max_value=100)
    cursor = serializers.CharField(required=False, default=None, max_length=400)


_FHIR = {
    "open": ("proposed", "needs-action"),
    "booked": ("booked", "accepted"),
    "answered": ("proposed", "tentative"),
    "declined": ("cancelled", "declined"),
    "withdrawn": ("cancelled", "needs-action"),
}
_READ = ("visit_type__organization", "location", "practitioner")


def request_json(asked: VisitRequest, language: str) -> dict[str, Any]:
    zone = asked.visit_type.organization.zone
    status, response = _FHIR[asked.state]
    location, practitioner = asked.location, asked.practitioner
    return {
        "id": asked.id,
        "status": status,
        "response": response,
        "standing": asked.state,
        "visit_type": {
            "id": asked.visit_type_id,
            "code": asked.visit_type.code,
            "name": asked.visit_type.name,
        },
        "windows": [
            {
                "from": window.first,
                "until": window.last,
                "weekdays": sorted(window.weekdays),
                "part_of_day": window.part_of_day,
            }
            for window in requests.windows_of(asked)
        ],
        "location": location and {"id": location.id, "name": location.name},
        "practitioner": practitioner and {"id": practitioner.id, "name": practitioner.name},
        "note": requests.words(asked.note),
        "made": time_object(asked.made_at, zone, language),
        "decided": time_object_or_none(asked.decided_at, zone, language),
        "answer": requests.words(asked.answer),
        "appointment": asked.appointment_id,
    }


class VisitRequestView(AppointmentView):
    def one(self, request_id: UUID) -> dict[str, Any]:
        """Return a request as the API shows it. Raises: NotFound."""
        asked = (
            requests.requests_for(self.viewer)
            .select_related(*_READ)
            .prefetch_related("windows")
            .filter(id=request_id)
            .first()
        )
        if asked is None:
            raise NotFound()
        self.seen = [request_id]
        return request_json(asked, self.viewer.language)


class VisitRequestListView(VisitRequestView):
    operation = "appointments.requests.list"

    @extend_schema(
        operation_id="listVisitRequests",
        parameters=[VisitRequestQuery],
        responses=VisitRequestList,
    )
    def get(self, request: Request) -> Response:
        """What she asked for, the latest first."""
        query = VisitRequestQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        page = keyset_page(
            requests.requests_for(self.viewer).select_related(*_READ).prefetch_related("windows"),
            order=("-made_at", "-id"),
            bound_to=f"appointments.requests:{self.viewer.key}",
            cursor=query.validated_data["cursor"],
            limit=query.validated_data["limit"],
        )
        self.seen = [asked.id for asked in page.rows]
        return self.framed(
            [request_json(asked, self.viewer.language) for asked in page.rows],
            following=page.next,
        )

    @extend_schema(
        operation_id="requestVisit",
        request=VisitRequestNew,
        responses={201: VisitRequestItem},
    )
    def post(self, request: Request) -> Response:
        """Ask for a visit that the clinic books on request."""
        body = VisitRequestNew(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        made = services.request_visit(
            viewer=self.viewer,
            visit_type_id=asked["visit_type"],
            windows=[
                Window(
                    first=window["from"],
                    last=window["until"],
                    weekdays=frozenset(window["weekdays"]),
                    part_of_day=window["part_of_day"],
                )
                for window in asked["windows"]
            ],
            location_id=asked["location"],
            practitioner_id=asked["practitioner"],
            note=asked["note"],
            now=self.now,
        )
        return Response(
            self.one(made.id), status=201, headers={"Location": f"{request.path}/{made.id}"}
        )


class VisitRequestDetailView(VisitRequestView):
    operation = "appointments.requests.read"

    @extend_schema(operation_id="readVisitRequest", responses=VisitRequestItem)
    def get(self, request: Request, request_id: UUID) -> Response:
        """One request, and what became of it."""
        return Response(self.one(request_id))


class VisitRequestWithdrawView(VisitRequestView):
    operation = "appointments.requests.withdraw"

    @extend_schema(
        operation_id="withdrawVisitRequest", request=None, responses={200: VisitRequestItem}
    )
    def post(self, request: Request, request_id: UUID) -> Response:
        """Take it back; doing it twice is no error."""
        services.withdraw_request(viewer=self.viewer, request_id=request_id, now=self.now)
        return Response(self.one(request_id))
