"""The whole of the bench's data, and how long it took to load."""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from django.core.management import call_command

from bench.loader.people import Clinic, Person, load_people, open_clinic
from bench.loader.results import LoadedResults, load_results
from bench.loader.schedules import DAYS, LoadedSchedules, load_schedules


@dataclass(frozen=True)
class Size:
    """How much to load."""

    patients: int
    results: int
    practitioners: int


FULL = Size(patients=3_000, results=1_000_000, practitioners=200)
QUICK = Size(patients=300, results=60_000, practitioners=20)


@dataclass(frozen=True)
class World:
    """What was loaded. The first person has the long record."""

    size: Size
    clinic: Clinic
    people: list[Person]
    results: LoadedResults
    schedules: LoadedSchedules
    rows: int
    seconds: float
    server_version: str

    def as_json(self) -> dict[str, Any]:
        return {
            "patients": len(self.people),
            "results": self.results.count,
            "practitioners": len(self.schedules.schedule_ids),
            "days": DAYS,
            "bookings": self.schedules.bookings,
            "rows": self.rows,
            "seconds": round(self.seconds, 1),
            "rows_per_second": round(self.rows / self.seconds),
        }


def migrate() -> None:
    """Bring the empty database to the current schema, as its owner."""
    call_command("migrate", database="owner", interactive=False, verbosity=0)


def load(size: Size, *, now: datetime, owner_url: str) -> World:
    """Fill the empty, migrated database at `owner_url` as its owner."""
    started = time.perf_counter()
    with psycopg.connect(owner_url) as connection:
        clinic = open_clinic(now=now)
        people = load_people(connection, count=size.patients, clinic=clinic, now=now)
        results = load_results(
            connection, people=people, clinic=clinic, results=size.results, now=now
        )
        schedules = load_schedules(
            connection, people=people, clinic=clinic, practitioners=size.practitioners, now=now
        )
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM (ANALYZE)")
        rows = _rows(connection)
        server_version = connection.info.parameter_status("server_version") or ""
    seconds = time.perf_counter() - started
    return World(size, clinic, people, results, schedules, rows, seconds, server_version)


def _rows(connection: psycopg.Connection[Any]) -> int:
    found = connection.execute(
        "SELECT sum(reltuples)::bigint FROM pg_class WHERE relkind = 'r' "
        "AND relnamespace = 'public'::regnamespace AND reltuples > 0"
    ).fetchone()
    return int(found[0]) if found else 0
