"""Hands out what is still free: each opening once, to a patient who is free at that time."""

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from uuid import UUID

from appointments.opening_ids import opening_id
from bench.loader.people import Person
from bench.loader.schedules import SLOT_MINUTES
from bench.loader.world import World
from bench.traffic import http_request

APPOINTMENTS = "/api/v1/patients/me/appointments"
HOLDS = "/api/v1/patients/me/holds"


def book_request(opening: str, person: Person) -> str:
    """Return the request with which `person` books `opening`."""
    return http_request(
        "POST",
        APPOINTMENTS,
        token=person.token,
        body={"opening": opening},
        headers={"Idempotency-Key": str(uuid.uuid4())},
    )


def hold_request(opening: str, person: Person) -> str:
    """Return the request with which `person` has `opening` kept for her."""
    return http_request(
        "POST",
        HOLDS,
        token=person.token,
        body={"opening": opening},
        headers={"Idempotency-Key": str(uuid.uuid4())},
    )


class Desk:
    """The openings of the loaded schedules, by start and then practitioner."""

    def __init__(self, world: World) -> None:
        self._people = world.people
        self._schedules = world.schedules
        self._used: set[tuple[UUID, datetime]] = set()
        self._busy = {at: set(patients) for at, patients in world.schedules.busy.items()}
        self._turn = 0

    def opening(self, schedule_id: UUID, starts_at: datetime) -> str:
        return opening_id(
            schedule_id=schedule_id,
            visit_type_id=self._schedules.visit_type_id,
            starts_at=starts_at,
        )

    def free_people(self, starts_at: datetime, count: int) -> list[Person]:
        """Return `count` patients without a visit at that time, in turn, and keep them for it.

        Raises: ValueError when so many are not free.
        """
        busy = self._busy.setdefault(starts_at, set())
        found: list[Person] = []
        for _ in range(len(self._people)):
            if len(found) == count:
                return found
            self._turn = (self._turn + 1) % len(self._people)
            person = self._people[self._turn]
            if person.patient_id not in busy:
                busy.add(person.patient_id)
                found.append(person)
        if len(found) < count:
            raise ValueError(f"only {len(found)} patients are free at {starts_at}")
        return found

    def spread(self) -> Iterator[tuple[UUID, datetime]]:
        """Yield unused openings, the earliest first, one practitioner after the other."""
        for opening in self._schedules.free:
            if opening not in self._used:
                self._used.add(opening)
                yield opening

    def of_one_practitioner(self) -> Iterator[tuple[UUID, datetime]]:
        """Yield unused openings of the last practitioner only."""
        last = self._schedules.schedule_ids[-1]
        for opening in self._schedules.free:
            if opening[0] == last and opening not in self._used:
                self._used.add(opening)
                yield opening

    def latest(self) -> Iterator[tuple[UUID, datetime]]:
        """Yield unused openings from the far end, each at another time."""
        starts: set[datetime] = set()
        for opening in reversed(self._schedules.free):
            if opening not in self._used and opening[1] not in starts:
                starts.add(opening[1])
                self._used.add(opening)
                yield opening

    def requests(
        self,
        openings: Iterator[tuple[UUID, datetime]],
        request: Callable[[str, Person], str] = book_request,
    ) -> Iterator[str]:
        """Yield one request for each opening: a booking, or what else `request` makes."""
        for schedule_id, starts_at in openings:
            (person,) = self.free_people(starts_at, 1)
            yield request(self.opening(schedule_id, starts_at), person)

    def claims(
        self, openings: Iterator[tuple[UUID, datetime]], statement: str = "book"
    ) -> Iterator[str]:
        """Yield one request to the plain-SQL bound for each opening."""
        for schedule_id, starts_at in openings:
            yield http_request(
                "GET",
                f"/{statement}?claim={uuid.uuid4()}&visit={uuid.uuid4()}"
                f"&resource={self._schedules.resource_of[schedule_id]}"
                f"&starts={starts_at:%Y-%m-%dT%H:%MZ}"
                f"&ends={starts_at + timedelta(minutes=SLOT_MINUTES):%Y-%m-%dT%H:%MZ}",
            )
