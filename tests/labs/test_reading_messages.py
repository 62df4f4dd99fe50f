"""From the wire to her phone, and what staff are told about a message."""

from datetime import datetime
from typing import Any

import pytest

from accounts.models import User
from core.db import identity, system
from core.ids import new_id
from core.models import AuditEvent
from labs.services.intake import receive, reprocess
from labs.services.senders import Door, Origin
from patients.models import Patient, PatientIdentifier
from tests.cast import AUTHORITY, START, Cast
from tests.labs.conftest import LABS
from tests.labs.messages import ANNA, BILIRUBIN, CALCIUM, Obr, Obx, laboratory, oru, send
from tests.tokens import Api, api_of

pytestmark = pytest.mark.django_db

FIND = "staff/lab-messages/$find"


@pytest.fixture(autouse=True)
def lab(cast: Cast) -> None:
    laboratory(cast.clinic)


def ask(user: User, control_id: str, sender: str | None = None) -> Any:
    return api_of(user, "staff").post(FIND, {"control_id": control_id, "sender": sender})


def fate(user: User, control_id: str) -> dict[str, Any]:
    answer = ask(user, control_id)
    assert answer.status_code == 200, answer.content
    (message,) = answer.json()["messages"]
    found: dict[str, Any] = message
    return found


def lines(message: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (line["obx_index"], line["outcome"], line["loinc"], line["state"], line["reason"])
        for line in message["lines"]
    ]


def test_a_message_from_the_wire_is_what_she_reads(cast: Cast, now: datetime) -> None:
    send(oru(Obr([Obx("96", flag="H"), Obx("11.8", flag="H", **CALCIUM)])), now)
    anna = api_of(cast.anna_user, LABS)
    (report,) = anna.get("patients/me/reports").json()["items"]
    detail = anna.get(f"patients/me/reports/{report['id']}").json()
    shown = [(r["analyte"], r["value"]["text"], r["state"]) for r in detail["results"]]
    assert shown == [("alt", "96", "HIGH"), ("calcium_total", "11.8", "HIGH")]
    trend = anna.get("patients/me/analytes/alt/trend").json()
    assert [point["number"] for point in trend["lines"][0]["points"]] == ["96"]
    # The same line corrected: what it was stays visible.
    send(oru(Obr([Obx("26", status="C")], resulted="20261121102500+0100", status="C")), now)
    shown_now = anna.get("patients/me/results", {"analyte": "alt"}).json()["items"]
    assert [(r["value"]["text"], r["was"]["text"], r["status"]) for r in shown_now] == [
        ("26", "96", "corrected")
    ]
    # And taken back: gone.
    send(oru(Obr([Obx("26", status="W")], resulted="20261122082500+0100", status="C")), now)
    assert anna.get("patients/me/results", {"analyte": "alt"}).json()["items"] == []
    assert anna.get("patients/me/analytes/alt/trend").json()["lines"] == []


def test_stored_and_queued_lines_each_say_what_became_of_them(cast: Cast, now: datetime) -> None:
    odd = Obx("5", code="XYZ", name="Odd test", system="L")
    send(oru(Obr([Obx("96", flag="H"), odd]), control_id="M1"), now)
    message = fate(cast.nurse, "M1")
    assert (message["ack"], message["receipt"], message["disposition"]) == (
        "AA",
        "accepted",
        "stored",
    )
    assert message["sender"] == "mainlab"
    first, second = message["lines"]
    assert (first["outcome"], first["analyte"], first["state"]) == ("stored", "alt", "HIGH")
    assert first["rule"].split()[0] == "flag.high"
    assert (second["outcome"], second["loinc"], second["reason"]) == (
        "queued",
        None,
        "unknown-code",
    )
    assert "96" not in str(message["lines"])


def test_the_laboratory_is_told_the_fate_but_not_the_judgement(cast: Cast, now: datetime) -> None:
    send(oru(Obr([Obx("96", flag="H")]), control_id="M1"), now)
    assert lines(fate(cast.lab, "M1")) == [(1, "stored", "1742-6", None, None)]
    assert fate(cast.lab, "M1")["lines"][0]["rule"] is None


