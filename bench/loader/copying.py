"""Rows of a Django model as lines of PostgreSQL's COPY, made from a template row.

A template is an unsaved instance: every column of the model is in it, with the model's own
defaults, so a new column needs no change here. Only the few varying columns are written anew
for each row, which is what makes a million rows a matter of seconds.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from itertools import islice
from typing import Any

import psycopg
from django.db import connections, models
from psycopg import sql
from psycopg.adapt import PyFormat, Transformer

LINES_AT_ONCE = 2_000
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class Lines:
    """Makes COPY lines for one model."""

    def __init__(self, model: type[models.Model], connection: psycopg.Connection[Any]) -> None:
        self.table = model._meta.db_table
        self._fields = [
            field
            for field in model._meta.concrete_fields
            if not isinstance(field, models.AutoField)
        ]
        self._transformer = Transformer(connection)

    @property
    def columns(self) -> list[str]:
        return [field.column for field in self._fields]

    def template(self, row: models.Model, *, varying: Sequence[str]) -> str:
        """Return a line with `%(column)s` for each varying column and the text of the others.

        Raises: ValueError for a varying column that the model does not have.
        """
        strange = set(varying) - set(self.columns)
        if strange:
            raise ValueError(f"{self.table} has no column {', '.join(sorted(strange))}")
        parts = [
            f"%({field.column})s" if field.column in varying else self._constant(field, row)
            for field in self._fields
        ]
        return "\t".join(parts) + "\n"

    def line(self, row: models.Model) -> str:
        """Return the finished line of one row."""
        return self.template(row, varying=()) % {}

    def _constant(self, field: Any, row: models.Model) -> str:
        value = field.get_db_prep_save(getattr(row, field.attname), connections["default"])
        return self.text(value).replace("%", "%%")

    def text(self, value: Any) -> str:
        """Return `value` as COPY writes it."""
        if value is None:
            return "\\N"
        if isinstance(value, Enum):
            value = value.value
        raw = self._transformer.get_dumper(value, PyFormat.TEXT).dump(value)
        return bytes(raw or b"").decode().translate(_ESCAPES)

    def copy(self, cursor: psycopg.Cursor[Any], lines: Iterable[str]) -> int:
        """Send all lines and return how many there were."""
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(self.table), sql.SQL(", ").join(map(sql.Identifier, self.columns))
        )
        count, source = 0, iter(lines)
        with cursor.copy(statement) as target:
            while batch := list(islice(source, LINES_AT_ONCE)):
                target.write("".join(batch))
                count += len(batch)
        return count


@contextmanager
def unguarded(cursor: psycopg.Cursor[Any], *tables: str) -> Iterator[None]:
    """Fill `tables` without indexes, foreign keys and forced row security; put all back after.

    Everything happens in the caller's transaction, and what is put back is checked over all
    rows, so the data ends up as guarded as if it had been inserted row by row. COPY itself
    refuses a table whose row security holds for the role that copies.
    """
    again: list[str] = []
    for table in tables:
        again += _take_off(cursor, table)
    yield
    for statement in again:
        cursor.execute(statement.encode())


_CONSTRAINTS = """
SELECT conname, pg_get_constraintdef(oid), contype FROM pg_constraint
WHERE conrelid = %s::regclass AND contype IN ('f', 'u', 'x') ORDER BY contype = 'f', conname
"""
_INDEXES = """
SELECT c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = %s::regclass
  AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid)
"""
_IS_FORCED = "SELECT relforcerowsecurity FROM pg_class WHERE oid = %s::regclass"


def _take_off(cursor: psycopg.Cursor[Any], table: str) -> list[str]:
    """Drop what slows a load of `table`; return the statements that bring it back."""
    again = []
    constraints = cursor.execute(_CONSTRAINTS, [table]).fetchall()
    indexes = cursor.execute(_INDEXES, [table]).fetchall()
    forced = cursor.execute(_IS_FORCED, [table]).fetchone()
    for name, _definition, _kind in constraints:
        cursor.execute(f'ALTER TABLE "{table}" DROP CONSTRAINT "{name}"'.encode())
    for name, definition in indexes:
        cursor.execute(f'DROP INDEX "{name}"'.encode())
        again.append(definition)
    for name, definition, _kind in constraints:
        again.append(f'ALTER TABLE "{table}" ADD CONSTRAINT "{name}" {definition}')
    if forced and forced[0]:
        cursor.execute(f'ALTER TABLE "{table}" NO FORCE ROW LEVEL SECURITY'.encode())
        again.append(f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY')
    return again
