"""Several workers, and workers that die, on real connections of the run-time role."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connections

from notifications import delivery
from notifications.delivery import LEASE
from notifications.models import Notification
from notifications.purposes import Purpose
from notifications.services import drain, plan_everywhere
from tests.cast import Cast
from tests.notifications.conftest import Planned, Post, count, row_of, state_of

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])


class Killed(BaseException):
    """The worker process ends here: nothing after this line runs."""


def together(times: int, work: Callable[[], Any]) -> list[Any]:
    """Run `work` in as many threads, each on its own connection, released at once."""
    barrier = threading.Barrier(times)

    def run(_: int) -> Any:
        barrier.wait(10)
        try:
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(run, range(times)))


def test_many_workers_send_each_row_once(
    cast: Cast, planned: Planned, post: Post, now: datetime
) -> None:
    ids = [planned() for _ in range(40)]
    outcomes = together(8, lambda: drain(now=now, limit=7))
    sent = sum(outcome.sent for outcome in outcomes)
    while left := drain(now=now, limit=7).sent:
        sent += left
    assert sent == 40
    mails = Counter(raw.partition("Message-ID: <")[2].partition("@")[0] for _, raw in post.received)
    assert mails == Counter(str(row_id) for row_id in ids)


def test_planning_the_same_ten_times_at_once_plans_it_once(cast: Cast, now: datetime) -> None:
    made = together(
        10,
        lambda: plan_everywhere(
            recipient=cast.anna_user,
            patient_id=cast.anna.id,
            purpose=Purpose.VISIT_REMINDER,
            occurrence="visit:1:0:r0",
            subject_id=cast.anna.id,
            send_after=now,
            expires_at=now + timedelta(hours=1),
            now=now,
        ),
    )
    assert (sum(made), count()) == (2, 2)


def test_a_worker_killed_before_handing_over_loses_nothing_and_doubles_nothing(
    planned: Planned, post: Post, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [planned() for _ in range(3)]
    look = delivery._look_again
    looks: list[int] = []

    def dies_at_the_second(*args: Any, **kwargs: Any) -> Any:
        looks.append(1)
        if len(looks) == 2:
            raise Killed
        return look(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(delivery, "_look_again", dies_at_the_second)
        with pytest.raises(Killed):
            drain(now=now)
    states = Counter(state_of(row_id)[0] for row_id in ids)
    assert states == {"sent": 1, "claimed": 2}
    assert drain(now=now + LEASE).sent == 0
    assert drain(now=now + LEASE + timedelta(seconds=1)).sent == 2
    assert len(post.received) == 3


def test_a_worker_killed_after_handing_over_leaves_an_unknown_row(
    planned: Planned, post: Post, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    row_id = planned()

    def dies(*args: Any, **kwargs: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(delivery, "_settle", dies)
        with pytest.raises(Killed):
            drain(now=now)
    row = row_of(id=row_id)
    assert (row.state, len(post.received)) == ("claimed", 1)
    assert row.lease_until is not None
    drain(now=row.lease_until + timedelta(seconds=1))
    assert (state_of(row_id), len(post.received)) == (("unknown", "worker-lost"), 1)


def test_a_slow_worker_cannot_send_a_row_it_lost(
    planned: Planned, post: Post, now: datetime
) -> None:
    row_id = planned()
    [mine] = delivery.claim(now=now, limit=5)
    later = now + LEASE + timedelta(seconds=1)
    assert drain(now=later).sent == 1
    outcome = delivery.DrainOutcome()
    with delivery.mailer() as mailer:
        delivery._deliver(mine, post=mailer, clock=delivery._Clock(later), outcome=outcome)
    assert (outcome, len(post.received)) == (delivery.DrainOutcome(), 1)
    assert state_of(row_id) == ("sent", "")


def test_two_workers_never_claim_the_same_row(planned: Planned, now: datetime) -> None:
    ids = {planned() for _ in range(10)}
    claimed = [
        row.id for part in together(4, lambda: delivery.claim(now=now, limit=4)) for row in part
    ]
    assert len(claimed) == len(set(claimed))
    assert set(claimed) <= ids
    assert count(state=Notification.State.CLAIMED) == len(claimed)
