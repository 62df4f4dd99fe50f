"""Statements counted on the wire."""

import os
import struct

import psycopg
import pytest

from bench.measure import first_words
from bench.wire import StatementCounter, StatementReader, is_transaction_control


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


STARTUP = message(b"", struct.pack("!I", 196608) + b"user\0linden_app\0database\0linden\0\0")
SSL_REQUEST = message(b"", struct.pack("!I", 80877103))


@pytest.mark.parametrize(
    "sql", ["BEGIN", "begin isolation level serializable", " COMMIT", "ROLLBACK TO SAVEPOINT a",
            "SAVEPOINT a", "RELEASE SAVEPOINT a", "START TRANSACTION"]
)  # fmt: skip
def test_transaction_control_is_left_out(sql: str) -> None:
    assert is_transaction_control(sql)


@pytest.mark.parametrize("sql", ["SELECT 1", "SELECT 'BEGIN'", "WITH a AS (SELECT 1) SELECT 1",
                                 "INSERT INTO commits VALUES (1)", "releases"])  # fmt: skip
def test_work_is_not_transaction_control(sql: str) -> None:
    assert not is_transaction_control(sql)


def test_reader_sees_simple_and_prepared_statements_in_any_pieces() -> None:
    stream = b"".join(
        [
            SSL_REQUEST,
            STARTUP,
            message(b"Q", b"SELECT 1\0"),
            message(b"P", b"p1\0SELECT 2\0\0\0"),
            message(b"B", b"\0p1\0\0\0\0\0\0\0"),
            message(b"E", b"\0\0\0\0\0"),
            message(b"B", b"\0p1\0\0\0\0\0\0\0"),
            message(b"E", b"\0\0\0\0\0"),
        ]
    )
    for size in (1, 7, len(stream)):
        roles: list[str] = []
        seen: list[str] = []
        reader = StatementReader(roles.append, seen.append)
        for start in range(0, len(stream), size):
            reader.feed(stream[start : start + size])
        assert roles == ["linden_app"]
        assert seen == ["SELECT 1", "SELECT 2", "SELECT 2"]


def test_counter_counts_what_the_run_time_role_sends() -> None:
    with (
        StatementCounter(os.environ["DATABASE_URL"]) as counter,
        psycopg.connect(counter.url) as connection,
    ):
        counter.take()
        with connection.transaction():
            connection.execute("SELECT 1")
            connection.execute("SELECT %s::int", [2])
        assert [first_words(sql) for sql in counter.take()] == ["SELECT 1", "SELECT $1::int"]
        assert counter.take() == []
        assert counter.roles == {connection.info.user}


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ('SELECT "a"."id" FROM "labs_observation" WHERE x = 1', "SELECT labs_observation"),
        ('INSERT INTO "core_auditevent" ("id") VALUES (1)', "INSERT core_auditevent"),
        ("UPDATE t SET x = 1", "UPDATE t"),
        ("SELECT set_config('app.kind', 'patient', true)", "SELECT set_config"),
    ],
)
def test_first_words_carry_no_value(sql: str, words: str) -> None:
    assert first_words(sql) == words