def test_an_unknown_patient_queues_every_line_until_she_is_registered(
    cast: Cast, now: datetime
) -> None:
    stranger = ANNA.replace("900001", "999999")
    sent = send(oru(Obr([Obx("96"), Obx("1", **BILIRUBIN)]), pid=stranger, control_id="M1"), now)
    message = fate(cast.nurse, "M1")
    assert (message["disposition"], message["reasons"]) == ("queued", ["unknown-patient"])
    assert {line[1:] for line in lines(message)} == {
        ("queued", "1742-6", None, "unknown-patient"),
        ("queued", "1975-2", None, "unknown-patient"),
    }
    with identity(system("registration")):
        PatientIdentifier.objects.create(
            patient=Patient.objects.get(id=cast.anna.id),
            authority=AUTHORITY,
            value="999999",
            valid_from=START,
        )
    reprocess(message_id=sent.message_id, actor=cast.lab, now=now)
    after = fate(cast.nurse, "M1")
    assert after["disposition"] == "stored"
    assert [line["outcome"] for line in after["lines"]] == ["stored", "stored"]


def test_duplicate_test_and_reused_control_ids_are_told_apart(cast: Cast, now: datetime) -> None:
    raw = oru(Obr([Obx("96")]), control_id="M1")
    send(raw, now)
    send(raw, now)
    send(oru(Obr([Obx("97")]), control_id="M1"), now)
    send(oru(Obr([Obx("97")]), control_id="M2", processing="T"), now)
    found = {m["disposition"]: m for m in ask(cast.nurse, "M1").json()["messages"]}
    assert set(found) == {"stored", "duplicate", "queued"}
    assert lines(found["duplicate"])[0][1] == "not-filed"
    assert lines(found["queued"])[0][1:] == ("queued", "1742-6", None, "control-id-reused")
    assert found["queued"]["reasons"] == ["control-id-reused"]
    trial = fate(cast.nurse, "M2")
    assert (trial["disposition"], lines(trial)[0][1]) == ("test-area", "not-filed")


def test_a_repeated_result_in_a_new_message_is_unchanged(cast: Cast, now: datetime) -> None:
    for control_id in ("M1", "M2"):
        send(oru(Obr([Obx("96")]), control_id=control_id), now)
    assert lines(fate(cast.nurse, "M2"))[0][1] == "unchanged"


def test_a_refused_message_has_an_answer_and_no_lines(cast: Cast, now: datetime) -> None:
    send(oru(Obr([Obx("96")]), pid="", control_id="M1"), now)
    message = fate(cast.lab, "M1")
    assert (message["ack"], message["disposition"]) == ("AE", "refused")
    assert message["reasons"]
    assert message["lines"] == []


def test_a_message_of_nobody_registered_is_for_intake_staff_only(cast: Cast, now: datetime) -> None:
    elsewhere = Origin(door=Door.MLLP, peer="192.0.2.7")
    receive(oru(Obr([Obx("96")]), control_id="M1"), origin=elsewhere, now=now)
    assert fate(cast.lab, "M1")["ack"] == "AR"
    assert ask(cast.nurse, "M1").status_code == 404


def test_a_nurse_elsewhere_finds_nothing(cast: Cast, now: datetime) -> None:
    send(oru(Obr([Obx("96")]), control_id="M1"), now)
    foreign, absent = ask(cast.other_nurse, "M1"), ask(cast.nurse, "nothing")
    assert foreign.status_code == absent.status_code == 404
    assert foreign.json()["code"] == absent.json()["code"]
    assert ask(cast.nurse, "M1", "mainlab").status_code == 200
    assert ask(cast.nurse, "M1", "otherlab").status_code == 404


def test_who_may_ask(cast: Cast, now: datetime) -> None:
    for user in (cast.desk, cast.clinician, cast.anna_user):
        assert ask(user, "M1").status_code == 403
    body = {"control_id": "M1", "sender": None}
    assert api_of(cast.nurse, LABS).post(FIND, body).status_code == 403
    assert Api().post(FIND, body).status_code == 401


@pytest.mark.parametrize("body", [{}, {"control_id": ""}, {"control_id": "x" * 256}, {"sender": 1}])
def test_a_question_without_a_control_id_is_refused(cast: Cast, body: dict[str, Any]) -> None:
    assert api_of(cast.nurse, "staff").post(FIND, body).status_code == 422


def test_the_question_is_recorded_as_a_read_of_the_message(cast: Cast, now: datetime) -> None:
    sent = send(oru(Obr([Obx("96")]), control_id=str(new_id())), now)
    ask(cast.nurse, sent.control_id)
    with identity(system("housekeeping")):
        event = AuditEvent.objects.get(operation="labs.messages.find")
    assert (event.action, event.resource_ids) == ("R", [sent.message_id])
