"""Messages of a laboratory, end to end, against reading alone and against inserting alone.

End to end: sent, raw bytes committed, answered, parsed, matched, judged and stored; a sender
waits for its answer before it sends the next message. The store holds the results of the bench.
"""

import json
import random
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from oauth2_provider.models import get_access_token_model

from accounts.models import OAuthClient, Organization
from bench.figures import percentile
from bench.inserting import insert_alone
from bench.proof.messages import bundle_for, message_for
from bench.proof.mllp import ListenerProcess, Sender, ack_code, framed, listener
from bench.proof.population import Resident, open_laboratory, populate
from bench.server import WebServer, cpu_seconds
from bench.traffic import http_request, send
from core.clock import utc_now
from labs.models import InboundMessage, SendingLaboratory
from labs.readings import format_of

CONNECTIONS = (1, 8)
CALM = 0.9  # of ten values nine are in their range, as most are in a laboratory
_CLIENT = "bench-laboratory"
_ZONE = ZoneInfo("Europe/Berlin")


@dataclass(frozen=True)
class Size:
    """Messages: at one connection, at eight, as FHIR, and in all for the memory of the listener."""

    residents: int
    single: int
    many: int
    fhir: int
    memory: int


FULL = Size(residents=2_000, single=500, many=3_000, fhir=800, memory=0)
MEMORY = 20_000
QUICK = Size(residents=300, single=60, many=240, fhir=80, memory=0)


class Post:
    """Makes messages that were not sent before, each about one of some residents."""

    def __init__(self, residents: Sequence[Resident]) -> None:
        self._residents = [one for one in residents if not one.has_look_alike]
        self._chance = random.Random(7)
        self._number = 0

    def messages(self, count: int) -> list[bytes]:
        return [self._next(message_for, "B") for _ in range(count)]

    def bundles(self, count: int) -> list[bytes]:
        return [self._next(bundle_for, "H") for _ in range(count)]

    def _next(self, make: Callable[..., bytes], letter: str) -> bytes:
        self._number += 1
        resident = self._chance.choice(self._residents)
        return make(resident, f"{letter}{self._number:07d}", self._chance, calm=CALM)


