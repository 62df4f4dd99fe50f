"""`freeze`: what may move, from when on, and what no longer moves later."""

from collections.abc import Iterator

import pytest
from django.db import IntegrityError, connections, transaction

from core.row_security import freeze

pytestmark = pytest.mark.django_db(databases=["default", "owner"])


@pytest.fixture
def notes() -> Iterator[str]:
    """A table of notes: a draft may do anything, a signed one ends once."""
    operation = freeze(
        "frozen_note",
        may_move=("ended_at",),
        when="OLD.signed",
        then={"OLD.ended_at IS NOT NULL": ()},
    )
    with connections["owner"].cursor() as cursor:
        cursor.execute("CREATE TABLE frozen_note (words text, signed bool, ended_at int)")
        cursor.execute(operation.sql)
        yield "frozen_note"
        cursor.execute(operation.reverse_sql)
        cursor.execute("DELETE FROM frozen_note")
        cursor.execute("DROP TABLE frozen_note")


def run(statement: str) -> None:
    with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
        cursor.execute(statement)


def refused(statement: str) -> None:
    with pytest.raises(IntegrityError, match="never rewritten"):
        run(statement)


def test_only_what_may_move_moves_and_only_until_the_end(notes: str) -> None:
    run("INSERT INTO frozen_note VALUES ('a', false, NULL)")
    run("UPDATE frozen_note SET words = 'b'")
    run("UPDATE frozen_note SET signed = true")
    refused("UPDATE frozen_note SET words = 'c'")
    refused("UPDATE frozen_note SET signed = false")
    refused("DELETE FROM frozen_note")
    run("UPDATE frozen_note SET ended_at = 1")
    refused("UPDATE frozen_note SET ended_at = 2")
    refused("UPDATE frozen_note SET ended_at = NULL")
    refused("DELETE FROM frozen_note")


def test_a_draft_may_be_dropped(notes: str) -> None:
    run("INSERT INTO frozen_note VALUES ('a', false, NULL)")
    run("DELETE FROM frozen_note")


def test_the_refusal_names_the_table_and_no_value(notes: str) -> None:
    run("INSERT INTO frozen_note VALUES ('secret', true, NULL)")
    with pytest.raises(IntegrityError) as caught:
        run("UPDATE frozen_note SET words = 'secret too'")
    assert "frozen_note" in str(caught.value)
    assert "secret" not in str(caught.value)
