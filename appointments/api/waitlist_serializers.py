"""Shapes of the waitlist."""

from typing import Any

from rest_framework import serializers

from appointments.models import WaitlistEntry, WaitlistOffer
from appointments.waiting import PARTS_OF_DAY
from core.api.serializers import ListFrame, TimeObject

_CLOCK = ["%H:%M", "%H:%M:%S"]


class _FromUntil(serializers.Serializer):
    """Adds `from` and `until`: dates by the clinic's calendar, both included."""

    def get_fields(self) -> dict[str, serializers.Field]:
        # `from` is a keyword of Python.
        return {
            "from": serializers.DateField(required=False, default=None, allow_null=True),
            "until": serializers.DateField(required=False, default=None, allow_null=True),
            **super().get_fields(),
        }


class WaitWindow(_FromUntil):
    """Times that suit her, by the clock of the clinic."""

    weekdays = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=7),
        required=False,
        default=list,
        max_length=7,
        help_text="1 is Monday; none: every day.",
    )
    time_from = serializers.TimeField(
        required=False, default=None, allow_null=True, format="%H:%M", input_formats=_CLOCK
    )
    time_until = serializers.TimeField(
        required=False,
        default=None,
        allow_null=True,
        format="%H:%M",
        input_formats=_CLOCK,
        help_text="A visit starts before it.",
    )


class WaitWindowRequest(WaitWindow):
    part_of_day = serializers.ChoiceField(
        sorted(PARTS_OF_DAY),
        required=False,
        default=None,
        allow_null=True,
        help_text="Instead of times: morning until 12:00, afternoon until 17:00, evening.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["part_of_day"] and (attrs["time_from"] or attrs["time_until"]):
            raise serializers.ValidationError(
                {"part_of_day": "Send a part of the day or times, not both."}
            )
        return attrs


class WaitRequest(serializers.Serializer):
    """A visit type, or one of her visits that is to be earlier."""

    visit_type = serializers.UUIDField(required=False, default=None, allow_null=True)
    appointment = serializers.UUIDField(
        required=False, default=None, allow_null=True, help_text="A booked visit of hers."
    )
    windows = WaitWindowRequest(many=True, required=False, default=list)
    locations = serializers.ListField(
        child=serializers.UUIDField(),
        required=False,
        default=list,
        max_length=50,
        help_text="None: anywhere.",
    )
    minimum_notice_minutes = serializers.IntegerField(
        required=False,
        default=0,
        min_value=0,
        max_value=43200,
        help_text="How long before a visit she must know of it.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["visit_type"] is None and attrs["appointment"] is None:
            raise serializers.ValidationError({"visit_type": "Send a visit type or a visit."})
        return attrs


class WaitedFor(serializers.Serializer):
    id = serializers.UUIDField()
    code = serializers.CharField()
    name = serializers.CharField()


class WaitPlace(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()


class WaitlistItem(serializers.Serializer):
    id = serializers.UUIDField()
    status = serializers.ChoiceField(WaitlistEntry.Status.choices)
    appointment_status = serializers.ChoiceField(
        ["waitlist", "booked", "cancelled"], help_text="The same as FHIR AppointmentStatus."
    )
    visit_type = WaitedFor()
    appointment = serializers.UUIDField(
        allow_null=True, help_text="The visit that is to be earlier."
    )
    windows = WaitWindow(many=True)
    locations = WaitPlace(many=True)
    minimum_notice_minutes = serializers.IntegerField()
    waiting_since = TimeObject()
    ended = TimeObject(allow_null=True)
    ending = serializers.ChoiceField(
        WaitlistEntry.Ending.choices, allow_null=True, help_text="Why it ended."
    )
    open_offer = serializers.UUIDField(allow_null=True)


class WaitlistItemList(ListFrame):
    items = WaitlistItem(many=True)


class OfferItem(serializers.Serializer):
    id = serializers.UUIDField()
    status = serializers.ChoiceField(WaitlistOffer.Status.choices)
    participant_status = serializers.ChoiceField(
        ["needs-action", "accepted", "declined"],
        help_text="The same as FHIR AppointmentResponse.participantStatus.",
    )
    entry = serializers.UUIDField()
    start = TimeObject()
    end = TimeObject()
    visit_type = WaitedFor()
    location = WaitPlace()
    instead_of = serializers.UUIDField(
        allow_null=True, help_text="Her visit that moves to this time when she accepts."
    )
    offered = TimeObject()
    answer_until = TimeObject(help_text="Kept for her until then, by the clock of the server.")
    visit = serializers.UUIDField(allow_null=True, help_text="What she got by accepting.")

    def get_fields(self) -> dict[str, serializers.Field]:
        # `with` is a keyword of Python.
        return {**super().get_fields(), "with": serializers.CharField()}


class OfferItemList(ListFrame):
    items = OfferItem(many=True)


class _Paged(serializers.Serializer):
    limit = serializers.IntegerField(required=False, default=20, min_value=1, max_value=100)
    cursor = serializers.CharField(required=False, default=None, max_length=400)


class WaitlistQuery(_Paged):
    status = serializers.ChoiceField(
        WaitlistEntry.Status.choices, required=False, default=None, help_text="All without it."
    )


class OfferQuery(_Paged):
    open = serializers.BooleanField(required=False, default=False)
