"""The desk's door: open a record, find a patient."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.roles import Role
from core.areas import Area
from patients import selectors, services
from patients.api.record_views import iso
from patients.api.serializers import (
    FindPatientSerializer,
    FoundPatientsSerializer,
    NewPatientSerializer,
    RegisteredSerializer,
)
from patients.api.views import StaffView

_DESK = frozenset({Role.FRONT_DESK, Role.NURSE})


class RegisterPatientView(StaffView):
    """Open a record and enrol it where the caller works."""

    area = Area.RECORD
    operation = "patients.staff.register"
    resource = "Patient"
    roles = _DESK

    @extend_schema(
        operation_id="staff_register_patient",
        parameters=[
            OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER, required=True)
        ],
        request=NewPatientSerializer,
        responses={201: RegisteredSerializer},
    )
    def post(self, request: Request) -> Response:
        body = NewPatientSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        sent = body.validated_data
        organization = selectors.organization_for(
            self.viewer,
            organization_id=sent.get("organization"),
            roles=self.viewer.roles & self.roles,
            now=self.now,
        )
        registered = services.register_patient(
            demographics=services.Demographics(
                given_name=sent["given_name"],
                family_name=sent["family_name"],
                birth_date=sent["birth_date"],
                sex=sent["sex"],
                language=sent["language"],
                zone=sent.get("zone") or organization.zone,
            ),
            organization=organization,
            identifiers=[
                services.NewIdentifier(**identifier) for identifier in sent.get("identifiers", [])
            ],
            email=sent.get("email", ""),
            now=self.now,
        )
        self.about = registered.patient.pk
        self.seen = [registered.patient.pk]
        return Response(
            {
                "id": registered.patient.pk,
                "warnings": ["look-alike"] if registered.look_alikes else [],
            },
            status=201,
        )


class FindPatientView(StaffView):
    """Find a patient by number, or by family name and birth date; nothing stands in the URL."""

    area = Area.RECORD
    operation = "patients.staff.find"
    resource = "Patient"
    roles = _DESK | {Role.CLINICIAN}
    post_only_reads = True

    @extend_schema(
        operation_id="staff_find_patient",
        request=FindPatientSerializer,
        responses=FoundPatientsSerializer,
    )
    def post(self, request: Request) -> Response:
        body = FindPatientSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        sent = body.validated_data
        number = sent.get("identifier", {})
        found = selectors.find_patients(
            self.viewer,
            authority=number.get("authority", ""),
            value=number.get("value", ""),
            family_name=sent.get("family_name", ""),
            birth_date=sent.get("birth_date"),
        )
        self.seen_of = {row.id: [row.id] for row in found}
        return Response(
            {
                "items": [
                    {
                        "id": row.id,
                        "given_name": row.given_name,
                        "family_name": row.family_name,
                        "birth_date": row.birth_date.isoformat(),
                        "sex": row.sex,
                    }
                    for row in found
                ],
                "as_of": iso(self.now),
                "warnings": [],
            }
        )
