"""The HTTPS door for laboratories: an HL7 v2 message in, its acknowledgement out."""

import hashlib
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
from labs.services.intake import Overflow, messages_in, receive
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


class HL7Parser(BaseParser):
    media_type = HL7_TYPE

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None
    ) -> Any:
        return Body(stream, settings.INTAKE_MAX_BYTES)


class AnyAccept(BaseContentNegotiation):
    """The answer is an HL7 message, or a problem, whatever the client says it accepts."""

    def select_parser(self, request: Request, parsers: Any) -> BaseParser | None:
        sent = (request.content_type or "").partition(";")[0].strip().lower()
        return parsers[0] if sent in _READABLE else None

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


class MessageView(APIView):
    """Takes messages of one registered laboratory. No Idempotency-Key: MSH-10 is the key."""

    permission_classes = (DecidedByViewer,)
    parser_classes = (HL7Parser,)
    content_negotiation_class = AnyAccept

    @extend_schema(
        operation_id="submitLabMessages",
        request={HL7_TYPE: OpenApiTypes.STR},
        responses={(200, HL7_TYPE): OpenApiResponse(OpenApiTypes.STR)},
    )
    def post(self, request: Request) -> HttpResponse:
        """Deliver HL7 v2 messages; each is answered with its own ACK, one after the other."""
        origin = self._origin(request)
        # DRF hands out an empty dict when there is no body at all.
        body = request.data if isinstance(request.data, Body) else None
        kept = body.kept if body else b""
        if body is not None and body.size > len(kept):
            overflow = Overflow("body-too-large", body.size, body.sha256)
            answers = [receive(kept, origin=origin, now=utc_now(), overflow=overflow)]
        else:
            answers = [receive(raw, origin=origin, now=utc_now()) for raw in messages_in(kept)]
        response = HttpResponse(b"".join(a.ack for a in answers), content_type=HL7_TYPE)
        response["Cache-Control"] = "no-store"
        return response

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
        return Origin(door=Door.HTTPS, client_id=client_id)

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        if response.status_code in (401, 403):
            audit.record_denial(
                operation="labs.messages.submit",
                now=utc_now(),
                reason_code=str((response.data or {}).get("code", "")),
                actor_kind="machine",
                actor_id=None,
            )
        return response
