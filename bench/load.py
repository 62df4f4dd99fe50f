"""The load generator: a process of its own, standard library only, raw HTTP/1.1 on sockets.

Reads one job as JSON on standard input and writes what it saw as JSON on standard output.
It does as little as it can for each request, because it shares the processors with the
server that is measured.

Job: `port`; `clients` (connections at once); `requests` (whole HTTP requests as text, handed
out in order); `seconds` (repeat the list until then) or null (send each request once);
`barrier` (send only when every connection is open); `keep_bodies` (return the answers).
Seen: `elapsed_s`, `latencies_us`, `statuses` {"200": n}, `problems` {"409 some-code": n},
`broken` (requests without an answer), `bodies` in the order of completion.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from typing import Any

CONNECT_SECONDS = 20.0
HANG_SECONDS = 60.0


class AnswerWithoutLength(Exception):
    """The server framed an answer in a way that this client does not read."""


class Seen:
    """Everything that the connections of one job saw."""

    def __init__(self, *, keep_bodies: bool) -> None:
        self.latencies_us: list[int] = []
        self.statuses: Counter[int] = Counter()
        self.problems: Counter[str] = Counter()
        self.broken = 0
        self.bodies: list[str] | None = [] if keep_bodies else None

    def answer(self, status: int, body: bytes, latency_us: int) -> None:
        self.latencies_us.append(latency_us)
        self.statuses[status] += 1
        if status >= 400:
            self.problems[f"{status} {_problem_code(body)}"] += 1
        if self.bodies is not None:
            self.bodies.append(body.decode())

    def as_json(self, elapsed_s: float) -> dict[str, Any]:
        return {
            "elapsed_s": elapsed_s,
            "latencies_us": self.latencies_us,
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "problems": dict(self.problems),
            "broken": self.broken,
            "bodies": self.bodies or [],
        }


def _problem_code(body: bytes) -> str:
    try:
        return str(json.loads(body).get("code", ""))
    except (ValueError, AttributeError):
        return ""


class Connection(asyncio.Protocol):
    """One keep-alive connection that sends the next request when an answer is complete."""

    def __init__(self, work: Iterator[bytes], deadline: float | None, seen: Seen) -> None:
        self._work = work
        self._deadline = deadline
        self._seen = seen
        self._buffer = b""
        self._needed = 0
        self._body_at = 0
        self._chunked = False
        self._sent_at: float | None = None
        self._transport: asyncio.Transport
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def start(self) -> None:
        self._send_next()

    def _send_next(self) -> None:
        late = self._deadline is not None and time.perf_counter() >= self._deadline
        request = None if late else next(self._work, None)
        if request is None:
            self._sent_at = None
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._needed:
            head_end = self._buffer.find(b"\r\n\r\n")
            if head_end < 0:
                return
            self._body_at = head_end + 4
            length = _length(self._buffer[:head_end])
            self._chunked = length is None
            self._needed = self._body_at + (length or 0)
        if len(self._buffer) < self._needed:
            return
        if self._chunked and not self._buffer.endswith(b"0\r\n\r\n"):
            return
        assert self._sent_at is not None
        latency_us = int((time.perf_counter() - self._sent_at) * 1_000_000)
        status = int(self._buffer[9:12])
        body = self._buffer[self._body_at :]
        self._seen.answer(status, _joined(body) if self._chunked else body, latency_us)
        self._buffer, self._needed = b"", 0
        self._send_next()

    def connection_lost(self, error: Exception | None) -> None:
        if self._sent_at is not None:
            self._seen.broken += 1
        if not self.done.done():
            self.done.set_result(None)


def _length(head: bytes) -> int | None:
    """Return the length of the body after `head`, None when it comes in chunks.

    Raises: AnswerWithoutLength.
    """
    if int(head[9:12]) in (204, 304):
        return 0
    for line in head.lower().split(b"\r\n")[1:]:
        if line.startswith(b"content-length:"):
            return int(line[15:])
        if line.startswith(b"transfer-encoding:") and line.endswith(b"chunked"):
            return None
    raise AnswerWithoutLength(head.decode(errors="replace"))


def _joined(chunked: bytes) -> bytes:
    """Return a chunked body in one piece."""
    parts, at = [], 0
    while True:
        line_end = chunked.index(b"\r\n", at)
        size = int(chunked[at:line_end].partition(b";")[0], 16)
        if size == 0:
            return b"".join(parts)
        parts.append(chunked[line_end + 2 : line_end + 2 + size])
        at = line_end + 2 + size + 2


async def run(job: dict[str, Any]) -> dict[str, Any]:
    """Carry out one job; see the module's docstring."""
    loop = asyncio.get_running_loop()
    raw = [request.encode() for request in job["requests"]]
    seconds = job["seconds"]
    work = iter(raw) if seconds is None else cycle(raw)
    seen = Seen(keep_bodies=job.get("keep_bodies", False))
    clients = min(job["clients"], len(raw)) if seconds is None else job["clients"]
    deadline = None if seconds is None else time.perf_counter() + seconds

    async def connect() -> Connection:
        _, connection = await asyncio.wait_for(
            loop.create_connection(
                lambda: Connection(work, deadline, seen), "127.0.0.1", job["port"]
            ),
            CONNECT_SECONDS,
        )
        return connection

    if job.get("barrier", False):
        connections = await asyncio.gather(*(connect() for _ in range(clients)))
        started = time.perf_counter()
        for connection in connections:
            connection.start()
    else:
        started = time.perf_counter()
        connections = []
        for _ in range(clients):
            connections.append(await connect())
            connections[-1].start()
    await asyncio.wait_for(
        asyncio.gather(*(connection.done for connection in connections)),
        HANG_SECONDS + (seconds or 0),
    )
    return seen.as_json(time.perf_counter() - started)


def main() -> None:
    json.dump(asyncio.run(run(json.load(sys.stdin))), sys.stdout)


if __name__ == "__main__":
    main()
