"""What a log line may hold. Anything not on the list is dropped, whoever logs it."""

from collections.abc import MutableMapping
from typing import Any

ALLOWED_KEYS = frozenset(
    {
        "event", "level", "logger", "timestamp", "request_id", "_record", "_from_structlog",
        "method", "route", "status", "sql", "ms", "error_type", "where", "view", "database",
        "event_type", "subscriber", "tries", "provider", "sender", "ack", "outcome", "reasons",
        "count", "bytes", "purpose", "channel", "state", "task", "code", "address", "seconds",
        "port", "connections", "name", "age_seconds", "claimed", "sent", "skipped", "failed",
        "unknown", "planned", "stage",
    }
)  # fmt: skip


def drop_unlisted_keys(
    logger: Any, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Structlog processor: keep only `ALLOWED_KEYS`, and say how many were dropped."""
    unlisted = [key for key in event if key not in ALLOWED_KEYS]
    for key in unlisted:
        del event[key]
    if unlisted:
        event["count"] = len(unlisted)
    return event


def without_exception_values(
    logger: Any, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Structlog processor: an exception's type and place, never its text (it may hold values)."""
    info = event.pop("exc_info", None)
    record = event.get("_record")
    if record is not None and record.exc_info:
        info, record.exc_info, record.exc_text = record.exc_info, None, None
    if isinstance(info, tuple) and info[0] is not None:
        event["error_type"] = info[0].__name__
        traceback = info[2]
        while traceback is not None and traceback.tb_next is not None:
            traceback = traceback.tb_next
        if traceback is not None:
            file = traceback.tb_frame.f_code.co_filename.rsplit("/", 2)[-1]
            event["where"] = f"{file}:{traceback.tb_lineno}"
    return event
