"""Ticks, holds and filings at the same moment, each on a connection of its own."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import transaction

from core.db import identity, system
from labs.services import releasing
from labs.services.turns import take_turn
from tests.cast import Cast
from tests.labs.messages import Obx, laboratory
from tests.labs.releasing import (
    MARKER,
    deliver,
    feed_lines,
    filed_events,
    lift,
    place,
    rule_for_markers,
    the_report,
    the_result,
)
from tests.together import together

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

H72 = timedelta(hours=72)


@pytest.fixture
def waiting(cast: Cast, now: datetime) -> Cast:
    """A marker of Anna's that a rule keeps for 72 hours."""
    laboratory(cast.clinic)
    rule_for_markers(cast)
    deliver(now, Obx("28", **MARKER))
    return cast


def tick(at: datetime) -> str:
    return str(releasing.announce_due(now=at))


def test_many_ticks_at_once_tell_it_once(waiting: Cast, now: datetime) -> None:
    told = together([partial(tick, now + H72)] * 4)
    assert sorted(told) == ["0", "0", "0", "1"]
    assert feed_lines() == [("Observation", "upsert"), ("DiagnosticReport", "upsert")]
    assert len(filed_events()) == 1


def test_a_tick_passes_over_a_record_that_is_being_written(waiting: Cast, now: datetime) -> None:
    def busy(seen: list[Any]) -> str:
        with transaction.atomic(), identity(system("lab-intake")):
            take_turn(waiting.anna.id)
            seen += together([partial(tick, now + H72)])
        return "done"

    seen: list[Any] = []
    assert together([partial(busy, seen)]) == ["done"]
    assert seen == ["0"]
    assert tick(now + H72) == "1"


def test_a_correction_and_a_tick_at_once_tell_one_of_the_two(waiting: Cast, now: datetime) -> None:
    due = now + H72

    def correct() -> str:
        deliver(due, Obx("29", status="C", **MARKER))
        return "filed"

    together([partial(tick, due), correct])
    tick(due + timedelta(seconds=30))
    current = the_result("6875-9")
    assert (current.value_text, current.version) == ("29", 2)
    assert current.announced_at is not None
    assert feed_lines().count(("Observation", "upsert")) <= 2
    assert feed_lines()[-1] == ("DiagnosticReport", "upsert")


def test_a_hold_lifted_twice_at_once_is_lifted_once(waiting: Cast, now: datetime) -> None:
    placed = place(waiting, the_report(), now, backstop_at=now + timedelta(days=10))

    def lifted() -> str:
        lift(waiting, placed, now + H72)
        return "lifted"

    assert together([lifted, lifted]) == ["hold-ended", "lifted"]
    assert len(filed_events()) == 1


def test_a_hold_and_a_tick_at_once_never_leave_it_visible(waiting: Cast, now: datetime) -> None:
    due = now + H72

    def hold() -> str:
        place(waiting, the_report(), due)
        return "held"

    together([hold, partial(tick, due)])
    row = the_result("6875-9")
    assert row.visible_from == due + timedelta(days=7)
    assert row.announced_at is None
    lines = feed_lines()
    assert not lines or lines[-2:] == [("Observation", "gone"), ("DiagnosticReport", "gone")]
