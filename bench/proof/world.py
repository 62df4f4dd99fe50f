"""The clinic, people and schedules of a part, loaded as the bench loads them."""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

import psycopg

from appointments.opening_ids import opening_id
from bench.loader.people import Clinic, Person, load_people, open_clinic
from bench.loader.schedules import LoadedSchedules, load_schedules
from bench.server import WebServer

SETTINGS = {"DJANGO_SETTINGS_MODULE": "bench.settings"}


@dataclass(frozen=True)
class Practice:
    """One clinic with patients who can sign in and practitioners who can be booked."""

    clinic: Clinic
    people: list[Person]
    schedules: LoadedSchedules


def open_practice(*, patients: int, practitioners: int, now: datetime) -> Practice:
    with owner() as connection:
        clinic = open_clinic(now=now)
        people = load_people(connection, count=patients, clinic=clinic, now=now)
        schedules = load_schedules(
            connection, people=people, clinic=clinic, practitioners=practitioners, now=now
        )
    return Practice(clinic, people, schedules)


def owner() -> psycopg.Connection[tuple[object, ...]]:
    """Return a connection of the role that owns the tables, which sees every row."""
    return psycopg.connect(os.environ["DATABASE_OWNER_URL"])


def count(query: str, *parameters: object) -> int:
    """Return the one number that `query` gives the owner."""
    with owner() as connection:
        row = connection.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return int(str(row[0]))


def web_server(folder: Path) -> WebServer:
    """Return the web server of `make run`, logging into `folder`."""
    return WebServer(
        "portal.wsgi:application",
        ready_path="/healthz",
        log=folder / "web.log",
        environment=SETTINGS,
    )


def openings_of(schedules: LoadedSchedules, schedule: UUID) -> list[tuple[str, datetime]]:
    """Return the free openings of one practitioner, (id, start), earliest first."""
    return [
        (
            opening_id(
                schedule_id=schedule, visit_type_id=schedules.visit_type_id, starts_at=starts_at
            ),
            starts_at,
        )
        for found, starts_at in schedules.free
        if found == schedule
    ]
