"""What holds for every operation, added to the generated OpenAPI document."""

from typing import Any

_PROBLEM = {
    "type": "object",
    "description": "RFC 9457. Branch on `code`; show `detail`; quote `request_id`.",
    "required": ["type", "title", "status", "detail", "code", "errors", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "examples": ["not-found", "slot-taken"]},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {
                    "field": {"type": "string"},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
        "request_id": {"type": "string"},
    },
    "additionalProperties": True,
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": 128},
    "description": "Of your making. The same key and body again give the first answer again.",
}
_REFUSED = {
    "description": "Refused.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def describe_conventions(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing hook: problems on every operation, an idempotency key on every POST.

    A POST whose body is not JSON (a laboratory's message) takes no key: the message has its own.
    """
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = _PROBLEM
    for path in result["paths"].values():
        for method, operation in path.items():
            if method not in ("get", "post", "put", "patch", "delete"):
                continue
            operation["responses"].setdefault("default", _REFUSED)
            content = operation.get("requestBody", {}).get("content", {"application/json": {}})
            if method == "post" and "application/json" in content:
                operation.setdefault("parameters", []).append(_KEY)
    return result
