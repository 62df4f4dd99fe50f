"""The rows that intake wrote, written again and nothing else: what the database alone allows."""

import os
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

# In the order in which intake writes them: the table, and which rows belong to a message.
_TABLES = (
    ("labs_inboundmessage", "t.id = %(message)s"),
    (
        "labs_diagnosticreport",
        "t.id IN (SELECT report_id FROM labs_reportversion WHERE message_id = %(message)s)",
    ),
    ("labs_reportversion", "t.message_id = %(message)s"),
    ("labs_observation", "t.message_id = %(message)s"),
    (
        "core_change",
        "t.resource_id IN (SELECT id FROM labs_observation WHERE message_id = %(message)s)",
    ),
    (
        "core_event",
        "t.subject_id IN (SELECT report_id FROM labs_reportversion WHERE message_id = %(message)s)",
    ),
    ("labs_filing", "t.message_id = %(message)s"),
)


def insert_alone(laboratory_id: UUID, *, messages: int) -> float:
    """Return messages a second: one connection, the raw row committed first, then the rest.

    The rows go into empty tables of the same shape, indexes and checks.
    """
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as connection:
        ids = [
            row[0]
            for row in connection.execute(
                "SELECT id FROM labs_inboundmessage WHERE laboratory_id = %s AND receipt = "
                "'accepted' ORDER BY id DESC LIMIT %s",
                (laboratory_id, messages),
            )
        ]
        copies = [_Copy.of(connection, table, which) for table, which in _TABLES]
        work = [[copy.work(connection, one) for copy in copies] for one in ids]
        for table, _ in _TABLES:
            connection.execute(
                sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(
                    sql.Identifier(f"alone_{table}"), sql.Identifier(table)
                )
            )
        connection.commit()
        started = time.perf_counter()
        for message in work:
            for number, (statement, rows) in enumerate(message):
                if rows:
                    connection.cursor().executemany(statement, rows)
                if number == 0:
                    connection.commit()
            connection.commit()
        seconds = time.perf_counter() - started
        for table, _ in _TABLES:
            connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(f"alone_{table}")))
    return round(len(work) / seconds, 1)


@dataclass(frozen=True)
class _Copy:
    """A table, its empty twin, and how its rows travel: as text, cast by PostgreSQL."""

    select: sql.Composed
    insert: sql.Composed

    @classmethod
    def of(cls, connection: psycopg.Connection[Any], table: str, which: str) -> "_Copy":
        columns = connection.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            (table,),
        ).fetchall()
        names = sql.SQL(", ").join(
            sql.SQL("t.{}::text").format(sql.Identifier(name)) for name, _ in columns
        )
        places = sql.SQL(", ").join(sql.SQL(f"%s::{kind}") for _, kind in columns)
        return cls(
            sql.SQL("SELECT {} FROM {} t WHERE ").format(names, sql.Identifier(table))
            + sql.SQL(which),  # type: ignore[arg-type]
            sql.SQL("INSERT INTO {} VALUES ({})").format(sql.Identifier(f"alone_{table}"), places),
        )

    def work(
        self, connection: psycopg.Connection[Any], message: UUID
    ) -> tuple[sql.Composed, list[tuple[Any, ...]]]:
        return self.insert, connection.execute(self.select, {"message": message}).fetchall()
