"""BOOK-1: many clients, one opening, exactly one visit; and no refusal without a rival."""

from datetime import UTC, datetime
from itertools import islice
from uuid import uuid4

from bench.loader.people import Person
from bench.proof.run import Evidence, Run
from bench.proof.world import Practice, count, open_practice, openings_of, web_server
from bench.traffic import Traffic, http_request, send

CLIENTS = 200
NEIGHBOURS = 32
PATIENTS = 300
# Those who race are among the first; a winner must not meet her own visit as a neighbour.
_APART = slice(240, PATIENTS)
_PATH = "/api/v1/patients/me/appointments"
_OVERLAPS = """
SELECT count(*) FROM appointments_resourceclaim a JOIN appointments_resourceclaim b
ON a.resource_id = b.resource_id AND a.lane = b.lane AND a.id < b.id
AND a.active AND b.active AND a.during && b.during
"""


def _booking(person: Person, opening: str) -> str:
    return http_request(
        "POST",
        _PATH,
        token=person.token,
        body={"opening": opening},
        headers={"Idempotency-Key": str(uuid4())},
    )


def _together(port: int, requests: list[str]) -> Traffic:
    """Send all requests at the same moment, each on a connection of its own."""
    return send(port=port, clients=len(requests), requests=requests, barrier=True)


def _free_at(practice: Practice, starts_at: datetime) -> list[Person]:
    """Return the patients without a visit at that time: only the rivals may stand in their way."""
    busy = practice.schedules.busy.get(starts_at, set())
    return [person for person in practice.people if person.patient_id not in busy]


def _one_opening(port: int, practice: Practice, rounds: int, evidence: Evidence) -> list[Traffic]:
    openings = openings_of(practice.schedules, practice.schedules.schedule_ids[0])
    seen = []
    for number in range(rounds):
        opening, starts_at = openings[number]
        racers = _free_at(practice, starts_at)[:CLIENTS]
        found = _together(port, [_booking(racer, opening) for racer in racers])
        wanted = {201: 1, 409: CLIENTS - 1}
        evidence.expect_equal(found.statuses, wanted, f"round {number + 1}, answers by status")
        evidence.expect_equal(
            found.problems, {"409 slot-taken": CLIENTS - 1}, f"round {number + 1}, refusals"
        )
        evidence.expect_equal(found.broken, 0, f"round {number + 1}, requests without an answer")
        seen.append(found)
    return seen


def _different_openings(
    port: int, practice: Practice, rounds: int, evidence: Evidence
) -> list[Traffic]:
    """Let clients book different openings of one practitioner, who has nobody else's time."""
    openings = iter(openings_of(practice.schedules, practice.schedules.schedule_ids[1]))
    seen = []
    for number in range(rounds):
        taken = list(islice(openings, NEIGHBOURS))
        bookers: list[Person] = []
        for _, starts_at in taken:
            apart = practice.people[_APART]
            bookers.append(
                next(p for p in _free_at(practice, starts_at) if p in apart and p not in bookers)
            )
        requests = [
            _booking(person, opening) for person, (opening, _) in zip(bookers, taken, strict=True)
        ]
        found = _together(port, requests)
        evidence.expect_equal(
            found.statuses, {201: NEIGHBOURS}, f"neighbours, round {number + 1}, by status"
        )
        evidence.expect_equal(found.problems, {}, f"neighbours, round {number + 1}, refusals")
        seen.append(found)
    return seen


def prove(run: Run) -> Evidence:
    evidence = Evidence()
    rounds, neighbour_rounds = run.size(20, 3), run.size(5, 1)
    practice = open_practice(patients=PATIENTS, practitioners=10, now=datetime.now(UTC))
    before = practice.schedules.bookings
    with web_server(run.folder) as server:
        run.say(f"{rounds} rounds of {CLIENTS} clients for one opening")
        races = _one_opening(server.port, practice, rounds, evidence)
        run.say(f"{neighbour_rounds} rounds of {NEIGHBOURS} clients for different openings")
        others = _different_openings(server.port, practice, neighbour_rounds, evidence)
    booked = count("SELECT count(*) FROM appointments_appointment") - before
    evidence.expect_equal(booked, rounds + neighbour_rounds * NEIGHBOURS, "visits in the database")
    evidence.expect_equal(count(_OVERLAPS), 0, "overlapping claims in the database")
    errors = sum(seen.server_errors for seen in (*races, *others))
    evidence.expect_equal(errors, 0, "server errors")
    evidence.figures = {
        "clients": CLIENTS,
        "rounds": rounds,
        "booked_per_round": sorted({seen.statuses.get(201, 0) for seen in races}),
        "refused_slot_taken": sum(seen.problems.get("409 slot-taken", 0) for seen in races),
        "slowest_round_s": round(max(seen.elapsed_s for seen in races), 2),
        "neighbours": NEIGHBOURS,
        "neighbour_rounds": neighbour_rounds,
        "neighbours_refused": sum(sum(seen.problems.values()) for seen in others),
        "server_errors": errors,
    }
    evidence.summary = (
        f"{rounds} x {CLIENTS} clients, one opening: one visit each time; "
        f"{neighbour_rounds} x {NEIGHBOURS} on different openings: "
        f"{evidence.figures['neighbours_refused']} refused; {errors} server errors"
    )
    return evidence
