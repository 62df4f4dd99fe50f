"""Requests for a visit as a phone makes them."""

from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
import time_machine

from appointments import services
from tests.appointments.factories import Surgery, book, surgery
from tests.cast import Cast
from tests.tokens import api_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic, booking_policy="request")


def test_the_whole_way_by_api(cast: Cast, clinic: Surgery, now: datetime) -> None:
    body = {
        "visit_type": str(clinic.visit_type.id),
        "windows": [
            {"from": "2026-11-23", "until": "2026-11-27", "weekdays": [1, 3]},
            {"from": "2026-12-01", "until": "2026-12-04", "part_of_day": "morning"},
        ],
        "note": "After work, please",
    }
    with time_machine.travel(now, tick=False):
        api = api_of(cast.anna_user)
        made = api.post("patients/me/visit-requests", body)
        assert made.status_code == 201, made.content
        item = made.json()
        assert (item["status"], item["response"], item["standing"]) == (
            "proposed",
            "needs-action",
            "open",
        )
        assert item["windows"][0] == {
            "from": "2026-11-23",
            "until": "2026-11-27",
            "weekdays": [1, 3],
            "part_of_day": "any",
        }
        assert item["made"]["zone"] == "Europe/Berlin"
        again = api.post("patients/me/visit-requests", body)
        assert (again.status_code, again.json()["code"]) == (409, "requested-already")
        address = f"patients/me/visit-requests/{item['id']}"
        assert api.get(address).json()["note"] == "After work, please"
        listed = api.get("patients/me/visit-requests").json()
        assert [row["id"] for row in listed["items"]] == [item["id"]]
        stranger = api_of(cast.brigid.user)
        missing = stranger.get(f"patients/me/visit-requests/{uuid4()}")
        foreign = stranger.get(address)
        assert (foreign.status_code, missing.status_code) == (404, 404)
        assert stranger.post(f"{address}/$withdraw", {}).status_code == 404
        reader = api_of(cast.anna_user, "appointments.read")
        assert reader.post(f"{address}/$withdraw", {}).status_code == 403
        taken_back = api.post(f"{address}/$withdraw", {})
        assert (taken_back.status_code, taken_back.json()["standing"]) == (200, "withdrawn")
        assert taken_back.json()["decided"]["local"] == "2026-11-22T10:00"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"windows": []}, 422),
        ({"windows": [{"from": "2026-11-23"}]}, 422),
        ({"windows": [{"from": "x", "until": "2026-11-23"}]}, 422),
        ({"windows": [{"from": "2026-11-23", "until": "2026-11-23", "weekdays": [0]}]}, 422),
        ({"note": "x" * 1001}, 422),
        ({"visit_type": str(uuid4())}, 404),
    ],
)
def test_bad_input_by_api(
    cast: Cast, clinic: Surgery, now: datetime, change: dict[str, Any], status: int
) -> None:
    body = {
        "visit_type": str(clinic.visit_type.id),
        "windows": [{"from": "2026-11-23", "until": "2026-11-27"}],
    }
    with time_machine.travel(now, tick=False):
        answer = api_of(cast.anna_user).post("patients/me/visit-requests", body | change)
    assert answer.status_code == status


def test_openings_of_what_is_requested_stay_the_clinics(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    with pytest.raises(services.NotSelfBookable) as refusal:
        book(cast.anna_user, clinic.opening(9), now)
    assert refusal.value.extra == {"booking_policy": "request"}
