"""Openings and visits for a patient and her caregivers. Parse, one call, render."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.scopes import Scope
from appointments import finding, selectors, services
from appointments.api import serializers
from appointments.api.presentation import (
    APPOINTMENT_FIELDS,
    appointment_json,
    location_json,
    opening_json,
    openings_json,
    visit_type_json,
)
from core.api.paging import keyset_page
from core.areas import Area
from core.errors import FieldError, InvalidInput
from patients.api.views import PatientView

MAX_DAYS = 31
IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The ETag of the visit as you read it: 412 when it has changed since.",
)


# Made once: a serializer copies its fields for every request, which costs more than the checking.
_OPENING_QUERY = serializers.OpeningQuery()
_OPENING_DAYS_QUERY = serializers.OpeningDaysQuery()
_BOOK_REQUEST = serializers.BookRequest()
_RESCHEDULE_REQUEST = serializers.RescheduleRequest()


class AppointmentView(PatientView):
    area = Area.APPOINTMENTS
    resource = "Appointment"
    scopes = {"GET": Scope.APPOINTMENTS_READ, "POST": Scope.APPOINTMENTS_WRITE}

    @property
    def patient_id(self) -> UUID:
        assert self.viewer.patient_id is not None
        return self.viewer.patient_id

    def framed(
        self, items: list[dict[str, Any]], *, following: str | None = None, warnings: Any = ()
    ) -> Response:
        return Response(
            {"items": items, "next": following, "as_of": self.now, "warnings": list(warnings)}
        )

    def shown(self, appointment_id: UUID) -> dict[str, Any]:
        """Return a visit as the API shows it. Raises: NotFound."""
        row = selectors.appointment_row(
            self.viewer, appointment_id=appointment_id, fields=APPOINTMENT_FIELDS
        )
        self.seen = [appointment_id]
        return appointment_json(row, self.viewer.language)

    def version_read(
        self, request: Request, appointment_id: UUID, stated: int | None
    ) -> int | None:
        """Return the version that the caller read, by `If-Match` or as stated in the body.

        Raises: NotFound, PreconditionFailed.
        """
        if "If-Match" not in request.headers:
            return stated
        shown = self.shown(appointment_id)
        self.require_match(request, shown)
        return int(shown["version"]) if stated is None else stated

    @contextmanager
    def offering_others(self) -> Iterator[None]:
        """Show the other openings that a refusal comes with."""
        try:
            yield
        except services.WithAlternatives as refusal:
            refusal.extra["alternatives"] = openings_json(
                refusal.alternatives, self.viewer.language
            )
            raise


def _checked(first: date | None, last: date | None, today: date) -> None:
    """Raises: InvalidInput for an empty range or one of more than 31 days."""
    if last is None:
        return
    # West of UTC it may still be yesterday.
    start = first or today - timedelta(days=1)
    if last < start:
        raise InvalidInput(errors=(FieldError("to", "before-from", "Ends before it starts."),))
    if (last - start).days >= MAX_DAYS + (first is None):
        raise InvalidInput(
            errors=(FieldError("to", "range-too-long", f"At most {MAX_DAYS} days."),)
        )


def _search(asked: dict[str, Any]) -> finding.Search:
    return finding.Search(
        visit_type_ids=tuple(dict.fromkeys(asked["visit_type"])),
        first=asked["from"],
        last=asked["to"],
        schedule_id=asked["schedule"],
        location_ids=tuple(asked["location"]),
        practitioner_ids=tuple(asked["practitioner"]),
        weekdays=frozenset(asked["weekday"]),
        starts_from=asked["starts_from"],
        starts_until=asked["starts_until"],
    )


class OpeningListView(AppointmentView):
    operation = "appointments.openings.list"
    resource = "Slot"

    @extend_schema(
        operation_id="findOpenings",
        parameters=[serializers.OpeningQuery],
        responses=serializers.OpeningList,
    )
    def get(self, request: Request) -> Response:
        """Times that she can book, the earliest first, over kinds of visit, places and people.

        Without `to` it looks as far ahead as they can be booked, until the page is full.
        """
        asked = _OPENING_QUERY.run_validation(request.query_params)
        _checked(asked["from"], asked["to"], self.now.date())
        page = finding.find(
            self.viewer,
            patient_id=self.patient_id,
            wanted=_search(asked),
            now=self.now,
            limit=asked["limit"],
            cursor=asked["cursor"],
        )
        return self.framed(
            openings_json(page.items, self.viewer.language),
            following=page.next,
            warnings=page.hints,
        )


class OpeningDayListView(AppointmentView):
    operation = "appointments.openings.days"
    resource = "Slot"

    @extend_schema(
        operation_id="findOpeningDays",
        parameters=[serializers.OpeningDaysQuery],
        responses=serializers.OpeningDayList,
    )
    def get(self, request: Request) -> Response:
        """The days of a month (31 at most) that have openings, in one call."""
        asked = _OPENING_DAYS_QUERY.run_validation(request.query_params)
        asked["to"] = asked["to"] or (asked["from"] or self.now.date()) + timedelta(
            days=MAX_DAYS - 1
        )
        _checked(asked["from"], asked["to"], self.now.date())
        days, hints = finding.days_with_openings(
            self.viewer, patient_id=self.patient_id, wanted=_search(asked), now=self.now
        )
        return self.framed(
            [
                {
                    "date": day.on,
                    "openings": day.openings,
                    "first": opening_json(day.first, self.viewer.language),
                }
                for day in days
            ],
            warnings=hints,
        )


class AppointmentListView(AppointmentView):
    operation = "appointments.list"

    @extend_schema(
        operation_id="listAppointments",
        parameters=[serializers.AppointmentQuery],
        responses=serializers.AppointmentList,
    )
    def get(self, request: Request) -> Response:
        """Her visits: those to come, or those that are over."""
        query = serializers.AppointmentQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        upcoming = asked["period"] == "upcoming"
        visits = (selectors.upcoming if upcoming else selectors.past)(self.viewer, now=self.now)
        page = keyset_page(
            visits.values(*APPOINTMENT_FIELDS),
            order=("starts_at", "id") if upcoming else ("-starts_at", "-id"),
            bound_to=f"appointments.{asked['period']}:{self.viewer.key}",
            cursor=asked["cursor"],
            limit=asked["limit"],
        )
        self.seen = [row["id"] for row in page.rows]
        return self.framed(
            [appointment_json(row, self.viewer.language) for row in page.rows],
            following=page.next,
        )

    @extend_schema(
        operation_id="bookAppointment",
        request=serializers.BookRequest,
        responses={201: serializers.AppointmentItem},
    )
    def post(self, request: Request) -> Response:
        """Book an opening, or a time that is kept for her.

        409 `slot-taken` carries `alternatives` when somebody was quicker.
        """
        body = _BOOK_REQUEST.run_validation(request.data)
        with self.offering_others():
            if body["hold"] is not None:
                made = services.book_held(
                    viewer=self.viewer,
                    hold_id=body["hold"],
                    ticket_id=body["ticket"],
                    now=self.now,
                )
            else:
                made = services.book(
                    viewer=self.viewer,
                    opening=body["opening"],
                    ticket_id=body["ticket"],
                    now=self.now,
                )
        visits = request.path.removesuffix("/$book")
        return Response(
            self.shown(made.id), status=201, headers={"Location": f"{visits}/{made.id}"}
        )


class AppointmentDetailView(AppointmentView):
    operation = "appointments.read"

    @extend_schema(operation_id="readAppointment", responses=serializers.AppointmentItem)
    def get(self, request: Request, appointment_id: UUID) -> Response:
        """One visit."""
        return Response(self.shown(appointment_id))


class CancelView(AppointmentView):
    operation = "appointments.cancel"

    @extend_schema(
        operation_id="cancelAppointment",
        parameters=[IF_MATCH],
        request=serializers.CancelRequest,
        responses={200: serializers.AppointmentItem},
    )
    def post(self, request: Request, appointment_id: UUID) -> Response:
        """Cancel a visit; its time is free for others at once."""
        body = serializers.CancelRequest(data=request.data)
        body.is_valid(raise_exception=True)
        services.cancel(
            viewer=self.viewer,
            appointment_id=appointment_id,
            reason=body.validated_data["reason"],
            version=self.version_read(request, appointment_id, body.validated_data["version"]),
            now=self.now,
        )
        return Response(self.shown(appointment_id))


class RescheduleView(AppointmentView):
    operation = "appointments.reschedule"

    @extend_schema(
        operation_id="rescheduleAppointment",
        parameters=[IF_MATCH],
        request=serializers.RescheduleRequest,
        responses={200: serializers.AppointmentItem},
    )
    def post(self, request: Request, appointment_id: UUID) -> Response:
        """Move a visit. She has the new time afterwards, or still the old one."""
        body = _RESCHEDULE_REQUEST.run_validation(request.data)
        version = self.version_read(request, appointment_id, body["version"])
        with self.offering_others():
            if body["hold"] is not None:
                services.reschedule_held(
                    viewer=self.viewer,
                    appointment_id=appointment_id,
                    hold_id=body["hold"],
                    version=version,
                    now=self.now,
                )
            else:
                services.reschedule(
                    viewer=self.viewer,
                    appointment_id=appointment_id,
                    opening=body["opening"],
                    version=version,
                    now=self.now,
                )
        return Response(self.shown(appointment_id))


class ConfirmView(AppointmentView):
    operation = "appointments.confirm"

    @extend_schema(
        operation_id="confirmAppointment",
        parameters=[IF_MATCH],
        request=serializers.Versioned,
        responses={200: serializers.AppointmentItem},
    )
    def post(self, request: Request, appointment_id: UUID) -> Response:
        """Say that she will come."""
        body = serializers.Versioned(data=request.data)
        body.is_valid(raise_exception=True)
        services.confirm(
            viewer=self.viewer,
            appointment_id=appointment_id,
            version=self.version_read(request, appointment_id, body.validated_data["version"]),
            now=self.now,
        )
        return Response(self.shown(appointment_id))


class VisitTypeListView(AppointmentView):
    operation = "appointments.visit-types.list"
    resource = "HealthcareService"

    @extend_schema(operation_id="listVisitTypes", responses=serializers.VisitTypeList)
    def get(self, request: Request) -> Response:
        """The kinds of visit of her clinics, and how each is booked."""
        found = selectors.visit_types_for(self.viewer, patient_id=self.patient_id, now=self.now)
        return self.framed([visit_type_json(row) for row in found])


class LocationListView(AppointmentView):
    operation = "appointments.locations.list"
    resource = "Location"

    @extend_schema(operation_id="listLocations", responses=serializers.LocationList)
    def get(self, request: Request) -> Response:
        """The places of her clinics."""
        found = selectors.locations_for(self.viewer, patient_id=self.patient_id, now=self.now)
        return self.framed([location_json(row) for row in found])
