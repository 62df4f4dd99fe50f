"""Restart, back-off, output and end of supervised programs."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.processes import Watchdog
from runner.supervisor import SHOWN_LINES, Program, Supervisor

Begin = Callable[[Program], Supervisor]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def begin(tmp_path: Path, said: list[str]) -> Iterator[Begin]:
    watchdog = Watchdog()
    started: list[Supervisor] = []

    def start(program: Program) -> Supervisor:
        supervisor = Supervisor(
            [program],
            environment={"PATH": "/usr/bin:/bin"},
            cwd=tmp_path,
            logs=tmp_path,
            watchdog=watchdog,
            say=said.append,
        )
        started.append(supervisor)
        supervisor.start()
        return supervisor

    yield start
    for supervisor in started:
        supervisor.stop()
    watchdog.close()


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", code)


def turn_until(supervisor: Supervisor, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never happened"
        supervisor.turn(0.02)


def test_each_exit_in_a_row_doubles_the_pause(begin: Begin, said: list[str]) -> None:
    supervisor = begin(Program("worker", ("/bin/sh", "-c", "echo broker gone; exit 3")))
    turn_until(supervisor, lambda: supervisor.exits("worker") == 2)
    assert said == [
        "worker exited by itself (code 3); starting again in 0.5 s",
        "worker exited by itself (code 3); starting again in 1 s",
    ]
    assert supervisor.tail("worker") == ["broker gone", "broker gone"]


def test_a_program_that_is_missing_is_an_exit_like_any_other(begin: Begin, said: list[str]) -> None:
    supervisor = begin(Program("web", ("/nonexistent/granian",)))
    turn_until(supervisor, lambda: supervisor.exits("web") == 1)
    assert supervisor.tail("web") == [
        "/nonexistent/granian cannot be started: No such file or directory"
    ]


def test_one_program_cannot_fill_the_screen(begin: Begin, said: list[str]) -> None:
    code = "for i in range(50): print('ERROR', i, flush=True)\nimport time; time.sleep(60)"
    supervisor = begin(Program("web", python(code)))
    turn_until(supervisor, lambda: "ERROR 49" in supervisor.tail("web"))
    assert len(said) == SHOWN_LINES + 1
    assert said[-1].startswith("web | more in ")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("2026-11-22T09:00:00Z [error    ] intake.failed [labs]", True),
        ('{"event": "intake.failed", "level": "error"}', True),
        ("psycopg.errors.UndefinedTable: gone", False),
        ("KeyError: 'x'", True),
        ("Traceback (most recent call last):", True),
        ("2026-11-22T09:00:00Z [info     ] request.done errors=0", False),
        ('{"event": "request.done", "level": "info"}', False),
    ],
)
def test_only_errors_are_shown(begin: Begin, said: list[str], line: str, shown: bool) -> None:
    supervisor = begin(Program("web", ("/bin/sh", "-c", 'echo "$1"; sleep 60', "sh", line)))
    turn_until(supervisor, lambda: bool(supervisor.tail("web")))
    assert said == ([f"web | {line}"] if shown else [])


def test_what_ignores_the_request_to_stop_is_killed(begin: Begin, said: list[str]) -> None:
    code = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('up', flush=True)\n"
    supervisor = begin(Program("web", python(code + "time.sleep(60)"), grace_seconds=0.1))
    turn_until(supervisor, lambda: bool(supervisor.tail("web")))
    supervisor.stop()
    assert said == ["web did not stop in time and is killed"]
    assert supervisor.pids() == {}
