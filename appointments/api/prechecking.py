"""The eCheck-in before a visit, section by section."""

import json
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.scopes import Scope
from appointments import prechecks, services
from appointments.api.presentation import time_of
from appointments.api.views import AppointmentView
from appointments.models import Section
from core.api.serializers import TimeObject
from core.errors import NotFound

_AT_MOST = 60


class _ListOrNone(serializers.Serializer):
    """`none` true, or at least one item: silence is not an answer."""

    none = serializers.BooleanField(help_text="True: there are none.")
    items: ClassVar[Any]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["none"] == bool(attrs["items"]):
            raise serializers.ValidationError({"none": "Say none, or list them."})
        return attrs


class EmergencyContact(serializers.Serializer):
    name = serializers.CharField(max_length=120)
    phone = serializers.CharField(max_length=40)


class DemographicsAnswer(serializers.Serializer):
    """What the clinic has is right, or what should be changed: staff change it."""

    unchanged = serializers.BooleanField()
    phone = serializers.CharField(max_length=40, required=False, allow_blank=True, default="")
    address = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")
    emergency_contact = EmergencyContact(required=False, allow_null=True, default=None)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        changes = any(attrs[name] for name in ("phone", "address", "emergency_contact"))
        if attrs["unchanged"] == changes:
            raise serializers.ValidationError({"unchanged": "Say unchanged, or what changed."})
        return attrs


class Medicine(serializers.Serializer):
    name = serializers.CharField(max_length=160)
    dose = serializers.CharField(max_length=80, required=False, allow_blank=True, default="")
    how_often = serializers.CharField(max_length=80, required=False, allow_blank=True, default="")


class MedicinesAnswer(_ListOrNone):
    items = serializers.ListField(child=Medicine(), max_length=_AT_MOST)


class Allergy(serializers.Serializer):
    substance = serializers.CharField(max_length=160)
    reaction = serializers.CharField(max_length=160, required=False, allow_blank=True, default="")


class AllergiesAnswer(_ListOrNone):
    items = serializers.ListField(child=Allergy(), max_length=_AT_MOST)


class SymptomsAnswer(serializers.Serializer):
    """Only whether there is anything: what it is goes to the symptom check-in, or by phone."""

    anything_new = serializers.BooleanField()


class ConsentDecision(serializers.Serializer):
    code = serializers.SlugField(max_length=40)
    version = serializers.IntegerField(min_value=1)
    decision = serializers.ChoiceField(["agreed", "declined"])


class ConsentsAnswer(serializers.Serializer):
    decisions = serializers.ListField(child=ConsentDecision(), max_length=_AT_MOST)


_ANSWERS: dict[str, type[serializers.Serializer]] = {
    Section.DEMOGRAPHICS: DemographicsAnswer,
    Section.MEDICINES: MedicinesAnswer,
    Section.ALLERGIES: AllergiesAnswer,
    Section.SYMPTOMS: SymptomsAnswer,
    Section.CONSENTS: ConsentsAnswer,
}


class PreVisitSection(serializers.Serializer):
    section = serializers.ChoiceField(Section.choices)
    done = serializers.BooleanField()
    answer = serializers.JSONField(allow_null=True, help_text="What she said last.")


class ConsentAsked(serializers.Serializer):
    code = serializers.CharField()
    version = serializers.IntegerField()
    title = serializers.CharField()
    text = serializers.CharField()


class PreVisitItem(serializers.Serializer):
    appointment = serializers.UUIDField()
    opens = TimeObject()
    closes = TimeObject()
    open = serializers.BooleanField()
    completed = TimeObject(allow_null=True)
    sections = PreVisitSection(many=True)
    missing = serializers.ListField(child=serializers.ChoiceField(Section.choices))
    consents = ConsentAsked(many=True)
    notice = serializers.CharField(help_text="To be shown with the section on symptoms.")


class PreVisitView(AppointmentView):
    resource = "QuestionnaireResponse"
    operation = "appointments.echeckin.read"
    scopes = {
        "GET": Scope.APPOINTMENTS_READ,
        "PUT": Scope.APPOINTMENTS_WRITE,
        "POST": Scope.APPOINTMENTS_WRITE,
    }

    def state(self, appointment_id: UUID) -> Response:
        self.seen = [appointment_id]
        found = prechecks.pre_visit(self.viewer, appointment_id=appointment_id, now=self.now)
        visit, language = found.visit, self.viewer.language
        location = visit.location

        def when(instant: Any) -> Any:
            return None if instant is None else time_of(instant, visit.zone, language)

        return Response(
            {
                "appointment": visit.id,
                "opens": when(found.opens_at),
                "closes": when(visit.starts_at),
                "open": found.is_open,
                "completed": when(found.completed_at),
                "sections": [
                    {
                        "section": section,
                        "done": section not in found.missing,
                        "answer": None if said is None else json.loads(said),
                    }
                    for section, said in found.said.items()
                ],
                "missing": found.missing,
                "consents": [
                    {
                        "code": text.code,
                        "version": text.version,
                        "title": text.title,
                        "text": text.text,
                    }
                    for text in found.consents
                ],
                "notice": (
                    "Nobody reads this before your visit. If something is new or worse, call "
                    f"{location.phone or 'your clinic'} now."
                ),
            }
        )

    @extend_schema(operation_id="readECheckIn", responses=PreVisitItem)
    def get(self, request: Request, appointment_id: UUID) -> Response:
        """What is asked before a visit, and what she has said."""
        return self.state(appointment_id)


class PreVisitSectionView(PreVisitView):
    operation = "appointments.echeckin.answer"
    http_method_names = ["put"]

    @extend_schema(
        operation_id="answerECheckIn",
        request=PolymorphicProxySerializer(
            component_name="ECheckInAnswer",
            serializers=list(_ANSWERS.values()),
            resource_type_field_name=None,
        ),
        responses=PreVisitItem,
    )
    def put(self, request: Request, appointment_id: UUID, section: str) -> Response:
        """Answer one section, or answer it anew."""
        shape = _ANSWERS.get(section)
        if shape is None:
            raise NotFound()
        said = shape(data=request.data)
        said.is_valid(raise_exception=True)
        services.answer(
            viewer=self.viewer,
            appointment_id=appointment_id,
            section=section,
            said=said.validated_data,
            now=self.now,
        )
        return self.state(appointment_id)


class PreVisitCompleteView(PreVisitView):
    operation = "appointments.echeckin.complete"
    http_method_names = ["post"]

    @extend_schema(operation_id="completeECheckIn", request=None, responses={200: PreVisitItem})
    def post(self, request: Request, appointment_id: UUID) -> Response:
        """Check in. 409 `checkin-incomplete` says what is missing."""
        services.complete(viewer=self.viewer, appointment_id=appointment_id, now=self.now)
        return self.state(appointment_id)
