"""Find, hold and book by the names of FHIR scheduling."""

from collections.abc import Iterator
from datetime import datetime

import pytest
import time_machine

from tests.appointments.factories import Surgery, surgery
from tests.cast import Cast
from tests.tokens import Api, api_of

pytestmark = pytest.mark.django_db
BASE = "patients/me/appointments"


@pytest.fixture(autouse=True)
def clock(now: datetime) -> Iterator[None]:
    with time_machine.travel(now, tick=False):
        yield


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic)


@pytest.fixture
def anna(cast: Cast) -> Api:
    return api_of(cast.anna_user, "appointments.read appointments.write")


def test_found_held_and_booked(anna: Api, clinic: Surgery) -> None:
    asked = {"visit_type": str(clinic.visit_type.id), "limit": "2"}
    found = anna.get(f"{BASE}/$find", asked).json()["items"]
    assert found == anna.get("patients/me/openings", asked).json()["items"]
    kept = anna.post(f"{BASE}/$hold", {"opening": found[0]["id"]})
    assert kept.status_code == 201, kept.content
    assert kept.headers["Location"] == f"/api/v1/patients/me/holds/{kept.json()['id']}"
    made = anna.post(f"{BASE}/$book", {"hold": kept.json()["id"]})
    assert made.status_code == 201, made.content
    assert made.headers["Location"] == f"/api/v1/{BASE}/{made.json()['id']}"
    assert anna.get(f"{BASE}/{made.json()['id']}").json() == made.json()
    again = anna.post(f"{BASE}/$book", {"opening": found[0]["id"]})
    assert again.status_code == 409
    assert again.json()["alternatives"]


@pytest.mark.parametrize("name", ["$hold", "$book"])
def test_they_answer_to_nothing_else(anna: Api, clinic: Surgery, name: str) -> None:
    assert anna.get(f"{BASE}/{name}").status_code == 405
    assert anna.post(f"{BASE}/$find", {}).status_code == 405


@pytest.mark.parametrize("name", ["$hold", "$book"])
def test_reading_alone_is_not_enough(cast: Cast, clinic: Surgery, name: str) -> None:
    reader = api_of(cast.anna_user, "appointments.read")
    assert reader.post(f"{BASE}/{name}", {"opening": clinic.opening(9)}).status_code == 403
