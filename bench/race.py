"""Many clients, one opening: exactly one may win, every round.

Each client is another patient on a connection of her own through the real web server; all
connections are open before the first byte is sent. Afterwards the claims are counted in the
database, so that two answers "booked" and two claims would both be seen.
"""

import os
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

import psycopg

from bench.desk import Desk, book_request
from bench.figures import percentile
from bench.loader.world import World
from bench.server import WebServer
from bench.traffic import Traffic, send


@dataclass(frozen=True)
class RaceSize:
    clients: int
    rounds: int


FULL = RaceSize(clients=200, rounds=20)
QUICK = RaceSize(clients=50, rounds=4)

_CLAIMS = """
SELECT count(*) FROM appointments_resourceclaim
WHERE resource_id = %s AND active AND during @> %s::timestamptz
"""


def race(desk: Desk, world: World, server: WebServer, size: RaceSize) -> dict[str, Any]:
    """Run all rounds and return what happened; `faults` is empty when each had one winner."""
    faults: list[str] = []
    runs: list[Traffic] = []
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as connection:
        for schedule_id, starts_at in islice(desk.latest(), size.rounds):
            opening = desk.opening(schedule_id, starts_at)
            people = desk.free_people(starts_at, size.clients)
            seen = send(
                port=server.port,
                clients=size.clients,
                requests=[book_request(opening, person) for person in people],
                barrier=True,
            )
            runs.append(seen)
            claims = _claims(connection, world.schedules.resource_of[schedule_id], starts_at)
            faults += round_faults(len(runs), seen, claims, size.clients)
    latencies = [latency for run in runs for latency in run.latencies_us]
    return {
        "clients": size.clients,
        "rounds": len(runs),
        "rounds_with_one_winner": sum(run.statuses.get(201, 0) == 1 for run in runs),
        "server_errors": sum(run.server_errors for run in runs),
        "round_p50_s": round(percentile([int(r.elapsed_s * 1000) for r in runs], 50) / 1000, 2),
        "answer_p50_ms": round(percentile(latencies, 50) / 1000, 1),
        "answer_p99_ms": round(percentile(latencies, 99) / 1000, 1),
        "faults": faults,
    }


def _claims(connection: psycopg.Connection[Any], resource_id: UUID, at: datetime) -> int:
    found = connection.execute(_CLAIMS, [resource_id, at]).fetchone()
    return int(found[0]) if found else 0


def round_faults(number: int, seen: Traffic, claims: int, clients: int) -> list[str]:
    """Return what went wrong in one round: anything but one 201, one claim and 409 for the rest."""
    faults = []
    if seen.statuses.get(201, 0) != 1 or claims != 1:
        faults.append(f"race round {number}: {seen.statuses.get(201, 0)} won, {claims} claims")
    if seen.server_errors or seen.statuses.get(409, 0) != clients - 1:
        faults.append(
            f"race round {number}: {seen.statuses} {seen.problems}, {seen.broken} without an answer"
        )
    return faults
