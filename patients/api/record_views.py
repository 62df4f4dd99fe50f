"""Who am I, the frame of a record, what changed in it, and who looked at it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import translation
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.scopes import STAFF, areas_of
from core import feed
from core.api.paging import keyset_page, page_limit
from core.areas import Area
from core.context import current_client
from core.errors import Forbidden, NotFound
from core.timeobject import time_object
from patients import selectors
from patients.access_words import sentence, what_words, who_words
from patients.api.serializers import (
    ChangesQuerySerializer,
    ChangesSerializer,
    LooksSerializer,
    MeSerializer,
    PatientSerializer,
)
from patients.api.views import PatientView, PersonalView, person, scopes_of
from patients.models import ProfileFact
from patients.viewer import Viewer, staff_viewer


def iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


class MeView(PersonalView):
    """Who is signed in, and the records she may open."""

    area = Area.RECORD
    operation = "patients.me"
    resource = "Person"

    def viewer_of(self, request: Request) -> Viewer:
        user = person(request)
        held = scopes_of(request)
        if STAFF in held:
            return staff_viewer(user=user, now=self.now, client_id=current_client.get())
        return Viewer(
            kind="patient",
            user_id=user.pk,
            patient_id=None,
            scopes=held,
            areas=frozenset(),
            client_id=current_client.get(),
            language=user.language,
            zone=user.zone,
        )

    @extend_schema(operation_id="me", responses=MeSerializer)
    def get(self, request: Request) -> Response:
        user = person(request)
        records = selectors.records_of(user) if self.viewer.kind == "patient" else []
        self.seen_of = {record.patient_id: [record.patient_id] for record in records}
        return Response(
            {
                "user_id": user.pk,
                "display_name": user.full_name,
                "language": user.language,
                "zone": user.zone,
                "roles": sorted(self.viewer.roles),
                "records": [
                    {
                        "patient_id": record.patient_id,
                        "relation": record.relation,
                        "display_name": f"{record.given_name} {record.family_name}",
                        "scopes": sorted(
                            self.viewer.scopes
                            if record.relation == "patient"
                            else self.viewer.scopes & set(record.scopes)
                        ),
                        "zone": record.zone,
                        "valid_until": record.valid_until and iso(record.valid_until),
                    }
                    for record in records
                ],
            }
        )


class RecordView(PatientView):
    """The frame of a record: who she is, where she is looked after, her disease profile."""

    area = Area.RECORD
    operation = "patients.record"
    resource = "Patient"

    @extend_schema(operation_id="patient_record", responses=PatientSerializer)
    def get(self, request: Request) -> Response:
        patient = selectors.own_patient(self.viewer)
        self.seen = [patient.pk]
        return Response(
            {
                "id": patient.pk,
                "relation": self.viewer.kind,
                "given_name": patient.given_name,
                "family_name": patient.family_name,
                "birth_date": patient.birth_date.isoformat(),
                "sex": patient.sex,
                "language": patient.language,
                "zone": patient.zone,
                "scopes": sorted(self.viewer.scopes),
                "organizations": [
                    {
                        "id": place.pk,
                        "name": place.name,
                        "zone": place.zone,
                        "phone_day": place.phone_day,
                        "phone_24h": place.phone_24h,
                    }
                    for place in selectors.organizations_of(self.viewer, patient.pk, now=self.now)
                ],
                "profile": [
                    _fact(fact) for fact in selectors.profile_facts(self.viewer, patient.pk)
                ],
                "as_of": iso(self.now),
                "warnings": [],
            }
        )


def _fact(fact: ProfileFact) -> dict[str, Any]:
    return {
        "id": fact.pk,
        "kind": fact.kind,
        "code": fact.code,
        "result": fact.result,
        "detail": fact.detail,
        "starts_on": fact.starts_on and fact.starts_on.isoformat(),
        "ends_on": fact.ends_on and fact.ends_on.isoformat(),
        "source": fact.source,
    }


class ChangesView(PatientView):
    """What changed in one area since a cursor: ids to fetch again, and ids that are gone."""

    area = Area.RECORD
    operation = "patients.changes"
    resource = "Change"

    @extend_schema(
        operation_id="patient_changes",
        parameters=[
            OpenApiParameter("area", str, required=True, enum=sorted(Area)),
            OpenApiParameter(
                "since", str, description="`next` of the last answer; left out, the cursor of now."
            ),
        ],
        responses=ChangesSerializer,
    )
    def get(self, request: Request) -> Response:
        query = ChangesQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        area = query.validated_data["area"]
        self._require(request, area)
        patient_id = self.viewer.patient_id
        if patient_id is None:
            raise NotFound()
        since = query.validated_data.get("since") or feed.start_cursor(
            viewer_key=self.viewer.key, area=area, now=self.now
        )
        page = feed.changes_since(
            since=since,
            viewer_key=self.viewer.key,
            patient_id=patient_id,
            area=area,
            now=self.now,
            limit=page_limit(request.query_params.get("limit")),
        )
        self.seen = [line.resource_id for line in page.changes]
        return Response(
            {
                "items": [
                    {
                        "resource": line.resource,
                        "resource_id": line.resource_id,
                        "kind": line.kind,
                        "at": iso(line.at),
                    }
                    for line in page.changes
                ],
                "next": page.next,
                "more": page.more,
                "as_of": iso(self.now),
                "warnings": [],
            }
        )

    def _require(self, request: Request, area: str) -> None:
        """Raises: Forbidden when the token never reaches the area, NotFound when the grant does
        not."""
        if area not in areas_of(scopes_of(request)):
            raise Forbidden()
        if not self.viewer.may(area):
            raise NotFound()


class AccessLogView(PatientView):
    """Who looked at her record, newest first, in plain words. Hers alone."""

    area = Area.AUDIT
    operation = "patients.access-log"
    resource = "AuditEvent"

    @extend_schema(
        operation_id="patient_access_log",
        parameters=[OpenApiParameter("cursor", str), OpenApiParameter("limit", int)],
        responses=LooksSerializer,
    )
    def get(self, request: Request) -> Response:
        page = keyset_page(
            selectors.access_log(self.viewer),
            order=("-occurred_at", "-id"),
            bound_to=f"patients.access-log:{self.viewer.key}",
            cursor=request.query_params.get("cursor"),
            limit=page_limit(request.query_params.get("limit")),
        )
        names = selectors.names_of(
            {row["actor_id"] for row in page.rows if row["actor_id"] is not None}
        )
        with translation.override(self.viewer.language):
            items = [self._line(row, names) for row in page.rows]
        return Response({"items": items, "next": page.next, "as_of": iso(self.now), "warnings": []})

    def _line(self, row: dict[str, Any], names: dict[UUID, str]) -> dict[str, Any]:
        herself = row["actor_kind"] == "patient" and row["actor_id"] == self.viewer.user_id
        who = who_words(row["actor_kind"], names.get(row["actor_id"], ""), herself=herself)
        what = what_words(row["area"])
        refused = row["outcome"] != "success"
        return {
            "id": row["id"],
            "at": time_object(row["occurred_at"], self.viewer.zone, self.viewer.language),
            "who": who,
            "what": what,
            "text": sentence(row["action"], who, what, refused=refused),
            "refused": refused,
        }
