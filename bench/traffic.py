"""Requests as text, and the load generator as a call."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


def http_request(
    method: str,
    path: str,
    *,
    token: str = "",
    body: Any = None,
    headers: dict[str, str] | None = None,
) -> str:
    """Return a whole HTTP/1.1 request; `body` is sent as JSON."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: application/json"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    text = ""
    if body is not None:
        text = json.dumps(body, ensure_ascii=True)
        lines += ["Content-Type: application/json", f"Content-Length: {len(text)}"]
    return "\r\n".join([*lines, "", text])


@dataclass(frozen=True)
class Traffic:
    """What one job of the load generator saw. Latencies in microseconds."""

    elapsed_s: float
    latencies_us: list[int]
    statuses: dict[int, int]
    problems: dict[str, int]
    broken: int
    bodies: list[str] = field(default_factory=list)

    @property
    def answers(self) -> int:
        return len(self.latencies_us)

    @property
    def server_errors(self) -> int:
        """Answers with 5xx, and requests that got no answer at all."""
        return self.broken + sum(n for status, n in self.statuses.items() if status >= 500)

    @property
    def per_second(self) -> float:
        return self.answers / self.elapsed_s if self.elapsed_s else 0.0

    def all_have(self, status: int) -> bool:
        return self.broken == 0 and set(self.statuses) == {status}


class LoadFailed(Exception):
    """The load generator itself failed; the text is what it complained of."""


def send(
    *,
    port: int,
    clients: int,
    requests: Sequence[str],
    seconds: float | None = None,
    barrier: bool = False,
    keep_bodies: bool = False,
) -> Traffic:
    """Run one job in a process of its own and return what it saw.

    Raises: LoadFailed.
    """
    job = {
        "port": port,
        "clients": clients,
        "requests": list(requests),
        "seconds": seconds,
        "barrier": barrier,
        "keep_bodies": keep_bodies,
    }
    finished = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(job).encode(),
        capture_output=True,
        check=False,
    )
    if finished.returncode != 0:
        raise LoadFailed(finished.stderr.decode(errors="replace")[-2000:])
    seen = json.loads(finished.stdout)
    return Traffic(
        elapsed_s=seen["elapsed_s"],
        latencies_us=seen["latencies_us"],
        statuses={int(status): count for status, count in seen["statuses"].items()},
        problems=seen["problems"],
        broken=seen["broken"],
        bodies=seen["bodies"],
    )


def fetch(*, port: int, request: str) -> Any:
    """Send one request and return its JSON. Raises: LoadFailed unless it is answered with 2xx."""
    seen = send(port=port, clients=1, requests=[request], keep_bodies=True)
    if seen.broken or not all(200 <= status < 300 for status in seen.statuses):
        raise LoadFailed(f"{request.splitlines()[0]}: {seen.statuses} {seen.problems}")
    return json.loads(seen.bodies[0])
