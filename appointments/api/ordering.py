"""Her tickets: what a clinician lets her book herself."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from appointments import requests
from appointments.api.views import AppointmentView
from appointments.models import Ticket
from core.api.serializers import ListFrame, TimeObject
from core.timeobject import time_object


class TicketVisitType(serializers.Serializer):
    id = serializers.UUIDField()
    code = serializers.CharField()
    name = serializers.CharField()


class TicketItem(serializers.Serializer):
    id = serializers.UUIDField()
    status = serializers.CharField(
        help_text="FHIR ServiceRequest.status: active, completed, revoked."
    )
    standing = serializers.ChoiceField(
        ["open", "used", "expired", "cancelled"],
        help_text="open: visits can be booked with it; used: all of them are booked.",
    )
    text = serializers.CharField(help_text="What it is for, in plain words.")
    note = serializers.CharField(help_text="What the clinic wrote to her about it, or empty.")
    visit_type = TicketVisitType()
    earliest = serializers.DateField(help_text="At the place of the visit.")
    latest = serializers.DateField()
    uses = serializers.IntegerField()
    uses_left = serializers.IntegerField()
    origin = serializers.ChoiceField(Ticket.Origin.choices)
    priority = serializers.ChoiceField(Ticket.Priority.choices)
    ordered = TimeObject()


class TicketList(ListFrame):
    items = TicketItem(many=True)


_STATUS = {"open": "active", "expired": "active", "used": "completed", "cancelled": "revoked"}


def _day(on: Any) -> str:
    return f"{on.day} {on:%B %Y}"


def ticket_json(ticket: Ticket, language: str, now: datetime) -> dict[str, Any]:
    """Return a ticket from `requests.tickets_for`, its visit type and organization read."""
    zone = ticket.visit_type.organization.zone
    left = max(0, ticket.uses - ticket.used)  # type: ignore[attr-defined]
    if ticket.cancelled_at is not None:
        state = "cancelled"
    elif ticket.latest < now.astimezone(ZoneInfo(zone)).date():
        state = "expired"
    else:
        state = "open" if left else "used"
    times = "once" if ticket.uses == 1 else f"{ticket.uses} times"
    return {
        "id": ticket.id,
        "status": _STATUS[state],
        "standing": state,
        "text": f"You may book “{ticket.visit_type.name}” yourself {times}, for a day from "
        f"{_day(ticket.earliest)} to {_day(ticket.latest)}.",
        "note": requests.words(ticket.note),
        "visit_type": {
            "id": ticket.visit_type_id,
            "code": ticket.visit_type.code,
            "name": ticket.visit_type.name,
        },
        "earliest": ticket.earliest,
        "latest": ticket.latest,
        "uses": ticket.uses,
        "uses_left": left,
        "origin": ticket.origin,
        "priority": ticket.priority,
        "ordered": time_object(ticket.ordered_at, zone, language),
    }


class TicketListView(AppointmentView):
    operation = "appointments.tickets.list"
    resource = "ServiceRequest"

    @extend_schema(operation_id="listTickets", responses=TicketList)
    def get(self, request: Request) -> Response:
        """What a clinician lets her book herself, the first to end first; old ones last."""
        found = list(
            requests.tickets_for(self.viewer)
            .select_related("visit_type__organization")
            .order_by("latest", "id")
        )
        self.seen = [ticket.id for ticket in found]
        items = [ticket_json(ticket, self.viewer.language, self.now) for ticket in found]
        return self.framed(sorted(items, key=lambda item: item["standing"] != "open"))
