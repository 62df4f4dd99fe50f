"""TIME-3: the clock of a machine is set while the ledger is sent."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from notifications.tasks import drain
from tests.machine import Machine
from tests.notifications.conftest import Planned, Post, state_of

pytestmark = pytest.mark.django_db

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def _step_while_sending(machine: Machine, step: timedelta) -> Callable[[str], str]:
    def answer(to: str) -> str:
        machine.wall += step
        return "250 OK"

    return answer


@pytest.mark.parametrize("step", [HOUR, -HOUR, timedelta(days=2)])
def test_a_step_in_the_middle_of_a_drain_sends_nothing_early_and_nothing_twice(
    planned: Planned, post: Post, now: datetime, machine: Machine, step: timedelta
) -> None:
    due = [planned() for _ in range(3)]
    later = planned(send_after=now + 30 * MINUTE)
    post.answer = _step_while_sending(machine, step)

    drain()
    drain()

    assert len(post.received) == 3
    assert [state_of(row) for row in due] == [("sent", "")] * 3
    assert state_of(later) == ("planned", "")

    machine.passes(10 * MINUTE)
    drain()
    assert len(post.received) == 3
    machine.wall -= 3 * step
    machine.passes(20 * MINUTE)
    drain()
    drain()
    assert len(post.received) == 4
    assert state_of(later) == ("sent", "")


def test_a_step_ahead_expires_nothing(
    planned: Planned, post: Post, now: datetime, machine: Machine
) -> None:
    row = planned(expires_at=now + 30 * MINUTE)
    machine.wall += HOUR
    drain()
    assert state_of(row) == ("sent", "")
