"""BOOK-1: many clients, one time, exactly one winner; and no refusal without a rival."""

from datetime import UTC, datetime
from itertools import islice
from typing import Any

from django.db import connections

from bench.proof.contests import Contests, different_openings
from bench.proof.run import Evidence, Run
from bench.proof.world import Practice, count, open_practice, openings_of, web_server

CLIENTS = 200
NEIGHBOURS = 32
PATIENTS = 300
ROUND_SECONDS = 8.0
# Those who race are among the first; a winner must not meet her own visit as a neighbour.
_APART = slice(240, PATIENTS)
_OVERLAPS = """
SELECT count(*) FROM appointments_resourceclaim a JOIN appointments_resourceclaim b
ON a.resource_id = b.resource_id AND a.lane = b.lane AND a.id < b.id
AND a.active AND b.active AND a.during && b.during
"""


def _neighbours(port: int, practice: Practice, rounds: int, evidence: Evidence) -> dict[str, Any]:
    # From the far end: the contests begin at the near one.
    openings = reversed(openings_of(practice.schedules, practice.schedules.schedule_ids[1]))
    seen = []
    for number in range(rounds):
        apart = iter(practice.people[_APART])
        found = different_openings(port, practice, list(islice(openings, NEIGHBOURS)), apart)
        words = f"neighbours, round {number + 1}"
        evidence.expect_equal(found.statuses, {201: NEIGHBOURS}, f"{words}, by status")
        seen.append(found)
    return {
        "rounds": rounds,
        "clients": NEIGHBOURS,
        "refused": sum(sum(one.problems.values()) for one in seen),
        "server_errors": sum(one.server_errors for one in seen),
    }


def prove(run: Run) -> Evidence:
    evidence = Evidence()
    rounds, clients = run.size(50, 2), run.size(CLIENTS, 40)
    practice = open_practice(patients=PATIENTS, practitioners=10, now=datetime.now(UTC))
    figures: dict[str, Any] = {}
    with web_server(run.folder) as server:
        contests = Contests(practice, clients=clients, port=server.port)
        for contest in contests.all:
            kept = run.progress.get(contest.key)
            if kept is None:
                run.needs(rounds * ROUND_SECONDS)
                run.say(f"{rounds} rounds of {clients} clients: {contest.words}")
                before = len(evidence.faults)
                kept = contests.run(contest, rounds, evidence)
                if len(evidence.faults) == before:
                    run.progress.put(contest.key, kept)
            figures[contest.key] = kept
        figures["neighbours"] = _neighbours(server.port, practice, run.size(5, 1), evidence)
        connections.close_all()
    evidence.expect_equal(count(_OVERLAPS), 0, "overlapping claims in the database")
    errors = sum(one["server_errors"] for one in figures.values())
    evidence.expect_equal(errors, 0, "server errors")
    evidence.figures = {**figures, "server_errors": errors}
    evidence.summary = (
        f"{rounds} x {clients} clients each: "
        f"{', '.join(contest.key.replace('_', ' ') for contest in contests.all)}: one winner each "
        f"time; {figures['neighbours']['rounds']} x {NEIGHBOURS} on different openings: "
        f"{figures['neighbours']['refused']} refused; {errors} server errors"
    )
    return evidence
