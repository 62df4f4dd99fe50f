"""Querysets whose SQL is written once and afterwards only filled in.

Building and compiling a large queryset costs Django several times what PostgreSQL and the network
need for it. A hot read builds its queryset once for each shape, with `Given` in place of what
differs between requests, and then binds values. The SQL is Django's own; nothing is spliced.
"""

from typing import Any

from django.db import connection
from django.db.models import Expression, Field, QuerySet
from psycopg.types.datetime import TimestamptzLoader


class Given(Expression):
    """A value that each execution supplies by name."""

    def __init__(self, name: str, output_field: "Field[Any, Any]") -> None:
        super().__init__(output_field=output_field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self]


class Prepared:
    """One compiled `.values()` queryset."""

    def __init__(self, queryset: QuerySet[Any, Any]) -> None:
        query = queryset.query
        compiler = query.get_compiler(connection=connection)
        self._sql, self._parameters = compiler.as_sql()
        self._names = [*query.extra_select, *query.values_select, *query.annotation_select]
        self._converters = compiler.get_converters([column for column, *_ in compiler.select])
        self._compiler = compiler

    def rows(self, **given: Any) -> list[dict[str, Any]]:
        """Execute and return the rows as dicts. Raises: KeyError for a value not given."""
        bound = [given[p.name] if isinstance(p, Given) else p for p in self._parameters]
        with connection.cursor() as cursor:
            # Django's loader of instants is Python; psycopg's own gives the same UTC instants.
            cursor.cursor.adapters.register_loader("timestamptz", TimestamptzLoader)
            cursor.execute(self._sql, bound)
            found = cursor.fetchall()
        if self._converters:
            found = self._compiler.apply_converters(found, self._converters)
        return [dict(zip(self._names, row, strict=True)) for row in found]
