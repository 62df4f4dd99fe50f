"""BOOK-1, BOOK-2: a random history of visits, judged by a checker that knows no product code.

First many clients at once; then fewer, while web workers and database backends are killed.
"""

import itertools
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import psycopg
from django.db import connections

from bench.loader.people import Person
from bench.proof.front_desk import OFFERED_SECONDS, FrontDesk
from bench.proof.run import Evidence, Run
from bench.proof.surgery import Surgery, open_surgery
from bench.proof.visit_history import Claim, Operation, Place, Tables, Verdict, Visit, check
from bench.proof.visitors import Asking, Visitor
from bench.proof.world import SETTINGS, owner
from bench.server import WebServer

CLIENTS, CLIENTS_UNDER_KILLS = 32, 20
PATIENTS_EACH = 2
HELD_SECONDS = 4
KILL_EVERY_SECONDS = 3.0
RECOVERY_SECONDS = 60.0
_VISITS = """
SELECT id::text, patient_id::text, schedule_id::text, visit_type_id::text,
  extract(epoch FROM starts_at)::bigint, extract(epoch FROM ends_at)::bigint, status, version
FROM appointments_appointment
"""
_BLOCKS = """
SELECT id::text, resource_id::text,
  extract(epoch FROM starts_at)::bigint, extract(epoch FROM ends_at)::bigint
FROM appointments_block WHERE lifted_at IS NULL
"""
_CLAIMS = """
SELECT resource_id::text, lane, extract(epoch FROM lower(during))::bigint,
  extract(epoch FROM upper(during))::bigint, held_for::text
FROM appointments_resourceclaim WHERE active AND (expires_at IS NULL OR expires_at > now())
"""
_BACKENDS = """
SELECT pid FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()
"""


def _openings_found(surgery: Surgery, asking: Asking, reader: Person) -> frozenset[Place]:
    """Return what the API offers in the days of the history, page by page."""
    codes = {str(made): code for code, made in surgery.kinds.items()}
    query = (
        f"/openings?visit_type={','.join(codes)}&from={surgery.days[0]}&to={surgery.days[-1]}"
        "&limit=100"
    )
    found: set[Place] = set()
    cursor = ""
    while cursor is not None:
        outcome, page = asking("GET", query + (f"&cursor={cursor}" if cursor else ""), reader)
        if outcome != "ok":
            raise RuntimeError("the openings could not be read")
        found.update(
            Place(
                item["schedule_id"],
                codes[item["visit_type"]],
                int(datetime.fromisoformat(item["start"]["instant"]).timestamp()),
                int(datetime.fromisoformat(item["end"]["instant"]).timestamp()),
            )
            for item in page["items"]
        )
        cursor = page["next"]
    return frozenset(found)


def _tables(surgery: Surgery, found: frozenset[Place]) -> Tables:
    codes = {str(made): code for code, made in surgery.kinds.items()}
    schedules = {resource: name for name, resource in surgery.supply.resources.items()}
    with owner() as connection:
        return Tables(
            visits=[
                Visit(
                    name, patient, Place(schedule, codes[kind], starts, ends),
                    live=status != "cancelled", version=version,
                )
                for name, patient, schedule, kind, starts, ends, status, version
                in connection.execute(_VISITS).fetchall()  # type: ignore[misc]
            ],
            blocks={
                name: Place(schedules[resource], "", starts, ends)  # type: ignore[index, arg-type]
                for name, resource, starts, ends in connection.execute(_BLOCKS).fetchall()
            },
            claims=[
                Claim(*row)  # type: ignore[arg-type]
                for row in connection.execute(_CLAIMS).fetchall()
            ],
            found=found,
        )  # fmt: skip


