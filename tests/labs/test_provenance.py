"""AUD-7: from any value that she is shown, back to the bytes it came from and to who decided."""

import base64
import hashlib
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, transaction

from core.db import identity, system
from labs.models import Document, InboundMessage, Observation, SendingLaboratory
from labs.services import holding
from labs.services.releasing import announce_due
from labs.services.senders import Door, Origin
from patients.viewer import staff_viewer
from tests.cast import Cast
from tests.labs import fhir_bodies
from tests.labs.files import PDF, ed
from tests.labs.messages import ALBUMIN, CALCIUM, Obr, Obx, laboratory, oru, send, send_one
from tests.labs.releasing import MARKER, deliver, place, rule_for_markers, the_report, the_result
from tests.tokens import Api, api_of

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)
LATER = "20261120112500+0100"


@pytest.fixture
def main_lab(cast: Cast) -> SendingLaboratory:
    return laboratory(cast.clinic, client_id="lis")


@pytest.fixture
def anna(cast: Cast) -> Api:
    return api_of(cast.anna_user, "labs.read symptoms.write")


def shown(anna: Api, analyte: str = "") -> dict[str, Any]:
    params = {"analyte": analyte} if analyte else {}
    (item,) = anna.get("patients/me/results", params).json()["items"]
    found: dict[str, Any] = item
    return found


def row_of(item: dict[str, Any]) -> Observation:
    with identity(system("lab-intake")):
        return Observation.objects.select_related("message__laboratory", "filed_by").get(
            id=UUID(item["id"])
        )


def bytes_of(row: Observation) -> bytes:
    """Walk from a row to its message; every step has to be there."""
    message = row.message
    assert isinstance(message, InboundMessage)
    raw = bytes(message.raw)
    assert hashlib.sha256(raw).hexdigest() == message.sha256
    assert message.laboratory is not None
    assert message.laboratory.id == row.laboratory_id
    assert row.parser_version == message.parser_version != ""
    assert row.rule_version != ""
    return raw


def test_a_result_of_hl7(cast: Cast, now: datetime, main_lab: Any, anna: Api) -> None:
    sent = oru(Obr([Obx("17", code="1920-8", name="AST"), Obx("31")]))
    send(sent, now)
    row = row_of(shown(anna, "alt"))
    raw = bytes_of(row)
    assert raw == sent
    lines = [line for line in raw.split(b"\r") if line.startswith(b"OBX")]
    assert row.obx_index is not None
    assert b"|31|U/L|" in lines[row.obx_index - 1]


def test_a_result_of_fhir(cast: Cast, now: datetime, main_lab: Any, anna: Api) -> None:
    body = fhir_bodies.annas(
        ("urn:uuid:o", fhir_bodies.observation(31)),
        fhir_bodies.report("urn:uuid:o"),
        identifier={"value": "B1"},
    )
    sent = fhir_bodies.raw(body)
    origin = Origin(door=Door.FHIR, client_id="lis")
    send(sent, now, origin)
    row = row_of(shown(anna))
    assert bytes_of(row) == sent
    assert row.parser_version.startswith("fhir")


def test_a_corrected_result_and_what_it_was(
    cast: Cast, now: datetime, main_lab: Any, anna: Api
) -> None:
    send_one(now, Obx("31"))
    send_one(now, Obx("33", status="C"), resulted=LATER)
    item = shown(anna)
    assert b"|33|U/L|" in bytes_of(row_of(item))
    with identity(system("lab-intake")):
        old = Observation.objects.select_related("message__laboratory").get(version=1)
    assert item["was"]["text"] == "31"
    assert b"|31|U/L|" in bytes_of(old)


def test_a_derived_result(cast: Cast, now: datetime, main_lab: Any, anna: Api) -> None:
    send_one(now, Obx("9.4", **CALCIUM), Obx("2.8", **ALBUMIN))
    row = row_of(shown(anna, "calcium_corrected"))
    assert row.derived_method != ""
    with identity(system("lab-intake")):
        inputs = list(
            Observation.objects.select_related("message__laboratory").filter(
                id__in=row.derived_from
            )
        )
    assert {one.value_text for one in inputs} == {"9.4", "2.8"}
    for one in inputs:
        assert f"|{one.value_text}|".encode() in bytes_of(one)


