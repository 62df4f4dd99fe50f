"""One run over a loaded database: count statements, then measure every row and the race."""

import os
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from bench.desk import Desk
from bench.free_time import measure_free_time
from bench.intake import Size as IntakeSize
from bench.intake import measure_intake
from bench.loader.world import World
from bench.measure import Pace, Row, Servers, Yardstick, against_bar, count_statements, measure
from bench.race import RaceSize, race
from bench.rows import all_rows
from bench.server import Command, WebServer, web_command, web_shape, yardstick_command
from bench.traffic import send
from bench.wire import StatementCounter

PRODUCT = "portal.wsgi:application"
PRODUCT_READY = "/api/v1/patients/me/results"
SETTINGS = {"DJANGO_SETTINGS_MODULE": "bench.settings"}


class Session:
    """Everything that happens after loading. `say` tells the reader how far it is."""

    def __init__(
        self,
        world: World,
        *,
        pace: Pace,
        race_size: RaceSize,
        intake_size: IntakeSize,
        folder: Path,
        say: Callable[[str], None],
    ) -> None:
        self._world = world
        self._desk = Desk(world)
        self._pace = pace
        self._race_size = race_size
        self._intake_size = intake_size
        self._folder = folder
        self._say = say

    def run(self, only: str) -> dict[str, Any]:
        """Return everything that is measured, as JSON; rows whose key contains `only`."""
        rows = [row for row in all_rows(self._world, self._desk) if only in row.key]
        counts = self._count(rows)
        with ExitStack() as stack:
            servers = self._start(stack)
            yardstick = Yardstick(servers.hello, self._pace.hello_s)
            same_server = Yardstick(servers.hello_here, self._pace.hello_s)
            for _ in range(self._pace.rounds):
                same_server.look()
                yardstick.look()
            measured = []
            for row in rows:
                self._say(f"measuring: {row.title}")
                measured.append(measure(row, servers, yardstick, self._pace))
            booking = [self._one_practitioner(servers.product)] if only in "booking" else []
            ran = self._race(servers.product) if only in "race" else None
            curve = self._free_time() if only in "free-time" else []
            took_in = self._intake(servers.product) if only in "intake" else None
        figures = [against_bar(found, counts[found["key"]]) for found in measured]
        booking = [*(_booked(row) for row in figures if row["key"] == "booking"), *booking]
        return {
            "web": web_shape(web_command(PRODUCT, 0)),
            "yardstick": yardstick.as_json(),
            "yardstick_same_server": same_server.as_json(),
            "rows": figures,
            "booking": booking,
            "race": ran,
            "free_time": curve,
            "intake": took_in,
            "wrong": [
                fault
                for part in (*figures, *booking, *(one for one in (ran, took_in) if one))
                for fault in part.pop("faults")
            ],
        }

    def _one_practitioner(self, server: WebServer) -> dict[str, Any]:
        """Book different openings of one practitioner from 32 clients at once."""
        self._say("booking different openings of one practitioner")
        openings = islice(self._desk.of_one_practitioner(), self._pace.bookings)
        requests = list(self._desk.requests(openings))
        seen = send(port=server.port, clients=32, requests=requests)
        return booking_figures("one practitioner, 32 clients", len(requests), seen.statuses)

    def _race(self, server: WebServer) -> dict[str, Any]:
        size = self._race_size
        self._say(f"race: {size.clients} clients x {size.rounds} rounds")
        return race(self._desk, self._world, server, size)

    def _free_time(self) -> list[dict[str, Any]]:
        self._say("working out free time, without a database")
        return measure_free_time()

    def _intake(self, server: WebServer) -> dict[str, Any]:
        return measure_intake(
            self._world.clinic.organization,
            server,
            size=self._intake_size,
            folder=self._folder,
            say=self._say,
        )

    def _count(self, rows: list[Row]) -> dict[str, dict[str, Any]]:
        """Count statements with one thread, so that every request finds the same warm server."""
        self._say("counting statements on the wire")
        with (
            StatementCounter(os.environ["DATABASE_URL"]) as counter,
            WebServer(
                PRODUCT,
                ready_path=PRODUCT_READY,
                log=self._folder / "counting.log",
                environment={**SETTINGS, "DATABASE_URL": counter.url},
                one_thread=True,
            ) as server,
        ):
            return {row.key: count_statements(row, server, counter) for row in rows}

    def _start(self, stack: ExitStack) -> Servers:
        def web(
            application: str, name: str, ready_path: str, command: Command = web_command
        ) -> WebServer:
            server = WebServer(
                application,
                ready_path=ready_path,
                log=self._folder / f"{name}.log",
                environment=SETTINGS,
                command=command,
            )
            return stack.enter_context(server)

        return Servers(
            product=web(PRODUCT, "product", PRODUCT_READY),
            hello=web("bench.hello:application", "hello", "/hello", yardstick_command),
            hello_here=web("bench.hello:application", "hello-here", "/hello"),
            plain=web("bench.plain:application", "plain", "/ready"),
        )


def booking_figures(title: str, asked: int, statuses: dict[int, int]) -> dict[str, Any]:
    """Return how many different openings were asked for and how many were refused."""
    booked = statuses.get(201, 0)
    refused = statuses.get(409, 0)
    fault = f"booking, {title}: {asked} different openings, {statuses}"
    return {
        "title": title,
        "asked": asked,
        "booked": booked,
        "refused": refused,
        "faults": [] if booked == asked else [fault],
    }


def _booked(row: dict[str, Any]) -> dict[str, Any]:
    statuses: Counter[int] = Counter()
    for level in row["levels"].values():
        statuses.update({int(status): count for status, count in level["statuses"].items()})
    return booking_figures("spread over practitioners", sum(statuses.values()), statuses)
