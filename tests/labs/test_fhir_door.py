"""The FHIR door: OAuth outside, the one path of every laboratory message inside."""

from datetime import datetime
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.db import identity, system
from core.models import AuditEvent
from labs.api.fhir import TOLD
from labs.fhir import reader
from labs.fhir.json_text import load
from labs.models import Filing, InboundMessage, IntakeItem, Observation, SendingLaboratory
from labs.services.intake import reprocess
from labs.services.queueing import TROUBLES
from tests.cast import Cast
from tests.labs.fhir_bodies import (
    ANNA,
    FLAGS,
    Json,
    annas,
    bundle,
    concept,
    observation,
    patient,
    quantity,
    raw,
    report,
)
from tests.labs.messages import Obr, Obx, laboratory, oru, send
from tests.labs.test_https_door import token

pytestmark = pytest.mark.django_db
BASE = "/fhir/R4/"
TYPE = "application/fhir+json"


@pytest.fixture
def lab(cast: Cast) -> SendingLaboratory:
    return laboratory(cast.clinic, client_id="lis")


@pytest.fixture
def bearer(lab: SendingLaboratory) -> str:
    return token("lis")


def post(
    client: Client, body: Json | bytes, bearer: str, path: str = BASE, content_type: str = TYPE
) -> Any:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    sent = body if isinstance(body, bytes) else raw(body)
    answer = client.post(path, sent, content_type=content_type, headers=headers)
    assert answer["Content-Type"] == TYPE
    return answer


def kept() -> list[InboundMessage]:
    with identity(system("lab-intake")):
        return list(InboundMessage.objects.order_by("id"))


def results() -> list[Observation]:
    with identity(system("lab-intake")):
        return list(Observation.objects.order_by("id"))


def reasons() -> list[str]:
    with identity(system("lab-intake")):
        return sorted(IntakeItem.objects.values_list("reason", flat=True))


def outcome(answer: Any, status: int) -> list[tuple[str, str]]:
    assert answer.status_code == status
    told = answer.json()
    assert told["resourceType"] == "OperationOutcome"
    return [(i["severity"], i["details"]["coding"][0]["code"]) for i in told["issue"]]


@pytest.mark.parametrize("content_type", [TYPE, f"{TYPE}; charset=utf-8", "application/json"])
@pytest.mark.parametrize("path", ["/fhir/R4", BASE])
def test_a_bundle_is_kept_filed_and_answered_entry_by_entry(
    client: Client, bearer: str, cast: Cast, content_type: str, path: str
) -> None:
    body = annas(("urn:uuid:o", observation()), report("urn:uuid:o"), kind="transaction")
    answer = post(client, body, bearer, path, content_type)
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    told = answer.json()
    assert told["type"] == "transaction-response"
    assert [entry["response"]["status"] for entry in told["entry"]] == [
        "200 OK", "201 Created", "200 OK",
    ]  # fmt: skip
    [message] = kept()
    assert (bytes(message.raw), message.door, message.receipt) == (raw(body), "fhir", "accepted")
    [result] = results()
    assert (result.patient_id, result.value_text, result.parser_version) == (
        cast.anna.id, "31", "fhir-2",
    )  # fmt: skip


def test_a_report_with_what_it_contains_is_created(client: Client, bearer: str) -> None:
    held = [patient(id="p"), observation(id="o", subject={"reference": "#p"})]
    body = report("#o", subject={"reference": "#p"}, contained=held)
    answer = post(client, body, bearer, f"{BASE}DiagnosticReport")
    assert outcome(answer, 201) == [("information", "stored")]
    assert len(results()) == 1


LINES: list[tuple[Obx, Json]] = [
    (Obx("31"), {}),
    (Obx("31", range=""), {"referenceRange": None}),
    (Obx("41"), {"valueQuantity": quantity(41)}),
    (Obx("40.0"), {"valueQuantity": quantity("40.0")}),
    (Obx(">^1000", type="SN", flag="HH"),
     {"valueQuantity": quantity(1000, comparator=">"), "interpretation": [concept("HH", FLAGS)]}),
    (Obx("see note", type="ST", unit=""), {"valueQuantity": None, "valueString": "see note"}),
    (Obx("31", flag="N", range=""),
     {"referenceRange": None, "interpretation": [concept("N", FLAGS)]}),
    (Obx("31", range="<=40"), {"referenceRange": [{"high": quantity(40)}]}),
    (Obx("31", status="P"), {"status": "preliminary"}),
    (Obx("", status="X", unit=""), {"status": "cancelled", "valueQuantity": None}),
]  # fmt: skip
VERDICT = ("analyte_key", "loinc", "value_kind", "value_low", "value_high", "comparator",
           "unit_ucum", "range_low", "range_high", "flags", "status", "state", "tier", "rule_id",
           "rule_version", "basis", "reason", "discrepancy", "staff_critical", "effective_at",
           "issued_at", "visible_from")  # fmt: skip


