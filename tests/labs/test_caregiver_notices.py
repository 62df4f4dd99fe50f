"""Caregivers are told of results at their own address, and never earlier."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from core.clock import utc_now
from core.db import identity, system
from core.events.outbox import deliver_due
from labs.telling_rules import When, Wish
from notifications.models import ChannelPreference
from patients.models import ContactPause, Patient
from tests.cast import Cast
from tests.labs.conftest import LABS
from tests.labs.messages import Obx, laboratory
from tests.labs.noticing import (
    AFTER,
    ANNA,
    DAY,
    DORA,
    HOUR,
    NOW,
    SECOND,
    START,
    grant,
    rows,
    sent_to,
    wish,
    work_off,
)
from tests.labs.releasing import deliver, lift, place, the_report
from tests.labs.reviewing import review
from tests.notifications.conftest import row_of
from tests.tokens import api_of

# Events and notices are handed over in transactions of their own.
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])


@pytest.fixture(autouse=True)
def lab(cast: Cast) -> None:
    laboratory(cast.clinic)
    grant(cast, valid_from=START - DAY)
    for user in (cast.anna_user, cast.dora):
        # The inbox is sent when it is marked: no mail server is asked here.
        ChannelPreference.objects.create(
            user=user, purpose="result", channel="email", enabled=False
        )


@pytest.fixture
def start() -> datetime:
    return START


def test_a_caregiver_is_told_at_her_own_address_when_the_patient_is(
    cast: Cast, start: datetime
) -> None:
    ChannelPreference.objects.all().delete()
    deliver(start, Obx("31"))
    deliver_due(now=start)
    told = [(row.recipient_id, row.channel, row.send_after) for row in rows()]
    assert sorted(told) == sorted(
        (user.pk, channel, start)
        for user in (cast.anna_user, cast.dora)
        for channel in ("inbox", "email")
    )
    assert {(row.template, str(row.context)) for row in rows()} == {("something_new", "{}")}


@pytest.mark.parametrize(
    "change",
    [
        {"scopes": ["symptoms.read"]},
        {"revoked_at": datetime(2026, 11, 19, tzinfo=UTC)},
        {
            "valid_from": datetime(2026, 11, 1, tzinfo=UTC),
            "valid_until": datetime(2026, 11, 20, 11, 0, tzinfo=UTC),
        },
        {"valid_from": datetime(2026, 11, 20, 11, 0, 1, tzinfo=UTC)},
    ],
    ids=["another scope", "revoked", "ended", "not yet"],
)
def test_without_a_grant_for_results_a_caregiver_is_told_nothing(
    cast: Cast, start: datetime, change: dict[str, Any]
) -> None:
    grant(cast, **change)
    deliver(start, Obx("31"))
    work_off(start)
    assert rows(recipient=cast.dora) == []
    assert sent_to(ANNA) == 1


@pytest.mark.parametrize(
    "change", ["revoked_at", "valid_until"], ids=["revoked meanwhile", "ended meanwhile"]
)
def test_a_grant_that_ended_meanwhile_ends_the_notices_that_wait(
    cast: Cast, start: datetime, change: str
) -> None:
    wish(cast, Wish(When.ON_DATE, days_after=2), start)
    deliver(start, Obx("31"))
    work_off(start)
    grant(cast, **{change: start + DAY})
    work_off(start + 2 * DAY)
    assert (sent_to(ANNA), sent_to(DORA)) == (1, 0)
    assert {row.reason for row in rows(recipient=cast.dora)} == {"grant-ended"}


def test_a_report_hidden_from_a_caregiver_is_not_told_to_her(cast: Cast, start: datetime) -> None:
    deliver(start, Obx("31"))
    grant(cast, hidden_resources=[the_report().id])
    work_off(start)
    assert rows(recipient=cast.dora) == []


def test_a_report_hidden_meanwhile_is_not_told_to_her(cast: Cast, start: datetime) -> None:
    wish(cast, Wish(When.ON_DATE, days_after=2), start)
    deliver(start, Obx("31"))
    work_off(start)
    grant(cast, hidden_resources=[the_report().id])
    work_off(start + 2 * DAY)
    assert (sent_to(ANNA), sent_to(DORA)) == (1, 0)


@pytest.mark.parametrize("stop", ["deceased", "paused"])
def test_nobody_is_told_of_a_patient_who_is_left_alone(
    cast: Cast, start: datetime, stop: str
) -> None:
    with identity(system("registration")):
        if stop == "deceased":
            Patient.objects.filter(id=cast.anna.id).update(deceased_at=start)
        else:
            ContactPause.objects.create(patient=cast.anna, reason="grief", starts_at=start)
    deliver(start, Obx("31"))
    work_off(start)
    assert {row.reason for row in rows()} == {stop}


@pytest.mark.parametrize("wanted", [None, NOW, AFTER, Wish(When.ON_DATE, days_after=2)], ids=str)
def test_a_caregiver_is_never_told_before_the_patient(
    cast: Cast, start: datetime, wanted: Wish | None
) -> None:
    if wanted:
        wish(cast, wanted, start)
    zones = ("America/New_York", "Europe/Berlin", "Asia/Kolkata")
    for number, (zone, hour) in enumerate((zone, hour) for zone in zones for hour in (0, 8, 12)):
        cast.dora.zone = zone
        cast.dora.save(update_fields=["zone"])
        at = start + hour * HOUR
        deliver(at, Obx("31"), filler=f"FL{number}")
        report = the_report(filler_key__contains=f"FL{number}")
        for step in (at, at + SECOND):
            while deliver_due(now=step):
                pass
            hers = row_of(recipient=cast.anna_user, channel="inbox", subject_id=report.id)
            theirs = row_of(recipient=cast.dora, channel="inbox", subject_id=report.id)
            assert theirs.send_after >= hers.send_after
            assert not theirs.bypasses_quiet_hours
            if step == at:
                review(report, cast.clinician, at + SECOND)


def test_who_wants_no_notices_has_none_sent_to_her_caregiver(cast: Cast, start: datetime) -> None:
    wish(cast, Wish(When.NEVER, backstop_days=None), start)
    deliver(start, Obx("31"))
    work_off(start)
    assert {row.reason for row in rows()} == {"not-wanted"}


def test_a_caregiver_sees_no_result_before_the_patient(cast: Cast) -> None:
    """REL-4, on every address that both may read."""
    now = utc_now()
    deliver(now, Obx("31"))
    placed = place(cast, the_report(), now)
    anna, dora = api_of(cast.anna_user, LABS), api_of(cast.dora, LABS)
    paths = ("results", "reports", "analytes", "analytes/alt/trend", "analytes/alt/trend.svg")

    def shown(api: Any, who: str) -> list[tuple[int, bytes]]:
        answers = [api.get(f"patients/{who}/{path}") for path in paths]
        answers.append(api.get(f"patients/{who}/reports/{placed.report_id}"))
        return [
            (answer.status_code, re.sub(rb'"(as_of|request_id)":"[^"]*"', b"", answer.content))
            for answer in answers
        ]

    held = shown(anna, "me")
    assert held == shown(dora, str(cast.anna.id))
    assert held[-1][0] == 404
    lift(cast, placed, utc_now())
    released = shown(anna, "me")
    assert released == shown(dora, str(cast.anna.id))
    assert released[-1][0] == 200
    assert all(was != now for was, now in zip(held, released, strict=True))
