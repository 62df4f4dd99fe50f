"""TIME-3: the clock of a machine is set while results wait for their time."""

from datetime import datetime, timedelta

import pytest
from oauth2_provider.models import get_access_token_model

from labs.tasks import announce_released
from tests.cast import Cast
from tests.labs.messages import Obx, laboratory
from tests.labs.releasing import (
    MARKER,
    deliver,
    feed_lines,
    filed_events,
    place,
    rule_for_markers,
    the_report,
    the_result,
)
from tests.machine import Machine
from tests.tokens import Api, api_of, token_for

pytestmark = pytest.mark.django_db

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
RULE = timedelta(hours=72)


@pytest.fixture
def now() -> datetime:
    """Long ago by the clock of the database, so that row security hides nothing here."""
    return datetime.fromisoformat("2026-11-01T09:00Z")


@pytest.fixture
def lab(cast: Cast) -> None:
    laboratory(cast.clinic)


@pytest.fixture
def phone(cast: Cast) -> Api:
    raw = token_for(cast.anna_user, "labs.read")
    get_access_token_model().objects.update(expires=datetime.fromisoformat("2027-01-01T00:00Z"))
    return Api(raw)


def _shown(phone: Api) -> list[str]:
    answer = phone.get("patients/me/results")
    assert answer.status_code == 200
    return sorted(item["value"]["text"] for item in answer.json()["items"])


@pytest.mark.parametrize("by", ["rule", "hold"])
def test_a_clock_set_ahead_releases_nothing_early(
    cast: Cast, now: datetime, lab: None, machine: Machine, phone: Api, by: str
) -> None:
    if by == "rule":
        rule_for_markers(cast)
    deliver(now, Obx("28", **MARKER))
    if by == "hold":
        place(cast, the_report(), now, backstop_at=now + RULE)
    before = (feed_lines(), len(filed_events()))
    machine.passes(RULE - 30 * MINUTE)

    machine.wall += HOUR
    announce_released()

    assert _shown(phone) == []
    assert phone.get(f"patients/me/results/{the_result('6875-9').id}").status_code == 404
    assert (feed_lines(), len(filed_events())) == before

    machine.wall -= HOUR
    machine.passes(30 * MINUTE)
    announce_released()
    assert _shown(phone) == ["28"]


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_a_clock_set_back_tells_nothing_twice(
    cast: Cast, now: datetime, lab: None, machine: Machine, phone: Api, step: timedelta
) -> None:
    rule_for_markers(cast)
    deliver(now, Obx("28", **MARKER))
    machine.passes(RULE)
    announce_released()
    told = (feed_lines(), len(filed_events()))

    for moved in (step, -step, -step, step):
        machine.wall += moved
        machine.passes(MINUTE)
        announce_released()
        assert _shown(phone) == ["28"]

    assert (feed_lines(), len(filed_events())) == told


def test_a_token_that_ended_stays_ended(cast: Cast, now: datetime, machine: Machine) -> None:
    phone = api_of(cast.anna_user, "labs.read")
    get_access_token_model().objects.update(expires=now + 15 * MINUTE)
    assert phone.get("patients/me/results").status_code == 200
    machine.passes(20 * MINUTE)
    assert phone.get("patients/me/results").status_code == 401

    machine.wall -= HOUR

    assert phone.get("patients/me/results").status_code == 401
