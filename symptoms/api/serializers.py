"""Shapes of the check-in API."""

from typing import Any

from rest_framework import serializers

from core.api.serializers import ListFrame, Section, TimeObject
from symptoms.answers import Sent


class CheckInRowSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    questionnaire = serializers.CharField()
    questionnaire_version = serializers.IntegerField()
    title = serializers.CharField()
    due_on = serializers.DateField()
    status = serializers.CharField()
    may_answer = serializers.BooleanField()
    opens_at = TimeObject()
    expires_at = TimeObject()


class CheckInListSerializer(ListFrame):
    items = CheckInRowSerializer(many=True)


class CheckInOptionSerializer(serializers.Serializer[Any]):
    value = serializers.IntegerField(required=False)
    code = serializers.CharField(required=False)
    text = serializers.CharField()
    urgency = serializers.CharField(required=False)
    action = serializers.CharField(required=False)


class CheckInQuestionSerializer(serializers.Serializer[Any]):
    link_id = serializers.CharField()
    text = serializers.CharField()
    asks = serializers.CharField()
    required = serializers.BooleanField()  # type: ignore[assignment]
    enabled_by = serializers.CharField(allow_null=True)
    options = CheckInOptionSerializer(many=True)


class CheckInPhonesSerializer(serializers.Serializer[Any]):
    phone_day = serializers.CharField()
    phone_24h = serializers.CharField()


class CheckInSerializer(CheckInRowSerializer):
    reviewed_by_clinician = serializers.BooleanField()
    questions = CheckInQuestionSerializer(many=True)
    call = CheckInPhonesSerializer()
    as_of = serializers.DateTimeField()
    warnings = serializers.ListField(child=serializers.CharField())


class CheckInAnswerSerializer(serializers.Serializer[Any]):
    link_id = serializers.CharField(max_length=60)
    value = serializers.DecimalField(max_digits=5, decimal_places=2, required=False)
    codes = serializers.ListField(
        child=serializers.CharField(max_length=40), required=False, max_length=40
    )
    unit = serializers.ChoiceField(choices=["C", "F"], required=False)
    declined = serializers.BooleanField(default=False)


class CheckInLookRequestSerializer(serializers.Serializer[Any]):
    questionnaire_version = serializers.IntegerField(min_value=1, required=False)
    answers = serializers.ListField(child=CheckInAnswerSerializer(), max_length=100)


class CheckInResponseSerializer(CheckInLookRequestSerializer):
    client_id = serializers.UUIDField()


def sent_answers(validated: dict[str, Any]) -> list[Sent]:
    """Return validated answers as the service takes them."""
    return [_sent(row) for row in validated["answers"]]


def _sent(row: dict[str, Any]) -> Sent:
    return Sent(
        link_id=row["link_id"],
        value=row.get("value"),
        codes=tuple(row.get("codes", ())),
        unit=row.get("unit", ""),
        declined=row["declined"],
    )


class CheckInHeardSerializer(serializers.Serializer[Any]):
    link_id = serializers.CharField()
    question = serializers.CharField()
    answer = serializers.CharField()


class CheckInAlertSerializer(serializers.Serializer[Any]):
    urgency = serializers.CharField()
    text = serializers.CharField()
    action = serializers.CharField()


class CheckInReviewSerializer(serializers.Serializer[Any]):
    watched_now = serializers.BooleanField()
    next_review_by = TimeObject(allow_null=True)
    text = serializers.CharField()


class CheckInCallSerializer(serializers.Serializer[Any]):
    now = serializers.BooleanField()
    phone_day = serializers.CharField()
    phone_24h = serializers.CharField()
    text = serializers.CharField()


class CheckInLookSerializer(serializers.Serializer[Any]):
    emergency = serializers.BooleanField()
    alerts = CheckInAlertSerializer(many=True)
    meanwhile = serializers.ListField(child=serializers.CharField())
    call = CheckInCallSerializer()
    stored = serializers.BooleanField()


class CheckInReplySerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    check_in_id = serializers.UUIDField()
    mode = serializers.CharField()
    is_late = serializers.BooleanField()
    heard = CheckInHeardSerializer(many=True)
    alerts = CheckInAlertSerializer(many=True)
    review = CheckInReviewSerializer()
    meanwhile = serializers.ListField(child=serializers.CharField())
    call = CheckInCallSerializer()
    warnings = serializers.ListField(child=serializers.CharField())


class SymptomTrendPointSerializer(serializers.Serializer[Any]):
    response_id = serializers.UUIDField()
    at = TimeObject()
    mode = serializers.CharField()
    is_late = serializers.BooleanField()
    answers = serializers.DictField(child=serializers.FloatField())
    composite_grade = serializers.IntegerField(allow_null=True)


class SymptomTrendSerializer(Section):
    symptom = serializers.CharField()
    name = serializers.CharField()
    points = SymptomTrendPointSerializer(many=True)
