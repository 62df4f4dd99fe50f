"""FHIR JSON in and out: strict, bounded, and every number with the digits that were sent.

Source: FHIR R4 JSON format (no empty object, array or string, no null outside arrays) and the
rules for strings (no control characters but tab and line breaks).
"""

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from labs.hl7.message import MessageError

MAX_DEPTH: Final = 64
_as_json: Final = json.JSONEncoder(ensure_ascii=False).encode
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")


class FhirError(MessageError):
    """Content that is no valid FHIR. `code` is stable, `expression` says where; never quoted."""

    def __init__(self, code: str, expression: str = "") -> None:
        super().__init__(code)
        self.expression = expression


def load(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in `raw`; numbers are Decimals.

    Raises: FhirError `empty`, `json-invalid`, `json-duplicate-key`, `json-too-deep`,
    `number-invalid`, `element-empty` or `string-invalid`.
    """
    if not raw.strip():
        raise FhirError("empty")
    try:
        found = json.loads(
            raw.decode("utf-8-sig"),
            parse_float=_number,
            parse_int=_number,
            parse_constant=_no_number,
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise FhirError("json-too-deep") from None
    except MessageError:
        raise
    except ValueError:
        raise FhirError("json-invalid") from None
    if not isinstance(found, dict):
        raise FhirError("json-invalid")
    _check(found)
    return found


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise FhirError("number-invalid") from None


def _no_number(text: str) -> Decimal:
    raise FhirError("number-invalid")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise FhirError("json-duplicate-key")
    return made


def _check(root: dict[str, Any]) -> None:
    level: list[Any] = [root]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for value in level:
            if isinstance(value, str):
                if not value or _FORBIDDEN.search(value):
                    raise FhirError("string-invalid")
            elif isinstance(value, dict):
                if not value or None in value.values():
                    raise FhirError("element-empty")
                if any(_FORBIDDEN.search(key) for key in value):
                    raise FhirError("string-invalid")
                below += value.values()
            elif isinstance(value, list):
                if all(entry is None for entry in value):
                    raise FhirError("element-empty")
                below += value
        if not below:
            return
        level = below
    raise FhirError("json-too-deep")


def dump(value: Any) -> str:
    """Return compact JSON in which every number keeps its digits. `value` came from `load`."""
    if isinstance(value, dict):
        inner = (f"{_as_json(k)}:{dump(v)}" for k, v in value.items())
        return "{" + ",".join(inner) + "}"
    if isinstance(value, list):
        return "[" + ",".join(dump(entry) for entry in value) + "]"
    if isinstance(value, Decimal):
        return str(value)
    return _as_json(value)
