"""One row of the table: traffic against the product, the yardstick and the plain-SQL bound."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import mean, median
from typing import Any

from bench.figures import CLIENTS, level, within
from bench.server import WebServer
from bench.traffic import LoadFailed, Traffic, http_request, send
from bench.wire import StatementCounter

CPU_CLIENTS = 8


@dataclass(frozen=True)
class Pace:
    """How long to look. Seconds for each slice; `rounds` slices at 8 clients."""

    rounds: int
    row_s: float
    bound_s: float
    hello_s: float
    warm_s: float
    bookings: int  # a slice of bookings at 8 clients; fewer at 1


FULL = Pace(rounds=7, row_s=3.0, bound_s=1.0, hello_s=1.0, warm_s=3.0, bookings=400)
QUICK = Pace(rounds=1, row_s=1.5, bound_s=0.8, hello_s=1.0, warm_s=1.0, bookings=120)


@dataclass(frozen=True)
class Row:
    """One kind of work. `requests` may be repeated; `fresh` gives ones that work only once."""

    key: str
    title: str
    bound: Sequence[str] | Callable[[int], list[str]]
    requests: Sequence[str] = ()
    fresh: Iterator[str] | None = None
    status: int = 200
    bar_statements: int | None = None
    bar_y: float | None = None


@dataclass(frozen=True)
class Servers:
    """The servers of one run; `hello_here` is the hello under the product's own server."""

    product: WebServer
    hello: WebServer
    hello_here: WebServer
    plain: WebServer


class Yardstick:
    """Y: milliseconds of processor time for one bare hello, looked at again and again."""

    def __init__(self, server: WebServer, seconds: float) -> None:
        self._server = server
        self._seconds = seconds
        self.runs_ms: list[float] = []
        self.per_second: list[float] = []

    def look(self) -> float:
        """Measure once more, and return what one hello costs now."""
        hello = [http_request("GET", "/hello")]
        seen, cpu_ms = timed(
            self._server, clients=CPU_CLIENTS, requests=hello, seconds=self._seconds
        )
        self.runs_ms.append(cpu_ms)
        self.per_second.append(seen.per_second)
        return cpu_ms

    @property
    def y_ms(self) -> float:
        return median(self.runs_ms)

    def as_json(self) -> dict[str, Any]:
        return {
            "y_ms": round(self.y_ms, 4),
            "lowest_ms": round(min(self.runs_ms), 4),
            "highest_ms": round(max(self.runs_ms), 4),
            "runs": len(self.runs_ms),
            "per_second": round(median(self.per_second), 1),
        }


def timed(
    server: WebServer, *, clients: int, requests: Sequence[str], seconds: float | None
) -> tuple[Traffic, float]:
    """Send and return what was seen, and the workers' milliseconds for one answer.

    Raises: LoadFailed when nothing was answered.
    """
    before = server.workers_cpu_seconds()
    seen = send(port=server.port, clients=clients, requests=requests, seconds=seconds)
    used = server.workers_cpu_seconds() - before
    if not seen.answers:
        raise LoadFailed(f"no answer to {requests[0].splitlines()[0]}")
    return seen, used / seen.answers * 1000


