"""The listener and the web server of `make run`, killed at will and started again, and senders
that send each message until it is acknowledged."""

import http.client
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from bench.proof.mllp import Sender, ack_code, framed
from bench.proof.tree import CHECKOUT
from bench.server import web_command
from runner.plan import Ports, linden
from runner.ports import accepts, any_free_port
from runner.processes import signal_group, spawn, stop

START_SECONDS = 90.0
_PAUSE_SECONDS = 0.05


class DoorFailed(Exception):
    """A door did not start, or a message was not acknowledged in time."""


class Door:
    """One door as a process on a port that stays. `log` holds what every run of it wrote."""

    def __init__(self, argv: Sequence[str], port: int, log: Path) -> None:
        self.port = port
        self.log = log
        self._argv = list(argv)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            stop(self._process, number=signal.SIGTERM, grace_seconds=15.0)

    def start(self) -> None:
        """Start it and wait until it takes connections. Raises: DoorFailed."""
        with self.log.open("ab") as output:
            process = spawn(
                self._argv,
                env=os.environ,
                cwd=CHECKOUT,
                death_signal=signal.SIGTERM,
                output=output,
            )
        self._process = process
        end = time.monotonic() + START_SECONDS
        while not accepts(self.port):
            if process.poll() is not None or time.monotonic() > end:
                raise DoorFailed("a door did not start")
            time.sleep(0.05)

    def kill(self) -> None:
        """End it and everything below it with SIGKILL, between two instructions of its own."""
        assert self._process is not None
        signal_group(self._process, signal.SIGKILL)
        self._process.wait()


def mllp_door(folder: Path) -> Door:
    port = any_free_port()
    plan = linden(Ports(web=0, mllp=port, smtp=0, mail=0), folder)
    argv = next(program.argv for program in plan.programs if program.name == "mllp")
    return Door(argv, port, folder / "mllp.log")


def https_door(folder: Path) -> Door:
    """The web server; TLS ends before it, here as in production."""
    port = any_free_port()
    return Door(web_command("portal.wsgi:application", port), port, folder / "web.log")


class Line(Protocol):
    """A connection to a door. Any of OSError means that it is gone."""

    def ask(self, message: bytes) -> str:
        """Send one message and return the code of its answer, "" when none came."""

    def close(self) -> None: ...


class MllpLine:
    def __init__(self, port: int) -> None:
        self._sender = Sender(port)

    def ask(self, message: bytes) -> str:
        self._sender.send(framed(message))
        answers = self._sender.answers(1)
        return ack_code(answers[0]) if answers else ""

    def close(self) -> None:
        self._sender.close()


class HttpsLine:
    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60.0)
        self._connection.connect()
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/hl7-v2"}

    def ask(self, message: bytes) -> str:
        try:
            self._connection.request("POST", "/api/v1/labs/messages", message, self._headers)
            response = self._connection.getresponse()
            body = response.read()
        except http.client.HTTPException as error:
            raise ConnectionError from error
        return ack_code(body) if response.status == http.client.OK else ""

    def close(self) -> None:
        self._connection.close()


@dataclass
class Post:
    """What senders of one door did so far. `acknowledged`: control ids, in order of AA."""

    acknowledged: list[str] = field(default_factory=list)
    other_answers: list[str] = field(default_factory=list)
    repeats: int = 0
    in_flight: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def set_off(self) -> None:
        with self._lock:
            self.in_flight += 1

    def came_back(self, control_id: str, code: str) -> None:
        """Count an answer; "" is none, and the message is sent again."""
        with self._lock:
            self.in_flight -= 1
            if code == "AA":
                self.acknowledged.append(control_id)
            elif code:
                self.other_answers.append(code)
            else:
                self.repeats += 1

    def has_acknowledged(self, count: int) -> bool:
        return len(self.acknowledged) >= count

    def known_so_far(self) -> list[str]:
        with self._lock:
            return list(self.acknowledged)


class Retrying:
    """A sender that goes on with a message until it is answered, over new connections."""

    def __init__(self, open_line: Callable[[], Line], post: Post, *, ends_at: float) -> None:
        self._open_line = open_line
        self._post = post
        self._ends_at = ends_at
        self._line: Line | None = None

    def deliver(self, control_id: str, message: bytes) -> None:
        """Raises: DoorFailed when nobody answered until `ends_at` on the monotonic clock."""
        while not self._tried(control_id, message):
            if time.monotonic() > self._ends_at:
                raise DoorFailed("a message was never acknowledged")
            time.sleep(_PAUSE_SECONDS)

    def _tried(self, control_id: str, message: bytes) -> bool:
        code = ""
        try:
            self._line = self._line or self._open_line()
        except OSError:  # the door is being started again
            return False
        self._post.set_off()
        try:
            code = self._line.ask(message)
        except OSError:
            code = ""
        finally:
            self._post.came_back(control_id, code)
        if not code:
            self._line.close()
            self._line = None
        return bool(code)
