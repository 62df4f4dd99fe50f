"""The eCheck-in: what she tells before a visit."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import DatabaseError, connections, transaction

from appointments import services
from appointments.models import (
    Appointment,
    AppointmentHistory,
    ConsentText,
    PreVisit,
    PreVisitAnswer,
)
from core.db import identity, system
from patients.viewer import staff_viewer
from tests.appointments.factories import Surgery, book, cancel, surgery
from tests.cast import Cast
from tests.tokens import Api, api_of, viewer_of

pytestmark = pytest.mark.django_db

GIVEN: dict[str, Any] = {
    "demographics": {"unchanged": True},
    "medicines": {"none": False, "items": [{"name": "Letrozole", "dose": "2.5 mg"}]},
    "allergies": {"none": True, "items": []},
    "symptoms": {"anything_new": False},
}
A_MOMENT = timedelta(microseconds=1)


@pytest.fixture(autouse=True)
def clock(now: datetime) -> Iterator[Any]:
    with time_machine.travel(now, tick=False) as traveller:
        yield traveller


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic, checkin_sections=[*GIVEN, "consents"], checkin_opens_hours=24)


@pytest.fixture
def visit(cast: Cast, clinic: Surgery, now: datetime) -> Appointment:
    return book(cast.anna_user, clinic.opening(9), now)


@pytest.fixture
def consent(cast: Cast, now: datetime) -> ConsentText:
    return ConsentText.objects.create(
        organization=cast.clinic,
        code="photo",
        version=1,
        title="Photographs",
        text="We may take photographs of the skin.",
        valid_from=now,
    )


@pytest.fixture
def anna(cast: Cast) -> Api:
    return api_of(cast.anna_user, "appointments.read appointments.write")


def of(visit: Appointment, rest: str = "") -> str:
    return f"patients/me/appointments/{visit.id}/echeckin{rest}"


def agree(version: int = 1) -> dict[str, Any]:
    return {"decisions": [{"code": "photo", "version": version, "decision": "agreed"}]}


def answer_all(anna: Api, visit: Appointment) -> None:
    for section, said in {**GIVEN, "consents": agree()}.items():
        given = anna.put(of(visit, f"/{section}"), said)
        assert given.status_code == 200, given.content


def test_answered_section_by_section_it_becomes_complete(
    cast: Cast, anna: Api, visit: Appointment, consent: ConsentText, now: datetime
) -> None:
    asked = anna.get(of(visit)).json()
    assert asked["missing"] == [*GIVEN, "consents"]
    assert asked["opens"]["local"] == "2026-11-22T09:00"
    assert (asked["open"], asked["consents"][0]["title"]) == (True, "Photographs")
    early = anna.post(of(visit, "/$complete"), {})
    assert (early.status_code, early.json()["code"]) == (409, "checkin-incomplete")
    answer_all(anna, visit)
    done = anna.post(of(visit, "/$complete"), {})
    assert done.status_code == 200, done.content
    assert (done.json()["missing"], done.json()["completed"]["zone"]) == ([], "Europe/Berlin")
    assert done.json()["sections"][1]["answer"]["items"][0]["name"] == "Letrozole"
    assert anna.get(f"patients/me/appointments/{visit.id}").json()["status"] == "checked-in"
    again = anna.post(of(visit, "/$complete"), {})
    assert again.status_code == 200
    with identity(system("booking")):
        assert AppointmentHistory.objects.filter(status="checked-in").count() == 1


def test_what_is_missing_is_named(anna: Api, visit: Appointment, consent: ConsentText) -> None:
    anna.put(of(visit, "/medicines"), GIVEN["medicines"])
    problem = anna.post(of(visit, "/$complete"), {}).json()
    assert problem["missing"] == ["demographics", "allergies", "symptoms", "consents"]


def test_said_again_is_a_new_row_and_the_old_one_stays(
    cast: Cast, anna: Api, visit: Appointment
) -> None:
    anna.put(of(visit, "/medicines"), GIVEN["medicines"])
    anna.put(of(visit, "/medicines"), {"none": True, "items": []})
    with identity(system("booking")):
        rows = list(PreVisitAnswer.objects.order_by("id").values_list("superseded_at", flat=True))
        assert sorted(at is None for at in rows) == [False, True]
    shown = anna.get(of(visit)).json()["sections"][1]
    assert shown["answer"] == {"none": True, "items": []}


@pytest.mark.parametrize(
    ("offset", "code"),
    [
        (-timedelta(hours=24) - A_MOMENT, "checkin-not-open"),
        (-timedelta(hours=24), ""),
        (-A_MOMENT, ""),
        (timedelta(0), "checkin-closed"),
    ],
)
def test_it_is_open_from_its_hour_to_the_start_of_the_visit(
    cast: Cast, clinic: Surgery, now: datetime, offset: timedelta, code: str, clock: Any
) -> None:
    visit = book(cast.anna_user, clinic.opening(9, on=clinic.at(9).date()), now)
    at = visit.starts_at + offset
    clock.move_to(at)
    answered = api_of(cast.anna_user, "appointments.read appointments.write").put(
        of(visit, "/allergies"), GIVEN["allergies"]
    )
    assert answered.json().get("code", "") == code


def test_a_cancelled_visit_asks_nothing(
    cast: Cast, anna: Api, visit: Appointment, now: datetime
) -> None:
    cancel(cast.anna_user, visit.id, now)
    refused = anna.put(of(visit, "/allergies"), GIVEN["allergies"])
    assert (refused.status_code, refused.json()["code"]) == (409, "checkin-closed")


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("medicines", {"none": True, "items": [{"name": "Letrozole"}]}),
        ("medicines", {"none": False, "items": []}),
        ("medicines", {"items": []}),
        ("medicines", {"none": False, "items": [{"name": "x"}] * 61}),
        ("medicines", {"none": False, "items": [{"name": "Nul\x00"}]}),
        ("demographics", {"unchanged": False}),
        ("demographics", {"unchanged": True, "phone": "+49 30 1"}),
        ("symptoms", {}),
        ("consents", {"decisions": []}),
        ("consents", {"decisions": [{"code": "photo", "version": 2, "decision": "agreed"}]}),
        ("consents", {"decisions": [*agree()["decisions"], *agree()["decisions"]]}),
        ("consents", {"decisions": [{"code": "photo", "version": 1, "decision": "maybe"}]}),
    ],
)
def test_a_broken_answer_is_refused(
    anna: Api, visit: Appointment, consent: ConsentText, section: str, said: dict
) -> None:
    answered = anna.put(of(visit, f"/{section}"), said)
    assert answered.status_code in (400, 422), answered.content
    with identity(system("booking")):
        assert not PreVisitAnswer.objects.exists()


def test_a_new_wording_is_asked_anew(
    cast: Cast, anna: Api, visit: Appointment, consent: ConsentText, now: datetime
) -> None:
    answer_all(anna, visit)
    consent.retired_at = now
    consent.save(update_fields=["retired_at"])
    ConsentText.objects.create(
        organization=cast.clinic,
        code="photo",
        version=2,
        title="Photographs",
        text="New.",
        valid_from=now,
    )
    problem = anna.post(of(visit, "/$complete"), {}).json()
    assert problem["missing"] == ["consents"]
    anna.put(of(visit, "/consents"), agree(version=2))
    assert anna.post(of(visit, "/$complete"), {}).status_code == 200


def test_moving_a_checked_in_visit_asks_her_again_but_keeps_what_she_said(
    cast: Cast, anna: Api, clinic: Surgery, visit: Appointment, consent: ConsentText
) -> None:
    answer_all(anna, visit)
    anna.post(of(visit, "/$complete"), {})
    moved = anna.post(
        f"patients/me/appointments/{visit.id}/$reschedule", {"opening": clinic.opening(10)}
    )
    assert (moved.status_code, moved.json()["status"]) == (200, "booked")
    state = anna.get(of(visit)).json()
    assert (state["completed"], state["missing"]) == (None, [])
    assert anna.post(of(visit, "/$complete"), {}).status_code == 200


def test_a_checked_in_visit_can_be_cancelled(
    cast: Cast, anna: Api, visit: Appointment, consent: ConsentText
) -> None:
    answer_all(anna, visit)
    anna.post(of(visit, "/$complete"), {})
    assert anna.post(f"patients/me/appointments/{visit.id}/$cancel", {}).status_code == 200


def test_nobody_else_sees_or_answers(cast: Cast, visit: Appointment) -> None:
    brigid = api_of(cast.brigid.user, "appointments.read appointments.write")
    assert brigid.get(of(visit)).status_code == 404
    assert brigid.put(of(visit, "/allergies"), GIVEN["allergies"]).status_code == 404
    assert brigid.post(of(visit, "/$complete"), {}).status_code == 404
    reader = api_of(cast.anna_user, "appointments.read")
    assert reader.put(of(visit, "/allergies"), GIVEN["allergies"]).status_code == 403


def test_unknown_sections_and_visits_without_one_do_not_exist(
    cast: Cast, anna: Api, visit: Appointment, now: datetime
) -> None:
    assert anna.put(of(visit, "/horoscope"), {}).status_code == 404
    plain = book(cast.anna_user, surgery(cast.clinic).opening(11), now)
    assert anna.get(of(plain)).status_code == 404
    assert anna.put(of(plain, "/allergies"), GIVEN["allergies"]).status_code == 404


def test_what_she_said_is_encrypted_at_rest(anna: Api, visit: Appointment) -> None:
    anna.put(of(visit, "/medicines"), GIVEN["medicines"])
    with identity(system("booking")), connections["default"].cursor() as cursor:
        cursor.execute("SELECT answer FROM appointments_previsitanswer")
        assert b"Letrozole" not in bytes(cursor.fetchone()[0])


def test_the_tables_refuse_broken_rows(
    cast: Cast, anna: Api, visit: Appointment, consent: ConsentText, now: datetime
) -> None:
    anna.put(of(visit, "/allergies"), GIVEN["allergies"])
    with identity(system("booking")):
        began = PreVisit.objects.get()
        given = PreVisitAnswer.objects.get()
    copy = {
        "pre_visit": began,
        "patient_id": began.patient_id,
        "answer": b"{}",
        "answered_at": now,
        "answered_by": cast.anna_user,
        "via": "patient",
    }
    attempts = [
        lambda: PreVisit.objects.filter(id=began.id).update(completed_at=now),
        lambda: PreVisit.objects.filter(id=began.id).update(sections=[]),
        lambda: PreVisit.objects.filter(id=began.id).update(sections=["horoscope"]),
        lambda: PreVisitAnswer.objects.create(section="allergies", **copy),
        lambda: PreVisitAnswer.objects.create(section="horoscope", **copy),
        lambda: PreVisitAnswer.objects.filter(id=given.id).update(answer=b"{}"),
        lambda: PreVisitAnswer.objects.filter(id=given.id).delete(),
        lambda: ConsentText.objects.filter(id=consent.id).update(text="Other words."),
        lambda: ConsentText.objects.create(
            organization=cast.clinic,
            code="photo",
            version=2,
            title="x",
            text="x",
            valid_from=now,
        ),
        lambda: Appointment.objects.filter(id=visit.id).update(started_at=now),
    ]
    for attempt in attempts:
        with identity(system("booking")), pytest.raises(DatabaseError), transaction.atomic():
            attempt()


def test_a_visit_starts_after_she_has_arrived(
    cast: Cast, visit: Appointment, now: datetime
) -> None:
    nurse = staff_viewer(user=cast.nurse, now=now)
    with identity(nurse.identity), pytest.raises(services.StatusConflict):
        services.start(viewer=nurse, appointment_id=visit.id, now=now)
    with identity(nurse.identity):
        services.change_status(viewer=nurse, appointment_id=visit.id, status="arrived", now=now)
        started = services.start(viewer=nurse, appointment_id=visit.id, now=now)
        assert (started.status, started.started_at) == ("arrived", now)
        done = services.change_status(
            viewer=nurse, appointment_id=visit.id, status="fulfilled", now=now
        )
    assert done.started_at == now
    patient = viewer_of(cast.anna_user)
    with identity(patient.identity), pytest.raises(Exception, match="Not found"):
        services.start(viewer=patient, appointment_id=visit.id, now=now)
