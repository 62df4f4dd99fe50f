"""Worker and beat of `make run`, kept alive as its supervisor keeps them, and killed at will."""

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.proof.tree import CHECKOUT
from bench.server import children
from runner.plan import Ports, linden
from runner.processes import signal_group, spawn, stop

RESTART_AFTER_SECONDS = 1.0
_ESTABLISHED = "01"


def _talks_to(pid: int, port: int) -> bool:
    """Whether a process has an established connection to a port of this machine (Linux)."""
    ends = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    sockets = {
        f"socket:[{words[9]}]"
        for words in ends
        if words[2].endswith(f":{port:04X}") and words[3] == _ESTABLISHED
    }
    try:
        return any(str(link.readlink()) in sockets for link in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # it ended, or closed a file, while we looked
        return False


class Crew:
    """Worker (two processes below it) and beat. Whatever dies is started again."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        plan = linden(Ports(web=0, mllp=0, smtp=0, mail=0), folder)
        self._argv = {
            program.name: program.argv
            for program in plan.programs
            if program.name in ("worker", "beat")
        }
        self._environment = dict(environment)
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.restarts = 0

    def start(self) -> None:
        for name in self._argv:
            self._start(name)
        threading.Thread(target=self._watch, daemon=True).start()

    def _start(self, name: str) -> None:
        with (self._folder / f"{name}.log").open("ab") as output:
            self._processes[name] = spawn(
                self._argv[name],
                env=self._environment,
                cwd=CHECKOUT,
                death_signal=signal.SIGKILL,
                output=output,
            )

    def _watch(self) -> None:
        while not self._stopping.wait(RESTART_AFTER_SECONDS):
            with self._lock:
                for name, process in self._processes.items():
                    if process.poll() is not None and not self._stopping.is_set():
                        signal_group(process, signal.SIGKILL)
                        self._start(name)
                        self.restarts += 1

    def kill_one(self, chance: random.Random, *, talking_to: int) -> int:
        """Kill one of the worker's processes with SIGKILL; return how many were killed: 0 or 1.

        One that has a connection to the port `talking_to` goes first: it is sending.
        """
        with self._lock:
            below = children(self._processes["worker"].pid)
            sending = [pid for pid in below if _talks_to(pid, talking_to)]
            if not below:
                return 0
            with suppress(ProcessLookupError):
                os.kill(chance.choice(sending or below), signal.SIGKILL)
                return 1
        return 0

    def kill_all(self) -> int:
        """Kill the worker and everything below it with SIGKILL; return how many could send."""
        with self._lock:
            below = len(children(self._processes["worker"].pid))
            signal_group(self._processes["worker"], signal.SIGKILL)
        return below

    def wait_for_workers(self, count: int, seconds: float) -> bool:
        """Wait until `count` processes can send again; False when they do not come in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with self._lock:
                if len(children(self._processes["worker"].pid)) >= count:
                    return True
            time.sleep(0.2)
        return False

    def stop(self) -> None:
        self._stopping.set()
        with self._lock:
            for process in self._processes.values():
                stop(process, number=signal.SIGTERM, grace_seconds=10.0)


@contextmanager
def crew(folder: Path, environment: Mapping[str, str]) -> Iterator[Crew]:
    made = Crew(folder, environment)
    try:
        made.start()
        yield made
    finally:
        made.stop()
