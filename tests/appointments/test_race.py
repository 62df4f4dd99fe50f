"""Many at once, over separate connections of the run-time role, released by a barrier."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, connections, transaction

from appointments import claims, services
from appointments.models import Appointment, PatientClaim, ResourceClaim
from appointments.supplies import Place
from core.db import identity, system
from patients.models import Patient
from tests.appointments.factories import Surgery, book, cancel, hours, surgery
from tests.cast import Cast, patient

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

CLIENTS, ROUNDS = 16, 10


def at_once(jobs: list[Callable[[], Any]]) -> list[Any]:
    """Run `jobs` together, each on its own connection; return results or exceptions."""
    barrier = threading.Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        try:
            connections["default"].ensure_connection()
            barrier.wait(timeout=20)
            return job()
        except Exception as error:
            return error
        finally:
            connections["default"].close()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def outcome(result: Any) -> str:
    return "won" if isinstance(result, Appointment) else type(result).__name__


def crowd(cast: Cast, size: int) -> list[Patient]:
    with identity(system("registration")):
        return [
            patient(f"P{n}", "Viele", date(1960, 1, 1), f"77{n:04}", cast.clinic)
            for n in range(size)
        ]


def no_overlaps() -> bool:
    with identity(system("registration")), connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM appointments_resourceclaim a "
            "JOIN appointments_resourceclaim b ON a.id < b.id AND a.resource_id = b.resource_id "
            "AND a.lane = b.lane AND a.during && b.during AND a.active AND b.active"
        )
        return bool(cursor.fetchone()[0] == 0)


def test_one_opening_has_one_winner_every_round(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    people = crowd(cast, CLIENTS)
    for number in range(ROUNDS):
        hour, half = divmod(number, 2)
        on = clinic.at(9).date() + timedelta(days=hour // 3)
        opening = clinic.opening(9 + hour % 3, 30 * half, on=on)
        results = at_once(
            [lambda user=who.user, id=opening: book(user, id, now) for who in people]  # type: ignore[misc]
        )
        assert Counter(map(outcome, results)) == {"won": 1, "SlotTaken": CLIENTS - 1}
    with identity(system("registration")):
        assert Appointment.objects.count() == ROUNDS
        assert ResourceClaim.objects.filter(active=True).count() == ROUNDS
        assert PatientClaim.objects.filter(active=True).count() == ROUNDS


def test_different_openings_of_one_doctor_are_all_won(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    people = crowd(cast, 6)
    results = at_once(
        [
            lambda user=who.user, n=n: book(user, clinic.opening(9 + n // 2, 30 * (n % 2)), now)  # type: ignore[misc]
            for n, who in enumerate(people)
        ]
    )
    assert Counter(map(outcome, results)) == {"won": 6}


def test_a_different_time_does_not_wait_for_an_open_transaction(cast: Cast, now: datetime) -> None:
    """The first booking stays uncommitted while the second one is made."""
    clinic = surgery(cast.clinic)
    with identity(system("booking")):
        claims.claim(
            pools=[[Place(clinic.doctor.id, 0)]],
            starts_at=clinic.at(9),
            ends_at=clinic.at(9, 30),
            kind="booking",
            held_for=uuid4(),
            now=now,
        )
        with ThreadPoolExecutor(1) as pool:
            made = pool.submit(
                lambda: at_once([lambda: book(cast.anna_user, clinic.opening(9, 30), now)])
            ).result(timeout=10)
    assert [outcome(result) for result in made] == ["won"]


def test_the_last_room_goes_to_one_visit(cast: Cast, now: datetime) -> None:
    """Eight doctors are free, three rooms are."""
    clinic = surgery(cast.clinic, needs=("room",))
    schedules = [clinic.schedule]
    for number in range(7):
        doctor = services.create_resource(
            organization=cast.clinic,
            kind="practitioner",
            name=f"Dr {number}",
            location=clinic.location,
        )
        schedules.append(hours(doctor, clinic.location, [clinic.visit_type]))
    for number in range(3):
        services.create_resource(
            organization=cast.clinic, kind="room", name=f"Room {number}", location=clinic.location
        )
    people = crowd(cast, 8)
    results = at_once(
        [
            lambda user=who.user, s=schedule: book(user, clinic.opening_of(s, clinic.at(9)), now)  # type: ignore[misc]
            for who, schedule in zip(people, schedules, strict=True)
        ]
    )
    assert Counter(map(outcome, results)) == {"won": 3, "SlotTaken": 5}
    with identity(system("booking")):
        assert ResourceClaim.objects.filter(active=True).count() == 6
    assert no_overlaps()


def test_lanes_are_all_used_and_no_more(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    clinic.doctor.lanes = 3
    clinic.doctor.save(update_fields=["lanes"])
    people = crowd(cast, 8)
    results = at_once(
        [lambda user=who.user: book(user, clinic.opening(9), now) for who in people]  # type: ignore[misc]
    )
    assert Counter(map(outcome, results)) == {"won": 3, "SlotTaken": 5}
    assert no_overlaps()


def test_one_patient_is_at_one_visit(cast: Cast, now: datetime) -> None:
    surgeries = [surgery(cast.clinic) for _ in range(6)]
    results = at_once(
        [lambda at=at: book(cast.anna_user, at.opening(9), now) for at in surgeries]  # type: ignore[misc]
    )
    assert Counter(map(outcome, results)) == {"won": 1, "PatientBusy": 5}
    with identity(system("booking")):
        assert ResourceClaim.objects.count() == 1


def test_cancelling_and_booking_at_once_never_lose_the_time(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    people = crowd(cast, 4)
    for _ in range(5):
        with identity(system("registration")):
            held = Appointment.objects.filter(status="booked").first()
            holder = None if held is None else Patient.objects.get(id=held.patient_id).user
        if held is None:
            held = book(cast.anna_user, clinic.opening(9), now)
            holder = cast.anna_user
        results = at_once(
            [
                lambda held=held, holder=holder: cancel(holder, held.id, now),
                *[lambda user=who.user: book(user, clinic.opening(9), now) for who in people],  # type: ignore[misc]
            ]
        )
        assert outcome(results[0]) == "won", "cancelling succeeds"
        assert set(map(outcome, results[1:])) <= {"won", "SlotTaken"}
        with identity(system("registration")):
            booked = Appointment.objects.filter(status="booked").count()
            assert booked == ResourceClaim.objects.filter(active=True).count() <= 1


def test_a_deadlock_is_tried_again(cast: Cast, now: datetime) -> None:
    """Somebody claims the same two resources in the wrong order and then gives up."""
    clinic = surgery(cast.clinic, needs=("room",))
    room = services.create_resource(
        organization=cast.clinic, kind="room", name="Room", location=clinic.location
    )
    last, first = sorted([clinic.doctor.id, room.id], reverse=True)
    has_last, booker_waits = threading.Event(), threading.Event()

    def take(resource_id: Any) -> None:
        ResourceClaim.objects.create(
            resource_id=resource_id,
            during=(clinic.at(9), clinic.at(9, 30)),
            kind="booking",
            held_for=uuid4(),
            made_at=datetime.now(UTC),
        )

    def wrong_order() -> str:
        with transaction.atomic(), identity(system("booking")):
            take(last)
            has_last.set()
            assert booker_waits.wait(timeout=10)
            try:
                take(first)
            finally:
                transaction.set_rollback(True)
        return "gave up"

    def right_order() -> Appointment:
        assert has_last.wait(timeout=10)
        return book(cast.anna_user, clinic.opening(9), now)

    def watch() -> None:
        assert has_last.wait(timeout=10)
        with connection.cursor() as cursor:
            for _ in range(20_000):
                cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
                if cursor.fetchone()[0]:
                    break
        booker_waits.set()

    _, booked, _ = at_once([wrong_order, right_order, watch])
    assert outcome(booked) == "won"
    with identity(system("booking")):
        assert ResourceClaim.objects.filter(active=True).count() == 2


def test_a_wait_longer_than_the_limit_is_lost_not_broken(cast: Cast, now: datetime) -> None:
    clinic: Surgery = surgery(cast.clinic)
    with identity(system("booking")):
        claims.claim(
            pools=[[Place(clinic.doctor.id, 0)]],
            starts_at=clinic.at(9),
            ends_at=clinic.at(9, 30),
            kind="booking",
            held_for=uuid4(),
            now=now,
        )

        def impatient() -> Any:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '50ms'")
            return book(cast.anna_user, clinic.opening(9), now)

        with ThreadPoolExecutor(1) as pool:
            (result,) = pool.submit(lambda: at_once([impatient])).result(timeout=10)
    assert outcome(result) == "SlotTaken"
