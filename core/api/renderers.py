"""JSON out, by orjson: Decimals as strings, instants in ISO 8601."""

from decimal import Decimal
from typing import Any

import orjson
from rest_framework.renderers import BaseRenderer


def _default(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if hasattr(value, "__str__") and type(value).__name__ == "__proxy__":
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def to_json(data: Any) -> bytes:
    """Return plain data as JSON bytes."""
    return orjson.dumps(data, default=_default)


class JSONRenderer(BaseRenderer):
    """Render plain data as JSON, or pass on what is JSON already."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> bytes:
        if data is None:
            return b""
        return data if isinstance(data, bytes) else to_json(data)


class ProblemRenderer(JSONRenderer):
    media_type = "application/problem+json"
