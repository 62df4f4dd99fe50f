"""SQL statements of a request: token check, identity, audit, idempotency and events included."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from appointments import services
from tests.appointments.factories import MONDAY, Surgery, bearer, book, surgery
from tests.appointments.test_api import ME, get, post, search
from tests.cast import Cast

# Real transactions: inside a test's own, identity would be nested and give itself back.
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

TRANSACTION = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK")


@pytest.fixture(autouse=True)
def clock(now: datetime) -> Iterator[None]:
    with time_machine.travel(now, tick=False):
        yield


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic)


@pytest.fixture
def anna(cast: Cast) -> dict[str, str]:
    return bearer(cast.anna_user)


def statements(run: Any) -> int:
    with CaptureQueriesContext(connection) as captured:
        run()
    return sum(not query["sql"].startswith(TRANSACTION) for query in captured.captured_queries)


def test_openings_take_five_statements_however_many(
    client: Client, cast: Cast, clinic: Surgery, anna: dict[str, str], now: datetime
) -> None:
    def read() -> None:
        assert search(client, anna, clinic, limit=100).status_code == 200

    assert statements(read) == 5
    for number in range(4):
        book(cast.brigid.user, clinic.opening(9 + number // 2, 30 * (number % 2)), now)
    services.add_exception(schedule=clinic.schedule, on=MONDAY + timedelta(days=1), kind="closed")
    assert statements(read) == 5
    month = {"to": MONDAY + timedelta(days=30), "limit": 100}
    assert statements(lambda: search(client, anna, clinic, **month)) == 5


def test_booking_and_cancelling_stay_within_sixteen_statements(
    client: Client, cast: Cast, clinic: Surgery, anna: dict[str, str]
) -> None:
    made: list[Any] = []
    body = {"opening": clinic.opening(9)}
    taken = statements(lambda: made.append(post(client, f"{ME}/appointments", anna, body)))
    assert made[0].status_code == 201
    assert taken <= 16
    taken = statements(
        lambda: made.append(post(client, f"{made[0]['Location']}/$cancel", anna, {}))
    )
    assert made[1].status_code == 200
    assert taken <= 16


def test_lists_take_the_same_statements_whatever_their_length(
    client: Client, cast: Cast, clinic: Surgery, anna: dict[str, str], now: datetime
) -> None:
    def read() -> None:
        assert get(client, f"{ME}/appointments", anna).status_code == 200

    assert statements(read) == 4
    for hour in (9, 10, 11):
        book(cast.anna_user, clinic.opening(hour), now)
    assert statements(read) == 4
