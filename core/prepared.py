"""Statements that are written once and planned once, and afterwards only filled in.

Building and compiling a large queryset costs Django several times what the network needs for it,
and planning it costs PostgreSQL more than running it. A hot read builds its queryset once for
each shape, with `Given` in place of what differs between requests, and then binds values. The
SQL is Django's own; nothing that a request brings is spliced.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, connections
from django.db.backends.postgresql.base import ServerBindingCursor
from django.db.models import Expression, Field, QuerySet
from psycopg import sql
from psycopg.types.datetime import TimestamptzLoader


@contextmanager
def prepared_cursor(using: str = "default") -> Iterator[Any]:
    """Yield a cursor whose statements each connection prepares (`prepare_threshold` says when).

    For SQL that never changes between requests: every text is kept by the server. A connection
    that logs its statements gets Django's own cursor, which can say what it ran.
    """
    connection = connections[using]
    if connection.queries_logged:
        with connection.cursor() as cursor:
            yield cursor
        return
    connection.ensure_connection()
    with connection.wrap_database_errors:
        raw: Any = ServerBindingCursor(connection.connection)  # type: ignore[call-arg]
    with connection.make_cursor(raw) as cursor:
        yield cursor


class Given(Expression):
    """A value that each execution supplies by name."""

    def __init__(self, name: str, output_field: "Field[Any, Any]") -> None:
        super().__init__(output_field=output_field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self]

    def placeholder(self) -> str:
        """Return the parameter with its type, which PostgreSQL cannot always infer."""
        return f"%s::{self.output_field.db_type(connection)}"


class Prepared:
    """One compiled `.values()` queryset."""

    def __init__(self, queryset: QuerySet[Any, Any]) -> None:
        query = queryset.query
        compiler = query.get_compiler(connection=connection)
        text, parameters = compiler.as_sql()
        self._given = [p for p in parameters if isinstance(p, Given)]
        # What is the same for every request is written out, so that the planner sees it.
        connection.ensure_connection()
        self._sql = text % tuple(
            p.placeholder() if isinstance(p, Given) else _written_out(p) for p in parameters
        )
        self._names = [*query.extra_select, *query.values_select, *query.annotation_select]
        self._converters = compiler.get_converters([column for column, *_ in compiler.select])
        self._compiler = compiler

    def rows(self, **given: Any) -> list[dict[str, Any]]:
        """Execute and return the rows as dicts. Raises: KeyError for a value not given."""
        with prepared_cursor() as cursor:
            # Django's loader of instants is Python; psycopg's own gives the same UTC instants.
            cursor.cursor.adapters.register_loader("timestamptz", TimestamptzLoader)
            cursor.execute(self._sql, [given[p.name] for p in self._given])
            found = cursor.fetchall()
        if self._converters:
            found = self._compiler.apply_converters(found, self._converters)
        return [dict(zip(self._names, row, strict=True)) for row in found]


def _written_out(constant: Any) -> str:
    """Return a constant of the queryset as SQL, safe to format and to execute."""
    return sql.Literal(constant).as_string(connection.connection).replace("%", "%%")
