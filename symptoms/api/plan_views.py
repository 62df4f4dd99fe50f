"""When she is asked how she feels: she chooses the day and the hour."""

from typing import Any
from zoneinfo import ZoneInfo

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.scopes import Scope
from core.api.serializers import ListFrame, TimeObject
from core.areas import Area
from core.errors import DomainError
from core.timeobject import time_object
from patients.api.views import PatientView
from patients.care_frame import care_frame
from symptoms.models import CheckInPlan
from symptoms.selectors import plans_for
from symptoms.services import create_plan

WEEKLY = "weekly-general"


class NotEnrolled(DomainError):
    """No organization looks after her, so nobody would read her answers."""

    code = "not-enrolled"
    title = "No clinic is set up to read your answers yet. Please ask the front desk."


class PlanRequestSerializer(serializers.Serializer[Any]):
    iso_weekday = serializers.IntegerField(min_value=1, max_value=7, help_text="1 is Monday.")
    hour = serializers.IntegerField(min_value=0, max_value=23, help_text="In `zone`.")
    zone = serializers.CharField(
        max_length=64, required=False, help_text="IANA zone; default: her own."
    )


class PlanSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    questionnaire = serializers.CharField()
    every_weeks = serializers.IntegerField()
    iso_weekday = serializers.IntegerField()
    hour = serializers.IntegerField()
    zone = serializers.CharField()
    is_active = serializers.BooleanField()
    next = TimeObject()


class PlanListSerializer(ListFrame):
    items = PlanSerializer(many=True)


class CheckInPlansView(PatientView):
    area = Area.SYMPTOMS
    operation = "symptoms.plans"
    resource = "CheckInPlan"
    scopes = {"GET": Scope.SYMPTOMS_READ, "POST": Scope.SYMPTOMS_WRITE}

    @extend_schema(operation_id="listCheckInPlans", responses=PlanListSerializer)
    def get(self, request: Request) -> Response:
        """When she is asked how she feels."""
        plans = list(plans_for(self.viewer))
        self.seen = [plan.id for plan in plans]
        return Response(
            {
                "items": [self._row(plan) for plan in plans],
                "next": None,
                "as_of": self.now,
                "warnings": [],
            }
        )

    @extend_schema(
        operation_id="createCheckInPlan",
        request=PlanRequestSerializer,
        responses={201: PlanSerializer},
    )
    def post(self, request: Request) -> Response:
        """Start the weekly check-in on her day at her hour; today counts when it is that day."""
        wanted = PlanRequestSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        assert self.viewer.patient_id is not None
        frame = care_frame(patient_id=self.viewer.patient_id, now=self.now)
        if frame.organization_id is None:
            raise NotEnrolled()
        plan = create_plan(
            patient_id=self.viewer.patient_id,
            questionnaire_key=WEEKLY,
            organization_id=frame.organization_id,
            iso_weekday=wanted.validated_data["iso_weekday"],
            hour=wanted.validated_data["hour"],
            zone=wanted.validated_data.get("zone", self.viewer.zone),
            starts_on=self.now.astimezone(ZoneInfo(self.viewer.zone)).date(),
            now=self.now,
        )
        self.seen = [plan.id]
        return Response(self._row(plan), status=201)

    def _row(self, plan: CheckInPlan) -> dict[str, Any]:
        return {
            "id": plan.id,
            "questionnaire": plan.questionnaire.key,
            "every_weeks": plan.every_weeks,
            "iso_weekday": plan.iso_weekday,
            "hour": plan.hour,
            "zone": plan.zone,
            "is_active": plan.is_active,
            "next": time_object(plan.next_opens_at, plan.zone, self.viewer.language),
        }
