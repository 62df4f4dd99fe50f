"""One envelope for every error of the API: RFC 9457 `application/problem+json`."""

from typing import Any

import structlog
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from rest_framework import exceptions
from rest_framework.response import Response

from core.api.renderers import ProblemRenderer
from core.context import current_request_id
from core.errors import DomainError, FieldError, NotFound

log = structlog.get_logger(__name__)

_CODES = {
    400: "malformed",
    401: "not-authenticated",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    413: "body-too-large",
    415: "unsupported-media-type",
    429: "too-many-requests",
    500: "internal-error",
    503: "unavailable",
}
_TITLES = {
    400: "The request could not be read.",
    401: "Please sign in.",
    403: "You may not do this.",
    404: NotFound.title,
    405: "This address does not take that method.",
    406: "This address cannot answer in the format asked for.",
    413: "The body is larger than this address accepts.",
    415: "This address does not read that format.",
    429: "Too many requests. Please wait a little.",
    500: "Something went wrong on our side.",
    503: "This part is not available at the moment. Please try again.",
}


def problem_body(
    *,
    status: int,
    code: str,
    title: str,
    detail: str = "",
    errors: tuple[FieldError, ...] = (),
    extra: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the members of a problem; `extra` adds members such as `alternatives`."""
    return {
        **(extra or {}),
        "type": f"/problems/{code}",
        "title": title,
        "status": status,
        "detail": detail or title,
        "code": code,
        "errors": [{"field": e.field, "code": e.code, "message": e.message} for e in errors],
        "request_id": current_request_id.get(),
    }


def _problem(body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    response = Response(body, status=body["status"], headers=headers)
    response["Cache-Control"] = "no-store, private"
    response.content_type = "application/problem+json"
    return response


def _field_errors(detail: Any, prefix: str = "") -> tuple[FieldError, ...]:
    if isinstance(detail, dict):
        return tuple(
            error
            for name, value in detail.items()
            for error in _field_errors(value, f"{prefix}.{name}" if prefix else str(name))
        )
    if isinstance(detail, list):
        found: list[FieldError] = []
        for index, value in enumerate(detail):
            nested = isinstance(value, (dict, list))
            found.extend(_field_errors(value, f"{prefix}.{index}" if nested else prefix))
        return tuple(found)
    return (FieldError(prefix or "body", str(getattr(detail, "code", "invalid")), str(detail)),)


def from_exception(error: Exception) -> Response | None:
    """Return the problem for a known exception, or None when it is unknown."""
    if isinstance(error, DomainError):
        return _problem(
            problem_body(
                status=error.status,
                code=error.code,
                title=error.title,
                detail=error.detail,
                errors=error.errors,
                extra=error.extra,
            )
        )
    if isinstance(error, exceptions.ValidationError):
        return _problem(
            problem_body(
                status=422,
                code="invalid",
                title="Some of the values sent cannot be accepted.",
                errors=_field_errors(error.detail),
            )
        )
    if isinstance(error, Http404):
        return _problem(problem_body(status=404, code="not-found", title=_TITLES[404]))
    if isinstance(error, PermissionDenied):
        return _problem(problem_body(status=403, code="forbidden", title=_TITLES[403]))
    if isinstance(error, exceptions.APIException):
        return _from_framework(error)
    if isinstance(error, OperationalError):
        log.error("database.unavailable", error_type=type(error).__name__)
        return _problem(problem_body(status=503, code="unavailable", title=_TITLES[503]))
    return None


def _from_framework(error: exceptions.APIException) -> Response:
    status = error.status_code
    code = _CODES.get(status, "error")
    headers: dict[str, str] = {}
    if status == 400:
        found = str(getattr(error.detail, "code", ""))
        code = found if found and found != "parse_error" else code
    wait = getattr(error, "wait", None)
    if isinstance(error, exceptions.Throttled) and wait is not None:
        headers["Retry-After"] = str(int(wait))
    challenge = getattr(error, "auth_header", None)
    if challenge:
        headers["WWW-Authenticate"] = challenge
    detail = str(error.detail) if status in (400, 405, 413, 415) else ""
    return _problem(
        problem_body(
            status=status,
            code=code,
            title=_TITLES.get(status, "The request failed."),
            detail=detail,
        ),
        headers,
    )


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler. An unknown error is logged by type only and becomes a 500."""
    response = from_exception(error)
    if response is not None:
        return response
    log.error(
        "request.failed",
        error_type=type(error).__name__,
        database=isinstance(error, DatabaseError),
        view=type(context.get("view")).__name__,
        where=_where(error),
    )
    return _problem(problem_body(status=500, code="internal-error", title=_TITLES[500]))


def _where(error: Exception) -> str:
    """Return file:line of the innermost frame; never a value."""
    frame = error.__traceback__
    if frame is None:
        return ""
    while frame.tb_next is not None:
        frame = frame.tb_next
    code = frame.tb_frame.f_code
    return f"{code.co_filename.rsplit('/', 2)[-1]}:{frame.tb_lineno}"


def plain_problem(status: int) -> HttpResponse:
    """Return a problem outside DRF, for Django's own error handlers under /api/."""
    body = problem_body(status=status, code=_CODES[status], title=_TITLES[status])
    response = HttpResponse(
        ProblemRenderer().render(body), status=status, content_type="application/problem+json"
    )
    response["Cache-Control"] = "no-store, private"
    return response


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return plain_problem(404)


def server_error(request: HttpRequest) -> HttpResponse:
    return plain_problem(500)
