"""Counts the SQL statements that a role really sends to PostgreSQL, on the wire.

A relay between the web server and the database reads the frontend messages of the protocol
(PostgreSQL 15 to 18, chapter "Message Formats"). So nothing that the application says about
itself is believed, and no superuser is needed, as `log_statement` would.
"""

import re
import socket
import struct
import threading
from collections.abc import Callable
from typing import Self
from urllib.parse import urlsplit, urlunsplit

_TRANSACTION = re.compile(
    r"\s*(BEGIN|START TRANSACTION|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE)\b", re.IGNORECASE
)
_STARTUP_CODES = {80877102, 80877103, 80877104}  # cancel, SSL, GSSAPI: no messages of a session


def is_transaction_control(sql: str) -> bool:
    """Whether `sql` only opens, closes or marks a transaction."""
    return _TRANSACTION.match(sql) is not None


class StatementReader:
    """Reads one frontend's bytes and reports its role and each statement as it is executed."""

    def __init__(self, on_role: Callable[[str], None], on_statement: Callable[[str], None]) -> None:
        self._on_role = on_role
        self._on_statement = on_statement
        self._buffer = b""
        self._started = False
        self._prepared: dict[bytes, str] = {}
        self._portals: dict[bytes, str] = {}

    def feed(self, data: bytes) -> None:
        self._buffer += data
        while self._one():
            pass

    def _one(self) -> bool:
        head = 5 if self._started else 4
        if len(self._buffer) < head:
            return False
        (length,) = struct.unpack_from("!I", self._buffer, head - 4)
        end = head - 4 + length
        if len(self._buffer) < end:
            return False
        kind, body = self._buffer[: head - 4], self._buffer[head:end]
        self._buffer = self._buffer[end:]
        if self._started:
            self._message(kind, body)
        else:
            self._startup(body)
        return True

    def _startup(self, body: bytes) -> None:
        if struct.unpack_from("!I", body)[0] in _STARTUP_CODES:
            return
        self._started = True
        words = body[4:].split(b"\0")
        parameters = dict(zip(words[::2], words[1::2], strict=False))
        self._on_role(parameters.get(b"user", b"").decode())

    def _message(self, kind: bytes, body: bytes) -> None:
        if kind == b"Q":
            self._on_statement(body.rstrip(b"\0").decode(errors="replace"))
        elif kind == b"P":
            name, sql = body.split(b"\0", 2)[:2]
            self._prepared[name] = sql.decode(errors="replace")
        elif kind == b"B":
            portal, name = body.split(b"\0", 2)[:2]
            self._portals[portal] = self._prepared.get(name, "")
        elif kind == b"E":
            self._on_statement(self._portals.get(body.split(b"\0", 1)[0], ""))


class StatementCounter:
    """A relay in front of a PostgreSQL server; `url` is the address to give to the application."""

    def __init__(self, database_url: str) -> None:
        parts = urlsplit(database_url)
        self._upstream = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._door = socket.create_server(("127.0.0.1", 0))
        account = parts.netloc.rpartition("@")[0]
        netloc = f"{account}@127.0.0.1:{self._door.getsockname()[1]}"
        # Encrypted messages could not be read here.
        self.url = urlunsplit(parts._replace(netloc=netloc, query="sslmode=disable"))
        self.roles: set[str] = set()
        self._statements: list[str] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._door.close()

    def take(self) -> list[str]:
        """Return the statements since the last call, transaction control left out."""
        with self._lock:
            taken, self._statements = self._statements, []
        return [sql for sql in taken if not is_transaction_control(sql)]

    def _saw(self, sql: str) -> None:
        with self._lock:
            self._statements.append(sql)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._door.accept()
            except OSError:  # closed: the measurement is over
                return
            far = socket.create_connection(self._upstream)
            reader = StatementReader(self.roles.add, self._saw)
            for source, target, watch in ((near, far, reader.feed), (far, near, None)):
                threading.Thread(target=_relay, args=(source, target, watch), daemon=True).start()


def _relay(
    source: socket.socket, target: socket.socket, watch: Callable[[bytes], None] | None
) -> None:
    try:
        while data := source.recv(65536):
            if watch is not None:
                watch(data)
            target.sendall(data)
    except OSError:  # either side has gone; the other is told below
        pass
    finally:
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
