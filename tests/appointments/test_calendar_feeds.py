"""The calendar of one visit and the addresses that calendar programs read, over HTTP."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import icalendar
import pytest
import time_machine
from django.db import DatabaseError, transaction
from django.test import Client

from appointments import services
from appointments.models import Appointment, CalendarFeed
from appointments.services.feeds import FEED_FUTURE, FEED_PAST
from core.db import identity, system
from core.models import AuditEvent
from notifications.discretion import telling_words
from patients import services as patients
from patients.models import CaregiverGrant
from tests.appointments.factories import Surgery, book, cancel, surgery
from tests.appointments.rfc5545 import check
from tests.appointments.test_moving import move
from tests.appointments.test_reminders import LATER, by_clinic, caregiver
from tests.cast import Cast
from tests.tokens import Api, api_of, viewer_of

pytestmark = pytest.mark.django_db

FEEDS = "patients/me/calendar-feeds"
SAME = {"X-Request-Id": "same-request"}


@pytest.fixture(autouse=True)
def clock(now: datetime) -> Iterator[Any]:
    with time_machine.travel(now, tick=False) as traveller:
        yield traveller


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic, preparation="Bring your list.", horizon_days=730)


@pytest.fixture
def visit(cast: Cast, clinic: Surgery, now: datetime) -> Appointment:
    return book(cast.anna_user, clinic.opening(10, on=LATER), now)


@pytest.fixture
def anna(cast: Cast) -> Api:
    return api_of(cast.anna_user)


def file_of(api: Api, visit: Appointment, who: str = "me", **more: str) -> Any:
    return api.get(f"patients/{who}/appointments/{visit.id}/calendar", more, **SAME)


def subscribed(api: Api, who: str = "me", **body: str) -> str:
    """Return the path of a new calendar address."""
    made = api.post(f"patients/{who}/calendar-feeds", body)
    assert made.status_code == 201
    return str(made.json()["address"]).removeprefix("http://127.0.0.1:8000")


def read(path: str, **headers: str) -> Any:
    return Client().get(path, headers=headers)


def secrets_of(cast: Cast, clinic: Surgery, visit: Appointment) -> list[str]:
    return [
        "Anna", "Testmann", "anna@", "Lindenhof", "Ahorn", "Clinic visit", "Lindenweg", "5550111",
        clinic.location.name, "list", str(visit.id), visit.id.hex, str(cast.anna.id),
    ]  # fmt: skip


# --- one visit --------------------------------------------------------------------------------


def test_a_visit_as_a_file_is_a_discreet_request(
    anna: Api, cast: Cast, clinic: Surgery, visit: Appointment
) -> None:
    answer = file_of(anna, visit)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/calendar; charset=utf-8"
    assert answer["Cache-Control"] == "no-store, private"
    text = answer.content.decode()
    assert [word for word in secrets_of(cast, clinic, visit) if word in text] == []
    # The word itself is refused in messages; in a calendar it is what everybody writes.
    assert telling_words(text) == ["appointment"]
    [event] = check(answer.content)
    assert b"METHOD:REQUEST" in answer.content
    assert event[b"SUMMARY"][1] == b"Appointment"
    assert event[b"DTSTART"] == (b"TZID=Europe/Berlin", b"20261214T100000")
    assert event[b"DTEND"] == (b"TZID=Europe/Berlin", b"20261214T103000")
    assert (event[b"SEQUENCE"][1], event[b"STATUS"][1]) == (b"0", b"CONFIRMED")
    assert b"LOCATION" not in event


def test_she_may_ask_for_everything(anna: Api, clinic: Surgery, visit: Appointment) -> None:
    [event] = icalendar.Calendar.from_ical(file_of(anna, visit, titles="full").content).events
    assert str(event["summary"]) == "Clinic visit"
    assert str(event["location"]) == f"{clinic.location.name}, Lindenweg 1"
    assert str(event["description"]) == "Bring your list.\n+49 30 5550111"
    assert file_of(anna, visit, titles="loud").status_code == 422


def test_the_same_visit_through_its_life(
    anna: Api, cast: Cast, clinic: Surgery, visit: Appointment, clock: Any, now: datetime
) -> None:
    def event() -> dict[bytes, tuple[bytes, bytes]]:
        [found] = check(file_of(anna, visit).content)
        return found

    first = event()
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity):
        services.confirm(viewer=viewer, appointment_id=visit.id, now=now + timedelta(minutes=1))
    confirmed = event()
    move(cast.anna_user, visit.id, clinic.opening(11, on=LATER), now + timedelta(minutes=2))
    moved = event()
    cancel(cast.anna_user, visit.id, now + timedelta(minutes=3))
    gone = event()
    assert b"METHOD:CANCEL" in file_of(anna, visit).content
    life = [first, confirmed, moved, gone]
    assert len({each[b"UID"] for each in life}) == 1
    assert [each[b"SEQUENCE"][1] for each in life] == [b"0", b"0", b"1", b"2"]
    assert [each[b"STATUS"][1] for each in life] == [b"CONFIRMED"] * 3 + [b"CANCELLED"]
    stamps = [each[b"DTSTAMP"][1] for each in life]
    assert stamps == sorted(set(stamps))
    assert b"NEEDS-ACTION" in moved[b"ATTENDEE"][0]
    assert moved[b"DTSTART"][1] == b"20261214T110000"


def test_the_file_is_the_same_until_the_visit_changes(anna: Api, visit: Appointment) -> None:
    first = file_of(anna, visit)
    assert file_of(anna, visit).content == first.content
    path = f"patients/me/appointments/{visit.id}/calendar"
    assert anna.get(path, **{"If-None-Match": first["ETag"]}).status_code == 304


def test_a_file_of_somebody_else_is_one_that_does_not_exist(
    anna: Api, cast: Cast, visit: Appointment, clinic: Surgery, now: datetime
) -> None:
    hers = book(cast.brigid.user, clinic.opening(11, on=LATER), now)
    never = Appointment(id=uuid4())
    foreign, absent = file_of(anna, hers), file_of(anna, never)
    assert foreign.status_code == absent.status_code == 404
    assert foreign.content == absent.content
    assert file_of(api_of(cast.dora), visit, str(cast.anna.id)).status_code == 404
    assert file_of(api_of(cast.anna_user, "labs.read"), visit).status_code == 403
    assert file_of(Api(), visit).status_code == 401


# --- addresses --------------------------------------------------------------------------------


def test_an_address_is_shown_once_and_stored_hashed(anna: Api, cast: Cast) -> None:
    made = anna.post(FEEDS, {}).json()
    token = made["address"].rpartition("/")[2].removesuffix(".ics")
    assert len(token) == 43
    assert made["webcal"] == made["address"].replace("http://", "webcal://")
    assert (made["titles"], made["whose"], made["last_read"]) == ("discreet", "mine", None)
    with identity(system("booking")):
        assert CalendarFeed.objects.get().token_hash not in ("", token)
    [listed] = anna.get(FEEDS).json()["items"]
    assert token not in str(listed)
    assert set(listed) == {"id", "titles", "whose", "made", "last_read"}


def test_a_feed_is_discreet_private_and_published(
    anna: Api, cast: Cast, clinic: Surgery, visit: Appointment
) -> None:
    answer = read(subscribed(anna))
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/calendar; charset=utf-8"
    assert answer["Cache-Control"] == "no-store, private"
    assert "noindex" in answer["X-Robots-Tag"]
    assert not answer.cookies
    text = answer.content.decode()
    assert "METHOD:PUBLISH" in text
    assert [word for word in secrets_of(cast, clinic, visit) if word in text] == []
    [event] = check(answer.content)
    assert event[b"UID"] == check(file_of(anna, visit).content)[0][b"UID"]
    assert b"ATTENDEE" not in event
    assert anna.get(FEEDS).json()["items"][0]["last_read"]["local"] == "2026-11-22T10:00"


def test_full_titles_only_where_she_chose_them(anna: Api, visit: Appointment) -> None:
    assert b"Clinic visit" in read(subscribed(anna, titles="full")).content
    assert b"Clinic visit" not in read(subscribed(anna)).content
    assert anna.post(FEEDS, {"titles": "everything"}).status_code == 422


def test_a_spanish_reader_has_spanish_titles(anna: Api, cast: Cast, visit: Appointment) -> None:
    cast.anna_user.language = "es"
    cast.anna_user.save()
    assert b"SUMMARY:Cita\r\n" in read(subscribed(anna)).content


def test_it_follows_the_visits(
    anna: Api, cast: Cast, clinic: Surgery, visit: Appointment, now: datetime
) -> None:
    path = subscribed(anna)
    wrong = book(cast.anna_user, clinic.opening(9, on=LATER), now)
    book(cast.brigid.user, clinic.opening(11, on=LATER), now)
    assert len(check(read(path).content)) == 2
    by_clinic(cast, services.change_status, wrong, now, status="entered-in-error")
    cancel(cast.anna_user, visit.id, now)
    [event] = check(read(path).content)
    assert (event[b"STATUS"][1], event[b"SEQUENCE"][1]) == (b"CANCELLED", b"1")
    assert event[b"TRANSP"][1] == b"TRANSPARENT"


def test_it_goes_from_ninety_days_back_to_two_years_ahead(
    anna: Api, visit: Appointment, clock: Any
) -> None:
    path = subscribed(anna)
    second = timedelta(seconds=1)

    def shown(at: datetime) -> int:
        clock.move_to(at)
        return len(check(read(path).content))

    assert shown(visit.starts_at + FEED_PAST) == 1
    assert shown(visit.starts_at + FEED_PAST + second) == 0
    assert shown(visit.starts_at - FEED_FUTURE) == 0
    assert shown(visit.starts_at - FEED_FUTURE + second) == 1


def test_what_a_program_has_already_is_not_sent_again(
    anna: Api, cast: Cast, visit: Appointment, now: datetime
) -> None:
    path = subscribed(anna)
    etag = read(path)["ETag"]
    again = read(path, **{"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    cancel(cast.anna_user, visit.id, now)
    assert read(path, **{"If-None-Match": etag}).status_code == 200


def test_each_reading_is_recorded_a_repeated_one_and_a_refused_one_too(
    anna: Api, cast: Cast, visit: Appointment
) -> None:
    path = subscribed(anna)
    etag = read(path)["ETag"]
    read(path, **{"If-None-Match": etag})
    Client().head(path)
    read(f"/calendar/{'x' * 43}.ics")
    with identity(system("housekeeping")):
        found = AuditEvent.objects.filter(operation="appointments.feed.read")
        seen = list(found.values_list("outcome", "actor_id", "patient_id", "resource_ids"))
    assert seen.count(("success", cast.anna_user.pk, cast.anna.id, [visit.id])) == 3
    assert seen.count(("denied", None, None, [])) == 1


def test_reading_changes_nothing_else(anna: Api) -> None:
    path = subscribed(anna)
    assert Client().post(path).status_code == 405
    assert Client().delete(path).status_code == 405


def revoked(cast: Cast, api: Api, now: datetime) -> None:
    [feed] = api.get(FEEDS).json()["items"]
    assert api.call("DELETE", f"{FEEDS}/{feed['id']}").status_code == 204
    assert api.call("DELETE", f"{FEEDS}/{feed['id']}").status_code == 404
    assert api.get(FEEDS).json()["items"] == []


def died(cast: Cast, api: Api, now: datetime) -> None:
    with identity(system("registration")):
        patients.record_death(patient_id=cast.anna.id, deceased_at=now, now=now)


def closed_record(cast: Cast, api: Api, now: datetime) -> None:
    with identity(system("registration")):
        cast.anna.is_active = False
        cast.anna.save()


def closed_account(cast: Cast, api: Api, now: datetime) -> None:
    cast.anna_user.is_active = False
    cast.anna_user.save()


@pytest.mark.parametrize("happens", [revoked, died, closed_record, closed_account])
def test_an_ended_address_is_one_that_never_was(
    anna: Api, cast: Cast, visit: Appointment, now: datetime, happens: Callable[..., None]
) -> None:
    path = subscribed(anna)
    assert read(path).status_code == 200
    happens(cast, anna, now)
    ended, never = read(path), read(f"/calendar/{'x' * 43}.ics")
    assert (ended.status_code, never.status_code) == (404, 404)
    assert ended.content == never.content


def test_she_has_five_addresses_at_most(anna: Api) -> None:
    paths = [subscribed(anna) for _ in range(5)]
    refusal = anna.post(FEEDS, {})
    assert (refusal.status_code, refusal.json()["code"]) == (409, "too-many-feeds")
    first = anna.get(FEEDS).json()["items"][0]["id"]
    anna.call("DELETE", f"{FEEDS}/{first}")
    assert subscribed(anna) not in paths


def test_the_same_request_twice_makes_one_address(anna: Api) -> None:
    one, two = (anna.post(FEEDS, {}, key="same-key-of-a-retry").json() for _ in range(2))
    assert one == two
    assert len(anna.get(FEEDS).json()["items"]) == 1


# --- caregivers and strangers -----------------------------------------------------------------


def test_a_caregivers_address_ends_with_her_grant_and_with_the_patients_word(
    anna: Api, cast: Cast, visit: Appointment, now: datetime
) -> None:
    caregiver(cast, "appointments.read", "appointments.write")
    dora = api_of(cast.dora)
    path = subscribed(dora, str(cast.anna.id))
    assert len(check(read(path).content)) == 1
    subscribed(anna)
    theirs = dora.get(f"patients/{cast.anna.id}/calendar-feeds").json()["items"]
    assert [feed["whose"] for feed in theirs] == ["mine"]
    hers = [feed["whose"] for feed in anna.get(FEEDS).json()["items"]]
    assert sorted(hers) == ["caregiver", "mine"]
    caregiver(cast, "labs.read")
    assert read(path).status_code == 404
    caregiver(cast, "appointments.read")
    assert read(path).status_code == 200
    with identity(system("registration")):
        CaregiverGrant.objects.update(valid_until=now)
    assert read(path).status_code == 404
    with identity(system("registration")):
        CaregiverGrant.objects.update(valid_until=None)
    assert anna.call("DELETE", f"{FEEDS}/{theirs[0]['id']}").status_code == 204
    assert read(path).status_code == 404


def test_a_caregiver_who_only_reads_makes_no_address(cast: Cast) -> None:
    caregiver(cast, "appointments.read")
    dora = api_of(cast.dora)
    assert dora.get(f"patients/{cast.anna.id}/calendar-feeds").status_code == 200
    assert dora.post(f"patients/{cast.anna.id}/calendar-feeds", {}).status_code == 404


def test_a_strangers_address_does_not_exist(anna: Api, cast: Cast) -> None:
    subscribed(anna)
    [feed] = anna.get(FEEDS).json()["items"]
    brigid = api_of(cast.brigid.user)
    assert brigid.get(FEEDS).json()["items"] == []
    foreign = brigid.call("DELETE", f"{FEEDS}/{feed['id']}", **SAME)
    absent = brigid.call("DELETE", f"{FEEDS}/{uuid4()}", **SAME)
    assert (foreign.status_code, foreign.content) == (404, absent.content)
    with identity(viewer_of(cast.brigid.user).identity):
        assert not CalendarFeed.objects.exists()
    assert not CalendarFeed.objects.exists()


def test_nobody_makes_an_address_in_the_name_of_another(cast: Cast, now: datetime) -> None:
    feed = CalendarFeed(
        patient=cast.anna, user=cast.dora, token_hash="0" * 64, titles="full", made_at=now
    )
    with (
        identity(viewer_of(cast.anna_user).identity),
        pytest.raises(DatabaseError, match="row-level security"),
        transaction.atomic(),
    ):
        feed.save(force_insert=True)


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ({"token_hash": "0" * 63}, "calendar_feed_token_is_hashed"),
        ({"titles": "loud"}, "calendar_feed_titles"),
        ({"revoked_at": datetime.fromisoformat("2026-11-22T09:00Z")}, "revoked_by_somebody"),
        (
            {"revoked_at": datetime.fromisoformat("2026-11-22T08:59Z"), "revoked_by": "anna"},
            "calendar_feed_made_before_it_is_revoked",
        ),
    ],
)
def test_the_table_refuses_a_broken_feed(
    anna: Api, cast: Cast, change: dict, constraint: str
) -> None:
    subscribed(anna)
    values = {k: cast.anna_user if v == "anna" else v for k, v in change.items()}
    with (
        identity(system("booking")),
        pytest.raises(DatabaseError, match=constraint),
        transaction.atomic(),
    ):
        CalendarFeed.objects.update(**values)


def test_the_table_keeps_one_feed_a_token(anna: Api) -> None:
    subscribed(anna)
    with identity(system("booking")):
        feed = CalendarFeed.objects.get()
        feed.id = CalendarFeed().id
        with pytest.raises(DatabaseError, match="calendar_feed_token_once"), transaction.atomic():
            feed.save(force_insert=True)
