"""Shapes of the appointment answers and requests."""

from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from appointments.models import Appointment, VisitType
from core.api.serializers import ListFrame, TimeObject


class _With(serializers.Serializer):
    """Adds `with`, a keyword of Python: the name of the practitioner or thing."""

    def get_fields(self) -> dict[str, serializers.Field]:
        return {**super().get_fields(), "with": serializers.CharField()}


class OpeningLocation(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()


class Opening(_With):
    id = serializers.CharField(help_text="Opaque; send it to book.")
    start = TimeObject()
    end = TimeObject()
    visit_type = serializers.UUIDField()
    schedule_id = serializers.UUIDField()
    practitioner = serializers.UUIDField(help_text="Whose or what's hours these are.")
    location = OpeningLocation()


class OpeningDay(serializers.Serializer):
    date = serializers.DateField(help_text="Local to the location.")
    openings = serializers.IntegerField()
    first = Opening()


class OpeningDayList(ListFrame):
    items = OpeningDay(many=True)


class OpeningList(ListFrame):
    items = Opening(many=True)


class VisitTypeOfAppointment(serializers.Serializer):
    id = serializers.UUIDField()
    code = serializers.CharField()
    name = serializers.CharField()
    modality = serializers.ChoiceField(VisitType.Modality.choices)
    preparation = serializers.CharField()


class LocationOfAppointment(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    address = serializers.CharField()
    phone = serializers.CharField()
    directions = serializers.CharField()


class Cancelled(serializers.Serializer):
    at = TimeObject()
    reason = serializers.ChoiceField(Appointment.CancellationReason.choices)


class AppointmentItem(_With):
    id = serializers.UUIDField()
    status = serializers.ChoiceField(
        Appointment.Status.choices, help_text="FHIR AppointmentStatus."
    )
    start = TimeObject()
    end = TimeObject()
    visit_type = VisitTypeOfAppointment()
    location = LocationOfAppointment()
    sequence = serializers.IntegerField(help_text="Rises when the time changes or at cancelling.")
    version = serializers.IntegerField()
    booked = TimeObject()
    booked_via = serializers.ChoiceField(Appointment.Via.choices)
    confirmed = TimeObject(allow_null=True, help_text="When she said that she will come.")
    cancelled = Cancelled(allow_null=True)


class AppointmentList(ListFrame):
    items = AppointmentItem(many=True)


class Versioned(serializers.Serializer):
    version = serializers.IntegerField(
        required=False,
        default=None,
        allow_null=True,
        help_text="What you read last: 409 `version-conflict` when it has changed since.",
    )


class WhichTime(serializers.Serializer):
    """Either an opening or a hold."""

    opening = serializers.CharField(
        max_length=100, required=False, default=None, help_text="The id of an opening."
    )
    hold = serializers.UUIDField(
        required=False, default=None, help_text="The id of a time that is kept for her."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if (attrs["opening"] is None) == (attrs["hold"] is None):
            raise serializers.ValidationError({"opening": "Send an opening or a hold."})
        return attrs


class BookRequest(WhichTime):
    """What to book."""

    ticket = serializers.UUIDField(
        required=False,
        default=None,
        allow_null=True,
        help_text="Which ticket to use; without it, the one that ends first.",
    )


class RescheduleRequest(WhichTime, Versioned):
    """Where to: either an opening or a hold of the same kind of visit."""


class KeepRequest(serializers.Serializer):
    opening = serializers.CharField(max_length=100, help_text="The id of an opening.")


class KeptOpening(_With):
    id = serializers.UUIDField()
    opening = serializers.CharField()
    start = TimeObject()
    end = TimeObject()
    visit_type = serializers.UUIDField()
    schedule_id = serializers.UUIDField()
    location = OpeningLocation()
    expires = TimeObject(help_text="Kept until then, by the clock of the server.")
    renewable = serializers.BooleanField(help_text="Whether it may be kept longer, once.")


class KeptOpeningList(ListFrame):
    items = KeptOpening(many=True)


class CancelRequest(Versioned):
    reason = serializers.ChoiceField(
        Appointment.CancellationReason.choices,
        default=Appointment.CancellationReason.PORTAL.value,
        help_text="HL7 appointment-cancellation-reason: pat… or other.",
    )


class VisitTypeItem(serializers.Serializer):
    id = serializers.UUIDField()
    code = serializers.CharField()
    name = serializers.CharField()
    modality = serializers.ChoiceField(VisitType.Modality.choices)
    duration_minutes = serializers.IntegerField()
    booking_policy = serializers.ChoiceField(VisitType.BookingPolicy.choices)
    lead_time_minutes = serializers.IntegerField()
    horizon_days = serializers.IntegerField()
    cancel_cutoff_minutes = serializers.IntegerField()
    preparation = serializers.CharField()


class VisitTypeList(ListFrame):
    items = VisitTypeItem(many=True)


class LocationItem(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    zone = serializers.CharField()
    address = serializers.CharField()
    phone = serializers.CharField()
    directions = serializers.CharField()


class LocationList(ListFrame):
    items = LocationItem(many=True)


@extend_schema_field(OpenApiTypes.STR)
class _Ids(serializers.Field):
    """Several ids, separated by commas."""

    default_error_messages: ClassVar = {"invalid": "Send ids, separated by commas."}
    at_most = 20

    def to_internal_value(self, data: Any) -> list[UUID]:
        parts = [part for part in str(data).split(",") if part]
        try:
            ids = [UUID(part) for part in parts]
        except ValueError:
            self.fail("invalid")
        if not ids or len(ids) > self.at_most:
            self.fail("invalid")
        return ids

    def to_representation(self, value: Any) -> str:
        return ",".join(str(one) for one in value)


@extend_schema_field(OpenApiTypes.STR)
class _Weekdays(_Ids):
    default_error_messages: ClassVar = {"invalid": "Send 1 (Monday) to 7, separated by commas."}

    def to_internal_value(self, data: Any) -> Any:
        parts = [part for part in str(data).split(",") if part]
        if not parts or any(part not in "1234567" or len(part) > 1 for part in parts):
            self.fail("invalid")
        return [int(part) for part in parts]


class OpeningDaysQuery(serializers.Serializer):
    """What a search for openings may say. What is left out means all."""

    visit_type = _Ids(help_text="One or more ids, separated by commas.")
    location = _Ids(required=False, default=(), help_text="Ids of locations.")
    practitioner = _Ids(required=False, default=(), help_text="Ids from `practitioner`.")
    schedule = serializers.UUIDField(required=False, default=None)
    weekday = _Weekdays(required=False, default=(), help_text="1 (Monday) to 7, with commas.")
    starts_from = serializers.TimeField(
        required=False, default=None, help_text="Not before this time of the clinic's clock."
    )
    starts_until = serializers.TimeField(
        required=False, default=None, help_text="Before this time of the clinic's clock."
    )
    to = serializers.DateField(required=False, default=None, help_text="Last day.")

    def get_fields(self) -> dict[str, serializers.Field]:
        # `from` is a keyword of Python.
        first = serializers.DateField(
            required=False, default=None, help_text="First day, local to the location; today."
        )
        return {**super().get_fields(), "from": first}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        start, end = attrs["starts_from"], attrs["starts_until"]
        if start is not None and end is not None and start >= end:
            raise serializers.ValidationError({"starts_until": "Ends before it starts."})
        return attrs


class OpeningQuery(OpeningDaysQuery):
    limit = serializers.IntegerField(required=False, default=20, min_value=1, max_value=100)
    cursor = serializers.CharField(required=False, default=None, max_length=400)


class AppointmentQuery(serializers.Serializer):
    """Which visits to list."""

    period = serializers.ChoiceField(
        ["upcoming", "past"],
        default="upcoming",
        help_text="upcoming: not over yet, the next first; past: the latest first.",
    )
    limit = serializers.IntegerField(required=False, default=20, min_value=1, max_value=100)
    cursor = serializers.CharField(required=False, default=None, max_length=400)
