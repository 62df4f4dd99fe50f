"""Statements that are written once and planned once, and afterwards only filled in.

Building and compiling a large queryset costs Django several times what the network needs for it,
and planning it costs PostgreSQL more than running it. A hot read builds its queryset once for
each shape, with `Given` in place of what differs between requests, and then binds values. The
SQL is Django's own; nothing that a request brings is spliced.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from re import Match
from re import compile as pattern
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import connection, connections
from django.db.backends.postgresql.base import CursorMixin
from django.db.models import Expression, Field, ForeignObject, Lookup, Model, QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.sql import UpdateQuery
from psycopg import RawCursor, sql
from psycopg.types.datetime import TimestamptzLoader


@lru_cache(maxsize=512)
def _numbered(text: str, count: int) -> str:
    """Return a statement with PostgreSQL's own placeholders instead of `%s`."""
    return text % tuple(f"${number}" for number in range(1, count + 1))


_NAME = pattern(r"%\((\w+)\)s|%%")


@lru_cache(maxsize=128)
def _numbered_by_name(text: str) -> tuple[str, tuple[str, ...]]:
    """Return a statement with numbers for its names, and the names in that order."""
    names: dict[str, int] = {}

    def number(found: Match[str]) -> str:
        name = found[1]
        return "%" if name is None else f"${names.setdefault(name, len(names) + 1)}"

    return _NAME.sub(number, text), tuple(names)


