"""The drain against a real SMTP server: the last look, each outcome, and no row twice."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email import message_from_string, policy

import pytest

from core.db import identity, system
from core.models import Event
from notifications import rechecks
from notifications.delivery import BACK_OFF, MAX_ATTEMPTS, SERVER_DOWN_FOR, sweep
from notifications.discretion import telling_words
from notifications.purposes import Purpose
from notifications.selectors import counts_by_state, oldest_due_at
from notifications.services import drain
from patients.models import CaregiverGrant, ContactPause
from tests.cast import Cast
from tests.notifications.conftest import Planned, Post, change, row_of, state_of

pytestmark = pytest.mark.django_db


def test_a_due_row_is_sent_once_with_its_id_as_message_id(
    planned: Planned, post: Post, cast: Cast, now: datetime
) -> None:
    row_id = planned()
    assert drain(now=now).sent == 1
    assert drain(now=now + timedelta(minutes=1)).sent == 0
    [(to, raw)] = post.received
    mail = message_from_string(raw, policy=policy.default)
    assert to == cast.anna_user.email
    assert mail["Message-ID"] == f"<{row_id}@linden.example>"
    assert mail["From"] == "Linden <no-reply@linden.example>"
    assert row_of(id=row_id).provider_reference == f"<{row_id}@linden.example>"


def test_a_sent_mail_gives_nothing_away_and_its_link_names_nobody(
    planned: Planned, post: Post, cast: Cast, now: datetime
) -> None:
    planned()
    drain(now=now)
    mail = message_from_string(post.received[0][1], policy=policy.default)
    text = f"{mail['Subject']}\n{mail.get_content()}".replace("\r\n", "\n")
    assert telling_words(text) == []
    for secret in (cast.anna.given_name, cast.anna.family_name, str(cast.anna.id), "Lindenhof"):
        assert secret not in text
    assert "http://127.0.0.1:8000\n" in text


def test_a_spanish_reader_gets_spanish(
    planned: Planned, post: Post, cast: Cast, now: datetime
) -> None:
    cast.anna_user.language = "es"
    cast.anna_user.save()
    planned()
    drain(now=now)
    mail = message_from_string(post.received[0][1], policy=policy.default)
    assert "Algo breve le espera" in mail.get_content()


def test_a_row_is_not_sent_before_its_time(planned: Planned, post: Post, now: datetime) -> None:
    row_id = planned(send_after=now + timedelta(seconds=5))
    drain(now=now + timedelta(seconds=4))
    assert state_of(row_id) == ("planned", "")
    assert oldest_due_at(now + timedelta(seconds=5)) == now + timedelta(seconds=5)
    drain(now=now + timedelta(seconds=5))
    assert state_of(row_id) == ("sent", "")
    assert counts_by_state() == {
        "planned": 0, "claimed": 0, "sent": 1, "failed": 0, "skipped": 0, "unknown": 0,
    }  # fmt: skip


def test_an_inbox_row_is_sent_without_any_server(planned: Planned, now: datetime) -> None:
    row_id = planned(channel="inbox")
    assert drain(now=now).sent == 1
    assert state_of(row_id) == ("sent", "")


@pytest.mark.parametrize(("after", "state"), [(-1, "sent"), (0, "skipped")])
def test_a_row_is_useless_from_its_expiry_on(
    planned: Planned, post: Post, now: datetime, after: int, state: str
) -> None:
    expires_at = now + timedelta(hours=1)
    row_id = planned(expires_at=expires_at)
    # The drain's own work takes real milliseconds, so the side before is a second away.
    drain(now=expires_at + timedelta(seconds=after))
    assert state_of(row_id)[0] == state


# --- the last look ----------------------------------------------------------------------------


def deceased(cast: Cast, now: datetime) -> None:
    cast.anna.deceased_at = now
    cast.anna.save()


def closed_record(cast: Cast, now: datetime) -> None:
    cast.anna.is_active = False
    cast.anna.save()


def paused(cast: Cast, now: datetime) -> None:
    ContactPause.objects.create(patient=cast.anna, reason="grief", starts_at=now)


def closed_account(cast: Cast, now: datetime) -> None:
    cast.anna_user.is_active = False
    cast.anna_user.save()


def handed_over(cast: Cast, now: datetime) -> None:
    """The record got another sign-in."""
    cast.anna.user = None
    cast.anna.save()


@pytest.mark.parametrize(
    ("happens", "reason"),
    [
        (deceased, "deceased"),
        (closed_record, "inactive"),
        (paused, "paused"),
        (closed_account, "recipient-inactive"),
        (handed_over, "grant-ended"),
    ],
)
def test_what_happened_since_planning_stops_the_message(
    planned: Planned,
    post: Post,
    cast: Cast,
    now: datetime,
    happens: Callable[[Cast, datetime], None],
    reason: str,
) -> None:
    row_id = planned()
    with identity(system("registration")):
        happens(cast, now)
    drain(now=now)
    assert (state_of(row_id), post.received) == (("skipped", reason), [])


def test_a_pause_that_ended_or_not_yet_began_stops_nothing(
    planned: Planned, post: Post, cast: Cast, now: datetime
) -> None:
    day = timedelta(days=1)
    with identity(system("registration")):
        for starts_at, ends_at in ((now - day, now), (now + day, None)):
            ContactPause.objects.create(
                patient=cast.anna, reason="holiday", starts_at=starts_at, ends_at=ends_at
            )
    row_id = planned()
    drain(now=now)
    assert state_of(row_id) == ("sent", "")


@pytest.mark.parametrize(
    ("purpose", "outcome"),
    [(Purpose.RESULT, ("sent", "")), (Purpose.CHECK_IN, ("skipped", "grant-ended"))],
)
def test_a_caregiver_is_told_what_her_grant_covers(
    planned: Planned,
    post: Post,
    cast: Cast,
    now: datetime,
    purpose: Purpose,
    outcome: tuple[str, str],
) -> None:
    row_id = planned(recipient=cast.dora, purpose=purpose)
    drain(now=now)
    assert state_of(row_id) == outcome


def test_a_revoked_grant_stops_the_caregivers_message(
    planned: Planned, post: Post, cast: Cast, now: datetime
) -> None:
    row_id = planned(recipient=cast.dora, purpose=Purpose.RESULT)
    with identity(system("registration")):
        CaregiverGrant.objects.update(revoked_at=now)
    drain(now=now)
    assert state_of(row_id) == ("skipped", "grant-ended")


def test_her_move_to_another_zone_after_planning_is_heeded(
    planned: Planned, post: Post, cast: Cast, now: datetime
) -> None:
    row_id = planned(expires_at=now + timedelta(hours=24))
    # 09:00 UTC is 10:00 in Berlin and 04:00 in New York.
    cast.anna_user.zone = "America/New_York"
    cast.anna_user.save()
    drain(now=now)
    row = row_of(id=row_id)
    assert (row.state, row.send_after) == ("planned", datetime(2026, 11, 22, 13, 0, tzinfo=UTC))
    drain(now=row.send_after)
    assert state_of(row_id) == ("sent", "")


def test_a_message_whose_morning_comes_too_late_is_dropped(
    planned: Planned, post: Post, cast: Cast, now: datetime
) -> None:
    row_id = planned(expires_at=now + timedelta(hours=4))
    cast.anna_user.zone = "America/New_York"
    cast.anna_user.save()
    drain(now=now)
    assert state_of(row_id) == ("skipped", "quiet-hours")


def test_the_feature_may_skip_or_hold_back_its_message(
    planned: Planned, post: Post, now: datetime
) -> None:
    rechecks.register(Purpose.CHECK_IN, lambda row, at: rechecks.Skip("already-answered"))
    rechecks.register(Purpose.RESULT, lambda row, at: rechecks.Wait(now + timedelta(hours=2)))
    answered, held = planned(), planned(purpose=Purpose.RESULT)
    drain(now=now)
    assert state_of(answered) == ("skipped", "already-answered")
    assert (row_of(id=held).state, row_of(id=held).send_after) == (
        "planned",
        now + timedelta(hours=2),
    )
    assert post.received == []


def test_a_message_that_nobody_vouches_for_waits(
    planned: Planned, post: Post, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rechecks, "_rechecks", {})
    row_id = planned(purpose=Purpose.RESULT)
    assert drain(now=now).waiting == 1
    assert (state_of(row_id), post.received) == (("planned", ""), [])


def test_a_page_goes_to_staff_whatever_the_patient_wishes_but_not_to_who_left(
    planned: Planned, post: Post, cast: Cast, now: datetime
) -> None:
    with identity(system("registration")):
        paused(cast, now)
    page = planned(recipient=cast.nurse, purpose=Purpose.ON_CALL_PAGE)
    left = planned(recipient=cast.dora, purpose=Purpose.ON_CALL_PAGE)
    drain(now=now)
    assert state_of(page) == ("sent", "")
    assert state_of(left) == ("skipped", "recipient-inactive")


def test_a_channel_that_is_not_set_up_never_counts_as_sent(planned: Planned, now: datetime) -> None:
    row_id = planned(channel="sms")
    drain(now=now)
    assert state_of(row_id) == ("skipped", "channel-unavailable")


# --- a provider that fails --------------------------------------------------------------------


def test_a_dead_server_costs_no_attempt_and_the_batch_goes_on(
    planned: Planned, post: Post, now: datetime
) -> None:
    post.close()
    mail, inbox = planned(), planned(channel="inbox")
    outcome = drain(now=now)
    assert (outcome.sent, outcome.waiting) == (1, 1)
    row = row_of(id=mail)
    assert (row.state, row.attempts) == ("planned", 0)
    assert row.send_after >= now + SERVER_DOWN_FOR
    assert state_of(inbox) == ("sent", "")


def test_a_refused_recipient_fails_and_the_next_row_is_sent(
    planned: Planned, post: Post, cast: Cast, now: datetime
) -> None:
    post.at_recipient = lambda to: "550 no such mailbox" if "anna" in to else "250 OK"
    refused = planned()
    other = planned(recipient=cast.dora, purpose=Purpose.RESULT)
    drain(now=now)
    assert state_of(refused) == ("failed", "recipient-550")
    assert state_of(other) == ("sent", "")


def test_a_busy_server_is_tried_again_with_growing_pauses_until_the_last_attempt(
    planned: Planned, post: Post, now: datetime
) -> None:
    post.answer = lambda to: "451 come back later"
    row_id = planned(purpose=Purpose.VISIT_CHANGED, expires_at=now + timedelta(days=1))
    at = now
    for pause in BACK_OFF:
        assert drain(now=at).waiting == 1
        row = row_of(id=row_id)
        assert (row.state, row.reason) == ("planned", "message-451")
        assert timedelta() <= row.send_after - at - pause < timedelta(seconds=30)
        at = row.send_after
    assert drain(now=at).failed == 1
    assert row_of(id=row_id).attempts == MAX_ATTEMPTS
    with identity(system("events")):
        assert Event.objects.get(type="notifications.not-reached").subject_id == row_id


def test_a_row_whose_fate_is_unknown_is_never_repeated(
    planned: Planned, post: Post, now: datetime
) -> None:
    post.answer = lambda to: "hang up"
    row_id = planned(purpose=Purpose.VISIT_CHANGED)
    assert drain(now=now).unknown == 1
    assert state_of(row_id) == ("unknown", "connection-lost")
    post.answer = lambda to: "250 OK"
    drain(now=now + timedelta(hours=1))
    assert len(post.received) == 1
    with identity(system("events")):
        assert Event.objects.get(type="notifications.not-reached").payload["reason"] == (
            "connection-lost"
        )


def test_a_template_without_its_variable_fails_and_the_batch_goes_on(
    planned: Planned, post: Post, now: datetime
) -> None:
    broken, good = planned(template="security_code"), planned()
    unknown = planned()
    change(unknown, template="never_written")
    drain(now=now)
    assert state_of(broken) == ("failed", "template-variable-missing")
    assert state_of(unknown) == ("failed", "template-unknown")
    assert state_of(good) == ("sent", "")


def test_the_sweep_tells_sent_perhaps_from_surely_not_sent(
    planned: Planned, post: Post, now: datetime
) -> None:
    before, during, live = planned(), planned(), planned()
    lost = now - timedelta(seconds=1)
    change(before, state="claimed", lease_until=lost)
    change(during, state="claimed", lease_until=lost, provider_reference="<x@linden.example>")
    change(live, state="claimed", lease_until=now)
    outcome = sweep(now=now)
    assert (outcome.waiting, outcome.unknown) == (1, 1)
    assert state_of(before) == ("planned", "")
    assert state_of(during) == ("unknown", "worker-lost")
    assert state_of(live) == ("claimed", "")
