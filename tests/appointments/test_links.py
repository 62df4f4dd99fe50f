"""The link in a message: what its page gives away, what it changes, and for whom it works."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.conf import LazySettings
from django.db import DatabaseError, transaction
from django.test import Client

from accounts.models import User
from appointments import services
from appointments.link_words import WORDS
from appointments.models import Appointment, AppointmentHistory, VisitLink
from core.db import identity, system
from core.models import AuditEvent
from notifications.discretion import telling_words
from notifications.models import ChannelPreference
from notifications.services import drain
from patients import services as patients
from patients.models import CaregiverGrant
from tests.appointments.factories import Surgery, book, cancel, surgery
from tests.appointments.test_moving import move
from tests.appointments.test_reminders import LATER, by_clinic, caregiver, tell
from tests.cast import Cast
from tests.notifications.conftest import Post
from tests.tokens import api_of, viewer_of

pytestmark = pytest.mark.django_db

RESOLVE = "visit-links/$resolve"


@pytest.fixture
def post(settings: LazySettings) -> Iterator[Post]:
    server = Post()
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    yield server
    server.close()


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic)


@pytest.fixture
def visit(cast: Cast, clinic: Surgery, now: datetime) -> Appointment:
    return book(cast.anna_user, clinic.opening(10, on=LATER), now)


@pytest.fixture
def token(post: Post, visit: Appointment, now: datetime) -> str:
    """The token in the mail that confirms her booking."""
    return sent_to(post, "anna@example.org", now)


def sent_to(post: Post, to: str, now: datetime) -> str:
    tell(now)
    drain(now=now)
    [found] = [re.findall(r"/v/([\w-]+)", raw) for who, raw in post.received if who == to][-1:]
    assert len(found) == 1
    return str(found[0])


@pytest.fixture(autouse=True)
def clock(now: datetime) -> Iterator[Any]:
    with time_machine.travel(now, tick=False) as traveller:
        yield traveller


def page(token: str, **more: Any) -> Any:
    return Client().get(f"/v/{token}", **more)


def answer(token: str, what: str, **more: str) -> Any:
    return Client().post(f"/v/{token}", {"answer": what, **more}, follow=True)


def status_of(visit: Appointment) -> tuple[str, bool]:
    with identity(system("booking")):
        found = Appointment.objects.get(id=visit.id)
    return found.status, found.confirmed_at is not None


def test_a_mail_carries_a_token_of_its_own_and_no_id(
    token: str, post: Post, cast: Cast, visit: Appointment
) -> None:
    assert len(token) == 43  # 256 bits
    with identity(system("notifications")):
        link = VisitLink.objects.get()
    [raw] = [raw for _, raw in post.received]
    body = raw.partition("\r\n\r\n")[2]
    for known in (visit.id, cast.anna.id, cast.anna_user.pk, link.id, link.notification_id):
        assert str(known) not in body
    assert token not in (link.token_hash, str(link.notification_id))
    assert (link.sequence, link.expires_at) == (0, visit.starts_at)


def test_each_message_has_its_own_token(
    post: Post, visit: Appointment, clinic: Surgery, now: datetime
) -> None:
    first = sent_to(post, "anna@example.org", now)
    drain(now=clinic.at(9, on=LATER - timedelta(days=7)))
    second = re.findall(r"/v/([\w-]+)", post.received[-1][1])[0]
    assert first != second
    assert page(first).status_code == page(second).status_code == 200


def test_a_second_try_of_a_message_replaces_its_token(
    post: Post, visit: Appointment, now: datetime
) -> None:
    offered: list[str] = []
    post.answer = lambda to: "451 later"
    tell(now)
    drain(now=now)
    with identity(system("notifications")):
        offered.append(VisitLink.objects.get().token_hash)
    post.answer = lambda to: "250 OK"
    drain(now=now + timedelta(minutes=2))
    with identity(system("notifications")):
        assert VisitLink.objects.get().token_hash not in offered
    assert page(re.findall(r"/v/([\w-]+)", post.received[-1][1])[0]).status_code == 200


def test_the_page_gives_nothing_away(token: str, cast: Cast, visit: Appointment) -> None:
    answer = page(token)
    text = answer.content.decode()
    assert answer.status_code == 200
    assert telling_words(re.sub(r"<[^>]+>", " ", text)) == []
    secrets = (
        "Anna", "Testmann", "Lindenhof", "Ahorn", "House", "Clinic visit", "Lindenweg", "5550111",
        "10:00", "14 December", "Monday", "2026", str(visit.id), str(cast.anna.id),
    )  # fmt: skip
    assert [word for word in secrets if word in text] == []
    assert answer["Cache-Control"] == "no-store, private"
    assert answer["Referrer-Policy"] == "same-origin"
    assert "noindex" in answer["X-Robots-Tag"]


@pytest.mark.parametrize("language", ["en", "es"])
def test_no_word_of_the_page_tells_anything(language: str) -> None:
    assert set(WORDS[language]) == set(WORDS["en"])
    assert [text for text in WORDS[language].values() if telling_words(text)] == []


def test_it_shows_the_time_to_who_lets_messages_say_more(token: str, cast: Cast) -> None:
    preference = ChannelPreference.objects.create(
        user=cast.anna_user, purpose="visit-reminder", channel="email", detail="discreet"
    )
    assert "14 December" not in page(token).content.decode()
    preference.detail = "plain"
    preference.save()
    text = page(token).content.decode()
    assert "Monday, 14 December 2026, 10:00 CET" in text
    assert "Clinic visit" not in text


def test_signed_in_as_its_recipient_she_sees_the_visit(
    token: str, cast: Cast, clinic: Surgery
) -> None:
    browser = Client()
    browser.force_login(cast.anna_user)
    text = browser.get(f"/v/{token}").content.decode()
    for shown in ("14 December 2026, 10:00", "Clinic visit", clinic.location.name):
        assert shown in text
    stranger = Client()
    stranger.force_login(cast.brigid.user)
    assert "Clinic visit" not in stranger.get(f"/v/{token}").content.decode()


def test_a_spanish_reader_reads_spanish(token: str, cast: Cast) -> None:
    cast.anna_user.language = "es"
    cast.anna_user.save()
    assert WORDS["es"]["come"] in page(token).content.decode()


def test_opening_it_changes_nothing_however_often_and_by_whom(
    token: str, visit: Appointment
) -> None:
    for _ in range(3):
        page(token)
        page(token, data={"answer": "cancel", "sure": "yes"})
        Client().head(f"/v/{token}")
    assert Client().put(f"/v/{token}").status_code == 405
    assert status_of(visit) == ("booked", False)
    with identity(system("booking")):
        assert AppointmentHistory.objects.count() == 1


def test_she_confirms_with_one_press(token: str, visit: Appointment, cast: Cast) -> None:
    text = answer(token, "come").content.decode()
    assert WORDS["en"]["confirmed"] in text
    assert status_of(visit) == ("booked", True)
    with identity(system("booking")):
        last = AppointmentHistory.objects.order_by("-version")[0]
    assert (last.action, last.actor_id, last.via) == ("confirm", cast.anna_user.pk, "patient")
    assert WORDS["en"]["come"] not in page(token).content.decode()
    answer(token, "come")
    with identity(system("booking")):
        assert AppointmentHistory.objects.count() == 2


def test_she_cancels_only_when_she_ticked_the_box(token: str, visit: Appointment) -> None:
    assert WORDS["en"]["not_sure"] in answer(token, "cancel").content.decode()
    assert WORDS["en"]["not_sure"] in answer(token, "nonsense", sure="yes").content.decode()
    assert status_of(visit)[0] == "booked"
    assert WORDS["en"]["cancelled"] in answer(token, "cancel", sure="yes").content.decode()
    assert status_of(visit)[0] == "cancelled"
    assert WORDS["en"]["cancelled"] in page(token).content.decode()
    answer(token, "come")
    assert status_of(visit) == ("cancelled", False)


def test_a_press_needs_the_pages_own_secret(token: str, visit: Appointment) -> None:
    strict = Client(enforce_csrf_checks=True)
    assert strict.post(f"/v/{token}", {"answer": "come"}).status_code == 403
    assert status_of(visit) == ("booked", False)
    strict.get(f"/v/{token}")
    secret = re.findall(r'csrfmiddlewaretoken" value="(\w+)"', strict.get(f"/v/{token}").text)[0]
    sent = {"answer": "come", "csrfmiddlewaretoken": secret}
    assert strict.post(f"/v/{token}", sent).status_code == 302
    assert status_of(visit) == ("booked", True)


def test_a_moved_visit_is_not_answered_by_the_old_message(
    token: str, visit: Appointment, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    move(cast.anna_user, visit.id, clinic.opening(11, on=LATER), now)
    text = page(token).content.decode()
    assert WORDS["en"]["moved"] in text
    assert "<button" not in text
    answer(token, "cancel", sure="yes")
    answer(token, "come")
    assert status_of(visit) == ("booked", False)


def test_the_notice_of_a_move_by_the_clinic_answers_the_new_time(
    post: Post, visit: Appointment, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    by_clinic(cast, services.reschedule, visit, now, opening=clinic.opening(11, on=LATER))
    token = sent_to(post, "anna@example.org", now)
    answer(token, "come")
    assert status_of(visit) == ("booked", True)


def test_a_visit_that_was_cancelled_or_is_over_says_so(
    token: str, visit: Appointment, cast: Cast, now: datetime
) -> None:
    by_clinic(cast, services.change_status, visit, now, status="arrived")
    assert WORDS["en"]["over"] in page(token).content.decode()
    with identity(system("booking")):
        Appointment.objects.update(status="booked")
    cancel(cast.anna_user, visit.id, now)
    assert WORDS["en"]["cancelled"] in page(token).content.decode()


def test_the_cut_off_holds_here_too_and_no_number_is_given_away(
    cast: Cast, post: Post, now: datetime, clock: Any
) -> None:
    strict = surgery(cast.clinic, cancel_cutoff_minutes=24 * 60)
    visit = book(cast.anna_user, strict.opening(10, on=LATER), now)
    token = sent_to(post, "anna@example.org", now)
    last = visit.starts_at - timedelta(hours=24)
    clock.move_to(last)
    assert WORDS["en"]["sure"] in page(token).content.decode()
    clock.move_to(last + timedelta(seconds=1))
    assert WORDS["en"]["sure"] not in page(token).content.decode()
    text = answer(token, "cancel", sure="yes").content.decode()
    assert WORDS["en"]["too_late"] in text
    assert "5550111" not in text
    assert status_of(visit)[0] == "booked"


def test_it_ends_when_the_visit_starts(token: str, visit: Appointment, clock: Any) -> None:
    clock.move_to(visit.starts_at - timedelta(seconds=1))
    assert page(token).status_code == 200
    clock.move_to(visit.starts_at)
    assert page(token).status_code == 404


def test_a_dead_link_looks_like_one_that_never_was(token: str, cast: Cast, now: datetime) -> None:
    def without_secrets(answer: Any) -> str:
        return re.sub(r"/v/[\w-]+|next=[^\"]+", "", answer.content.decode())

    never = without_secrets(page("x" * 43))
    cast.anna_user.is_active = False
    cast.anna_user.save()
    assert without_secrets(page(token)) == never
    cast.anna_user.is_active = True
    cast.anna_user.save()
    assert page(token).status_code == 200
    with identity(system("registration")):
        patients.record_death(patient_id=cast.anna.id, deceased_at=now, now=now)
    gone = page(token)
    assert (gone.status_code, without_secrets(gone)) == (404, never)
    assert answer(token, "come").status_code == 404
    assert "Sign in" in never


def test_every_look_and_every_refusal_is_recorded(
    token: str, cast: Cast, visit: Appointment
) -> None:
    page(token)
    answer(token, "come")
    page("y" * 43)
    with identity(system("housekeeping")):
        found = AuditEvent.objects.filter(operation__startswith="appointments.links").values_list(
            "operation", "outcome", "actor_id", "patient_id"
        )
        seen = list(found.order_by("occurred_at", "id"))
    mine = (cast.anna_user.pk, cast.anna.id)
    assert sorted(seen, key=str) == sorted(
        [
            ("appointments.links.open", "success", *mine),
            ("appointments.links.answer", "success", *mine),
            ("appointments.links.open", "success", *mine),
            ("appointments.links.open", "denied", None, None),
        ],
        key=str,
    )


# --- caregivers -------------------------------------------------------------------------------


def test_a_caregivers_link_does_what_her_grant_allows(
    cast: Cast, clinic: Surgery, post: Post, now: datetime
) -> None:
    caregiver(cast, "appointments.read")
    visit = book(cast.anna_user, clinic.opening(10, on=LATER), now)
    token = sent_to(post, "dora@example.org", now)
    assert "<button" not in page(token).content.decode()
    answer(token, "come")
    answer(token, "cancel", sure="yes")
    assert status_of(visit) == ("booked", False)
    caregiver(cast, "appointments.read", "appointments.write")
    answer(token, "come")
    assert status_of(visit) == ("booked", True)
    with identity(system("booking")):
        last = AppointmentHistory.objects.order_by("-version")[0]
    assert (last.actor_id, last.via) == (cast.dora.pk, "proxy")
    caregiver(cast, "labs.read")
    assert page(token).status_code == 404
    with identity(system("registration")):
        CaregiverGrant.objects.update(revoked_at=now)
    assert page(token).status_code == 404


# --- the app ----------------------------------------------------------------------------------


def test_the_app_learns_which_visit_a_link_is_about(
    token: str, visit: Appointment, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    api = api_of(cast.anna_user)
    expected = {"patient": str(cast.anna.id), "appointment": str(visit.id)}
    found = api.post(RESOLVE, {"token": token})
    assert (found.status_code, found.json()) == (200, {**expected, "standing": "open"})
    move(cast.anna_user, visit.id, clinic.opening(11, on=LATER), now)
    assert api.post(RESOLVE, {"token": token}).json()["standing"] == "moved"
    cancel(cast.anna_user, visit.id, now)
    assert api.post(RESOLVE, {"token": token}).json()["standing"] == "cancelled"


def test_nobody_else_learns_that_a_link_exists(token: str, cast: Cast) -> None:
    def asked(user: User, token: str) -> tuple[int, bytes]:
        found = api_of(user).post(RESOLVE, {"token": token}, **{"X-Request-Id": "same-request"})
        return found.status_code, found.content

    absent = asked(cast.brigid.user, "z" * 43)
    assert absent[0] == 404
    assert {asked(who, token) for who in (cast.brigid.user, cast.carla.user, cast.dora)} == {absent}
    caregiver(cast, "appointments.read")
    assert asked(cast.dora, token) == absent  # it was sent to somebody else
    assert api_of(cast.anna_user, "labs.read").post(RESOLVE, {"token": token}).status_code == 403
    assert api_of(cast.nurse, "staff").post(RESOLVE, {"token": token}).status_code == 403
    assert api_of(cast.anna_user).post(RESOLVE, {}).status_code == 422
    assert api_of(cast.anna_user).get(RESOLVE).status_code == 405


# --- the table --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ({"token_hash": "short"}, "visit_link_token_is_hashed"),
        ({"token_hash": "A" * 64}, "visit_link_token_is_hashed"),
        ({"expires_at": "made_at"}, "visit_link_made_before_it_expires"),
    ],
)
def test_the_table_refuses_a_broken_link(token: str, change: dict, constraint: str) -> None:
    with identity(system("notifications")):
        link = VisitLink.objects.get()
        values = {k: link.made_at if v == "made_at" else v for k, v in change.items()}
        with pytest.raises(DatabaseError, match=constraint), transaction.atomic():
            VisitLink.objects.update(**values)


@pytest.mark.parametrize("same", ["token_hash", "notification_id"])
def test_the_table_keeps_one_link_a_token_and_a_message(token: str, same: str) -> None:
    with identity(system("notifications")):
        link = VisitLink.objects.get()
        link.pk = None
        link.id = VisitLink().id
        if same != "token_hash":
            link.token_hash = "0" * 64
        else:
            link.notification_id = link.id
        with pytest.raises(DatabaseError, match=r"visit_link_\w+_once"), transaction.atomic():
            link.save(force_insert=True)


def test_row_security_shows_a_link_to_its_recipient_alone(token: str, cast: Cast) -> None:
    def seen(user: User) -> int:
        with identity(viewer_of(user).identity):
            return VisitLink.objects.count()

    assert (seen(cast.anna_user), seen(cast.brigid.user)) == (1, 0)
    assert VisitLink.objects.count() == 0
