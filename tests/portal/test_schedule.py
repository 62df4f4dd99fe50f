"""TIME-3: the bells of background work go on ringing when the machine's clock is set."""

import pickle
from datetime import datetime, timedelta

import pytest

from portal.celery import Every, app
from tests.machine import Machine

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


@pytest.mark.parametrize("step", [timedelta(), HOUR, -HOUR])
def test_a_step_moves_no_bell(now: datetime, machine: Machine, step: timedelta) -> None:
    bell = Every(30)
    machine.wall += step
    machine.passes(29 * SECOND)
    assert (bell.is_due(now).is_due, bell.is_due(now).next) == (False, 1.0)
    machine.passes(SECOND)
    assert bell.is_due(now).is_due


def test_a_bell_rung_in_the_future_is_not_waited_for(now: datetime, machine: Machine) -> None:
    """A beat that is started again after the clock was set back reads such a time."""
    assert Every(30).is_due(now + HOUR).next == 30.0


def test_the_beat_keeps_its_schedule_in_a_file() -> None:
    bells = [entry["schedule"] for entry in app.conf.beat_schedule.values()]
    assert {type(bell) for bell in bells} == {Every}
    assert pickle.loads(pickle.dumps(bells)) == bells
