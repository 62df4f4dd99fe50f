"""The MLLP listener of `make run` as a process, and a sender that waits for its answers."""

import os
import re
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.proof.tree import CHECKOUT
from runner.plan import Ports, linden
from runner.ports import accepts, any_free_port
from runner.processes import spawn, stop

START_SECONDS = 60.0
ANSWER_SECONDS = 60.0
_FRAME = re.compile(rb"\x0b(.*?)\x1c\r", re.DOTALL)
# The answer speaks with the delimiters of the message, whatever became of those.
_CODE = re.compile(rb"\rMSA(.)(AA|AE|AR)(?:\1|\r)", re.DOTALL)
_LOGGED = re.compile(rb'"event": ?"([a-z_.]+)"')


class ListenerFailed(Exception):
    """The listener did not start, or ended while it was used."""


@dataclass(frozen=True)
class ListenerProcess:
    """A running listener. `events` counts what its log says so far."""

    port: int
    pid: int
    log: Path

    def events(self) -> Counter[str]:
        return Counter(name.decode() for name in _LOGGED.findall(self.log.read_bytes()))

    def has_traceback(self) -> bool:
        return b"Traceback (most recent call last)" in self.log.read_bytes()


@contextmanager
def listener(folder: Path) -> Iterator[ListenerProcess]:
    """Run the listener with the command of `make run`. Raises: ListenerFailed."""
    port = any_free_port()
    plan = linden(Ports(web=0, mllp=port, smtp=0, mail=0), folder)
    argv = next(program.argv for program in plan.programs if program.name == "mllp")
    log = folder / "mllp.log"
    with log.open("wb") as output:
        process = spawn(
            argv, env=os.environ, cwd=CHECKOUT, death_signal=signal.SIGTERM, output=output
        )
    try:
        end = time.monotonic() + START_SECONDS
        while not accepts(port):
            if process.poll() is not None or time.monotonic() > end:
                raise ListenerFailed("the listener did not start")
            time.sleep(0.1)
        yield ListenerProcess(port, process.pid, log)
        if process.poll() is not None:
            raise ListenerFailed(f"the listener ended with code {process.returncode}")
    finally:
        stop(process, number=signal.SIGTERM, grace_seconds=15.0)


def framed(message: bytes) -> bytes:
    return b"\x0b" + message + b"\x1c\r"


class Sender:
    """One connection of a laboratory. Reads frames itself, so that it checks the listener."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS)
        self._buffer = b""

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def finish(self) -> None:
        """Say that nothing more will be sent."""
        self._socket.shutdown(socket.SHUT_WR)

    def answers(self, count: int) -> list[bytes]:
        """Return the next `count` answers, fewer when the listener closes the connection."""
        found: list[bytes] = []
        while len(found) < count:
            match = _FRAME.search(self._buffer)
            if match:
                found.append(match[1])
                self._buffer = self._buffer[match.end() :]
                continue
            data = self._socket.recv(65_536)
            if not data:
                break
            self._buffer += data
        return found

    def rest(self) -> list[bytes]:
        """Return every answer until the listener closes the connection."""
        return self.answers(sys.maxsize)


def ack_code(answer: bytes) -> str:
    """Return AA, AE or AR; "" when the answer names none of them."""
    match = _CODE.search(answer)
    return match[2].decode() if match else ""
