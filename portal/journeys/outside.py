"""What stands outside the running system: its addresses, a laboratory's socket, a mailbox."""

import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import requests

T = TypeVar("T")
TIMEOUT_SECONDS = 15


class WrongAnswer(Exception):
    """A step did not give what the story needs; the journey ends here."""


@dataclass(frozen=True, slots=True)
class System:
    """Where the running system listens."""

    web: str
    mllp_host: str
    mllp_port: int
    mail: str


def find_system() -> System:
    """Return the running system, from the environment or from the run file of this checkout.

    Raises: WrongAnswer when nothing is known to be running.
    """
    given = os.environ
    if "LINDEN_BASE_URL" in given and "MLLP_PORT" in given:
        return System(
            given["LINDEN_BASE_URL"],
            given.get("MLLP_HOST", "127.0.0.1"),
            int(given["MLLP_PORT"]),
            given.get("MAIL_SINK_URL", "http://127.0.0.1:8025"),
        )
    checkout = Path(__file__).resolve().parent.parent.parent
    path = Path(given.get("LINDEN_VAR", checkout / "var")) / "run.json"
    try:
        run = json.loads(path.read_text())
    except OSError as error:
        raise WrongAnswer("Nothing is running here. Start it with: make run") from error
    return System(run["web"], run["mllp"]["host"], run["mllp"]["port"], run["mail"])


def expect(truth: bool, complaint: str) -> None:
    """Raises: WrongAnswer with the complaint unless `truth`."""
    if not truth:
        raise WrongAnswer(complaint)


def until(ask: Callable[[], T | None], *, seconds: float, complaint: str) -> T:
    """Ask again until there is an answer. Raises: WrongAnswer after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = ask()
        if answer is not None:
            return answer
        time.sleep(0.25)
    raise WrongAnswer(complaint)


class Laboratory:
    """One MLLP connection."""

    def __init__(self, system: System) -> None:
        self._socket = socket.create_connection(
            (system.mllp_host, system.mllp_port), timeout=TIMEOUT_SECONDS
        )
        self._left = b""

    def send(self, message: bytes) -> str:
        """Send one message in a frame and return the text of its answer."""
        self._socket.sendall(b"\x0b" + message + b"\x1c\r")
        return self._frame()

    def send_bytes(self, raw: bytes) -> None:
        self._socket.sendall(raw)

    def _frame(self) -> str:
        while b"\x1c\r" not in self._left:
            piece = self._socket.recv(65536)
            expect(piece != b"", "the listener closed the connection without an answer")
            self._left += piece
        frame, _, self._left = self._left.partition(b"\x1c\r")
        return frame.lstrip(b"\x0b").decode()

    def close(self) -> None:
        self._socket.close()


def acknowledgement(answer: str) -> tuple[str, str]:
    """Return (MSA-1, MSA-2) of an acknowledgement."""
    for segment in answer.replace("\n", "\r").split("\r"):
        if segment.startswith("MSA|"):
            fields = [*segment.split("|"), "", ""]
            return fields[1], fields[2]
    raise WrongAnswer("the answer has no MSA segment")


class Mailbox:
    """What one person gets by e-mail."""

    def __init__(self, system: System, address: str) -> None:
        self._base, self.address = system.mail, address

    def messages(self) -> list[dict[str, Any]]:
        """Return the headers of her messages, oldest first."""
        answer = requests.get(
            f"{self._base}/messages", params={"to": self.address}, timeout=TIMEOUT_SECONDS
        )
        return sorted(answer.json()["messages"], key=lambda message: message["n"])

    def read(self, number: int) -> dict[str, Any]:
        answer = requests.get(f"{self._base}/messages/{number}", timeout=TIMEOUT_SECONDS)
        return dict(answer.json())

    def wait_for(
        self, *, seconds: float, complaint: str, subject: str = "", after: int = 0
    ) -> dict[str, Any]:
        """Return the first message beyond the first `after`, if asked of one subject.

        Raises: WrongAnswer.
        """

        def newer() -> dict[str, Any] | None:
            found = [m for m in self.messages()[after:] if subject in ("", m["subject"])]
            return found[0] if found else None

        return self.read(until(newer, seconds=seconds, complaint=complaint)["n"])
