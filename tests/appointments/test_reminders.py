"""Notices about visits, from the event to the mail, and what stops them on the way."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from email import message_from_string, policy

import pytest
from django.conf import LazySettings

from accounts.models import User
from appointments import services
from appointments.models import Appointment
from core.db import identity, system
from core.events import deliver_due
from core.models import Delivery, Event
from notifications import delivery
from notifications.discretion import telling_words
from notifications.models import Notification
from notifications.services import drain
from patients import services as patients
from patients.models import CaregiverGrant, ContactPause
from patients.viewer import staff_viewer
from tests.appointments.factories import MONDAY, Surgery, book, cancel, surgery
from tests.appointments.test_moving import move
from tests.cast import Cast
from tests.notifications.conftest import Post
from tests.tokens import viewer_of
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

A_SECOND = timedelta(seconds=1)
LATER = date(2026, 12, 14)


@pytest.fixture
def post(settings: LazySettings) -> Iterator[Post]:
    server = Post()
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    yield server
    server.close()


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic)


def tell(now: datetime) -> None:
    """Deliver what happened, until nothing is left."""
    while deliver_due(now=now):
        pass


def rows(channel: str = "email", **terms: object) -> list[tuple[str, str, str]]:
    """Return rung, state and reason of the notices about visits, in the order of sending."""
    with identity(system("notifications")):
        found = Notification.objects.filter(
            channel=channel, purpose__startswith="visit", **terms
        ).order_by("send_after", "id")
        return [(row.occurrence.rpartition(":")[2], row.state, row.reason) for row in found]


def row(rung: str, sequence: int = 0, **terms: object) -> Notification:
    with identity(system("notifications")):
        return Notification.objects.select_related("recipient").get(
            occurrence__endswith=f":{sequence}:{rung}", channel="email", **terms
        )


def by_clinic(
    cast: Cast, act: Callable[..., Appointment], visit: Appointment, now: datetime, **more: object
) -> Appointment:
    viewer = staff_viewer(user=cast.nurse, now=now)
    with identity(viewer.identity):
        return act(viewer=viewer, appointment_id=visit.id, now=now, **more)


def cancelled_by_clinic(cast: Cast, visit: Appointment, now: datetime) -> None:
    by_clinic(cast, services.cancel, visit, now, reason="prov")
    tell(now)


def caregiver(cast: Cast, *scopes: str) -> User:
    with identity(system("registration")):
        CaregiverGrant.objects.update(scopes=list(scopes))
    return cast.dora


def test_a_booking_is_confirmed_and_every_rung_is_planned(
    cast: Cast, clinic: Surgery, now: datetime, post: Post
) -> None:
    visit = book(cast.anna_user, clinic.opening(10, on=LATER), now)
    tell(now)
    assert [rung for rung, *_ in rows()] == ["booked", "7d", "1d", "2h"]
    assert rows("inbox") == rows()
    assert row("7d").send_after == datetime(2026, 12, 7, 8, tzinfo=UTC)
    assert row("1d").send_after == datetime(2026, 12, 13, 8, tzinfo=UTC)
    assert row("2h").send_after == datetime(2026, 12, 14, 7, tzinfo=UTC)
    assert row("2h").expires_at == visit.starts_at - timedelta(minutes=30)
    for rung in ("booked", "7d", "1d", "2h"):
        due = row(rung).send_after
        drain(now=due - A_SECOND)
        assert row(rung).state == "planned"
        drain(now=due)
        assert row(rung).state == "sent"
    assert len(post.received) == 4
    for to, raw in post.received:
        mail = message_from_string(raw, policy=policy.default)
        text = f"{mail['Subject']}\n{mail.get_content()}"
        assert to == cast.anna_user.email
        assert telling_words(text) == []
        for secret in ("Anna", "Testmann", "Lindenhof", "Ahorn", "Clinic", str(visit.id), "10:00"):
            assert secret not in text


def test_rungs_that_are_over_are_not_planned(cast: Cast, clinic: Surgery, now: datetime) -> None:
    day_before = datetime(2026, 11, 22, 8, tzinfo=UTC)
    book(cast.anna_user, clinic.opening(11), day_before - A_SECOND)
    book(cast.brigid.user, clinic.opening(10), day_before)
    tell(day_before)
    assert [rung for rung, *_ in rows(recipient=cast.anna_user)] == ["booked", "1d", "2h"]
    assert [rung for rung, *_ in rows(recipient=cast.brigid.user)] == ["booked", "2h"]


def test_the_last_reminder_of_an_early_visit_disturbs_nobodys_night(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    """At half past eight two hours before is night, and eight o'clock too late."""
    for on in (MONDAY, LATER):
        services.add_exception(
            schedule=clinic.schedule, on=on, kind="extra",
            starts=datetime(2026, 1, 1, 8, 30).time(), ends=datetime(2026, 1, 1, 9).time(),
            slot_step_minutes=30,
        )  # fmt: skip
    book(cast.anna_user, clinic.opening(8, 30, on=LATER), now)
    tell(now)
    assert rows()[-1] == ("2h", "skipped", "quiet-hours")
    book(cast.brigid.user, clinic.opening(9, on=LATER), now)
    tell(now)
    assert rows(recipient=cast.brigid.user)[-1] == ("2h", "planned", "")
    assert row("2h", recipient=cast.brigid.user).send_after == clinic.at(8, on=LATER)


