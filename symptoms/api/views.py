"""Check-ins under `/api/v1/patients/{me|id}/`."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.scopes import Scope
from clinical.symptom_rules import symptoms
from core.api.paging import keyset_page, page_limit
from core.areas import Area
from core.timeobject import time_object
from patients.api.views import PatientView
from patients.viewer import Viewer
from symptoms.api.serializers import (
    CheckInListSerializer,
    CheckInLookRequestSerializer,
    CheckInLookSerializer,
    CheckInReplySerializer,
    CheckInResponseSerializer,
    CheckInSerializer,
    SymptomTrendSerializer,
    sent_answers,
)
from symptoms.models import CheckIn, QuestionnaireItem
from symptoms.phrases import phrase
from symptoms.red_flag_words import red_flag_words
from symptoms.reply import question_words
from symptoms.selectors import check_in_of, check_ins_for, trend_for
from symptoms.services import look_at_answers, submit_check_in


def _row(check_in: CheckIn, viewer: Viewer) -> dict[str, Any]:
    version = check_in.version
    return {
        "id": check_in.id,
        "questionnaire": version.questionnaire.key,
        "questionnaire_version": version.version,
        "title": version.title.get(viewer.language) or version.title["en"],
        "due_on": check_in.due_on,
        "status": check_in.status,
        "may_answer": check_in.status != CheckIn.Status.ANSWERED,
        "opens_at": time_object(check_in.opens_at, viewer.zone, viewer.language),
        "expires_at": time_object(check_in.expires_at, viewer.zone, viewer.language),
    }


def _option(option: dict[str, Any], language: str) -> dict[str, Any]:
    """Return one choice; a red flag comes with what to do, to be shown before sending."""
    if "code" not in option:
        words = option["words"]
        return {"value": option["value"], "text": words.get(language) or words["en"]}
    flag = red_flag_words(option["code"], language)
    return {
        "code": flag.key,
        "text": flag.plain,
        "urgency": flag.urgency.name,
        "action": flag.action,
    }


def _question(item: QuestionnaireItem, language: str) -> dict[str, Any]:
    return {
        "link_id": item.link_id,
        "text": question_words(item, language),
        "asks": item.asks,
        "required": item.required,
        "enabled_by": item.enabled_by or None,
        "options": [_option(option, language) for option in item.options],
    }


class CheckInsView(PatientView):
    area = Area.SYMPTOMS
    operation = "symptoms.check-ins"
    resource = "CheckIn"
    scopes = {"GET": Scope.SYMPTOMS_READ}

    @extend_schema(operation_id="listCheckIns", responses=CheckInListSerializer)
    def get(self, request: Request) -> Response:
        page = keyset_page(
            check_ins_for(self.viewer, now=self.now).select_related("version__questionnaire"),
            order=("-opens_at", "-id"),
            bound_to=f"symptoms.check-ins:{self.viewer.key}",
            cursor=request.query_params.get("cursor"),
            limit=page_limit(request.query_params.get("limit")),
        )
        self.seen = [row.id for row in page.rows]
        return Response(
            {
                "items": [_row(row, self.viewer) for row in page.rows],
                "next": page.next,
                "as_of": self.now,
                "warnings": [],
            }
        )


class CheckInView(PatientView):
    area = Area.SYMPTOMS
    operation = "symptoms.check-in"
    resource = "CheckIn"
    scopes = {"GET": Scope.SYMPTOMS_READ}

    @extend_schema(operation_id="readCheckIn", responses=CheckInSerializer)
    def get(self, request: Request, check_in_id: UUID) -> Response:
        check_in = check_in_of(self.viewer, check_in_id, now=self.now)
        self.seen = [check_in.id]
        language = self.viewer.language
        organization = check_in.plan.organization
        reviewed = bool(check_in.version.reviewed_by)
        return Response(
            {
                **_row(check_in, self.viewer),
                "reviewed_by_clinician": reviewed,
                "questions": [_question(item, language) for item in check_in.version.items.all()],
                "call": {
                    "phone_day": organization.phone_day,
                    "phone_24h": organization.phone_24h,
                },
                "as_of": self.now,
                "warnings": [] if reviewed else [phrase("unreviewed", language)],
            }
        )


class CheckInLookView(PatientView):
    """What the answers so far would mean: nothing is stored, nobody is told."""

    area = Area.SYMPTOMS
    operation = "symptoms.check-in.look"
    resource = "CheckIn"
    scopes = {"POST": Scope.SYMPTOMS_WRITE}

    @extend_schema(
        operation_id="checkAnswers",
        request=CheckInLookRequestSerializer,
        responses=CheckInLookSerializer,
    )
    def post(self, request: Request, check_in_id: UUID) -> Response:
        body = CheckInLookRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        found = look_at_answers(
            viewer=self.viewer,
            check_in_id=check_in_id,
            answers=sent_answers(body.validated_data),
            questionnaire_version=body.validated_data.get("questionnaire_version"),
            now=self.now,
        )
        self.seen = [check_in_id]
        return Response(found)


class ResponsesView(PatientView):
    area = Area.SYMPTOMS
    operation = "symptoms.check-in.respond"
    resource = "QuestionnaireResponse"
    scopes = {"POST": Scope.SYMPTOMS_WRITE}

    @extend_schema(
        operation_id="submitCheckIn",
        request=CheckInResponseSerializer,
        responses={200: CheckInReplySerializer, 201: CheckInReplySerializer},
    )
    def post(self, request: Request, check_in_id: UUID) -> Response:
        body = CheckInResponseSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        submission = submit_check_in(
            viewer=self.viewer,
            check_in_id=check_in_id,
            client_id=body.validated_data["client_id"],
            answers=sent_answers(body.validated_data),
            questionnaire_version=body.validated_data.get("questionnaire_version"),
            now=self.now,
        )
        self.seen = [submission.response.id]
        answer = submission.as_reply(zone=self.viewer.zone, language=self.viewer.language)
        return Response(answer, status=201 if submission.is_new else 200)


class SymptomTrendView(PatientView):
    area = Area.SYMPTOMS
    operation = "symptoms.trend"
    resource = "QuestionnaireResponse"
    scopes = {"GET": Scope.SYMPTOMS_READ}

    @extend_schema(operation_id="readSymptomTrend", responses=SymptomTrendSerializer)
    def get(self, request: Request, symptom_key: str) -> Response:
        points = trend_for(self.viewer, symptom_key)
        self.seen = [point.response_id for point in points]
        return Response(
            {
                "symptom": symptom_key,
                "name": symptoms()[symptom_key].label,
                "points": [
                    {
                        "response_id": point.response_id,
                        "at": time_object(point.at, self.viewer.zone, self.viewer.language),
                        "mode": point.mode,
                        "is_late": point.is_late,
                        "answers": point.values,
                        "composite_grade": point.composite_grade,
                    }
                    for point in points
                ],
                "as_of": self.now,
                "warnings": [],
            }
        )
