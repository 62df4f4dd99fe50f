"""BOOK-3, BOOK-4: one request sent many times has one effect; a stale change has none."""

import json
import random
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from bench.loader.people import Person
from bench.proof.contests import APPOINTMENTS, post
from bench.proof.run import Evidence, Run
from bench.proof.world import Practice, count, open_practice, openings_of, web_server
from bench.server import WebServer
from bench.traffic import LoadFailed, Traffic, fetch, send

PATIENTS = 120
SAME_KEY_CLIENTS, DEVICES, CRASHED_CLIENTS = 50, 4, 40
_PATIENCE_SECONDS = 30.0
_CRASH_LOOP_SECONDS = 10.0
_VISITS = "SELECT count(*) FROM appointments_appointment"
_CHANGES = "SELECT count(*) FROM appointments_appointmenthistory"
_Openings = Iterator[tuple[str, datetime]]


def _free_person(practice: Practice, at: datetime, turn: int) -> Person:
    busy = practice.schedules.busy.setdefault(at, set())
    free = [person for person in practice.people if person.patient_id not in busy]
    person = free[turn % len(free)]
    busy.add(person.patient_id)
    return person


def _at_once(port: int, requests: list[str]) -> Traffic:
    return send(port=port, clients=len(requests), requests=requests, barrier=True, keep_bodies=True)


def _unanswered(port: int, requests: list[str]) -> int:
    """Send all requests and return how many are not answered with 201."""
    try:
        return len(requests) - _at_once(port, requests).statuses.get(201, 0)
    except LoadFailed:  # nobody listens while a worker is started again
        return len(requests)


def _same_key(
    port: int, practice: Practice, openings: _Openings, rounds: int, evidence: Evidence
) -> dict[str, Any]:
    """Send one booking from many connections at once, then once more, then another body."""
    answers: dict[str, int] = {}
    for number in range(rounds):
        (opening, at), (other, _) = next(openings), next(openings)
        person = _free_person(practice, at, number)
        before = count(_VISITS)
        request = post(person, APPOINTMENTS, {"opening": opening})
        found = _at_once(port, [request] * SAME_KEY_CLIENTS)
        words = f"same key, round {number + 1}"
        evidence.expect(
            set(found.statuses) <= {201, 409} and set(found.problems) <= {"409 in-progress"},
            f"{words}: {found.statuses} {found.problems}",
        )
        evidence.expect_equal(found.broken, 0, f"{words}, without an answer")
        booked = {body for body in found.bodies if "code" not in json.loads(body)}
        booked.add(json.dumps(fetch(port=port, request=request)))
        same = {json.dumps(json.loads(body), sort_keys=True) for body in booked}
        evidence.expect_equal(len(same), 1, f"{words}, different answers")
        evidence.expect_equal(count(_VISITS) - before, 1, f"{words}, visits")
        changed = request.replace(opening, other)
        refused = send(port=port, clients=1, requests=[changed])
        evidence.expect_equal(
            refused.problems, {"422 idempotency-key-reused": 1}, f"{words}, another body"
        )
        for name, times in found.statuses.items():
            answers[str(name)] = answers.get(str(name), 0) + times
    return {"rounds": rounds, "clients": SAME_KEY_CLIENTS, "answers": answers}


def _victim(server: WebServer, chance: random.Random, killed_at: float) -> int:
    """Return a worker to kill, once the one killed last has lived for a while.

    A worker that dies again within 5.5 s is a crash loop to the server, which then ends: then
    whoever supervises it starts it again, and there is nobody here who would.
    """
    time.sleep(max(0.0, killed_at + _CRASH_LOOP_SECONDS - time.monotonic()))
    return chance.choice(server.workers())


