"""A mail server that keeps everything and delivers nothing: `python -m runner.mailsink`.

SMTP takes any message to anyone. HTTP (JSON) shows them: GET /messages[?to=address],
GET /messages/{n}, DELETE /messages. Messages live in memory, the oldest go first at the cap.
For development and the compose set-up: it must never be reachable from elsewhere.
"""

import argparse
import asyncio
import json
import signal
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiosmtpd.smtp import SMTP, Envelope, Session

MAX_MESSAGES = 2_000
MAX_TOTAL_BYTES = 64 * 1024 * 1024
MAX_MESSAGE_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True)
class StoredMessage:
    """One message as it came in: the envelope, and the bytes of headers and body."""

    n: int
    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    received_at: datetime

    def _parsed(self) -> EmailMessage:
        parsed = message_from_bytes(self.raw, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    def summary(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "from": self.sender,
            "to": list(self.recipients),
            "subject": str(self._parsed().get("Subject", "")),
            "received_at": self.received_at.isoformat().replace("+00:00", "Z"),
            "size_bytes": len(self.raw),
        }

    def full(self) -> dict[str, Any]:
        parsed = self._parsed()
        plain, html = parsed.get_body(("plain",)), parsed.get_body(("html",))
        return {
            **self.summary(),
            "headers": [[name, str(value)] for name, value in parsed.items()],
            "text": None if plain is None else plain.get_content(),
            "html": None if html is None else html.get_content(),
            "raw": self.raw.decode("utf-8", errors="replace"),
        }


class Mailbox:
    """The newest messages, at most `max_messages` and `max_total_bytes`. Safe between threads."""

    def __init__(
        self, *, max_messages: int = MAX_MESSAGES, max_total_bytes: int = MAX_TOTAL_BYTES
    ) -> None:
        self._max_messages = max_messages
        self._max_total_bytes = max_total_bytes
        self._messages: deque[StoredMessage] = deque()
        self._total_bytes = 0
        self._next = 1
        self._lock = threading.Lock()
        self.dropped = 0

    def add(
        self, *, sender: str, recipients: Sequence[str], raw: bytes, now: datetime
    ) -> StoredMessage:
        with self._lock:
            message = StoredMessage(self._next, sender, tuple(recipients), raw, now)
            self._next += 1
            self._messages.append(message)
            self._total_bytes += len(raw)
            while (
                len(self._messages) > self._max_messages
                or self._total_bytes > self._max_total_bytes
            ):
                self._total_bytes -= len(self._messages.popleft().raw)
                self.dropped += 1
            return message

    def to(self, address: str | None) -> list[StoredMessage]:
        """Return the messages for `address` (any when None), oldest first."""
        with self._lock:
            kept = list(self._messages)
        if address is None:
            return kept
        wanted = address.casefold()
        return [m for m in kept if any(r.casefold() == wanted for r in m.recipients)]

    def get(self, n: int) -> StoredMessage | None:
        with self._lock:
            return next((m for m in self._messages if m.n == n), None)

    def clear(self) -> None:
        """Forget all messages; numbers go on, so that none ever means two messages."""
        with self._lock:
            self._messages.clear()
            self._total_bytes = 0


class _Receiver:
    """What aiosmtpd calls."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        raw = envelope.content or b""
        assert isinstance(raw, bytes)
        message = self._mailbox.add(
            sender=envelope.mail_from or "",
            recipients=envelope.rcpt_tos,
            raw=raw,
            now=datetime.now(UTC),
        )
        return f"250 OK kept as {message.n}"


def http_server(mailbox: Mailbox, *, host: str, port: int) -> ThreadingHTTPServer:
    """Return the JSON view of `mailbox`, bound but not yet serving."""

    class Handler(BaseHTTPRequestHandler):
        server_version = "linden-mailsink"
        sys_version = ""

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            folder, _, number = url.path.strip("/").partition("/")
            if folder != "messages":
                return self._answer(HTTPStatus.NOT_FOUND, {"detail": "Only /messages is here."})
            if not number:
                address = parse_qs(url.query).get("to", [None])[0]
                found = [m.summary() for m in mailbox.to(address)]
                return self._answer(HTTPStatus.OK, {"messages": found, "dropped": mailbox.dropped})
            message = mailbox.get(int(number)) if number.isdecimal() else None
            if message is None:
                return self._answer(HTTPStatus.NOT_FOUND, {"detail": "No such message."})
            return self._answer(HTTPStatus.OK, message.full())

        def do_DELETE(self) -> None:
            if self.path.rstrip("/") != "/messages":
                self._answer(HTTPStatus.NOT_FOUND, {"detail": "Only /messages is here."})
                return
            mailbox.clear()
            self.send_response(HTTPStatus.NO_CONTENT)
            self.end_headers()

        def _answer(self, status: HTTPStatus, answer: dict[str, Any]) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Stay silent: the address in the query names a person."""

    return ThreadingHTTPServer((host, port), Handler)


async def serve(*, host: str, smtp_port: int, http_port: int) -> None:
    """Run both servers until SIGINT or SIGTERM."""
    mailbox = Mailbox()
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)

    def session() -> SMTP:
        return SMTP(
            _Receiver(mailbox),
            hostname="linden-mailsink",
            ident="linden-mailsink",
            data_size_limit=MAX_MESSAGE_BYTES,
            enable_SMTPUTF8=True,
        )

    smtp = await loop.create_server(session, host, smtp_port)
    http = http_server(mailbox, host=host, port=http_port)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    print(f"mail sink: SMTP on {host}:{smtp_port}, HTTP on {host}:{http_port}", flush=True)
    try:
        await stopping.wait()
    finally:
        smtp.close()
        http.shutdown()
        http.server_close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="runner.mailsink", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--smtp-port", type=int, default=1025)
    parser.add_argument("--http-port", type=int, default=8025)
    options = parser.parse_args()
    asyncio.run(serve(host=options.host, smtp_port=options.smtp_port, http_port=options.http_port))


if __name__ == "__main__":
    main()
