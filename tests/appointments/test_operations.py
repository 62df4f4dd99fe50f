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


class TestIfMatch:
    """A change says which state it is about; of a later state it makes nothing."""

    @pytest.fixture
    def visit(self, anna: Api, clinic: Surgery) -> str:
        return str(anna.post(BASE, {"opening": clinic.opening(9)}).json()["id"])

    def test_the_state_that_was_read_may_be_changed_once(
        self, anna: Api, clinic: Surgery, visit: str
    ) -> None:
        tag = anna.get(f"{BASE}/{visit}").headers["ETag"]
        moved = anna.post(
            f"{BASE}/{visit}/$reschedule", {"opening": clinic.opening(10)}, **{"If-Match": tag}
        )
        assert moved.status_code == 200, moved.content
        for name, body in (
            ("$reschedule", {"opening": clinic.opening(11)}),
            ("$confirm", {}),
            ("$cancel", {"reason": "pat"}),
        ):
            late = anna.post(f"{BASE}/{visit}/{name}", body, **{"If-Match": tag})
            assert (late.status_code, late.json()["code"]) == (412, "precondition-failed")
        shown = anna.get(f"{BASE}/{visit}")
        assert (shown.json()["status"], shown.json()["version"]) == ("booked", 2)
        tags = f'"other", {shown.headers["ETag"]}'
        assert anna.post(f"{BASE}/{visit}/$confirm", {}, **{"If-Match": tags}).status_code == 200

    def test_a_star_is_whatever_there_is(self, anna: Api, visit: str) -> None:
        assert anna.post(f"{BASE}/{visit}/$confirm", {}, **{"If-Match": "*"}).status_code == 200

    @pytest.mark.parametrize("tag", ['"nonsense"', "nonsense", 'W/"1"'])
    def test_a_tag_nobody_gave_matches_nothing(self, anna: Api, visit: str, tag: str) -> None:
        assert anna.post(f"{BASE}/{visit}/$confirm", {}, **{"If-Match": tag}).status_code == 412

    def test_it_tells_a_stranger_nothing(self, anna: Api, cast: Cast, visit: str) -> None:
        brigid = api_of(cast.brigid.user, "appointments.read appointments.write")
        answer = brigid.post(f"{BASE}/{visit}/$confirm", {}, **{"If-Match": '"nonsense"'})
        assert answer.status_code == 404
