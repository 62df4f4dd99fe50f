"""Prometheus series of requests: how many, how long, how many SQL statements."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from prometheus_client import Histogram

REQUEST_SECONDS = Histogram(
    "linden_request_seconds",
    "Wall time of one request by route template",
    ["method", "route", "status"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
REQUEST_SQL = Histogram(
    "linden_request_sql_statements",
    "SQL statements of one request by route template",
    ["route"],
    buckets=(0, 2, 4, 6, 8, 10, 16, 24, 40, 80),
)


class Counted:
    """How many statements ran so far."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


@contextmanager
def counting_sql() -> Iterator[Counted]:
    """Count the statements that the default connection runs inside the block."""
    counted = Counted()

    def count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        counted.count += 1
        return execute(sql, params, many, context)

    with connection.execute_wrapper(count):
        yield counted
