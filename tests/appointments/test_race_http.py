"""The race through the web: sign-in, row security, audit and idempotency included."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import requests
from pytest_django.live_server_helper import LiveServer

from appointments.models import Appointment
from core.db import identity, system
from tests.appointments.factories import bearer, surgery
from tests.appointments.test_race import crowd
from tests.cast import Cast

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

CLIENTS, ROUNDS = 12, 2


def test_one_winner_and_no_server_error(cast: Cast, live_server: LiveServer) -> None:
    clinic = surgery(cast.clinic)
    tokens = [bearer(who.user) for who in crowd(cast, CLIENTS)]
    next_monday = datetime.now(UTC).date()
    next_monday += timedelta(days=7 - next_monday.weekday())
    address = f"{live_server.url}/api/v1/patients/me/appointments"

    def attempt(barrier: threading.Barrier, token: dict[str, str], opening: str) -> Any:
        session = requests.Session()
        barrier.wait(timeout=20)
        return session.post(
            address,
            json={"opening": opening},
            headers={**token, "Idempotency-Key": str(uuid4())},
            timeout=30,
        )

    for number in range(ROUNDS):
        opening = clinic.opening(9 + number, on=next_monday)
        barrier = threading.Barrier(CLIENTS)
        with ThreadPoolExecutor(CLIENTS) as pool:
            answers = list(
                pool.map(lambda token, b=barrier, o=opening: attempt(b, token, o), tokens)
            )
        assert Counter(answer.status_code for answer in answers) == {201: 1, 409: CLIENTS - 1}
        for answer in answers:
            if answer.status_code == 409:
                problem = answer.json()
                assert problem["code"] == "slot-taken"
                assert len(problem["alternatives"]) == 5
                assert opening not in [item["id"] for item in problem["alternatives"]]
    with identity(system("registration")):
        assert Appointment.objects.count() == ROUNDS
