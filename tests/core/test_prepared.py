"""Statements that are planned once: constants arrive unharmed, and so do values."""

from datetime import datetime

import pytest
from django.db import connection
from django.db.models import Case, CharField, Value, When

from accounts.models import User
from core.areas import Area
from core.db import identity, system
from core.ids import new_id
from core.models import AuditEvent, Change, IdempotencyRecord
from core.prepared import Given, Prepared, PreparedUpdate, delete, insert, prepared_cursor
from tests.cast import Cast

pytestmark = pytest.mark.django_db

AWKWARD = ["100 %", "%s", "O'Brien", "a\\b", "E'\\''; DROP TABLE accounts_user; --", "ß %(x)s"]


@pytest.mark.parametrize("text", AWKWARD)
def test_constants_and_values_come_back_as_they_went_in(cast: Cast, text: str) -> None:
    people = User.objects.annotate(said=Value(text), sent=Given("sent", CharField()))
    hers = people.filter(email=Given("email", CharField())).values("email", "said", "sent")
    [row] = Prepared(hers).rows(email="anna@example.org", sent=text)
    assert row == {"email": "anna@example.org", "said": text, "sent": text}


def test_a_value_that_was_not_given_is_an_error(cast: Cast) -> None:
    wanted = Prepared(User.objects.filter(email=Given("email", CharField())).values("email"))
    with pytest.raises(KeyError):
        wanted.rows()


def test_objects_carry_their_annotations(cast: Cast) -> None:
    people = User.objects.annotate(said=Value("100 %"), sent=Given("sent", CharField()))
    [found] = Prepared(people.filter(email=Given("email", CharField()))).objects(
        email="anna@example.org", sent="b"
    )
    assert (found.email, found.said, found.sent) == ("anna@example.org", "100 %", "b")
    assert found == User.objects.get(email="anna@example.org")


def test_an_update_changes_what_was_asked_and_nothing_else(cast: Cast) -> None:
    rename = PreparedUpdate(
        User.objects.filter(email=Given("email", CharField())).order_by("-email"),
        given_name=Case(
            When(is_active=True, then=Given("name", CharField())), default=Value("100 %")
        ),
    )
    others = list(User.objects.exclude(email="anna@example.org").values().order_by("pk"))
    rename.run(email="anna@example.org", name="O'Anna %s")
    assert User.objects.get(email="anna@example.org").given_name == "O'Anna %s"
    assert list(User.objects.exclude(email="anna@example.org").values().order_by("pk")) == others
    with pytest.raises(KeyError):
        rename.run(email="anna@example.org")


def test_a_deleted_row_is_gone_and_no_other(cast: Cast, now: datetime) -> None:
    with identity(system("registration")):
        rows = [
            IdempotencyRecord(owner_key=key, body_digest="d", status=201, stored_at=now)
            for key in ("one", "two")
        ]
        insert(*rows)
        delete(rows[0])
        assert [row.pk for row in IdempotencyRecord.objects.all()] == [rows[1].pk]


def test_a_connection_plans_a_statement_once() -> None:
    statement = "SELECT %s::int + 1 AS planned_once"
    for number in (1, 2, 3):
        with prepared_cursor() as cursor:
            cursor.execute(statement, [number])
            assert cursor.fetchone() == (number + 1,)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE %s",
            ["%planned_once%"],
        )
        assert cursor.fetchone() == (1,)


@pytest.mark.parametrize("text", AWKWARD)
def test_an_inserted_row_reads_as_a_saved_one(cast: Cast, now: datetime, text: str) -> None:
    """Encrypted, as JSON, as an array of ids and of words, empty, null, and as the server says."""
    anna, told = cast.anna.pk, new_id()
    with identity(system("registration")):
        answer = IdempotencyRecord(
            owner_key=f"insert {text}",
            patient_id=anna,
            body_digest="d",
            status=201,
            content_type="application/json",
            headers={"ETag": text, "n": None},
            answer=text.encode(),
            stored_at=now,
        )
        change = Change(
            xid=Change.writing_transaction(),
            patient_id=anna,
            area=Area.LABS,
            resource="Observation",
            resource_id=told,
            kind=Change.Kind.GONE,
            at=now,
        )
        seen = [
            AuditEvent(
                occurred_at=now,
                action="R",
                operation="insert",
                outcome="success",
                actor_kind="none",
                patient_id=anna,
                resource_ids=ids,
                fields=words,
            )
            for ids, words in (([], []), ([told, anna], [text, ""]))
        ]
        for rows in ([answer], [change], seen):
            insert(*rows)
        stored = IdempotencyRecord.objects.get(pk=answer.pk)
        line = Change.objects.get(pk=change.pk)
    assert (stored.answer, stored.headers) == (text.encode(), {"ETag": text, "n": None})
    assert (stored.user_id, stored.patient_id, stored.stored_at) == (None, anna, now)
    assert (line.resource_id, line.kind, line.at) == (told, "gone", now)
    with identity(system("housekeeping")):
        kept = [AuditEvent.objects.get(pk=row.pk) for row in seen]
    assert [(row.resource_ids, row.fields) for row in kept] == [
        ([], []),
        ([told, anna], [text, ""]),
    ]
    assert not answer._state.adding


def test_values_are_given_by_name_too() -> None:
    with prepared_cursor() as cursor:
        cursor.execute(
            "SELECT %(b)s::int, %(a)s::text, %(b)s::int + 1, 7 %% 4", {"a": "x%s", "b": 2, "c": 3}
        )
        assert cursor.fetchone() == (2, "x%s", 3, 3)
        with pytest.raises(KeyError):
            cursor.execute("SELECT %(missing)s::int", {"a": 1})