def measure_intake(
    organization: Organization,
    product: WebServer,
    *,
    size: Size,
    folder: Path,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Return messages a second by door and number of senders, and what bounds them."""
    say("intake: registering patients of a laboratory")
    laboratory = open_laboratory(organization, key="bench-intake")
    post = Post(populate(organization, random.Random(7), count=size.residents))
    rows: list[dict[str, Any]] = []
    faults: list[str] = []
    with listener(folder) as process:
        _through(process, post.messages(40), 8)
        for connections, count in zip(CONNECTIONS, (size.single, size.many), strict=True):
            say(f"intake: {count} messages over {connections} MLLP connection(s)")
            rows.append(_mllp(process, post.messages(count), connections, faults))
        memory = _memory(process, post, size, say, faults)
    token = token_for(laboratory)
    for clients in CONNECTIONS:
        say(f"intake: {size.fhir} FHIR bundles from {clients} client(s)")
        rows.append(_fhir(product, post.bundles(size.fhir), token, clients, faults))
    say("intake: reading alone, inserting alone")
    return {
        "results_a_message": 5,
        "rows": rows,
        "memory": memory,
        "alone": {
            "reading_hl7_per_second": _reading(post.messages(300), InboundMessage.Door.MLLP),
            "reading_fhir_per_second": _reading(post.bundles(300), InboundMessage.Door.FHIR),
            "inserting_per_second": insert_alone(laboratory.pk, messages=min(300, size.single)),
        },
        "faults": faults,
    }


def _one_sender(port: int, messages: Sequence[bytes]) -> tuple[list[int], list[str]]:
    """Send one after the other; return the time of each answer in microseconds, and its code."""
    took, codes = [], []
    with Sender(port) as sender:
        for message in messages:
            started = time.perf_counter()
            sender.send(framed(message))
            codes += [ack_code(answer) for answer in sender.answers(1)]
            took.append(round((time.perf_counter() - started) * 1e6))
    return took, codes


def _through(
    process: ListenerProcess, messages: Sequence[bytes], connections: int
) -> tuple[list[int], list[str]]:
    with ThreadPoolExecutor(connections) as pool:
        jobs = [
            pool.submit(_one_sender, process.port, messages[n::connections])
            for n in range(connections)
        ]
        done = [job.result() for job in jobs]
    return [t for took, _ in done for t in took], [c for _, codes in done for c in codes]


def _mllp(
    process: ListenerProcess, messages: Sequence[bytes], connections: int, faults: list[str]
) -> dict[str, Any]:
    used, started = cpu_seconds(process.pid), time.perf_counter()
    took, codes = _through(process, messages, connections)
    seconds = time.perf_counter() - started
    cpu_ms = (cpu_seconds(process.pid) - used) / len(messages) * 1000
    accepted = codes.count("AA")
    if accepted != len(messages):
        faults.append(f"MLLP: {accepted} of {len(messages)} messages were answered AA")
    return _row("HL7 v2 over MLLP", connections, len(messages) / seconds, took, cpu_ms)


def _fhir(
    product: WebServer, bundles: Sequence[bytes], token: str, clients: int, faults: list[str]
) -> dict[str, Any]:
    requests = [
        http_request("POST", "/fhir/R4", token=token, body=json.loads(body)) for body in bundles
    ]
    used = product.workers_cpu_seconds()
    seen = send(port=product.port, clients=clients, requests=requests)
    cpu_ms = (product.workers_cpu_seconds() - used) / len(bundles) * 1000
    if not seen.all_have(200) or seen.answers != len(bundles):
        faults.append(f"FHIR: {seen.statuses} {seen.problems} for {len(bundles)} bundles")
    return _row("FHIR R4 over HTTP", clients, seen.per_second, seen.latencies_us, cpu_ms)


def _row(
    door: str, senders: int, per_second: float, took_us: list[int], cpu_ms: float
) -> dict[str, Any]:
    return {
        "door": door,
        "senders": senders,
        "per_second": round(per_second, 1),
        "p50_ms": round(percentile(took_us, 50) / 1000, 1),
        "p99_ms": round(percentile(took_us, 99) / 1000, 1),
        "cpu_ms": round(cpu_ms, 2),
    }


def token_for(laboratory: SendingLaboratory) -> str:
    """Register the OAuth client of the laboratory and give it a token, as the owner."""
    owner, token = settings.OWNER_DATABASE, secrets.token_urlsafe(32)
    SendingLaboratory.objects.using(owner).filter(pk=laboratory.pk).update(client_id=_CLIENT)
    application = OAuthClient(
        name="Bench laboratory",
        client_id=_CLIENT,
        kind="laboratory",
        authorization_grant_type="client-credentials",
        client_type="confidential",
    )
    application.save(using=owner)
    get_access_token_model()(
        token=token,
        application=application,
        scope="labs.submit",
        expires=utc_now() + timedelta(hours=2),
    ).save(using=owner)
    return token


def _reading(bodies: Sequence[bytes], door: str) -> float:
    """Return how many bodies a second one process classifies and reads, and does nothing else."""
    content, now = format_of(door), utc_now()
    started = time.perf_counter()
    for body in bodies:
        content.read(content.classify(body, now).message, _ZONE, now)
    return round(len(bodies) / (time.perf_counter() - started), 1)


def _memory(
    process: ListenerProcess,
    post: Post,
    size: Size,
    say: Callable[[str], None],
    faults: list[str],
) -> dict[str, Any] | None:
    """Send on until `size.memory` messages went through; the first quarter warms up."""
    if not size.memory:
        return None
    # Takes longer than everything else together, so only `--memory` asks for it.
    say(f"intake: memory of the listener over {size.memory} messages")
    megabytes: list[float] = []
    part = (size.memory - size.single - size.many) // 4
    for _ in range(4):
        _, codes = _through(process, post.messages(part), max(CONNECTIONS))
        if codes.count("AA") != part:
            faults.append(f"memory: {codes.count('AA')} of {part} messages were answered AA")
        megabytes.append(_resident_mb(process.pid))
    return {"messages": size.memory, "resident_mb_by_quarter": megabytes}


def _resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024, 1)
    raise ValueError("the process tells no resident memory")