def test_a_document(cast: Cast, now: datetime, main_lab: Any, anna: Api) -> None:
    send_one(now, Obx("31"), ed())
    (report,) = anna.get("patients/me/reports").json()["items"]
    details = anna.get(f"patients/me/reports/{report['id']}").json()
    (document,) = details["documents"]
    content = anna.get(f"patients/me/documents/{document['id']}/content")
    assert content.content == PDF
    with identity(system("lab-intake")):
        kept = Document.objects.select_related(
            "observation__message__laboratory", "attachment"
        ).get()
    assert kept.id == UUID(document["id"])
    assert kept.attachment is not None
    assert kept.attachment.sha256 == hashlib.sha256(PDF).hexdigest()
    assert base64.b64encode(PDF) in bytes_of(kept.observation)


def test_what_she_entered_leads_to_her(cast: Cast, now: datetime, anna: Api) -> None:
    made = anna.post(
        "patients/me/outside-results",
        {
            "analyte": "alt", "value": "52", "unit": "U/L", "range": "7-35",
            "taken_on": "2026-11-02", "where": "Harbor Laboratory",
        },
    )  # fmt: skip
    assert made.status_code == 201, made.content
    row = row_of(made.json())
    assert (row.filed_by_id, row.message) == (cast.anna_user.pk, None)
    assert row.parser_version == "entered-1"
    assert row.rule_version != ""


# --- releases -------------------------------------------------------------------------------------


def test_a_release_names_its_rule_or_its_person(cast: Cast, now: datetime, main_lab: Any) -> None:
    rule_for_markers(cast)
    deliver(now, Obx("31"), Obx("28", **MARKER))
    assert (the_result().release_basis, the_result().release_rule_version) == (
        "rule",
        "immediate-1",
    )
    waiting = the_result("6875-9")
    assert (waiting.release_basis, waiting.release_rule_version) == ("rule", "markers-1")
    with identity(staff_viewer(user=cast.clinician, now=now).identity):
        holding.release_now(
            report_id=the_report().id,
            actor=cast.clinician,
            reason="We spoke.",
            now=now + SECOND,
        )
    released = the_result("6875-9")
    assert (released.release_basis, released.released_by_id) == ("person", cast.clinician.pk)
    placed = place(cast, the_report(), now + 2 * SECOND)
    held = the_result()
    assert (held.release_basis, held.release_rule_version) == ("backstop", "hold-1")
    assert placed.placed_by_id == cast.clinician.pk
    announce_due(now=placed.backstop_at)


@pytest.mark.parametrize("field", ["parser_version", "rule_version"])
def test_no_result_without_the_versions_that_made_it(
    cast: Cast, now: datetime, main_lab: Any, field: str
) -> None:
    send_one(now, Obx("31"))
    with identity(system("lab-intake")):
        row = Observation.objects.get()
        row.pk, row.version, row.identity_key = Observation().pk, 1, "another"
        setattr(row, field, "")
        with (
            pytest.raises(IntegrityError, match="observation_names_its_versions"),
            transaction.atomic(),
        ):
            row.save(force_insert=True)


@pytest.mark.parametrize(
    "changes", [{"sha256": ""}, {"sha256": "x" * 64}, {"sha256": "A" * 64}, {"parser_version": ""}]
)
def test_no_message_without_hash_and_parser(
    cast: Cast, now: datetime, main_lab: Any, changes: dict[str, str]
) -> None:
    send_one(now, Obx("31"))
    with identity(system("lab-intake")):
        row = InboundMessage.objects.get()
        row.pk, row.control_key = InboundMessage().pk, "another"
        row.body_hash = "0" * 64
        for field, value in changes.items():
            setattr(row, field, value)
        with (
            pytest.raises(IntegrityError, match="message_has_hash_and_parser"),
            transaction.atomic(),
        ):
            row.save(force_insert=True)
