"""TIME-3: a machine's clock is set while the portal runs."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from core.clock import SteadyClock
from tests.conftest import NOW as START
from tests.machine import Machine

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def clock(machine: Machine) -> SteadyClock:
    return machine.clock()


def test_time_passes(machine: Machine, clock: SteadyClock) -> None:
    assert clock.now() == START
    machine.passes(HOUR)
    assert clock.now() == START + HOUR
    assert clock.step() == timedelta()


@pytest.mark.parametrize("step", [HOUR, -HOUR, 3 * SECOND, -3 * SECOND, timedelta(days=3650)])
def test_a_step_is_not_followed_and_is_reported(
    machine: Machine, clock: SteadyClock, step: timedelta
) -> None:
    machine.wall += step
    machine.passes(MINUTE)

    with capture_logs() as logs:
        assert clock.now() == START + MINUTE
        assert clock.now() == START + MINUTE

    assert clock.step() == step
    assert [(line["event"], line["seconds"]) for line in logs] == [
        ("clock.stepped", step.total_seconds())
    ]


@pytest.mark.parametrize("step", [2 * SECOND, -2 * SECOND])
def test_a_small_step_is_followed(machine: Machine, clock: SteadyClock, step: timedelta) -> None:
    machine.wall += step
    assert clock.now() == START + step
    machine.wall += step
    assert clock.now() == START + 2 * step


def test_a_step_that_is_taken_back_leaves_no_trace(machine: Machine, clock: SteadyClock) -> None:
    machine.wall += HOUR
    clock.now()
    machine.passes(14 * MINUTE)
    machine.wall -= HOUR

    with capture_logs() as logs:
        assert clock.now() == START + 14 * MINUTE

    assert [line["event"] for line in logs] == ["clock.back"]
    assert clock.step() == timedelta()


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_a_step_that_lasts_is_followed_in_the_end(
    machine: Machine, clock: SteadyClock, step: timedelta
) -> None:
    machine.wall += step
    assert clock.now() == START
    machine.passes(15 * MINUTE - SECOND)
    assert clock.now() == START + 15 * MINUTE - SECOND
    machine.passes(SECOND)
    assert clock.now() == START + 15 * MINUTE + step
    assert clock.step() == timedelta()


def test_another_step_begins_the_waiting_anew(machine: Machine, clock: SteadyClock) -> None:
    machine.wall += HOUR
    clock.now()
    machine.passes(14 * MINUTE)
    machine.wall += HOUR
    assert clock.now() == START + 14 * MINUTE
    machine.passes(14 * MINUTE)
    assert clock.now() == START + 28 * MINUTE
    machine.passes(MINUTE)
    assert clock.now() == START + 29 * MINUTE + 2 * HOUR


def test_a_process_stopped_between_two_readings_saw_no_step(
    machine: Machine, clock: SteadyClock
) -> None:
    machine.between_readings = [HOUR]
    with capture_logs() as logs:
        assert clock.now() == START + HOUR
    assert logs == []


@given(
    st.lists(
        st.tuples(
            st.timedeltas(min_value=timedelta(), max_value=10 * MINUTE),
            st.timedeltas(min_value=-2 * HOUR, max_value=2 * HOUR),
        ),
        max_size=20,
    )
)
def test_steps_that_are_mended_within_the_time_never_show(
    rounds: list[tuple[timedelta, timedelta]],
) -> None:
    machine = Machine(START)
    clock = machine.clock()
    passed = timedelta()
    for lasts, step in rounds:
        if abs(step) <= 2 * SECOND:
            continue
        machine.wall += step
        assert clock.now() == START + passed
        machine.passes(lasts)
        passed += lasts
        assert clock.now() == START + passed
        machine.wall -= step
        assert clock.now() == START + passed