def test_her_zone_decides_her_hour_and_her_night(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    cast.anna_user.zone = "America/New_York"
    cast.anna_user.save()
    book(cast.anna_user, clinic.opening(10, on=LATER), now)
    tell(now)
    # Ten in Berlin is four in the morning for her.
    assert row("7d").send_after == datetime(2026, 12, 7, 14, tzinfo=UTC)
    assert row("1d").send_after == datetime(2026, 12, 13, 14, tzinfo=UTC)
    assert rows()[-1] == ("2h", "skipped", "quiet-hours")


def test_the_same_event_twice_plans_once(cast: Cast, clinic: Surgery, now: datetime) -> None:
    book(cast.anna_user, clinic.opening(10, on=LATER), now)
    tell(now)
    before = rows()
    with identity(system("events")):
        assert Delivery.objects.filter(subscriber="appointments.booked-notice").update(
            state="pending"
        )
    tell(now + timedelta(minutes=5))
    assert rows() == before


def test_the_same_move_twice_takes_nothing_back(cast: Cast, clinic: Surgery, now: datetime) -> None:
    visit = book(cast.anna_user, clinic.opening(10, on=LATER), now)
    by_clinic(cast, services.reschedule, visit, now, opening=clinic.opening(11, on=LATER))
    tell(now)
    before = rows()
    assert [state for _, state, _ in before] == ["planned"] * 4
    with identity(system("events")):
        again = Delivery.objects.filter(subscriber="appointments.moved-notice")
        assert again.update(state="pending")
    tell(now + timedelta(minutes=5))
    assert rows() == before


def test_moved_by_herself_she_hears_of_the_new_time_only_by_reminders(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    visit = book(cast.anna_user, clinic.opening(10, on=LATER), now)
    tell(now)
    move(cast.anna_user, visit.id, clinic.opening(11, on=LATER), now)
    tell(now)
    gone = ("skipped", "no-longer-applies")
    assert sorted(rows(occurrence__contains=":0:")) == [
        (rung, *gone) for rung in ("1d", "2h", "7d", "booked")
    ]
    assert rows(occurrence__contains=":1:") == [
        (rung, "planned", "") for rung in ("7d", "1d", "2h")
    ]
    assert row("2h", 1).send_after == clinic.at(9, on=LATER)


def test_events_in_the_wrong_order_leave_the_same_plan(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    visit = book(cast.anna_user, clinic.opening(10, on=LATER), now)
    by_clinic(cast, services.reschedule, visit, now, opening=clinic.opening(11, on=LATER))
    with identity(system("events")):
        late = Delivery.objects.filter(subscriber="appointments.booked-notice")
        assert late.update(due_at=now + timedelta(minutes=1))
    tell(now)
    planned = rows()
    tell(now + timedelta(minutes=1))
    assert rows() == planned
    assert [rung for rung, *_ in planned] == ["changed", "7d", "1d", "2h"]


def test_cancelled_by_herself_nothing_more_is_said(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    visit = book(cast.anna_user, clinic.opening(10, on=LATER), now)
    tell(now)
    cancel(cast.anna_user, visit.id, now)
    tell(now)
    assert {state for _, state, _ in rows()} == {"skipped"}
    assert {rung for rung, *_ in rows()} == {"booked", "7d", "1d", "2h"}


def test_moved_by_the_clinic_she_is_told_and_must_be_reached(
    cast: Cast, clinic: Surgery, now: datetime, post: Post
) -> None:
    visit = book(cast.anna_user, clinic.opening(10, on=LATER), now)
    tell(now)
    by_clinic(cast, services.reschedule, visit, now, opening=clinic.opening(11, on=LATER))
    tell(now)
    told = row("changed", 1)
    assert (told.must_reach, told.bypasses_quiet_hours) == (True, False)
    assert (told.send_after, told.expires_at) == (now, now + timedelta(days=7))
    drain(now=now)
    assert len(post.received) == 1
    assert "moved or cancelled" in post.received[0][1]


@pytest.mark.parametrize(
    ("before", "bypasses"),
    [(timedelta(hours=12), True), (timedelta(hours=12, seconds=1), False), (A_SECOND, True)],
)
def test_only_a_change_within_twelve_hours_may_disturb_the_night(
    cast: Cast, clinic: Surgery, now: datetime, before: timedelta, bypasses: bool
) -> None:
    visit = book(cast.anna_user, clinic.opening(10), now - timedelta(days=3))
    at = visit.starts_at - before
    cancelled_by_clinic(cast, visit, at)
    told = row("changed", 1)
    assert told.bypasses_quiet_hours is bypasses
    assert told.expires_at == visit.starts_at
    assert told.send_after == (at if bypasses else clinic.at(8))


def test_a_visit_moved_away_from_tonight_is_near_though_the_new_one_is_not(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    visit = book(cast.anna_user, clinic.opening(10), now - timedelta(days=3))
    at = visit.starts_at - timedelta(hours=11)
    by_clinic(cast, services.reschedule, visit, at, opening=clinic.opening(10, on=LATER))
    tell(at)
    assert row("changed", 1).bypasses_quiet_hours
    assert row("changed", 1).expires_at == visit.starts_at


def test_a_cancellation_of_what_is_over_is_told_to_nobody(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    visit = book(cast.anna_user, clinic.opening(10), now)
    cancelled_by_clinic(cast, visit, visit.starts_at)
    assert not [rung for rung, *_ in rows() if rung == "changed"]


def test_a_cancellation_that_could_not_be_sent_becomes_work(
    cast: Cast, clinic: Surgery, now: datetime, post: Post
) -> None:
    visit = book(cast.anna_user, clinic.opening(10, on=LATER), now)
    tell(now)
    post.at_recipient = lambda to: "550 no such mailbox"
    cancelled_by_clinic(cast, visit, now)
    drain(now=now)
    tell(now + timedelta(minutes=1))
    with identity(system("worklist")):
        assert WorkItem.objects.get().concern == "notice.not-reached"


def test_without_a_sign_in_somebody_calls_unless_she_asked(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    one = book(cast.anna_user, clinic.opening(10, on=LATER), now)
    other = book(cast.anna_user, clinic.opening(11, on=LATER), now)
    with identity(system("registration")):
        cast.anna.user = None
        cast.anna.save()
    by_clinic(cast, services.cancel, one, now, reason="pat")
    tell(now)
    with identity(system("worklist")):
        assert not WorkItem.objects.exists()
    cancelled_by_clinic(cast, other, now)
    tell(now)
    with identity(system("worklist")):
        assert WorkItem.objects.get().patient_id == cast.anna.id


# --- the last look ----------------------------------------------------------------------------


def claimed(now: datetime) -> list[delivery._Claimed]:
    return delivery.claim(now=now, limit=50)


def send(mine: list[delivery._Claimed], now: datetime) -> None:
    outcome = delivery.DrainOutcome()
    with delivery.mailer() as post:
        for each in mine:
            delivery._deliver(each, post=post, clock=delivery._Clock(now), outcome=outcome)


def moved(cast: Cast, clinic: Surgery, visit: Appointment, at: datetime) -> None:
    move(cast.anna_user, visit.id, clinic.opening(11, on=LATER), at)


def cancelled(cast: Cast, clinic: Surgery, visit: Appointment, at: datetime) -> None:
    cancel(cast.anna_user, visit.id, at)


def entered_in_error(cast: Cast, clinic: Surgery, visit: Appointment, at: datetime) -> None:
    by_clinic(cast, services.change_status, visit, at, status="entered-in-error")


def died(cast: Cast, clinic: Surgery, visit: Appointment, at: datetime) -> None:
    with identity(system("registration")):
        patients.record_death(patient_id=cast.anna.id, deceased_at=at, now=at)


def left_alone(cast: Cast, clinic: Surgery, visit: Appointment, at: datetime) -> None:
    with identity(system("registration")):
        ContactPause.objects.create(patient=cast.anna, reason="hospice", starts_at=at)


def arrived(cast: Cast, clinic: Surgery, visit: Appointment, at: datetime) -> None:
    by_clinic(cast, services.change_status, visit, at, status="arrived")


@pytest.mark.parametrize("rung", ["booked", "7d", "1d", "2h"])
@pytest.mark.parametrize(
    ("happens", "reason"),
    [
        (moved, "no-longer-applies"),
        (cancelled, "no-longer-applies"),
        (entered_in_error, "no-longer-applies"),
        (arrived, "no-longer-applies"),
        (died, "deceased"),
        (left_alone, "paused"),
    ],
)
def test_what_happens_between_claim_and_sending_stops_the_message(
    cast: Cast,
    clinic: Surgery,
    now: datetime,
    post: Post,
    rung: str,
    happens: Callable[..., None],
    reason: str,
) -> None:
    visit = book(cast.anna_user, clinic.opening(10, on=LATER), now)
    tell(now)
    due = row(rung).send_after
    with identity(system("notifications")):
        Notification.objects.exclude(occurrence__endswith=f":{rung}").delete()
    mine = claimed(due)
    assert len(mine) == 2
    happens(cast, clinic, visit, due)
    send(mine, due)
    assert rows() == [(rung, "skipped", reason)]
    assert post.received == []


def test_a_reminder_is_sent_until_half_an_hour_before(
    cast: Cast, clinic: Surgery, now: datetime, post: Post
) -> None:
    book(cast.anna_user, clinic.opening(10), now)
    book(cast.brigid.user, clinic.opening(10, 30), now)
    tell(now)
    with identity(system("notifications")):
        Notification.objects.exclude(occurrence__endswith=":2h").delete()
    drain(now=clinic.at(9, 30))
    assert rows(recipient=cast.anna_user) == [("2h", "skipped", "expired")]
    assert rows(recipient=cast.brigid.user) == [("2h", "sent", "")]


def test_reminders_that_piled_up_are_sent_once(
    cast: Cast, clinic: Surgery, now: datetime, post: Post
) -> None:
    book(cast.anna_user, clinic.opening(10, on=LATER), now)
    tell(now)
    drain(now=clinic.at(9, on=LATER))
    assert [(rung, state) for rung, state, _ in rows()] == [
        ("booked", "skipped"),
        ("7d", "skipped"),
        ("1d", "skipped"),
        ("2h", "sent"),
    ]
    assert [reason for *_, reason in rows()] == ["expired", "overtaken", "overtaken", ""]


# --- caregivers -------------------------------------------------------------------------------


def test_a_caregiver_with_the_scope_hears_it_and_one_without_does_not(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    book(cast.anna_user, clinic.opening(10, on=LATER), now)
    tell(now)
    assert rows(recipient=cast.dora) == []
    caregiver(cast, "appointments.read")
    book(cast.anna_user, clinic.opening(11, on=LATER), now)
    tell(now)
    assert [rung for rung, *_ in rows(recipient=cast.dora)] == ["booked", "7d", "1d", "2h"]


def test_a_new_caregiver_is_reminded_of_what_was_booked_before(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    book(cast.anna_user, clinic.opening(10, on=LATER), now)
    with identity(system("registration")):
        CaregiverGrant.objects.update(revoked_at=now - A_SECOND)
        patients.grant_caregiver(
            patient_id=cast.anna.id,
            caregiver=cast.dora,
            scopes=["appointments.read"],
            granted_by=cast.anna_user,
            now=now,
        )
    tell(now)
    mine = [rung for rung, *_ in rows(recipient=cast.dora) if rung != "booked"]
    assert mine == ["7d", "1d", "2h"]


def test_a_caregivers_ended_grant_stops_her_reminders_and_is_nobodys_task(
    cast: Cast, clinic: Surgery, now: datetime, post: Post
) -> None:
    caregiver(cast, "appointments.read")
    visit = book(cast.anna_user, clinic.opening(10, on=LATER), now)
    tell(now)
    cancelled_by_clinic(cast, visit, now)
    with identity(system("registration")):
        CaregiverGrant.objects.update(revoked_at=now)
    drain(now=now)
    tell(now + timedelta(minutes=1))
    assert row("changed", 1, recipient=cast.dora).reason == "grant-ended"
    assert row("changed", 1, recipient=cast.anna_user).state == "sent"
    with identity(system("worklist")):
        assert not WorkItem.objects.exists()


def test_what_one_of_them_did_the_other_is_told(cast: Cast, clinic: Surgery, now: datetime) -> None:
    caregiver(cast, "appointments.read", "appointments.write")
    by_her = book(cast.anna_user, clinic.opening(10, on=LATER), now)
    by_caregiver = book(cast.anna_user, clinic.opening(11, on=LATER), now)
    tell(now)
    cancel(cast.anna_user, by_her.id, now)
    proxy = viewer_of(cast.anna_user)
    object.__setattr__(proxy, "kind", "proxy")
    object.__setattr__(proxy, "user_id", cast.dora.pk)
    with identity(proxy.identity):
        services.cancel(viewer=proxy, appointment_id=by_caregiver.id, now=now)
    tell(now)
    told = {"subject_id": by_her.id, "occurrence__endswith": "changed"}
    assert [len(rows(recipient=who, **told)) for who in (cast.anna_user, cast.dora)] == [0, 1]
    told["subject_id"] = by_caregiver.id
    assert [len(rows(recipient=who, **told)) for who in (cast.anna_user, cast.dora)] == [1, 0]


def test_events_tell_ids_and_no_names(cast: Cast, clinic: Surgery, now: datetime) -> None:
    book(cast.anna_user, clinic.opening(10, on=LATER), now)
    with identity(system("events")):
        assert Event.objects.get(type="appointments.booked").payload == {"sequence": 0}