def _slice(row: Row, pace: Pace, clients: int) -> tuple[list[str], float | None]:
    if row.fresh is None:
        return list(row.requests), pace.row_s
    wanted = pace.bookings if clients > 1 else max(20, pace.bookings // 4)
    return list(islice(row.fresh, wanted)), None


def _bound_slice(row: Row, pace: Pace) -> tuple[list[str], float | None]:
    if callable(row.bound):
        return row.bound(pace.bookings), None
    return list(row.bound), pace.bound_s


def _warm(row: Row, pace: Pace, server: WebServer) -> Traffic:
    """Keep every thread busy before the first slice, so that no connection is opened in it."""
    requests, seconds = _slice(row, pace, max(CLIENTS))
    return send(
        port=server.port,
        clients=max(CLIENTS),
        requests=requests,
        seconds=None if seconds is None else pace.warm_s,
    )


def measure(row: Row, servers: Servers, yardstick: Yardstick, pace: Pace) -> dict[str, Any]:
    """Return the figures of one row, without its statement counts. See docs/figures.md."""
    runs: dict[int, list[Traffic]] = {clients: [] for clients in CLIENTS}
    bounds: dict[int, list[Traffic]] = {1: [], CPU_CLIENTS: []}
    cpu: list[float] = []
    bound_cpu: list[float] = []
    multiples: list[float] = []
    warm = _warm(row, pace, servers.product)
    for _ in range(pace.rounds):
        # The machine's speed drifts: each slice is held against the hellos around it.
        before_ms = yardstick.look()
        requests, seconds = _slice(row, pace, CPU_CLIENTS)
        seen, cpu_ms = timed(
            servers.product, clients=CPU_CLIENTS, requests=requests, seconds=seconds
        )
        runs[CPU_CLIENTS].append(seen)
        cpu.append(cpu_ms)
        multiples.append(cpu_ms / mean([before_ms, yardstick.look()]))
        requests, seconds = _bound_slice(row, pace)
        seen, cpu_ms = timed(servers.plain, clients=CPU_CLIENTS, requests=requests, seconds=seconds)
        bounds[CPU_CLIENTS].append(seen)
        bound_cpu.append(cpu_ms)
    for clients in (1, 32):
        requests, seconds = _slice(row, pace, clients)
        runs[clients].append(
            send(port=servers.product.port, clients=clients, requests=requests, seconds=seconds)
        )
    requests, seconds = _bound_slice(row, pace)
    bounds[1].append(send(port=servers.plain.port, clients=1, requests=requests, seconds=seconds))
    levels = {clients: level(seen) for clients, seen in runs.items()}
    plain = {clients: level(seen) for clients, seen in bounds.items()}
    return {
        "key": row.key,
        "title": row.title,
        "bar": {"statements": row.bar_statements, "y": row.bar_y},
        "cpu_ms": round(median(cpu), 3),
        "y": round(median(multiples), 2),
        "levels": {str(clients): found for clients, found in levels.items()},
        "plain": {
            "cpu_ms": round(median(bound_cpu), 3),
            "cpu_ratio": round(median(cpu) / median(bound_cpu), 2),
            "time_ratio": round(levels[1]["p50_ms"] / plain[1]["p50_ms"], 2),
            "levels": {str(clients): found for clients, found in plain.items()},
        },
        "faults": _faults(row, [warm, *(seen for group in runs.values() for seen in group)]),
    }


def _faults(row: Row, traffic: Sequence[Traffic]) -> list[str]:
    return [
        f"{row.title}: {seen.statuses} {seen.problems}, {seen.broken} without an answer"
        for seen in traffic
        if not seen.all_have(row.status)
    ]


def against_bar(figures: dict[str, Any], counts: dict[str, Any]) -> dict[str, Any]:
    """Return the figures with the statement counts, beside the bar."""
    return {
        **figures,
        **counts,
        "within_bar": {
            "statements": within(counts["statements"], figures["bar"]["statements"]),
            "y": within(figures["y"], figures["bar"]["y"]),
        },
    }


WARM_UP = 3


def count_statements(row: Row, server: WebServer, counter: StatementCounter) -> dict[str, Any]:
    """Return how many statements one warm request of `row` sends, on the wire and by its log.

    The log line counts savepoints too, so it may be higher, never lower.
    Raises: LoadFailed when the request is not answered as it should be.
    """
    source = iter(row.requests * (WARM_UP + 1)) if row.fresh is None else row.fresh
    for request in islice(source, WARM_UP + 1):
        counter.take()
        seen = send(port=server.port, clients=1, requests=[request])
        if not seen.all_have(row.status):
            raise LoadFailed(f"{row.title}: {seen.statuses} {seen.problems}")
    statements = counter.take()
    return {
        "statements": len(statements),
        "statements_logged": _last_logged(server),
        "sql": [first_words(statement) for statement in statements],
    }


def first_words(statement: str) -> str:
    """Return what a statement does and to which table, without any value."""
    words = statement.replace('"', " ").split()
    verb = words[0].upper() if words else ""
    for mark in ("FROM", "INTO", "UPDATE"):
        upper = [word.upper() for word in words]
        if mark in upper and upper.index(mark) + 1 < len(words):
            return f"{verb} {words[upper.index(mark) + 1].split('(')[0]}"
    return " ".join(words[:2]).split("(")[0]


def _last_logged(server: WebServer) -> int | None:
    for line in reversed(server.log.read_text(errors="replace").splitlines()):
        if line.startswith("{"):
            entry = json.loads(line)
            if entry.get("event") == "request":
                return int(entry["sql"])
    return None
