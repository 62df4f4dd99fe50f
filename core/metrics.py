"""Prometheus series of our own, beside those of django-prometheus."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from prometheus_client import Histogram


class _Counted:
    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class RequestSql:
    """SQL statements of a request, by route template."""

    def __init__(self) -> None:
        self._histogram = Histogram(
            "linden_request_sql_statements",
            "SQL statements of one request",
            ["route"],
            buckets=(0, 1, 2, 4, 6, 8, 10, 16, 24, 40, 80),
        )

    @contextmanager
    def counting(self) -> Iterator[_Counted]:
        counted = _Counted()

        def count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            counted.count += 1
            return execute(sql, params, many, context)

        with connection.execute_wrapper(count):
            yield counted

    def observe(self, *, route: str, count: int) -> None:
        self._histogram.labels(route=route).observe(count)


REQUEST_SQL = RequestSql()
