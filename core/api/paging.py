"""Keyset (cursor) paging: stable under inserts, one statement a page, no counts."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db.models import Q, QuerySet
from django.utils.crypto import constant_time_compare

from core.crypto import keyed_digest
from core.errors import FieldError, InvalidInput

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
# Every list so far is ordered by an instant and an id.
PLACE = (datetime, UUID)
_SALT = "core.paging"


@dataclass(frozen=True, slots=True)
class Page:
    """One page of rows (dicts or objects as the queryset gives them)."""

    rows: list[Any]
    next: str | None


def page_limit(raw: str | None) -> int:
    """Return the page size asked for, 1 to 100; None means 20. Raises: InvalidInput."""
    if raw is None:
        return DEFAULT_LIMIT
    if not raw.isascii() or not raw.isdigit() or not 1 <= int(raw[:6]) <= MAX_LIMIT:
        raise InvalidInput(errors=(FieldError("limit", "out-of-range", "Send 1 to 100."),))
    return int(raw)


def _pack(value: Any) -> Any:
    kind = "t" if isinstance(value, datetime) else "u" if isinstance(value, UUID) else "v"
    return {kind: value}


def _unpack(packed: Any) -> Any:
    if "t" in packed:
        return datetime.fromisoformat(packed["t"])
    return UUID(packed["u"]) if "u" in packed else packed["v"]


def _signature(body: str) -> str:
    return keyed_digest(_SALT, body)[:32]


def encode_cursor(bound_to: str, values: Sequence[Any]) -> str:
    """Return an opaque signed cursor that only the same viewer and list can use."""
    packed = orjson.dumps([bound_to, [_pack(value) for value in values]])
    body = urlsafe_b64encode(packed).decode().rstrip("=")
    return f"{body}.{_signature(body)}"


def decode_cursor(bound_to: str, cursor: str, kinds: Sequence[type] = PLACE) -> list[Any]:
    """Return the values in `cursor`, one of each of `kinds`.

    Raises: InvalidInput when it is not ours, or was signed by a version of the server that put
    other values into it.
    """
    refusal = InvalidInput(
        errors=(FieldError("cursor", "invalid", "This cursor cannot be used here."),)
    )
    body, _, signature = cursor.rpartition(".")
    if not constant_time_compare(signature, _signature(body)):
        raise refusal
    try:
        owner, packed = orjson.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        values = [_unpack(value) for value in packed]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise refusal from error
    naive = any(isinstance(value, datetime) and value.tzinfo is None for value in values)
    if owner != bound_to or [type(value) for value in values] != list(kinds) or naive:
        raise refusal
    return values


def after(queryset: QuerySet[Any, Any], order: Sequence[str], values: Sequence[Any]) -> Any:
    """Return `queryset` narrowed to what follows the row with these values of `order`.

    All order fields point the same way, and the last one is unique. Values may be expressions.
    """
    names = [name.lstrip("-") for name in order]
    operator = "lt" if order[0].startswith("-") else "gt"
    condition = Q()
    for index, name in enumerate(names):
        equal = Q(**dict(zip(names[:index], values[:index], strict=True)))
        condition |= equal & Q(**{f"{name}__{operator}": values[index]})
    return queryset.filter(condition, **{f"{names[0]}__{operator}e": values[0]})


def page_of(rows: list[Any], *, order: Sequence[str], bound_to: str, limit: int) -> Page:
    """Return the page that `limit + 1` fetched rows make."""
    following = None
    if len(rows) > limit:
        last = rows[limit - 1]
        read = last.__getitem__ if isinstance(last, dict) else lambda name: getattr(last, name)
        following = encode_cursor(bound_to, [read(name.lstrip("-")) for name in order])
    return Page(rows=rows[:limit], next=following)


def keyset_page(
    queryset: QuerySet[Any, Any],
    *,
    order: Sequence[str],
    bound_to: str,
    cursor: str | None,
    limit: int,
) -> Page:
    """Return one page of `queryset` in `order` (e.g. `("-effective_at", "-id")`).

    `bound_to` names the viewer and the list. Raises: InvalidInput.
    """
    if cursor:
        queryset = after(queryset, order, decode_cursor(bound_to, cursor))
    rows = list(queryset.order_by(*order)[: limit + 1])
    return page_of(rows, order=order, bound_to=bound_to, limit=limit)
