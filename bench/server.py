"""The web server under measurement: the command of `make run`, and what its workers cost."""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.traffic import LoadFailed, http_request, send
from runner.plan import Ports, linden
from runner.ports import accepts, any_free_port
from runner.processes import spawn, stop

CHECKOUT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class ServerDidNotStart(Exception):
    """The text is the end of the server's log."""


def web_command(application: str, port: int) -> list[str]:
    """Return the argv with which `make run` serves, for another WSGI `application`."""
    plan = linden(Ports(web=port, mllp=0, smtp=0, mail=0), Path("var"))
    web = next(program for program in plan.programs if program.name == "web")
    return [*web.argv[:-1], application]


def yardstick_command(application: str, port: int) -> list[str]:
    """Return how the yardstick is served: gunicorn, as where its bars were set, same workers."""
    shape = web_shape(web_command(application, port))
    return [
        *(sys.executable, "-m", "gunicorn", "--worker-class", "gthread"),
        *("--workers", str(shape["workers"]), "--threads", str(shape["threads"])),
        *("--bind", f"127.0.0.1:{port}", "--keep-alive", "30", "--log-level", "warning"),
        application,
    ]


def web_shape(argv: list[str]) -> dict[str, int]:
    """Return how many workers and threads a command of `web_command` starts."""
    return {
        "workers": int(argv[argv.index("--workers") + 1]),
        "threads": int(argv[argv.index("--blocking-threads") + 1]),
    }


def with_one_thread(argv: list[str]) -> list[str]:
    """Return the same command with one worker and one thread, so that requests queue up."""
    made = list(argv)
    for option in ("--workers", "--blocking-threads"):
        made[made.index(option) + 1] = "1"
    return made


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/{pid}/stat from the state on (Linux)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_seconds(pid: int) -> float:
    """Return the processor time, user and system, that a process has used (Linux)."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def children(pid: int) -> list[int]:
    """Return the pids of the direct children of a process (Linux)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(_stat(int(folder.name))[1])
        except OSError:  # it ended while we looked
            continue
        if parent == pid:
            found.append(int(folder.name))
    return found


Command = Callable[[str, int], list[str]]


class WebServer:
    """One server with its workers, for as long as a `with` block lasts."""

    def __init__(
        self,
        application: str,
        *,
        ready_path: str,
        log: Path,
        environment: Mapping[str, str],
        one_thread: bool = False,
        command: Command = web_command,
    ) -> None:
        self.port = any_free_port()
        self.log = log
        self._ready_path = ready_path
        self._argv = command(application, self.port)
        if one_thread:
            self._argv = with_one_thread(self._argv)
        self._environment = {**os.environ, **environment}

    def __enter__(self) -> Self:
        with self.log.open("wb") as output:
            self._process = spawn(
                self._argv,
                env=self._environment,
                cwd=CHECKOUT,
                death_signal=signal.SIGTERM,
                output=output,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        stop(self._process, number=signal.SIGTERM, grace_seconds=15.0)

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < end:
            if accepts(self.port) and self._answers():
                return
            time.sleep(0.1)
        raise ServerDidNotStart(self.log.read_text(errors="replace")[-3000:])

    def _answers(self) -> bool:
        try:
            seen = send(port=self.port, clients=1, requests=[http_request("GET", self._ready_path)])
        except LoadFailed:
            return False
        # Nobody is signed in here: a refusal is an answer too.
        return bool(seen.answers) and not seen.server_errors

    def workers(self) -> list[int]:
        """Return the pids of the web workers."""
        return children(self._process.pid)

    def kill_worker(self, pid: int) -> bool:
        """Kill a web worker with SIGKILL; False when it had ended."""
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def workers_cpu_seconds(self) -> float:
        """Return the processor time that all web workers have used so far."""
        return sum(cpu_seconds(worker) for worker in self.workers())