def _crashes(
    server: WebServer,
    practice: Practice,
    openings: _Openings,
    rounds: int,
    run: Run,
    evidence: Evidence,
) -> dict[str, Any]:
    """Kill a web worker among bookings, then repeat each until it is answered."""
    chance = run.chance("crashes")
    broken = repeated = 0
    killed_at = -_CRASH_LOOP_SECONDS
    for number in range(rounds):
        before = count(_VISITS)
        requests = []
        for turn in range(CRASHED_CLIENTS):
            opening, at = next(openings)
            person = _free_person(practice, at, number * CRASHED_CLIENTS + turn)
            requests.append(post(person, APPOINTMENTS, {"opening": opening}))
        victim = _victim(server, chance, killed_at)
        killing = threading.Timer(chance.uniform(0.15, 0.6), server.kill_worker, [victim])
        killing.start()
        broken += _unanswered(server.port, requests)
        killing.join()
        killed_at = time.monotonic()
        end = time.monotonic() + _PATIENCE_SECONDS
        left = len(requests)
        while left and time.monotonic() < end:
            time.sleep(0.2)
            left = _unanswered(server.port, requests)
            repeated += len(requests)
        words = f"crash, round {number + 1}"
        evidence.expect_equal(left, 0, f"{words}, never answered with 201")
        evidence.expect_equal(count(_VISITS) - before, len(requests), f"{words}, visits")
    return {
        "rounds": rounds, "clients": CRASHED_CLIENTS, "without_an_answer": broken,
        "repeated": repeated,
    }  # fmt: skip


def _stale(
    port: int, practice: Practice, openings: _Openings, rounds: int, evidence: Evidence
) -> dict[str, Any]:
    """Let several devices move one visit from the same version to different times."""
    opening, at = next(openings)
    person = _free_person(practice, at, 7)
    busy = [at for at, who in practice.schedules.busy.items() if person.patient_id in who]
    visit = fetch(port=port, request=post(person, APPOINTMENTS, {"opening": opening}))
    refused = 0
    targets = (taken for taken, at in openings if at not in busy)
    for number in range(rounds):
        before, version = count(_CHANGES), visit["version"]
        found = _at_once(
            port,
            [
                post(
                    person, f"{APPOINTMENTS}/{visit['id']}/$reschedule",
                    {"opening": next(targets), "version": version},
                )
                for _ in range(DEVICES)
            ],
        )  # fmt: skip
        words = f"stale change, round {number + 1}"
        evidence.expect_equal(found.statuses, {200: 1, 409: DEVICES - 1}, f"{words}, by status")
        evidence.expect_equal(
            found.problems, {"409 version-conflict": DEVICES - 1}, f"{words}, refusals"
        )
        evidence.expect_equal(count(_CHANGES) - before, 1, f"{words}, changes")
        won = [json.loads(body) for body in found.bodies]
        visit = next((body for body in won if "code" not in body), visit)
        evidence.expect_equal(visit["version"], version + 1, f"{words}, version")
        refused += found.problems.get("409 version-conflict", 0)
    return {"rounds": rounds, "devices": DEVICES, "refused": refused}


def prove(run: Run) -> Evidence:
    evidence = Evidence()
    practice = open_practice(patients=PATIENTS, practitioners=10, now=datetime.now(UTC))
    several = [openings_of(practice.schedules, one) for one in practice.schedules.schedule_ids]
    first, second, *others = several
    with web_server(run.folder) as server:
        run.say("the same request from many connections")
        same = _same_key(server.port, practice, iter(first), run.size(100, 3), evidence)
        run.say("stale changes")
        everybody = iter(sorted((one for each in others for one in each), key=lambda one: one[1]))
        stale = _stale(server.port, practice, everybody, run.size(500, 5), evidence)
        run.say("crashes between commit and answer")
        crashed = _crashes(server, practice, iter(second), run.size(10, 2), run, evidence)
    evidence.figures = {"same_key": same, "stale": stale, "crashes": crashed}
    evidence.summary = (
        f"{same['rounds']} x {SAME_KEY_CLIENTS} with one key: one visit, one answer each time; "
        f"{stale['rounds']} x {DEVICES} stale changes: one made, {stale['refused']} refused; "
        f"{crashed['rounds']} crashes, {crashed['without_an_answer']} without an answer: "
        "each repeated request had one effect"
    )
    return evidence