@pytest.mark.parametrize(("sent", "more"), LINES)
@pytest.mark.parametrize("comma", [False, True])
def test_a_result_gets_the_verdict_it_would_get_by_hl7(
    client: Client, cast: Cast, now: datetime, sent: Obx, more: Json, comma: bool
) -> None:
    lab = laboratory(cast.clinic, client_id="lis")
    send(oru(Obr([sent], filler="FL0")), now)
    with identity(system("registration")):
        SendingLaboratory.objects.filter(pk=lab.pk).update(decimal_comma=comma)
    body = raw(annas(("urn:uuid:o", observation(**more)), report("urn:uuid:o")))
    post(client, body.replace(b'"40.0"', b"40.0"), token("lis"))
    by_hl7, by_fhir = results()
    for name in VERDICT:
        if name != "visible_from":
            assert getattr(by_fhir, name) == getattr(by_hl7, name), name
    assert (by_fhir.visible_from is None) == (by_hl7.visible_from is None)


def test_a_correction_replaces_and_an_older_version_does_not(client: Client, bearer: str) -> None:
    def send_version(value: int, status: str, issued: str) -> None:
        line = observation(value, status=status)
        body = annas(
            ("urn:uuid:o", line), report("urn:uuid:o", status=status, issued=issued),
            identifier={"value": f"B{value}"},
        )  # fmt: skip
        assert post(client, body, bearer).status_code == 200

    send_version(31, "final", "2026-11-20T10:00:00Z")
    send_version(35, "corrected", "2026-11-20T11:00:00Z")
    send_version(33, "final", "2026-11-20T10:30:00Z")
    with identity(system("lab-intake")):
        current = Observation.objects.current().get()
    assert (current.value_text, current.status) == ("35", "corrected")
    assert len(results()) == 3


def test_an_order_that_began_by_hl7_goes_on_by_fhir(
    client: Client, bearer: str, now: datetime
) -> None:
    send(oru(Obr([Obx("31")], filler="FL1")), now)
    line = observation(35, status="corrected", issued="2026-11-20T11:00:00+01:00")
    more = {"issued": "2026-11-20T11:00:00+01:00", "status": "corrected"}
    post(client, annas(("urn:uuid:o", line), report("urn:uuid:o", **more)), bearer)
    with identity(system("lab-intake")):
        assert Observation.objects.current().get().value_text == "35"


def test_the_same_body_again_does_nothing(client: Client, bearer: str) -> None:
    body = annas(observation(), identifier={"value": "B1"})
    post(client, body, bearer)
    entries = post(client, body, bearer).json()["entry"]
    assert entries[-1]["resource"]["issue"][0]["details"]["coding"][0]["code"] == "duplicate"
    assert [message.receipt for message in kept()] == ["accepted", "duplicate"]
    assert len(results()) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (annas(("urn:uuid:o", observation()), report("urn:uuid:o")), 200),
        (report("#o", subject={"reference": "#p"},
                contained=[patient(id="p"), observation(id="o", subject=None)]), 201),
        (annas(observation(effectiveDateTime="2026-11-20")), 200),
        (annas(observation(status="done")), 422),
    ],
)  # fmt: skip
def test_a_body_is_parsed_once(
    client: Client, bearer: str, monkeypatch: pytest.MonkeyPatch, body: Json, status: int
) -> None:
    parsed: list[bytes] = []

    def counted(sent: bytes) -> Json:
        parsed.append(sent)
        return load(sent)

    monkeypatch.setattr(reader, "load", counted)
    assert post(client, body, bearer).status_code == status
    assert parsed == [raw(body)]


def test_a_day_without_a_zone_belongs_to_the_laboratory(
    client: Client, bearer: str, lab: SendingLaboratory
) -> None:
    post(client, annas(observation(effectiveDateTime="2026-11-20")), bearer)
    [result] = results()
    assert result.effective_at.isoformat() == "2026-11-19T23:00:00+00:00"


