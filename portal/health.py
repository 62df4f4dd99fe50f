"""Liveness and readiness, for supervisors and load balancers."""

import redis
import structlog
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

log = structlog.get_logger(__name__)


def alive(request: HttpRequest) -> JsonResponse:
    """Answer 200 while this process can answer at all."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """Answer 200 while the database answers, 503 otherwise.

    The broker is reported but does not decide: results, sign-in and booking work without it,
    and reminders wait in the ledger.
    """
    parts = {"database": _database(), "broker": _broker()}
    up = parts["database"] == "ok"
    return JsonResponse(
        {"status": "ok" if up else "unavailable", **parts}, status=200 if up else 503
    )


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        log.error("ready.database", error_type=type(error).__name__)
        return "down"
    return "ok"


def _broker() -> str:
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1) as client:
            client.ping()
    except redis.RedisError as error:
        log.error("ready.broker", error_type=type(error).__name__)
        return "down"
    return "ok"
