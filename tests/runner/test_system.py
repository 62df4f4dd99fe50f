"""The whole of `make run` with tiny processes in place of the application."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner.places import CHECKOUT
from runner.ports import LOOPBACK, accepts
from runner.servers import Servers
from runner.state import read_run_file
from runner.up import ENVIRONMENT_FILE

PATIENCE_SECONDS = 20.0
pytestmark = pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="this system has no /proc to look for orphans in"
)


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + PATIENCE_SECONDS
    while not (answer := condition()):
        assert time.monotonic() < end, f"{what} never happened"
        time.sleep(0.02)
    return answer


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def group_of(pid: int) -> set[int]:
    """Return all live processes of the group that `pid` leads."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[2]) == pid and fields[0] != "Z":
                    found.add(int(entry.name))
    return found


class Running:
    """A started system and the folder it lives in."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.var = folder / "var"
        self.output = folder / f"output {len(list(folder.iterdir()))}"
        checkout = folder / "checkout"
        checkout.mkdir(exist_ok=True)
        (checkout / "some.in").write_text("1")
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.runner.tiny_system", str(checkout)],
                env={**environment, "LINDEN_VAR": str(self.var)},
                cwd=CHECKOUT,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def printed(self) -> str:
        return self.output.read_text()

    def ready(self) -> dict[str, Any]:
        def described() -> dict[str, Any]:
            assert self.process.poll() is None, self.printed()
            return read_run_file(self.var) if "ready after" in self.printed() else {}

        answer = wait_for(described, "readiness")
        assert isinstance(answer, dict)
        return answer

    def groups(self) -> set[int]:
        pids = read_run_file(self.var)["pids"]
        return set().union(*(group_of(pid) for name, pid in pids.items() if name != "runner"))

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)

    def database_url(self) -> str:
        told = json.loads((self.var / ENVIRONMENT_FILE).read_text())
        return str(told["DATABASE_OWNER_URL"])


@pytest.fixture
def start(reachable: Path, bare_environment: dict[str, str]) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def begin(name: str = "one checkout", **more: str) -> Running:
        folder = reachable / name
        folder.mkdir(exist_ok=True)
        running = Running(folder, {**bare_environment, **more})
        started.append(running)
        return running

    yield begin
    for running in started:
        if running.process.poll() is None:
            running.stop()


@pytest.fixture
def given(servers: Servers, admin_url: str) -> Callable[[str], dict[str, str]]:
    """Name a database of its own on servers that run already: such a start makes no cluster."""

    def environment(database: str) -> dict[str, str]:
        return {
            "DATABASE_URL": f"{admin_url.rpartition('/')[0]}/{database}",
            "REDIS_URL": servers.environment["REDIS_URL"],
        }

    return environment


def test_first_start_second_start_and_an_orderly_end(start: Callable[..., Running]) -> None:
    first = start()
    described = first.ready()
    (line,) = [text for text in first.printed().splitlines() if "ready" in text]
    assert described["web"] in line
    assert f"{LOOPBACK}:{described['mllp']['port']}" in line
    assert accepts(described["mllp"]["port"])
    assert set(described["pids"]) == {"runner", "web", "worker", "mllp", "postgres", "valkey"}
    assert "sign in as nobody" in first.printed()
    assert "only for the log" not in first.printed()
    assert "worker | Traceback" in first.printed(), "errors are shown"
    assert "quiet line" not in first.printed(), "other output goes to the log file"
    assert "quiet line" in (first.var / "log" / "worker.log").read_text()
    with psycopg.connect(first.database_url()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    everything = first.groups()
    programs = set(described["pids"].values()) - {described["pids"]["runner"]}
    assert programs < everything, "children of programs are counted too"

    assert first.stop() == 0
    assert [pid for pid in everything if is_alive(pid)] == []
    assert not (first.var / "run.json").exists()
    assert not (first.var / ENVIRONMENT_FILE).exists()

    second = start()
    second.ready()
    assert (second.var / "count").read_text() == "1", "steps run once while nothing changes"
    assert "sign in as nobody" in second.printed(), "their output is shown again"
    with psycopg.connect(second.database_url()) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (1,)


def test_a_killed_runner_leaves_nothing_behind_and_the_next_start_recovers(
    start: Callable[..., Running],
) -> None:
    first = start()
    described = first.ready()
    with psycopg.connect(first.database_url()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    before = described["pids"]["valkey"]
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: read_run_file(first.var)["pids"]["valkey"] != before, "a restart of valkey")
    everything = first.groups()
    first.process.kill()
    first.process.wait()
    second = start()  # at once: it waits for the tidying by itself
    second.ready()
    assert [pid for pid in everything if is_alive(pid)] == []
    with psycopg.connect(second.database_url()) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (1,)


def test_programs_that_end_are_started_again(
    start: Callable[..., Running], given: Callable[[str], dict[str, str]]
) -> None:
    running = start(**given("ending"))
    before = running.ready()["pids"]["worker"]
    os.kill(before, signal.SIGKILL)
    wait_for(
        lambda: read_run_file(running.var)["pids"].get("worker", before) != before, "a restart"
    )
    assert "worker exited by itself (signal 9); starting again in 0.5 s" in running.printed()


def test_two_checkouts_run_side_by_side_and_one_only_once(
    start: Callable[..., Running], given: Callable[[str], dict[str, str]]
) -> None:
    one, other = start("one", **given("one")), start("other", **given("other"))
    first, second = one.ready(), other.ready()
    assert first["web"] != second["web"]
    assert first["mllp"] != second["mllp"]
    assert set(first["pids"]) == {"runner", "web", "worker", "mllp"}, "given servers are not ours"
    again = start("one", **given("one"))
    assert again.process.wait(PATIENCE_SECONDS) == 1
    assert "already runs" in again.printed()
    assert first["web"] in again.printed()
    assert one.process.poll() is None
    assert read_run_file(one.var) == first, "the refused one changed nothing"


def test_a_step_that_fails_is_shown_and_tried_again(
    start: Callable[..., Running], given: Callable[[str], dict[str, str]]
) -> None:
    running = start(TINY_STEP_FAILS="1", **given("step"))
    assert running.process.wait(PATIENCE_SECONDS) == 1
    assert "prepare failed" in running.printed()
    assert "only for the log" in running.printed(), "the reason is shown"
    assert not (running.var / "run.json").exists()
    assert start(**given("step")).ready()


def test_a_program_that_never_comes_up_is_named(
    start: Callable[..., Running], given: Callable[[str], dict[str, str]]
) -> None:
    running = start(TINY_MLLP_FAILS="1", **given("mllp"))
    assert running.process.wait(PATIENCE_SECONDS) == 1
    assert "mllp did not come up" in running.printed()
    assert "port is on holiday" in running.printed()