def test_another_body_under_the_same_identifier_is_set_aside(client: Client, bearer: str) -> None:
    post(client, annas(observation(), identifier={"value": "B1"}), bearer)
    post(client, annas(observation(35), identifier={"value": "B1"}), bearer)
    assert [message.receipt for message in kept()] == ["accepted", "set-aside"]
    assert reasons() == ["control-id-reused"]


def test_two_bodies_without_identifiers_are_two_messages(client: Client, bearer: str) -> None:
    post(client, annas(observation()), bearer)
    post(client, annas(observation(35)), bearer)
    assert [message.receipt for message in kept()] == ["accepted", "accepted"]


def test_two_results_without_identifiers_are_not_taken_for_one(client: Client, bearer: str) -> None:
    for value in (31, 35):
        held = observation(value, subject={"reference": "#p"}, contained=[patient(id="p")])
        assert post(client, held, bearer, f"{BASE}Observation").status_code == 201
    assert [message.receipt for message in kept()] == ["accepted", "accepted"]


def test_a_corrected_report_keeps_its_identifier_and_is_a_new_message(
    client: Client, bearer: str
) -> None:
    for value, status in ((31, "final"), (35, "corrected")):
        held = [patient(id="p"), observation(value, id="o", status=status, subject=None)]
        body = report("#o", status=status, subject={"reference": "#p"}, contained=held)
        assert outcome(post(client, body, bearer), 201) == [("information", "stored")]
    with identity(system("lab-intake")):
        assert Observation.objects.current().get().value_text == "35"


@pytest.mark.parametrize("reason", sorted(TOLD))
def test_what_the_sender_is_told_has_words_of_its_own(reason: str) -> None:
    assert reason in TROUBLES


def test_what_is_queued_is_said_and_names_nothing_that_was_sent(
    client: Client, bearer: str
) -> None:
    odd = observation(valueQuantity={"value": 4, "unit": "Zorkmid"}, code="X-odd")
    answer = post(client, annas(observation(), odd, report("urn:uuid:nowhere")), bearer)
    entries = answer.json()["entry"]
    assert [entry["response"]["status"][:3] for entry in entries] == ["200", "201", "202", "202"]
    issue = entries[2]["response"]["outcome"]["issue"][0]
    assert (issue["severity"], issue["expression"]) == ("warning", ["Bundle.entry[2].resource"])
    for word in (b"Testmann", b"900001", b"Zorkmid", b"X-odd", b"1970"):
        assert word not in answer.content
    assert reasons() == ["reference-unresolved", "unknown-code"]


@pytest.mark.parametrize(
    "held",
    [
        patient("999999"),
        patient(family="Somebodyelse"),
        patient(birthDate="1970-01-02"),
        patient(gender="male"),
        patient(identifier=[{"system": "ELSEWHERE", "value": "900001"}]),
    ],
)
def test_a_patient_in_doubt_is_queued_and_the_sender_cannot_find_out_why(
    client: Client, bearer: str, held: Json
) -> None:
    answer = post(client, bundle((ANNA, held), observation()), bearer)
    [issue] = answer.json()["entry"][1]["response"]["outcome"]["issue"]
    assert issue["details"]["coding"][0]["code"] == "waits-for-review"
    assert results() == []
    assert len(reasons()) >= 1


@pytest.mark.parametrize("missing", ["identifier", "name", "birthDate"])
def test_an_incomplete_patient_is_queued(client: Client, bearer: str, missing: str) -> None:
    held = {name: element for name, element in patient().items() if name != missing}
    post(client, bundle((ANNA, held), observation()), bearer)
    assert results() == []
    assert [reason.startswith("pid-") for reason in reasons()] == [True]


def test_each_of_two_patients_gets_her_own(client: Client, bearer: str, cast: Cast) -> None:
    with identity(system("registration")):
        number = cast.brigid.identifiers.get()
    held = patient(
        number.value, cast.brigid.family_name, birthDate=cast.brigid.birth_date.isoformat()
    )
    other = observation(77, subject={"reference": "urn:uuid:b"})
    post(client, annas(("urn:uuid:b", held), observation(), other), bearer)
    assert {(row.patient_id, row.value_text) for row in results()} == {
        (cast.anna.id, "31"), (cast.brigid.id, "77"),
    }  # fmt: skip


