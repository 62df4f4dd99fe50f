"""One moment, many clients, one winner: the contests of the race, each round another time."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from appointments import services
from appointments.models import Resource, Schedule, VisitType
from appointments.opening_ids import opening_id
from bench.loader.people import Person
from bench.loader.schedules import SLOT_MINUTES
from bench.proof.parts.reminders import zone_at_noon
from bench.proof.run import Evidence
from bench.proof.world import Practice, count, owner
from bench.traffic import Traffic, fetch, http_request, send

ME = "/api/v1/patients/me"
APPOINTMENTS = f"{ME}/appointments"
_OFFERED = """
SELECT o.id, h.schedule_id, h.starts_at
FROM appointments_waitlistoffer o JOIN appointments_hold h ON h.id = o.hold_id
WHERE o.patient_id = %s AND o.status = 'open'
"""
_VISITS = """
SELECT DISTINCT ON (patient_id) patient_id, id FROM appointments_appointment
WHERE status = 'booked' AND visit_type_id = %s AND starts_at > now() + interval '1 day'
ORDER BY patient_id, starts_at DESC
"""
_MOVED = "SELECT coalesce(sum(sequence), 0) FROM appointments_appointment"
_HELD = "SELECT count(*) FROM appointments_hold"
_BOOKED = "SELECT count(*) FROM appointments_appointment WHERE status = 'booked'"


@dataclass
class Contest:
    """A kind of race. `round` gives the requests of one round at a time, one for each client.

    `wins` is the status of the winner's answer. `done` counts in the database what all rounds
    so far have changed: one each.
    """

    key: str
    words: str
    wins: int
    round: Callable[[datetime], list[str] | None]
    done: str
    seen: list[Traffic] = field(default_factory=list)
    changed: int = 0


def post(person: Person, path: str, body: Any) -> str:
    return http_request(
        "POST", path, token=person.token, body=body, headers={"Idempotency-Key": str(uuid4())}
    )


_LET_GO = """
WITH gone AS (
  UPDATE appointments_hold SET ended_at = now(), ending = 'released'
  WHERE ended_at IS NULL RETURNING id
)
UPDATE appointments_resourceclaim SET active = false, ended_at = now()
WHERE active AND held_for IN (SELECT id FROM gone)
"""


class Contests:
    """The contests over one practice; each time is used by one round of one contest."""

    def __init__(self, practice: Practice, *, clients: int, port: int) -> None:
        self._practice = practice
        self._port = port
        self._clients = clients
        self._free: dict[datetime, list[UUID]] = {}
        for schedule, starts_at in practice.schedules.free:
            self._free.setdefault(starts_at, []).append(schedule)
        now = datetime.now(UTC)
        self._times = iter(sorted(at for at in self._free if at > now + timedelta(days=2)))
        self._scan = _last_room(practice)
        with owner() as connection:
            # Noon for everybody: nobody's quiet hours delay an offer.
            connection.execute("UPDATE accounts_user SET zone = %s", [zone_at_noon(now)])
        self.all = (
            Contest("book", "book one opening", 201, self._book, _BOOKED),
            Contest("hold", "keep one opening", 201, self._hold, _HELD),
            Contest("last_room", "the last room, many practitioners", 201, self._room, _BOOKED),
            Contest("accept", "an accepted offer against booking", 200, self._accept, _BOOKED),
            Contest("move", "many visits into one opening", 200, self._move, _MOVED),
        )

    def run(self, contest: Contest, rounds: int, evidence: Evidence) -> dict[str, Any]:
        """Run all rounds of one contest and return its figures."""
        before = count(contest.done)
        while len(contest.seen) < rounds:
            requests = contest.round(next(self._times))
            if requests is None:
                continue
            found = send(
                port=self._port,
                clients=len(requests),
                requests=requests,
                barrier=True,
                keep_bodies=True,
            )
            contest.seen.append(found)
            judge_round(contest, found, len(requests), evidence)
        contest.changed = count(contest.done) - before
        evidence.expect_equal(contest.changed, rounds, f"{contest.words}: changes in the database")
        seen = contest.seen
        return {
            "rounds": rounds,
            "clients": self._clients,
            "winners_per_round": sorted({one.statuses.get(contest.wins, 0) for one in seen}),
            "refused_with_alternatives": sum(with_alternatives(one) for one in seen),
            "server_errors": sum(one.server_errors for one in seen),
            "slowest_round_s": round(max(one.elapsed_s for one in seen), 2),
        }

    # --- rounds -------------------------------------------------------------------------------

    def _racers(self, starts_at: datetime) -> list[Person]:
        """Return who races: people without a visit then, for only the rivals may be in the way."""
        busy = self._practice.schedules.busy.get(starts_at, set())
        free = [person for person in self._practice.people if person.patient_id not in busy]
        return free[: self._clients]

    def _opening(self, schedule: UUID, starts_at: datetime, visit_type: UUID | None = None) -> str:
        return opening_id(
            schedule_id=schedule,
            visit_type_id=visit_type or self._practice.schedules.visit_type_id,
            starts_at=starts_at,
        )

    def _book(self, at: datetime) -> list[str]:
        opening = self._opening(self._free[at][0], at)
        return [post(one, APPOINTMENTS, {"opening": opening}) for one in self._racers(at)]

    def _hold(self, at: datetime) -> list[str]:
        """Let everybody keep one opening; whoever kept one before has let it go."""
        with owner() as connection:
            connection.execute(_LET_GO)
        opening = self._opening(self._free[at][0], at)
        return [post(one, f"{ME}/holds", {"opening": opening}) for one in self._racers(at)]

    def _room(self, at: datetime) -> list[str] | None:
        """Let people book with all practitioners who are free then; there is one room."""
        schedules = self._free[at]
        if len(schedules) < 2:
            return None
        return [
            post(
                one, APPOINTMENTS,
                {"opening": self._opening(schedules[n % len(schedules)], at, self._scan)},
            )
            for n, one in enumerate(self._racers(at))
        ]  # fmt: skip

    def _accept(self, at: datetime) -> list[str]:
        """Offer a time to somebody; she accepts while the others book it."""
        waiting, *others = self._racers(at)
        zone = ZoneInfo(self._practice.clinic.organization.zone)
        local = at.astimezone(zone)
        until = (at + timedelta(minutes=SLOT_MINUTES)).astimezone(zone)
        window = {
            "from": f"{local:%Y-%m-%d}", "until": f"{local:%Y-%m-%d}",
            "time_from": f"{local:%H:%M}", "time_until": f"{until:%H:%M}",
        }  # fmt: skip
        kind = str(self._practice.schedules.visit_type_id)
        fetch(
            port=self._port,
            request=post(waiting, f"{ME}/waitlist", {"visit_type": kind, "windows": [window]}),
        )
        services.offer_openings(
            now=datetime.now(UTC), organization_id=self._practice.clinic.organization.id
        )
        with owner() as connection:
            found = connection.execute(_OFFERED, [waiting.patient_id]).fetchall()
        ((offer, schedule, starts_at),) = found
        if starts_at != at:
            raise RuntimeError("another time was offered")
        opening = self._opening(UUID(str(schedule)), at)
        accept = post(waiting, f"{ME}/waitlist-offers/{offer}/$accept", {})
        requests = [post(one, APPOINTMENTS, {"opening": opening}) for one in others]
        # Among the others, not before them.
        requests.insert(len(requests) // 2, accept)
        return requests

    def _move(self, at: datetime) -> list[str] | None:
        opening = self._opening(self._free[at][0], at)
        with owner() as connection:
            rows = connection.execute(_VISITS, [self._practice.schedules.visit_type_id]).fetchall()
        visits = {UUID(str(patient)): visit for patient, visit in rows}
        racers = [one for one in self._racers(at) if one.patient_id in visits]
        return [
            post(one, f"{APPOINTMENTS}/{visits[one.patient_id]}/$reschedule", {"opening": opening})
            for one in racers
        ]


def judge_round(contest: Contest, found: Traffic, clients: int, evidence: Evidence) -> None:
    """Note what is wrong with one round: one winner, a 409 with alternatives for all others."""
    words = f"{contest.words}, round {len(contest.seen)}"
    wanted = {contest.wins: 1, 409: clients - 1}
    evidence.expect_equal(found.statuses, wanted, f"{words}, answers by status")
    evidence.expect_equal(found.problems, {"409 slot-taken": clients - 1}, f"{words}, refusals")
    evidence.expect_equal(found.broken, 0, f"{words}, requests without an answer")
    evidence.expect_equal(with_alternatives(found), clients - 1, f"{words}, with alternatives")


def with_alternatives(found: Traffic) -> int:
    """Return how many refusals came with other times."""
    refusals = (json.loads(body) for body in found.bodies)
    return sum(body.get("code") == "slot-taken" and bool(body["alternatives"]) for body in refusals)


def _last_room(practice: Practice) -> UUID:
    """Add a kind of visit that needs the only room beside the practitioner."""
    first = Schedule.objects.select_related("location").get(id=practice.schedules.schedule_ids[0])
    scan: VisitType = services.create_visit_type(
        organization=practice.clinic.organization,
        code="scan",
        name="Scan",
        duration_minutes=SLOT_MINUTES,
        needs=[Resource.Kind.ROOM],
        booking_policy=VisitType.BookingPolicy.DIRECT,
        waitlist_open=False,
    )
    services.create_resource(
        organization=practice.clinic.organization,
        kind=Resource.Kind.ROOM,
        name="The only room",
        location=first.location,
    )
    for schedule in Schedule.objects.filter(id__in=practice.schedules.schedule_ids):
        schedule.visit_types.add(scan)
    return scan.id


def different_openings(
    port: int,
    practice: Practice,
    taken: Sequence[tuple[str, datetime]],
    apart: Iterator[Person],
) -> Traffic:
    """Let clients book different openings of one practitioner, who has nobody else's time."""
    bookers: list[Person] = []
    everybody = list(apart)
    for _, starts_at in taken:
        busy = practice.schedules.busy.get(starts_at, set())
        bookers.append(next(p for p in everybody if p.patient_id not in busy and p not in bookers))
    return send(
        port=port,
        clients=len(taken),
        requests=[
            post(person, APPOINTMENTS, {"opening": opening})
            for person, (opening, _) in zip(bookers, taken, strict=True)
        ],
        barrier=True,
    )
