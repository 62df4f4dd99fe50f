"""The base of every personal endpoint: identity, permission, audit and rendering in one place.

A subclass says its area, its scope per method and its operation name, and implements the
methods. Everything it does, rendering included, runs inside `identity(viewer)`, so row
security holds for the whole answer and the audit event commits before a byte leaves.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, cast
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.exceptions import MethodNotAllowed, NotAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.authentication import BearerToken
from accounts.models import User
from accounts.scopes import STAFF, Scope
from core import audit
from core.api.idempotency import KeyOwner, run_once
from core.api.permissions import DecidedByViewer
from core.api.renderers import to_json
from core.areas import Area
from core.clock import utc_now
from core.context import current_client
from core.crypto import keyed_digest
from core.db import identity
from core.errors import Forbidden, NotFound, PreconditionFailed
from core.models import AuditEvent
from patients.api.reach import REACH_BESIDE_TOKEN, reach_of
from patients.viewer import Viewer, patient_viewer, staff_viewer

_ACTIONS = {
    "GET": AuditEvent.Action.READ,
    "HEAD": AuditEvent.Action.READ,
    "POST": AuditEvent.Action.CREATE,
    "PUT": AuditEvent.Action.UPDATE,
    "PATCH": AuditEvent.Action.UPDATE,
    "DELETE": AuditEvent.Action.DELETE,
}
_DENIALS = {401, 403, 404, 409}
_PERSONAL = frozenset(str(scope) for scope in Scope)


class PersonalView(APIView):
    """Shared dispatch of patient and staff endpoints."""

    permission_classes = (DecidedByViewer,)
    # No OPTIONS: it would describe the endpoint to anybody.
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]

    area: ClassVar[Area]
    operation: ClassVar[str]
    resource: ClassVar[str] = ""
    # A search that is sent as POST so that no name stands in an address: it changes nothing,
    # needs no Idempotency-Key, and is audited as a read.
    post_only_reads: ClassVar[bool] = False
    # Set by handlers, for the audit event: which rows the answer shows or changed, and about
    # whom; an answer about several patients sets `seen_of` and gets one event for each.
    seen: Iterable[UUID] = ()
    about: UUID | None = None
    seen_of: Mapping[UUID | None, Iterable[UUID]] | None = None

    now: datetime
    viewer: Viewer

    def viewer_of(self, request: Request) -> Viewer:
        """Return the viewer. Raises: NotAuthenticated, Forbidden, NotFound."""
        raise NotImplementedError

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.args, self.kwargs = args, kwargs
        self.headers = self.default_response_headers
        self.now = utc_now()
        drf_request = self.request = self.initialize_request(request, *args, **kwargs)
        try:
            response = self._authorised(drf_request)
        except Exception as error:
            response = self._refused(drf_request, error)
        return response

    def _authorised(self, request: Request) -> Response:
        self.initial(request, *self.args, **self.kwargs)
        method = (request.method or "").lower()
        handler = getattr(self, method, None) if method in self.http_method_names else None
        if handler is None:
            raise MethodNotAllowed(request.method or "")
        self.viewer = self.viewer_of(request)
        with identity(self.viewer.identity):
            response = self._answer(request, handler)
            audit.record_for_patients(
                self.seen_of or {self.about or self.viewer.patient_id: self.seen},
                action=self._action(request),
                operation=self.operation,
                now=self.now,
                area=self.area,
                resource=self.resource,
            )
        return response

    def _action(self, request: Request) -> str:
        if self.post_only_reads:
            return AuditEvent.Action.READ
        return _ACTIONS.get(request.method or "", AuditEvent.Action.EXECUTE)

    def _answer(self, request: Request, handler: Any) -> Response:
        if request.method == "POST" and not self.post_only_reads:
            response = run_once(
                request=request,
                owner=KeyOwner(
                    client=self.viewer.client_id,
                    user_id=self.viewer.user_id,
                    patient_id=self.viewer.patient_id,
                    # The whole path: the same key on another appointment is another key.
                    route=request.path,
                ),
                now=self.now,
                handler=lambda: handler(request, **self._handler_kwargs()),
                render=lambda made: self._finished(request, made).rendered_content,
            )
        else:
            response = handler(request, **self._handler_kwargs())
        response = self._finished(request, response)
        if request.method in ("GET", "HEAD") and response.status_code == 200:
            response = self._conditional(request, response)
        response.render()
        return response

    def _handler_kwargs(self) -> dict[str, Any]:
        return {name: value for name, value in self.kwargs.items() if name != "patient_ref"}

    def _finished(self, request: Request, response: Response) -> Response:
        response = self.finalize_response(request, response, *self.args, **self.kwargs)
        response["Cache-Control"] = "no-store, private"
        return response

    def _conditional(self, request: Request, response: Response) -> Response:
        """Answer 304 when the client holds this very content; the read is audited all the same."""
        content, response.data = _with_and_without_time(response.data)
        etag = self._etag(content)
        if etag in _tags(request, "If-None-Match"):
            response = self._finished(request, Response(None, status=304))
        response["ETag"] = etag
        return response

    def _etag(self, content: bytes) -> str:
        tag = keyed_digest(
            "etag", self.viewer.key, self.viewer.language, hashlib.sha256(content).hexdigest()
        )
        return f'"{tag[:32]}"'

    def require_match(self, request: Request, shown: Any) -> None:
        """Refuse a change of what is no longer as the caller read it.

        `shown` is the thing as a GET would show it now. Raises: PreconditionFailed.
        """
        sent = _tags(request, "If-Match")
        if sent and "*" not in sent and self._etag(_with_and_without_time(shown)[0]) not in sent:
            raise PreconditionFailed()

    def _refused(self, request: Request, error: Exception) -> Response:
        response = self.handle_exception(error)
        if response.status_code in _DENIALS:
            try:
                self._record_denial(request, str((response.data or {}).get("code", "")))
            except audit.AuditUnavailable as unavailable:
                response = self.handle_exception(unavailable)
        response = self._finished(request, response)
        response.render()
        return response

    def _record_denial(self, request: Request, code: str) -> None:
        user = getattr(request, "_user", None)
        audit.record_denial(
            operation=self.operation,
            now=self.now,
            reason_code=code,
            actor_kind=self.viewer.kind if hasattr(self, "viewer") else "none",
            actor_id=getattr(user, "pk", None),
            action=self._action(request),
        )


def _tags(request: Request, header: str) -> set[str]:
    return {tag for part in request.headers.get(header, "").split(",") if (tag := part.strip())}


def _with_and_without_time(data: Any) -> tuple[bytes, Any]:
    """Return what an ETag stands for, and the answer: made into JSON once."""
    if isinstance(data, bytes):
        return data, data
    if not isinstance(data, dict) or len(data) < 2 or "as_of" not in data:
        return to_json(data), data
    content = to_json({name: value for name, value in data.items() if name != "as_of"})
    return content, b'%b,"as_of":%b}' % (content[:-1], to_json(data["as_of"]))


def person(request: Request) -> User:
    user = request.user
    if not isinstance(user, User) or request.auth is None:
        raise NotAuthenticated()
    return user


def scopes_of(request: Request) -> frozenset[str]:
    """Return the scopes that the token carries."""
    return cast(BearerToken, request.auth).scopes


class PatientView(PersonalView):
    """An endpoint under `/api/v1/patients/{patient_ref}/`, for the patient or her caregiver.

    `scopes` says which scope each method needs. A method that it leaves out needs any scope of
    a person: the frame of the record, which every part of it hangs on.
    """

    beside_token = REACH_BESIDE_TOKEN
    scopes: ClassVar[dict[str, Scope]] = {}

    def viewer_of(self, request: Request) -> Viewer:
        user = person(request)
        held = scopes_of(request) & _PERSONAL
        needed = self.scopes.get("GET" if request.method == "HEAD" else request.method or "")
        if not held or (needed is not None and needed not in held):
            raise Forbidden()
        viewer = patient_viewer(
            user=user,
            reach=reach_of(cast(BearerToken, request.auth)),
            token_scopes=held,
            client_id=current_client.get(),
        )
        if needed is not None:
            viewer.require_grant(needed)
        elif not viewer.scopes:
            raise NotFound()
        return viewer


class StaffView(PersonalView):
    """An endpoint under `/api/v1/staff/`, for members of staff with one of `roles`."""

    roles: ClassVar[frozenset[str]]

    def viewer_of(self, request: Request) -> Viewer:
        user = person(request)
        if STAFF not in scopes_of(request):
            raise Forbidden()
        viewer = staff_viewer(user=user, now=self.now, client_id=current_client.get())
        if not viewer.roles & self.roles:
            raise Forbidden()
        return viewer