def _together(jobs: Sequence[Callable[[], None]]) -> list[BaseException]:
    """Run every job in a thread of its own to its end; return what they raised."""
    raised: list[BaseException] = []

    def guarded(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def _in_turn(visitors: Sequence[Visitor], desk: FrontDesk, operations: int) -> None:
    """Let all clients work until so many operations are noted."""
    done = threading.Event()

    def another() -> bool:
        return sum(len(one.history) for one in visitors) < operations

    def visit(visitor: Visitor) -> None:
        try:
            visitor.run(another)
        finally:
            done.set()

    raised = _together(
        [
            *[lambda one=one: visit(one) for one in visitors],  # type: ignore[misc]
            lambda: desk.run(lambda: not done.is_set()),
        ]
    )
    if raised:
        raise raised[0]


class _Killer:
    """Kills a web worker and a database backend in turn, with SIGKILL."""

    def __init__(self, server: WebServer, run: Run) -> None:
        self._server = server
        self._chance = run.chance("kills")
        self.workers = 0
        self.backends = 0

    def run(self, another: Callable[[], bool]) -> None:
        for number in itertools.count():
            time.sleep(KILL_EVERY_SECONDS)
            if not another():
                return
            if number % 2:
                self.backends += self._kill_backend()
            else:
                self.workers += _kill_one(self._server.workers(), self._chance)

    def _kill_backend(self) -> int:
        with (
            suppress(psycopg.OperationalError),
            psycopg.connect(os.environ["DATABASE_URL"]) as connection,
        ):
            pids = [int(row[0]) for row in connection.execute(_BACKENDS).fetchall()]
            return _kill_one(pids, self._chance)
        return 0


def _kill_one(pids: Sequence[int], chance: random.Random) -> int:
    if not pids:
        return 0
    with suppress(ProcessLookupError):
        os.kill(chance.choice(pids), signal.SIGKILL)
        return 1
    return 0


def _under_kills(
    visitors: Sequence[Visitor], desk: FrontDesk, killer: _Killer, seconds: float
) -> None:
    end = time.monotonic() + seconds

    def lasts() -> bool:
        return time.monotonic() < end

    raised = _together(
        [
            *[lambda one=one: one.run(lasts) for one in visitors],  # type: ignore[misc]
            lambda: desk.run(lasts),
            lambda: killer.run(lasts),
        ]
    )
    if raised:
        raise raised[0]


def _wait_until_well(asking: Asking, reader: Person) -> float:
    """Wait until the system answers again, several times in a row; return how long it took."""
    started = time.monotonic()
    well = 0
    while time.monotonic() - started < RECOVERY_SECONDS:
        outcome, _ = asking("GET", "/holds", reader)
        well = well + 1 if outcome == "ok" else 0
        if well == 10:
            return time.monotonic() - started
        time.sleep(0.1)
    raise RuntimeError("the system did not recover")


def _judge(
    surgery: Surgery, history: Sequence[Operation], asking: Asking, reader: Person
) -> Verdict:
    """Let every hold and offer run out, read the tables and the openings, and check."""
    time.sleep(HELD_SECONDS + OFFERED_SECONDS + 1)
    return check(
        history, _tables(surgery, _openings_found(surgery, asking, reader)), surgery.supply
    )


def _figures(history: Sequence[Operation], verdict: Verdict) -> dict[str, object]:
    return {
        "operations": len(history),
        "acknowledged": dict(
            sorted(Counter(one.action for one in history if one.outcome == "ok").items())
        ),
        "refused": sum(one.outcome == "refused" for one in history),
        "unknown": sum(one.outcome == "unknown" for one in history),
        "overlaps": len(verdict.overlaps),
        "lost": len(verdict.lost),
        "invented": len(verdict.invented),
        "stuck_openings": len(verdict.stuck),
    }


def prove(run: Run) -> Evidence:
    evidence = Evidence()
    wanted, seconds = run.size(10_000, 300), float(run.size(60, 9))
    patients = CLIENTS * PATIENTS_EACH + 1
    surgery = open_surgery(
        patients=patients, practitioners=4, rooms=2, days=5, now=datetime.now(UTC)
    )
    *people, reader = surgery.people
    connections.close_all()
    run.say(f"seed {run.seed}: {wanted} operations by {CLIENTS} clients")
    server = WebServer(
        "portal.wsgi:application",
        ready_path="/healthz",
        log=run.folder / "web.log",
        environment=SETTINGS
        | {
            "LINDEN_VISIT_HOLD_SECONDS": str(HELD_SECONDS),
            # Nobody is this fickle: the limits have tests of their own.
            "LINDEN_OWN_VISITS_AT_MOST": "1000",
            "LINDEN_OWN_CANCELLATIONS_A_DAY": "100000",
        },
    )
    with server:
        visitors = [
            Visitor(
                surgery,
                people[number * PATIENTS_EACH : (number + 1) * PATIENTS_EACH],
                run.chance(f"client {number}"),
                Asking(server.port),
            )
            for number in range(CLIENTS)
        ]
        desk = FrontDesk(surgery, run.chance("desk"))
        asking = Asking(server.port)

        def history() -> list[Operation]:
            return [*desk.history, *(one for each in visitors for one in each.history)]

        started = time.monotonic()
        _in_turn(visitors, desk, wanted)
        took = time.monotonic() - started
        calm = history()
        first = _judge(surgery, calm, asking, reader)
        evidence.faults += first.faults[:20]
        errors = sum(one.asking.server_errors for one in visitors)
        unanswered = sum(one.asking.unanswered for one in visitors)
        evidence.expect_equal(errors, 0, "server errors without kills")
        evidence.expect_equal(unanswered, 0, "requests without an answer, without kills")
        evidence.expect_equal(desk.failed, 0, "failed steps of the desk without kills")
        codes = sum((one.asking.codes for one in visitors), Counter[str]())
        strange = {code: n for code, n in codes.items() if not code.startswith("409 ")}
        evidence.expect_equal(strange, {}, "refusals other than 409")
        evidence.expect(bool(desk.offered), "no offer was made")
        evidence.figures = {
            "clients": CLIENTS,
            **_figures(calm, first),
            "offers_made": desk.offered,
            "refused_by_code": dict(sorted(codes.items())),
            "server_errors": errors,
            "seconds": round(took, 1),
        }
        run.say(f"{len(calm)} operations in {took:.0f} s; now {seconds:.0f} s with kills")
        killer = _Killer(server, run)
        _under_kills(visitors[:CLIENTS_UNDER_KILLS], desk, killer, seconds)
        recovery = _wait_until_well(asking, reader)
        every = history()
        second = _judge(surgery, every, asking, reader)
    evidence.faults += second.faults[:20]
    evidence.expect(killer.workers > 0 and killer.backends > 0, "nothing was killed")
    killed = _figures(every, second)
    evidence.figures["under_kills"] = {
        "clients": CLIENTS_UNDER_KILLS,
        "seconds": seconds,
        "workers_killed": killer.workers,
        "backends_killed": killer.backends,
        "operations": len(every) - len(calm),
        "unknown": killed["unknown"],
        "recovered_after_s": round(recovery, 1),
        **{key: killed[key] for key in ("overlaps", "lost", "invented", "stuck_openings")},
    }
    evidence.summary = (
        f"seed {run.seed}: {len(calm)} operations by {CLIENTS} clients: {len(first.overlaps)} "
        f"overlaps, {len(first.lost)} lost, {len(first.invented)} invented, {len(first.stuck)} "
        f"stuck; {len(every) - len(calm)} more under {killer.workers + killer.backends} kills "
        f"({killed['unknown']} without an answer): {len(second.faults)} faults"
    )
    return evidence
