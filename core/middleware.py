"""Request id, a neutral log line, and headers that hold for every answer."""

import re
import time
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse

from core.context import current_client, current_request_id
from core.ids import new_id
from core.metrics import REQUEST_SECONDS, REQUEST_SQL, counting_sql

log = structlog.get_logger("request")

_ACCEPTABLE = re.compile(r"^[A-Za-z0-9._-]{8,64}$")
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_QUIET = {"/healthz", "/readyz", "/metrics"}


class RequestContext:
    """Give each request an id, count its SQL, and log the route template (never the path)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        sent = request.headers.get("X-Request-Id", "")
        request_id = sent if _ACCEPTABLE.match(sent) else str(new_id())
        id_token = current_request_id.set(request_id)
        client_token = current_client.set("")
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started = time.perf_counter()
        try:
            with counting_sql() as sql:
                response = self.get_response(request)
            self._tell(request, response, sql.count, time.perf_counter() - started)
        finally:
            structlog.contextvars.unbind_contextvars("request_id")
            current_request_id.reset(id_token)
            current_client.reset(client_token)
        response["X-Request-Id"] = request_id
        response.setdefault("Referrer-Policy", "same-origin")
        response.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        return response

    def _tell(
        self, request: HttpRequest, response: HttpResponse, statements: int, seconds: float
    ) -> None:
        if request.path in _QUIET:
            return
        route = request.resolver_match.route if request.resolver_match else "(none)"
        method = request.method if request.method in _METHODS else "other"
        REQUEST_SECONDS.labels(method, route, response.status_code).observe(seconds)
        REQUEST_SQL.labels(route).observe(statements)
        log.info(
            "request",
            method=method,
            route=route,
            status=response.status_code,
            sql=statements,
            ms=round(seconds * 1000, 1),
        )
