"""Structured logs: allow-listed keys, ids and codes, never patient data."""

import logging
from typing import Any

import orjson
import structlog

from core.logs import drop_unlisted_keys, without_exception_values


def _dumps(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()


class JsonLines(structlog.stdlib.ProcessorFormatter):
    """Structlog's formatter, with a short way for its own lines: they were processed already."""

    def format(self, record: logging.LogRecord) -> str:
        if isinstance(record.msg, dict) and hasattr(record, "_logger") and not record.exc_info:
            return _dumps(record.msg)
        return super().format(record)


def configure(*, json: bool) -> dict[str, Any]:
    """Return Django's LOGGING and set up structlog to share its handlers."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        without_exception_values,
        drop_unlisted_keys,
    ]
    # A handler that fails would print the record and its error, values included.
    logging.raiseExceptions = False
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    renderer: Any = (
        structlog.processors.JSONRenderer(serializer=_dumps)
        if json
        else structlog.dev.ConsoleRenderer(colors=False, sort_keys=True)
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": JsonLines if json else structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    renderer,
                ],
            }
        },
        "handlers": {"stdout": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stdout"], "level": "INFO"},
        "loggers": {
            # Django repeats the path of a failed request; our own line has the route.
            "django.request": {"level": "CRITICAL"},
            "django.server": {"level": "CRITICAL"},
            "django.security": {"level": "ERROR"},
            "oauth2_provider": {"level": "ERROR"},
            "matplotlib": {"level": "WARNING"},
        },
    }
