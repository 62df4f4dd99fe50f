"""`Idempotency-Key`: the same POST twice gives one change and the same answer twice."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

import orjson
from django.db.models import CharField
from rest_framework.request import Request
from rest_framework.response import Response

from core.crypto import keyed_digest
from core.errors import DomainError, FieldError
from core.models import IdempotencyRecord
from core.prepared import Given, Prepared, insert, prepared_cursor

KEPT_FOR = timedelta(hours=48)
_MAX_KEY = 128
_KEPT_HEADERS = ("Location", "ETag")


class KeyMissing(DomainError):
    code = "idempotency-key-missing"
    status = 400
    title = "Send an Idempotency-Key header with every POST."


class KeyReused(DomainError):
    """The key was used before with another body."""

    code = "idempotency-key-reused"
    status = 422
    title = "This Idempotency-Key was used with another request."


class InProgress(DomainError):
    """The first request with this key is still running."""

    code = "in-progress"
    status = 409
    title = "The first request with this key is still running. Ask again in a moment."


@dataclass(frozen=True, slots=True)
class KeyOwner:
    """What a key belongs to: the same key elsewhere is another key."""

    client: str
    user_id: UUID | None
    patient_id: UUID | None
    route: str


def read_key(request: Request) -> str:
    """Return the key sent. Raises: KeyMissing."""
    key = request.headers.get("Idempotency-Key", "").strip()
    if not key or len(key) > _MAX_KEY or not key.isprintable():
        raise KeyMissing(
            errors=(FieldError("Idempotency-Key", "required", "Send 1 to 128 characters."),)
        )
    return key


def body_digest(request: Request) -> str:
    """Return the SHA-256 of the body in canonical form (sorted keys)."""
    canonical = orjson.dumps(request.data, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()


def _lock(owner_key: str) -> bool:
    with prepared_cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(('x' || left(%s, 16))::bit(64)::bigint)", [owner_key]
        )
        return bool(cursor.fetchone()[0])


@lru_cache(maxsize=1)
def _answers() -> Prepared:
    asked = cast(str, Given("owner_key", CharField()))
    return Prepared(
        IdempotencyRecord.objects.filter(owner_key=asked).values(
            "body_digest", "status", "headers", "answer"
        )
    )


def run_once(
    *,
    request: Request,
    owner: KeyOwner,
    now: datetime,
    handler: Callable[[], Response],
    render: Callable[[Response], bytes],
) -> Response:
    """Run `handler` unless this key has an answer already, and keep the answer.

    Runs inside the request's transaction, after authorisation, so a replay is authorised as
    the first request was and a change never commits without its record. Only successful
    answers are kept: a refused request may be sent again with the same key.
    Raises: KeyMissing, KeyReused, InProgress.
    """
    owner_key = keyed_digest(
        "idempotency",
        owner.client,
        str(owner.user_id),
        str(owner.patient_id),
        owner.route,
        read_key(request),
    )
    digest = body_digest(request)
    if not _lock(owner_key):
        raise InProgress()
    for stored in _answers().rows(owner_key=owner_key):
        if stored["body_digest"] != digest:
            raise KeyReused()
        return _replay(stored)
    response = handler()
    if 200 <= response.status_code < 300:
        insert(
            IdempotencyRecord(
                owner_key=owner_key,
                user_id=owner.user_id,
                patient_id=owner.patient_id,
                body_digest=digest,
                status=response.status_code,
                content_type="application/json",
                headers={
                    name: response[name] for name in _KEPT_HEADERS if response.has_header(name)
                },
                answer=render(response),
                stored_at=now,
            )
        )
    return response


def _replay(stored: dict[str, Any]) -> Response:
    data = orjson.loads(stored["answer"]) if stored["answer"] else None
    response = Response(data, status=stored["status"], headers=stored["headers"])
    response["Idempotency-Replayed"] = "true"
    return response


def prune(*, now: datetime) -> int:
    """Delete answers older than 48 hours; return how many."""
    count, _ = IdempotencyRecord.objects.filter(stored_at__lt=now - KEPT_FOR).delete()
    return count
