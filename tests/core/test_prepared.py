"""Statements that are planned once: constants arrive unharmed, and so do values."""

import pytest
from django.db import connection
from django.db.models import CharField, Value

from accounts.models import User
from core.prepared import Given, Prepared, prepared_cursor
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
