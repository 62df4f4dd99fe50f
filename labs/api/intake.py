"""The HTTPS doors for laboratories: what they share, and the one for HL7 v2 messages."""

import hashlib
from collections.abc import Callable
from typing import IO, Any, cast

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.exceptions import NotAuthenticated
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.authentication import BearerToken
from accounts.scopes import LAB_SUBMIT
from core import audit
from core.api.permissions import DecidedByViewer
from core.clock import utc_now
from core.context import current_client
from core.db import identity, system
from core.errors import Forbidden
from labs.services.intake import Answer, Overflow, messages_in, receive
from labs.services.senders import Door, Origin, laboratory_of_client

HL7_TYPE = "application/hl7-v2"
_READABLE = frozenset(
    {HL7_TYPE, "application/hl7-v2+er7", "x-application/hl7-v2+er7", "text/plain"}
)
_CHUNK_BYTES = 65_536


class Body:
    """What of a request body is kept: at most the limit, with size and hash of all of it."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        kept, digest, self.size = bytearray(), hashlib.sha256(), 0
        while chunk := stream.read(_CHUNK_BYTES):
            self.size += len(chunk)
            digest.update(chunk)
            kept += chunk[: max(0, limit - len(kept))]
        self.kept = bytes(kept)
        self.sha256 = digest.hexdigest()


class BodyParser(BaseParser):
    """Reads the bytes and nothing of what they say."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None
    ) -> Any:
        return Body(stream, settings.INTAKE_MAX_BYTES)


class HL7Parser(BodyParser):
    media_type = HL7_TYPE


class AnyAccept(BaseContentNegotiation):
    """The answer is what the door writes, or a problem, whatever the client says it accepts."""

    readable: frozenset[str] = frozenset()

    def select_parser(self, request: Request, parsers: Any) -> BaseParser | None:
        sent = (request.content_type or "").partition(";")[0].strip().lower()
        return parsers[0] if sent in self.readable else None

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


class HL7Negotiation(AnyAccept):
    readable = _READABLE


class LaboratoryDoor(APIView):
    """A door for the OAuth client of one registered laboratory. `operation` names it in audit."""

    permission_classes = (DecidedByViewer,)
    door: str
    operation: str

    def deliver(self, request: Request, split: Callable[[bytes], list[bytes]]) -> list[Answer]:
        """Keep and file what the body holds; above the limit its beginning is kept alone."""
        origin = self._origin(request)
        # DRF hands out an empty dict when there is no body at all.
        body = request.data if isinstance(request.data, Body) else None
        kept = body.kept if body else b""
        if body is not None and body.size > len(kept):
            overflow = Overflow("body-too-large", body.size, body.sha256)
            return [receive(kept, origin=origin, now=utc_now(), overflow=overflow)]
        return [receive(raw, origin=origin, now=utc_now()) for raw in split(kept)]

    def _origin(self, request: Request) -> Origin:
        """Raises: NotAuthenticated without a token, Forbidden without scope or laboratory."""
        if request.auth is None:
            raise NotAuthenticated()
        client_id = current_client.get()
        if LAB_SUBMIT not in cast(BearerToken, request.auth).scopes:
            raise Forbidden()
        with identity(system("lab-intake")):
            laboratory = laboratory_of_client(client_id)
        if laboratory is None:
            raise Forbidden("This client belongs to no active laboratory.")
        return Origin(door=self.door, client_id=client_id)

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        if response.status_code in (401, 403):
            audit.record_denial(
                operation=self.operation,
                now=utc_now(),
                reason_code=str((response.data or {}).get("code", "")),
                actor_kind="machine",
                actor_id=None,
            )
        return response


class MessageView(LaboratoryDoor):
    """Takes HL7 messages of one laboratory. No Idempotency-Key: MSH-10 is the key."""

    parser_classes = (HL7Parser,)
    content_negotiation_class = HL7Negotiation
    door = Door.HTTPS.value
    operation = "labs.messages.submit"

    @extend_schema(
        operation_id="submitLabMessages",
        request={HL7_TYPE: OpenApiTypes.STR},
        responses={(200, HL7_TYPE): OpenApiResponse(OpenApiTypes.STR)},
    )
    def post(self, request: Request) -> HttpResponse:
        """Deliver HL7 v2 messages; each is answered with its own ACK, one after the other."""
        answers = self.deliver(request, messages_in)
        response = HttpResponse(b"".join(a.ack for a in answers), content_type=HL7_TYPE)
        response["Cache-Control"] = "no-store"
        return response