class _NumberedCursor(CursorMixin, RawCursor[Any]):  # type: ignore[misc]
    """Sends statements as they are: psycopg would look for `%s` in long ones each time."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        if isinstance(params, Mapping):
            query, names = _numbered_by_name(query)
            params = [params[name] for name in names]
        elif params is not None:
            query = _numbered(query, len(params))
        return super().execute(query, params, **options)


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
        raw: Any = _NumberedCursor(connection.connection)  # type: ignore[arg-type]
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


@ForeignObject.register_lookup
@Field.register_lookup
class AnyOf(Lookup):  # type: ignore[type-arg]
    """`field__any_of=Given(...)`: like `in`, with a whole array as its one parameter."""

    lookup_name = "any_of"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        left, parameters = self.process_lhs(compiler, connection)
        right, given = self.process_rhs(compiler, connection)
        return f"{left} = ANY({right})", [*parameters, *given]


class Prepared:
    """One compiled queryset: `rows` of `.values()`, `objects` of whole models."""

    def __init__(self, queryset: QuerySet[Any, Any]) -> None:
        query = queryset.query
        compiler = query.get_compiler(connection=connection)
        self._sql, self._given = _compiled(compiler)
        # The order in which `.values()` names its columns.
        self._names = list(query.selected or ())
        self._extras = list(query.annotation_select)
        self._converters = compiler.get_converters([column for column, *_ in compiler.select])
        self._compiler = compiler
        self._model = queryset.model
        self._fields = [field.attname for field in queryset.model._meta.concrete_fields]

    def rows(self, **given: Any) -> list[dict[str, Any]]:
        """Execute and return the rows as dicts. Raises: KeyError for a value not given."""
        return [dict(zip(self._names, row, strict=True)) for row in self._found(given)]

    def objects(self, **given: Any) -> list[Any]:
        """Execute and return instances of the model, annotations set on them.

        Raises: KeyError for a value not given.
        """
        own = len(self._fields)
        found = []
        for row in self._found(given):
            made = self._model.from_db("default", self._fields, row[:own])
            for name, value in zip(self._extras, row[own:], strict=True):
                setattr(made, name, value)
            found.append(made)
        return found

    def _found(self, given: dict[str, Any]) -> Iterable[Sequence[Any]]:
        with prepared_cursor() as cursor:
            # Django's loader of instants is Python; psycopg's own gives the same UTC instants.
            cursor.cursor.adapters.register_loader("timestamptz", TimestamptzLoader)
            cursor.execute(self._sql, [given[p.name] for p in self._given])
            found = cursor.fetchall()
        if self._converters:
            found = self._compiler.apply_converters(found, self._converters)
        return found  # type: ignore[no-any-return]


class PreparedUpdate:
    """One compiled `queryset.update(**values)`."""

    def __init__(self, queryset: QuerySet[Any, Any], **values: Any) -> None:
        query: Any = queryset.query.chain(UpdateQuery)
        query.clear_ordering(force=True)
        query.add_update_values(values)
        self._sql, self._given = _compiled(query.get_compiler(connection=connection))

    def run(self, **given: Any) -> None:
        """Execute. Raises: KeyError for a value not given."""
        with prepared_cursor() as cursor:
            cursor.execute(self._sql, [given[p.name] for p in self._given])


def _compiled(compiler: Any) -> tuple[str, list[Given]]:
    """Return the statement with what is given left open, and that in order.

    What is the same for every request is written out, so that the planner sees it.
    """
    text, parameters = compiler.as_sql()
    connection.ensure_connection()
    opened = tuple(p.placeholder() if isinstance(p, Given) else _written_out(p) for p in parameters)
    return text % opened, [p for p in parameters if isinstance(p, Given)]


@lru_cache(maxsize=128)
def _columns(model: type[Model]) -> tuple[str, tuple[tuple[Any, str, bool], ...]]:
    """Return the start of an INSERT, and each field with the type its parameter needs, and
    whether it decides about its value when it is saved."""
    name = connection.ops.quote_name
    fields = tuple(
        (
            field,
            # PostgreSQL does not infer the type of an array's elements from the column.
            f"%s::{field.db_type(connection)}" if isinstance(field, ArrayField) else "%s",
            type(field).pre_save is not Field.pre_save,
        )
        for field in model._meta.concrete_fields
    )
    columns = ", ".join(name(str(field.column)) for field, *_ in fields)
    return f"INSERT INTO {name(model._meta.db_table)} ({columns}) VALUES ", fields  # noqa: S608


def insert(*rows: Model) -> None:
    """Insert new rows of one model in one prepared statement, every column given.

    For the hot writes: `save` compiles its statement each time. Sends no signals, like
    `bulk_create`. A value may be a `RawSQL` without parameters.
    """
    if not rows:
        return
    start, fields = _columns(type(rows[0]))
    here_and_now = connections["default"]
    values: list[Any] = []
    places: list[str] = []
    for row in rows:
        here: list[str] = []
        for field, place, decides in fields:
            value = field.pre_save(row, add=True) if decides else getattr(row, field.attname)
            if isinstance(value, RawSQL):
                here.append(value.sql)
                continue
            here.append(place)
            values.append(None if value is None else field.get_db_prep_save(value, here_and_now))
        places.append(f"({', '.join(here)})")
    with prepared_cursor() as cursor:
        cursor.execute(start + ", ".join(places), values)
    for row in rows:
        row._state.adding, row._state.db = False, "default"


def update(row: Model, *names: str) -> None:
    """Write these fields of a stored row in one prepared statement. Sends no signals."""
    quoted, meta = connection.ops.quote_name, row._meta
    fields: list[Any] = [meta.get_field(name) for name in names]
    changes = ", ".join(f"{quoted(field.column)} = %s" for field in fields)
    key = quoted(str(meta.pk.column))
    with prepared_cursor() as cursor:
        cursor.execute(
            f"UPDATE {quoted(meta.db_table)} SET {changes} WHERE {key} = %s",  # noqa: S608
            [
                *(
                    field.get_db_prep_save(field.pre_save(row, add=False), connection)
                    for field in fields
                ),
                row.pk,
            ],
        )


def delete(row: Model) -> None:
    """Delete a stored row that nothing refers to, in one prepared statement; sends no signals."""
    quoted, meta = connection.ops.quote_name, row._meta
    with prepared_cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {quoted(meta.db_table)} WHERE {quoted(str(meta.pk.column))} = %s",  # noqa: S608
            [row.pk],
        )


def _written_out(constant: Any) -> str:
    """Return a constant of the queryset as SQL, safe to format and to execute."""
    return sql.Literal(constant).as_string(connection.connection).replace("%", "%%")
