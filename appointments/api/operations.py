"""Find, hold and book by the names that FHIR scheduling gives them.

The same views at the addresses of the Appointment type: a client that speaks FHIR finds what it
knows, and a change of one is a change of both.
"""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from appointments.api import serializers
from appointments.api.holds import HoldListView
from appointments.api.views import AppointmentListView, OpeningListView


class FindOperation(OpeningListView):
    operation = "appointments.find"

    @extend_schema(
        operation_id="appointmentFind",
        parameters=[serializers.OpeningQuery],
        responses=serializers.OpeningList,
    )
    def get(self, request: Request) -> Response:
        """`Appointment/$find`: as `GET openings`."""
        return super().get(request)


class HoldOperation(HoldListView):
    operation = "appointments.hold"
    http_method_names = ["post", "options"]

    @extend_schema(
        operation_id="appointmentHold",
        request=serializers.KeepRequest,
        responses={201: serializers.KeptOpening},
    )
    def post(self, request: Request) -> Response:
        """`Appointment/$hold`: as `POST holds`."""
        return super().post(request)


class BookOperation(AppointmentListView):
    operation = "appointments.book"
    http_method_names = ["post", "options"]

    @extend_schema(
        operation_id="appointmentBook",
        request=serializers.BookRequest,
        responses={201: serializers.AppointmentItem},
    )
    def post(self, request: Request) -> Response:
        """`Appointment/$book`: as `POST appointments`."""
        return super().post(request)
