"""What planning writes: once, out of the night, and with the reason when it cannot be sent."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from core.db import identity, system
from core.models import Event
from notifications.models import Notification, QuietHours
from notifications.purposes import Purpose
from notifications.services import page_on_call, plan, plan_everywhere, withdraw
from tests.cast import Cast
from tests.notifications.conftest import Planned, row_of, state_of

pytestmark = pytest.mark.django_db


def test_the_same_message_is_planned_once(cast: Cast, now: datetime) -> None:
    subject = uuid4()
    made = [
        plan(
            recipient=cast.anna_user,
            patient_id=cast.anna.id,
            purpose=Purpose.CHECK_IN,
            occurrence="checkin:x",
            channel=channel,
            subject_id=subject,
            send_after=now,
            expires_at=now + timedelta(hours=1),
            now=now,
        )
        for channel in ("email", "email", "inbox")
    ]
    assert made == [True, False, True]


@pytest.mark.parametrize(
    ("send_after", "moved_to"),
    [
        ("2026-11-22T19:59:59", "2026-11-22T19:59:59"),
        ("2026-11-22T20:00:00", "2026-11-23T07:00:00"),
        ("2026-11-23T06:59:59", "2026-11-23T07:00:00"),
        ("2026-11-23T07:00:00", "2026-11-23T07:00:00"),
    ],
)
def test_a_message_leaves_outside_her_quiet_hours(
    planned: Planned, send_after: str, moved_to: str
) -> None:
    at = datetime.fromisoformat(send_after).replace(tzinfo=UTC)
    row = row_of(id=planned(send_after=at, expires_at=at + timedelta(days=2)))
    assert row.send_after == datetime.fromisoformat(moved_to).replace(tzinfo=UTC)


def test_her_own_wider_quiet_hours_hold(cast: Cast, planned: Planned, now: datetime) -> None:
    QuietHours.objects.create(user=cast.anna_user, starts="20:00", ends="11:30")
    cast.anna_user.refresh_from_db()
    assert row_of(id=planned()).send_after == now + timedelta(minutes=90)


def test_a_message_that_would_only_fit_in_the_night_is_kept_as_skipped(planned: Planned) -> None:
    night = datetime(2026, 11, 22, 22, 0, tzinfo=UTC)
    row_id = planned(send_after=night, expires_at=night + timedelta(hours=1))
    assert state_of(row_id) == ("skipped", "quiet-hours")


def test_a_stale_message_is_kept_with_the_reason(planned: Planned, now: datetime) -> None:
    late = planned(send_after=now - timedelta(hours=2), expires_at=now)
    in_time = planned(send_after=now - timedelta(hours=2), expires_at=now + timedelta(seconds=1))
    assert state_of(late) == ("skipped", "stale")
    assert state_of(in_time) == ("planned", "")


def test_a_stale_message_that_had_to_arrive_is_told(planned: Planned, now: datetime) -> None:
    row_id = planned(
        purpose=Purpose.VISIT_CHANGED, send_after=now - timedelta(hours=1), expires_at=now
    )
    with identity(system("events")):
        event = Event.objects.get(type="notifications.not-reached")
    assert (event.subject_id, event.payload) == (
        row_id,
        {"purpose": "visit-changed", "reason": "stale"},
    )


def test_only_listed_purposes_may_disturb_at_night(planned: Planned) -> None:
    night = datetime(2026, 11, 22, 22, 0, tzinfo=UTC)
    times = {"send_after": night, "expires_at": night + timedelta(hours=1)}
    with pytest.raises(ValueError, match="may not disturb"):
        planned(bypasses_quiet_hours=True, **times)
    row = row_of(id=planned(purpose=Purpose.VISIT_CHANGED, bypasses_quiet_hours=True, **times))
    assert (row.state, row.send_after) == ("planned", night)


def test_what_no_longer_holds_is_withdrawn_but_what_was_sent_stays(
    cast: Cast, planned: Planned, now: datetime
) -> None:
    subject = uuid4()
    open_row = planned(subject_id=subject, occurrence="a")
    kept = planned(
        subject_id=subject,
        occurrence="b",
        send_after=now,
        expires_at=now - timedelta(0) + timedelta(hours=1),
    )
    with identity(system("notifications")):
        Notification.objects.filter(id=kept).update(state="sent", settled_at=now)
    assert (
        withdraw(subject_id=subject, patient_id=cast.anna.id, reason="already-answered", now=now)
        == 1
    )
    assert state_of(open_row) == ("skipped", "already-answered")
    assert state_of(kept) == ("sent", "")


def test_who_is_on_call_is_paged_even_at_night_and_who_is_not_is_left_alone(
    cast: Cast,
) -> None:
    night = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
    on_call = {"on_call": True, "page_phone": "+49 30 5550123"}
    cast.clinic.shifts.create(
        user=cast.nurse, starts_at=night, ends_at=night + timedelta(hours=8), **on_call
    )
    cast.clinic.shifts.create(
        user=cast.clinician, starts_at=night - timedelta(hours=8), ends_at=night, **on_call
    )
    made = page_on_call(
        organization_id=cast.clinic.id,
        patient_id=cast.anna.id,
        item_id=uuid4(),
        step="raised",
        now=night,
    )
    assert made == 2
    row = row_of(channel="email")
    assert (row.recipient_id, row.send_after) == (cast.nurse.pk, night)


def test_planning_everywhere_is_idempotent(cast: Cast, now: datetime) -> None:
    terms = {
        "recipient": cast.anna_user,
        "patient_id": cast.anna.id,
        "purpose": Purpose.VISIT_REMINDER,
        "occurrence": "visit:1:0:r0",
        "subject_id": uuid4(),
        "send_after": now,
        "expires_at": now + timedelta(hours=1),
        "now": now,
    }
    assert [plan_everywhere(**terms), plan_everywhere(**terms)] == [2, 0]
