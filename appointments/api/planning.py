"""Her treatment plans: the series, times that fit, and booking or moving all of it at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.scopes import Scope
from appointments import plans, services
from appointments.api.presentation import opening_json
from appointments.api.serializers import Opening, OpeningLocation
from appointments.api.views import AppointmentView
from appointments.models import CarePlan
from appointments.planner import Cell
from appointments.services.planning import Proposed, unmet_words
from core.api.paging import keyset_page
from core.api.serializers import ListFrame, TimeObject
from core.errors import FieldError, InvalidInput, NotFound
from core.timeobject import time_object

MOST_VISITS = 156


class PlanVisitType(serializers.Serializer):
    id = serializers.UUIDField()
    code = serializers.CharField()
    name = serializers.CharField()


class PlanStepItem(serializers.Serializer):
    step = serializers.IntegerField(help_text="From 0; the last one is the main visit.")
    visit_type = PlanVisitType()
    days_before_least = serializers.IntegerField(help_text="Days before the main visit.")
    days_before_most = serializers.IntegerField()
    gap_minutes = serializers.IntegerField(help_text="At least, after the step before it.")


class PlannedVisitItem(serializers.Serializer):
    cycle = serializers.IntegerField(help_text="From 1.")
    step = serializers.IntegerField()
    appointment = serializers.UUIDField()
    status = serializers.CharField(help_text="FHIR AppointmentStatus.")
    start = TimeObject()
    end = TimeObject()
    location = OpeningLocation()


class PlanCell(serializers.Serializer):
    cycle = serializers.IntegerField(min_value=1, max_value=26)
    step = serializers.IntegerField(min_value=0, max_value=5)


class CarePlanItem(serializers.Serializer):
    id = serializers.UUIDField()
    status = serializers.CharField(help_text="FHIR CarePlan.status: active, completed, revoked.")
    name = serializers.CharField()
    first_on = serializers.DateField(help_text="Of the first main visit, at its place.")
    every_days = serializers.IntegerField()
    cycles = serializers.IntegerField()
    tolerance_days = serializers.IntegerField(help_text="How many days a main visit may be off.")
    location = OpeningLocation(allow_null=True)
    steps = PlanStepItem(many=True)
    visits = PlannedVisitItem(many=True, help_text="Those that are booked.")
    missing = PlanCell(many=True, help_text="Visits without a time.")
    laid_down = TimeObject()


class CarePlanList(ListFrame):
    items = CarePlanItem(many=True)


class CarePlanQuery(serializers.Serializer):
    limit = serializers.IntegerField(required=False, default=20, min_value=1, max_value=100)
    cursor = serializers.CharField(required=False, default=None, max_length=400)


class ProposedVisit(PlanCell):
    visit_type = PlanVisitType()
    appointment = serializers.UUIDField(
        allow_null=True, help_text="The visit that would move; null for one to be booked."
    )
    opening = Opening()


class UnmetStep(PlanCell):
    reason = serializers.ChoiceField(["past", "no-opening", "own-visit", "order"])
    text = serializers.CharField()


class PlanProposal(serializers.Serializer):
    complete = serializers.BooleanField(help_text="False: some visit cannot be had; see unmet.")
    visits = ProposedVisit(many=True)
    unmet = UnmetStep(many=True)


class PlanChoice(PlanCell):
    opening = serializers.CharField(max_length=100, help_text="The id of a proposed opening.")


class PlanBookRequest(serializers.Serializer):
    visits = serializers.ListField(child=PlanChoice(), min_length=1, max_length=MOST_VISITS)


class PlanMoveProposalRequest(serializers.Serializer):
    appointment = serializers.UUIDField()
    opening = serializers.CharField(max_length=100)


class PlanMoveRequest(serializers.Serializer):
    moves = serializers.ListField(
        child=PlanMoveProposalRequest(),
        min_length=1,
        max_length=MOST_VISITS,
        help_text="The visit that she moves first, then those that follow it.",
    )


def _visit_type(series: plans.Series, step: int) -> dict[str, Any]:
    kind = series.steps[step].visit_type
    return {"id": kind.id, "code": kind.code, "name": kind.name}


def plan_json(plan: CarePlan, language: str, now: Any) -> dict[str, Any]:
    """Return a plan from `plans.plans_for`."""
    series = plans.series_of(plan)
    status = plan.status
    if status == CarePlan.Status.ACTIVE and series.completed(now):
        status = "completed"
    return {
        "id": plan.id,
        "status": status,
        "name": plan.name,
        "first_on": plan.first_on,
        "every_days": plan.every_days,
        "cycles": plan.cycles,
        "tolerance_days": plan.tolerance_days,
        "location": plan.location and {"id": plan.location.id, "name": plan.location.name},
        "steps": [
            {
                "step": number,
                "visit_type": _visit_type(series, number),
                "days_before_least": step.days_before_least,
                "days_before_most": step.days_before_most,
                "gap_minutes": step.gap_minutes,
            }
            for number, step in enumerate(series.steps)
        ],
        "visits": [
            {
                "cycle": cycle,
                "step": step,
                "appointment": visit.id,
                "status": visit.status,
                "start": time_object(visit.starts_at, visit.zone, language),
                "end": time_object(visit.ends_at, visit.zone, language),
                "location": {"id": visit.location_id, "name": visit.location.name},
            }
            for (cycle, step), visit in sorted(series.standing.items())
        ],
        "missing": [{"cycle": cycle, "step": step} for cycle, step in series.missing],
        "laid_down": time_object(plan.laid_down_at, series.zone, language),
    }


def proposal_json(found: Proposed, language: str) -> dict[str, Any]:
    times, standing = found.proposal.times, found.series.standing
    return {
        "complete": not found.proposal.unmet,
        "visits": [
            {
                "cycle": cycle,
                "step": step,
                "visit_type": _visit_type(found.series, step),
                "appointment": standing[(cycle, step)].id if (cycle, step) in standing else None,
                "opening": opening_json(found.free.offered(step, times[(cycle, step)]), language),
            }
            for cycle, step in found.cells
            if (cycle, step) in times
        ],
        "unmet": [
            {
                "cycle": unmet.cycle,
                "step": unmet.step,
                "reason": unmet.reason,
                "text": unmet_words(found.series, unmet),
            }
            for unmet in found.proposal.unmet
        ],
    }


class CarePlanView(AppointmentView):
    resource = "CarePlan"

    def one(self, plan_id: UUID) -> dict[str, Any]:
        """Return a plan as the API shows it. Raises: NotFound."""
        plan = plans.plans_for(self.viewer).filter(id=plan_id).first()
        if plan is None:
            raise NotFound()
        self.seen = [plan_id]
        return plan_json(plan, self.viewer.language, self.now)

    @contextmanager
    def proposing_anew(self) -> Iterator[None]:
        """Show the fresh proposal that a loss comes with."""
        try:
            yield
        except services.PlanTimeLost as lost:
            lost.extra["proposal"] = lost.fresh and proposal_json(lost.fresh, self.viewer.language)
            raise


class CarePlanListView(CarePlanView):
    operation = "appointments.care-plans.list"

    @extend_schema(operation_id="listCarePlans", parameters=[CarePlanQuery], responses=CarePlanList)
    def get(self, request: Request) -> Response:
        """Her treatment plans, the latest first."""
        query = CarePlanQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        page = keyset_page(
            plans.plans_for(self.viewer),
            order=("-laid_down_at", "-id"),
            bound_to=f"appointments.care-plans:{self.viewer.key}",
            cursor=query.validated_data["cursor"],
            limit=query.validated_data["limit"],
        )
        self.seen = [plan.id for plan in page.rows]
        return self.framed(
            [plan_json(plan, self.viewer.language, self.now) for plan in page.rows],
            following=page.next,
        )


class CarePlanDetailView(CarePlanView):
    operation = "appointments.care-plans.read"

    @extend_schema(operation_id="readCarePlan", responses=CarePlanItem)
    def get(self, request: Request, plan_id: UUID) -> Response:
        """One plan: its rules, what is booked of it and what is not."""
        return Response(self.one(plan_id))


class CarePlanProposeView(CarePlanView):
    operation = "appointments.care-plans.propose"
    post_only_reads = True
    scopes = {"POST": Scope.APPOINTMENTS_READ}

    @extend_schema(operation_id="proposeCarePlan", request=None, responses={200: PlanProposal})
    def post(self, request: Request, plan_id: UUID) -> Response:
        """Times for every visit that is missing, in order and at the right distance."""
        found = services.propose_plan(viewer=self.viewer, plan_id=plan_id, now=self.now)
        self.seen = [plan_id]
        return Response(proposal_json(found, self.viewer.language))


class CarePlanBookView(CarePlanView):
    operation = "appointments.care-plans.book"

    @extend_schema(
        operation_id="bookCarePlan", request=PlanBookRequest, responses={200: CarePlanItem}
    )
    def post(self, request: Request, plan_id: UUID) -> Response:
        """Book every visit that is missing, or none.

        409 `plan-time-lost` says which time is gone, with a fresh `proposal`.
        """
        body = PlanBookRequest(data=request.data)
        body.is_valid(raise_exception=True)
        chosen: dict[Cell, str] = {
            (visit["cycle"], visit["step"]): visit["opening"]
            for visit in body.validated_data["visits"]
        }
        _once(chosen, body.validated_data["visits"], "visits")
        with self.proposing_anew():
            services.book_plan(viewer=self.viewer, plan_id=plan_id, openings=chosen, now=self.now)
        return Response(self.one(plan_id))


class CarePlanProposeMoveView(CarePlanView):
    operation = "appointments.care-plans.propose-move"
    post_only_reads = True
    scopes = {"POST": Scope.APPOINTMENTS_READ}

    @extend_schema(
        operation_id="proposeCarePlanMove",
        request=PlanMoveProposalRequest,
        responses={200: PlanProposal},
    )
    def post(self, request: Request, plan_id: UUID) -> Response:
        """What else would move when one visit of the series does: that one first."""
        body = PlanMoveProposalRequest(data=request.data)
        body.is_valid(raise_exception=True)
        with self.offering_others():
            found = services.propose_move(
                viewer=self.viewer,
                plan_id=plan_id,
                appointment_id=body.validated_data["appointment"],
                opening=body.validated_data["opening"],
                now=self.now,
            )
        self.seen = [plan_id]
        return Response(proposal_json(found, self.viewer.language))


class CarePlanMoveView(CarePlanView):
    operation = "appointments.care-plans.move"

    @extend_schema(
        operation_id="moveCarePlan", request=PlanMoveRequest, responses={200: CarePlanItem}
    )
    def post(self, request: Request, plan_id: UUID) -> Response:
        """Move these visits of the series, or none; each stays the same visit."""
        body = PlanMoveRequest(data=request.data)
        body.is_valid(raise_exception=True)
        moves = body.validated_data["moves"]
        wanted: dict[UUID, str] = {move["appointment"]: move["opening"] for move in moves}
        _once(wanted, moves, "moves")
        with self.proposing_anew():
            services.move_planned(
                viewer=self.viewer, plan_id=plan_id, openings=wanted, now=self.now
            )
        return Response(self.one(plan_id))


def _once(keyed: dict[Any, str], sent: list[Any], field: str) -> None:
    """Raises: InvalidInput when something was sent twice."""
    if len(keyed) != len(sent):
        raise InvalidInput(errors=(FieldError(field, "twice", "One visit is in it twice."),))
