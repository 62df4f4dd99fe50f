"""What supervisors and Prometheus are told."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, connection
from django.test import Client

from core.clock import utc_now
from core.db import identity, system
from core.ids import new_id
from notifications.models import Notification
from portal.metrics import QueueCollector
from tests.cast import Cast
from tests.machine import Machine
from worklist.models import Urgency, WorkItem
from worklist.services import Fact, raise_item

pytestmark = pytest.mark.django_db


def gauges(now: object = None) -> dict[str, float]:
    clock = utc_now if now is None else (lambda: now)
    return {
        f"{sample.name}{tuple(sample.labels.values()) or ''}": sample.value
        for family in QueueCollector(clock).collect()
        for sample in family.samples
    }


def test_alive_says_so_without_the_database(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_while_database_and_broker_answer(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "database": "ok", "broker": "ok"}


def test_not_ready_without_the_database(client: Client) -> None:
    def broken(*args: object) -> None:
        raise DatabaseError("gone")

    with connection.execute_wrapper(broken):
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["database"] == "down"


def test_still_ready_without_the_broker(client: Client, settings: object) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"  # type: ignore[attr-defined]
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["broker"] == "down"


def test_metrics_show_the_age_of_the_oldest_unsent_notice(cast: Cast) -> None:
    now = utc_now()
    with identity(system("notifications")):
        Notification(
            recipient=cast.anna_user,
            patient_id=cast.anna.pk,
            purpose="result",
            occurrence="result:1",
            channel="email",
            template="something_new",
            subject_id=new_id(),
            send_after=now - timedelta(seconds=90),
            expires_at=now + timedelta(days=1),
            planned_at=now,
        ).save(force_insert=True)
    seen = gauges(now)
    assert seen["linden_oldest_unsent_notification_seconds"] == pytest.approx(90)
    assert seen["linden_notifications('planned',)"] == 1


def test_metrics_count_overdue_work_by_urgency(cast: Cast) -> None:
    now = utc_now()
    raise_item(
        patient_id=cast.anna.pk,
        concern="liver",
        title="Look at the liver tests",
        urgency=Urgency.SAME_DAY,
        owner_team=WorkItem.Team.NURSE,
        fact=Fact("observation", new_id(), "ALT"),
        now=now - timedelta(hours=3),
    )
    assert gauges(now)["linden_overdue_work_items('SAME_DAY',)"] == 1
    assert "linden_overdue_work_items('SAME_DAY',)" not in gauges(now - timedelta(hours=2))


def test_metrics_say_when_the_database_is_gone() -> None:
    def broken(*args: object) -> None:
        raise DatabaseError("gone")

    with connection.execute_wrapper(broken):
        assert gauges() == {"linden_up": 0}


def test_metrics_hold_route_templates_and_no_ids(client: Client, cast: Cast) -> None:
    client.get(f"/api/v1/patients/{cast.anna.pk}/results")
    body = client.get("/metrics").content.decode()
    assert 'route="api/v1/patients/<str:patient_ref>/results"' in body
    assert str(cast.anna.pk) not in body
    assert "linden_intake_lag_seconds" in body


def test_a_clock_that_was_set_is_shown(machine: Machine) -> None:
    assert gauges()["linden_clock_step_seconds"] == 0
    machine.wall += timedelta(hours=1)
    assert gauges()["linden_clock_step_seconds"] == 3600