def test_processing_again_reads_the_same_body_again(
    client: Client, bearer: str, cast: Cast, now: datetime
) -> None:
    post(client, bundle((ANNA, patient("900777")), observation()), bearer)
    assert results() == []
    with identity(system("registration")):
        known = cast.anna.identifiers.get()
        cast.anna.identifiers.create(
            authority=known.authority, value="900777", type=known.type, valid_from=known.valid_from
        )
    reprocess(message_id=kept()[0].id, actor=cast.lab, now=now)
    assert [row.value_text for row in results()] == ["31"]
    with identity(system("lab-intake")):
        assert [filing.parser_version for filing in Filing.objects.all()] == ["fhir-2", "fhir-2"]


def test_test_data_is_kept_and_never_filed(client: Client, bearer: str) -> None:
    body = annas(observation(meta={"security": [{"code": "HTEST"}]}))
    assert post(client, body, bearer).status_code == 200
    assert [message.receipt for message in kept()] == ["test-area"]
    assert results() == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty"),
        (b"{", "json-invalid"),
        (b"\x00\x00", "json-invalid"),
        (b'{"resourceType":"Bundle","type":"collection"}', "nothing-usable"),
        (b'{"resourceType":"Patient","id":"a"}', "not-supported"),
        (b'{"a":' * 50_000, "json-too-deep"),
        (b'{"resourceType":"Bundle","type":"collection","total":1e99999999999999999999}',
         "number-invalid"),
        (raw(annas(observation(status="done"))), "status-invalid"),
        (raw(annas(observation(note=[{"text": "a\x00b"}]))), "string-invalid"),
        (raw(annas(observation(id="o"), observation(id="o"))), "bundle-duplicate-id"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_and_kept(
    client: Client, bearer: str, body: bytes, code: str
) -> None:
    assert outcome(post(client, body, bearer), 422) == [("error", code)]
    [message] = kept()
    assert (bytes(message.raw), message.receipt, message.reasons) == (body, "refused", [code])


def test_a_refusal_says_where_and_not_what(client: Client, bearer: str) -> None:
    answer = post(client, annas(observation(effectiveDateTime="2026-99-01")), bearer)
    assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[1].resource.effectiveDateTime"]
    assert b"2026-99" not in answer.content


def test_more_than_the_limit_is_kept_in_part(client: Client, bearer: str, settings: Any) -> None:
    settings.INTAKE_MAX_BYTES = 300
    body = raw(annas(observation()))
    assert outcome(post(client, body, bearer), 413) == [("error", "body-too-large")]
    [message] = kept()
    assert (len(bytes(message.raw)), message.size) == (300, len(body))


@pytest.mark.parametrize("bearer", ["", "nonsense"])
def test_without_a_good_token_nothing_is_taken(client: Client, cast: Cast, bearer: str) -> None:
    assert outcome(post(client, annas(observation()), bearer), 401) == [
        ("error", "not-authenticated")
    ]
    assert kept() == []


def test_another_scope_is_not_enough(client: Client, lab: SendingLaboratory) -> None:
    answer = post(client, annas(observation()), token("lis", "labs.read"))
    assert outcome(answer, 403) == [("error", "forbidden")]
    assert kept() == []
    with identity(system("housekeeping")):
        denial = AuditEvent.objects.get(outcome="denied")
        assert (denial.operation, denial.client_id) == ("labs.fhir.submit", "lis")


def test_a_client_without_a_laboratory_is_refused(client: Client, cast: Cast) -> None:
    assert outcome(post(client, annas(observation()), token("stray")), 403)
    assert kept() == []


def test_other_formats_are_not_read_here(client: Client, bearer: str) -> None:
    answer = post(client, b"<Bundle/>", bearer, content_type="application/fhir+xml")
    assert outcome(answer, 415) == [("error", "unsupported-media-type")]


MOVES = st.sampled_from(
    [
        ("identifier", [{"system": "MAINLAB", "value": "900002"}]),
        ("name", [{"family": "Anders"}]),
        ("birthDate", "1971-01-01"),
        ("birthDate", "1970-01"),
        ("gender", "male"),
        ("modifierExtension", [{"url": "urn:x"}]),
        ("identifier", [{"value": "900001"}]),
    ]
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(MOVES, min_size=1, max_size=3), st.booleans())
def test_no_change_of_the_patient_lets_a_result_through(
    client: Client, bearer: str, moves: list[tuple[str, Any]], inside: bool
) -> None:
    held = patient() | dict(moves)
    post(client, bundle((ANNA, held), observation()), bearer)
    assert results() == []
