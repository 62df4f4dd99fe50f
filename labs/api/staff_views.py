"""What the tools of the staff ask about laboratory messages."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.roles import Role
from core.areas import Area
from core.errors import NotFound
from core.timeobject import time_object
from labs.api import serializers
from labs.tracing import MessageFate, messages_with_control_id
from patients.api.views import StaffView


class FindMessageView(StaffView):
    """What became of a message. The control id stands in the body: URLs are logged."""

    area = Area.INTAKE
    operation = "labs.messages.find"
    resource = "InboundMessage"
    roles = frozenset({Role.LABORATORY, Role.NURSE})
    post_only_reads = True

    @extend_schema(
        operation_id="staff_find_lab_messages",
        request=serializers.FindMessage,
        responses=serializers.FoundMessages,
    )
    def post(self, request: Request) -> Response:
        """Messages with this control id, newest first, with the fate of every line."""
        body = serializers.FindMessage(data=request.data)
        body.is_valid(raise_exception=True)
        found = messages_with_control_id(
            self.viewer,
            control_id=body.validated_data["control_id"],
            sender=body.validated_data["sender"],
            now=self.now,
        )
        if not found:
            raise NotFound()
        self.seen = [message.id for message in found]
        return Response({"messages": [self._message(message) for message in found]})

    def _message(self, message: MessageFate) -> dict[str, object]:
        return {
            "id": message.id,
            "sender": message.sender or None,
            "control_id": message.control_id,
            "received": time_object(message.received_at, self.viewer.zone, self.viewer.language),
            "ack": message.ack,
            "receipt": message.receipt,
            "disposition": message.disposition,
            "reasons": message.reasons,
            "lines": [
                {
                    "obx_index": line.obx_index,
                    "outcome": line.outcome,
                    "loinc": line.loinc or None,
                    "analyte": line.analyte or None,
                    "state": line.state or None,
                    "rule": f"{line.rule} {line.rule_version}".strip() or None,
                    "reason": line.reason or None,
                }
                for line in message.lines
            ],
        }
