"""The lower bound: one SQL statement builds the whole answer, and it is returned as it is.

A bare WSGI application under the same server and the same number of threads. It connects as
the owner and checks nobody's identity: no product could be this small. `/{name}?a=1` runs
the statement `name` of `bench.plain_sql` with the parameters of the query string.
"""

import os
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl

import psycopg

from bench.plain_sql import STATEMENTS

_thread = threading.local()


def _connection() -> psycopg.Connection[Any]:
    found = getattr(_thread, "connection", None)
    if found is None:
        found = _thread.connection = psycopg.connect(
            os.environ["DATABASE_OWNER_URL"], autocommit=True, prepare_threshold=1
        )
    return found


def application(
    environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], Any]
) -> Iterable[bytes]:
    statement = STATEMENTS[environ["PATH_INFO"].lstrip("/")]
    parameters = dict(parse_qsl(environ["QUERY_STRING"]))
    row = _connection().execute(statement, parameters).fetchone()
    body = (row[0] if row and row[0] else "null").encode()
    start_response(
        "200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    )
    return [body]
