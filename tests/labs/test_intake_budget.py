"""What filing a message costs, in statements of the run-time role."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from django.db import connection

from tests.cast import Cast
from tests.labs.messages import ALBUMIN, BILIRUBIN, CALCIUM, Obr, Obx, laboratory, oru, send

pytestmark = pytest.mark.django_db
MOST = 41
LINES = [
    Obx("31"), Obx("28", code="1920-8", name="AST"), Obx("9.4", **CALCIUM), Obx("4.1", **ALBUMIN),
    Obx("0.7", **BILIRUBIN),
]  # fmt: skip


def count(now: datetime, raw: bytes) -> tuple[int, int]:
    """Return how many statements it takes to keep and file `raw`, and how many are prepared."""
    cursors: list[str] = []

    def note(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        if "SAVEPOINT" not in sql:  # of the test's own transaction
            cursors.append(type(context["cursor"].cursor).__name__)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        assert send(raw, now).disposition == "stored"
    return len(cursors), sum(name == "_NumberedCursor" for name in cursors)


def test_an_ordinary_message_stays_in_its_budget(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    count(now, oru(Obr(LINES)))
    whole, prepared = count(now, oru(Obr(LINES, filler="FL2", collected="20261119081500+0100")))
    assert whole == prepared <= MOST


def test_more_results_take_no_more_statements(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    count(now, oru(Obr(LINES)))
    other = {"collected": "20261119081500+0100"}
    few, _ = count(now, oru(Obr(LINES, filler="FL2", **other)))
    potassium = Obx("4.1", code="2823-3", name="Potassium", unit="mmol/L", range="3.5-5.1")
    many = [replace(potassium, sub_id=str(n)) for n in range(20)]
    more, _ = count(now, oru(Obr([*LINES, *many], filler="FL3", collected="20261118081500+0100")))
    assert more <= few
