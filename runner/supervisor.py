"""Keep a set of processes running: their output, their restarts, their orderly end."""

import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from runner.processes import Watchdog, signal_group, spawn

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0  # running this long forgets earlier exits
POLL_SECONDS = 0.02
TAIL_LINES = 20
SHOWN_LINES = 8
SHOWN_WINDOW_SECONDS = 10.0
LINE_WIDTH = 300
IMPORTANT = re.compile(
    rb'"level": ?"(error|critical)"|\[(error|critical) *\]|\b(ERROR|CRITICAL|FATAL|PANIC)\b'
    rb"|^Traceback \(|^\w+(\.\w+)*Error:"
)


@dataclass(frozen=True)
class Program:
    """A process to keep running; up when it accepts connections on `port`, if it has one.

    Programs stop in the order they are listed.
    """

    name: str
    argv: tuple[str, ...]
    port: int | None = None
    grace_seconds: float = 10.0


class _Child:
    """One program's present process, its log file and its history of exits."""

    def __init__(self, program: Program, log: Path) -> None:
        self.program = program
        self.log: BinaryIO = log.open("ab")
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0
        self.exits = 0
        self.restart_at: float | None = None
        self.rest = b""
        self.tail: list[bytes] = []
        self.shown_since = 0.0
        self.shown = 0


class Supervisor:
    """Run programs until `stop`; call `turn` again and again from one loop.

    `say` prints one line for the person at the terminal.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        environment: Mapping[str, str],
        cwd: Path,
        logs: Path,
        watchdog: Watchdog,
        say: Callable[[str], None],
        verbose: bool = False,
    ) -> None:
        self._environment = environment
        self._cwd = cwd
        self._logs = logs
        self._watchdog = watchdog
        self._say = say
        self._verbose = verbose
        self._killed = False
        self._selector = selectors.DefaultSelector()
        self._children = [_Child(p, logs / f"{p.name}.log") for p in programs]

    def start(self) -> None:
        for order, child in enumerate(self._children):
            self._launch(child, order)

    def pids(self) -> dict[str, int]:
        """Return the process ids of what runs at this moment."""
        return {c.program.name: c.process.pid for c in self._children if c.process is not None}

    def exits(self, name: str) -> int:
        """Return how often in a row `name` has exited by itself."""
        return next(c.exits for c in self._children if c.program.name == name)

    def tail(self, name: str) -> list[str]:
        """Return the last lines that `name` printed."""
        child = next(c for c in self._children if c.program.name == name)
        return [line.decode(errors="replace") for line in child.tail]

    def turn(self, seconds: float) -> None:
        """Pass output on for up to `seconds`, then notice exits and make due restarts."""
        if self._selector.get_map():
            for key, _ in self._selector.select(seconds):
                self._read(key.data)
        else:
            time.sleep(seconds)
        if self._killed:
            return
        now = time.monotonic()
        for order, child in enumerate(self._children):
            if child.process is not None and child.process.poll() is not None:
                self._note_exit(child, now)
            elif child.restart_at is not None and now >= child.restart_at:
                self._launch(child, order)

    def stop(self) -> None:
        """End all programs in order; what ignores SIGTERM beyond its grace is killed."""
        for child in self._children:
            child.restart_at = None
            if child.process is None:
                continue
            self._end(child, child.process)
            self._watchdog.forget(child.process.pid)
            self._drain(child)
            child.process = None
        for child in self._children:
            child.log.close()
        self._selector.close()

    def kill(self) -> None:
        """End everything at once: for the second Ctrl-C."""
        self._killed = True
        for child in self._children:
            if child.process is not None:
                signal_group(child.process, signal.SIGKILL)

    def _end(self, child: _Child, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        end = time.monotonic() + child.program.grace_seconds
        # Output is read on: a process that blocks on a full pipe could not end.
        while process.poll() is None and time.monotonic() < end:
            for key, _ in self._selector.select(POLL_SECONDS):
                self._read(key.data)
        if process.poll() is None:
            self._say(f"{child.program.name} did not stop in time and is killed")
        signal_group(process, signal.SIGKILL)
        process.wait()

    def _launch(self, child: _Child, order: int) -> None:
        process = spawn(
            child.program.argv,
            env=self._environment,
            cwd=self._cwd,
            death_signal=signal.SIGTERM,
            output=subprocess.PIPE,
        )
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self._selector.register(process.stdout, selectors.EVENT_READ, child)
        self._watchdog.watch(
            process.pid,
            order=order,
            number=signal.SIGTERM,
            grace_seconds=child.program.grace_seconds,
        )
        child.process, child.started, child.restart_at = process, time.monotonic(), None

    def _note_exit(self, child: _Child, now: float) -> None:
        process = child.process
        assert process is not None
        signal_group(process, signal.SIGKILL)  # children it may have left
        self._watchdog.forget(process.pid)
        self._drain(child)
        if now - child.started >= STEADY_SECONDS:
            child.exits = 0
        pause = min(FIRST_PAUSE_SECONDS * 2**child.exits, LONGEST_PAUSE_SECONDS)
        child.exits += 1
        child.restart_at = now + pause
        code = process.returncode
        how = f"code {code}" if code >= 0 else f"signal {-code}"
        self._say(f"{child.program.name} exited by itself ({how}); starting again in {pause:g} s")
        child.process = None

    def _drain(self, child: _Child) -> None:
        process = child.process
        assert process is not None
        assert process.stdout is not None
        while self._read(child):
            pass
        if child.rest:
            self._line(child, child.rest)
            child.rest = b""
        if not process.stdout.closed:
            self._selector.unregister(process.stdout)
            process.stdout.close()

    def _read(self, child: _Child) -> bool:
        """Read once; return whether there may be more."""
        process = child.process
        if process is None or process.stdout is None or process.stdout.closed:
            return False
        try:
            part = os.read(process.stdout.fileno(), 65_536)
        except BlockingIOError:
            return False
        if not part:
            self._selector.unregister(process.stdout)
            process.stdout.close()
            return False
        *lines, child.rest = (child.rest + part).split(b"\n")
        for line in lines:
            self._line(child, line)
        child.log.flush()
        return True

    def _line(self, child: _Child, line: bytes) -> None:
        child.log.write(line + b"\n")
        child.tail = [*child.tail[-(TAIL_LINES - 1) :], line]
        if self._verbose:
            self._say(f"{child.program.name} | {line.decode(errors='replace')}")
        elif IMPORTANT.search(line):
            self._show(child, line)

    def _show(self, child: _Child, line: bytes) -> None:
        """Show an important line, but never let one program fill the screen."""
        now = time.monotonic()
        if now - child.shown_since > SHOWN_WINDOW_SECONDS:
            child.shown_since, child.shown = now, 0
        child.shown += 1
        name = child.program.name
        if child.shown <= SHOWN_LINES:
            self._say(f"{name} | {line.decode(errors='replace')[:LINE_WIDTH]}")
        elif child.shown == SHOWN_LINES + 1:
            self._say(f"{name} | more in {self._logs / (name + '.log')}")
