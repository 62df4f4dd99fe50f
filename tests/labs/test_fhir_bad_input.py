"""Bad input at the FHIR door: each has a clear answer, and a trace that staff find."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from core.db import identity, system
from core.models import AuditEvent
from labs.models import InboundMessage, IntakeItem, Observation, SendingLaboratory, UnfiledMessage
from tests.cast import Cast
from tests.labs.fhir_bodies import (
    ANNA,
    Json,
    annas,
    bundle,
    observation,
    patient,
    quantity,
    raw,
    report,
)
from tests.labs.messages import laboratory
from tests.labs.test_fhir_door import outcome, post
from tests.labs.test_https_door import token

pytestmark = pytest.mark.django_db
MANY = 100_000


@pytest.fixture
def bearer(cast: Cast) -> str:
    laboratory(cast.clinic, client_id="lis")
    return token("lis")


def kept() -> InboundMessage:
    with identity(system("lab-intake")):
        assert not UnfiledMessage.objects.exists(), "filing failed"
        return InboundMessage.objects.get()


def waiting() -> list[str]:
    with identity(system("lab-intake")):
        return sorted(IntakeItem.objects.values_list("reason", flat=True))


def results() -> list[Observation]:
    with identity(system("lab-intake")):
        return list(Observation.objects.order_by("obx_index"))


def circle_of_reports() -> Json:
    first, second = report("urn:uuid:r2"), report("urn:uuid:r1", identifier=[{"value": "FL2"}])
    return annas(("urn:uuid:r1", first), ("urn:uuid:r2", second))


def circle_of_panels() -> Json:
    def panel(member: str) -> Json:
        found = observation(hasMember=[{"reference": member}])
        return {k: v for k, v in found.items() if k != "valueQuantity"}

    return annas(
        ("urn:uuid:a", panel("urn:uuid:b")), ("urn:uuid:b", panel("urn:uuid:a")),
        report("urn:uuid:a"),
    )  # fmt: skip


REFUSED: list[tuple[str, Callable[[], bytes], int, str]] = [
    ("another resource", lambda: raw(patient()), 422, "not-supported"),
    ("a list", lambda: b"[]", 422, "json-invalid"),
    ("no resource type", lambda: b'{"id":"a"}', 422, "resource-type-missing"),
    ("a bundle of another type", lambda: raw(bundle(observation(), kind="searchset")), 422,
     "not-supported"),
    ("an empty bundle", lambda: raw({"resourceType": "Bundle", "type": "batch"}), 422,
     "nothing-usable"),
    ("a bundle with an empty list", lambda: raw(bundle()), 422, "element-empty"),
    ("an entry without a resource", lambda: raw(
        {"resourceType": "Bundle", "type": "batch", "entry": [{"fullUrl": "urn:uuid:a"}]}), 422,
     "element-missing"),
    ("a patient alone", lambda: raw(annas()), 422, "nothing-usable"),
    ("NUL in a string", lambda: raw(annas(observation(note=[{"text": "a\x00b"}]))), 422,
     "string-invalid"),
    ("NUL in a name", lambda: raw(bundle((ANNA, patient(family="Test\x00mann")), observation())),
     422, "string-invalid"),
    ("half a surrogate", lambda: raw(annas(observation(note=[{"text": "\ud800"}]))), 422,
     "string-invalid"),
    ("text in a number", lambda: raw(annas(observation("31"))), 422, "element-invalid"),
    ("a number in a text", lambda: raw(annas(observation(status=1))), 422, "element-invalid"),
    ("a list for a number", lambda: raw(annas(observation([31]))), 422, "element-invalid"),
    ("not a number", lambda: raw(annas(observation())).replace(b"31", b"NaN"), 422,
     "number-invalid"),
    ("one id twice", lambda: raw(annas(observation(id="o"), observation(35, id="o"))), 422,
     "bundle-duplicate-id"),
    ("one address twice", lambda: raw(annas(("urn:uuid:o", observation()),
                                            ("urn:uuid:o", observation(35)))), 422,
     "bundle-duplicate-id"),
    ("one contained id twice", lambda: raw(report(
        "#o", contained=[observation(id="o"), observation(35, id="o")])), 422,
     "bundle-duplicate-id"),
    ("one key twice", lambda: raw(annas(observation())).replace(
        b'"status"', b'"status": "final", "status"', 1), 422, "json-duplicate-key"),
    ("100,000 entries", lambda: raw(annas(*[{"resourceType": "Basic"}] * MANY)), 413,
     "too-many-observations"),
    ("100,000 results that are not here",
     lambda: raw(annas(report(*[f"urn:uuid:{n}" for n in range(MANY)]))), 413,
     "too-many-observations"),
    ("100,000 components", lambda: raw(annas(observation(
        component=[{"code": {"text": "x"}, "valueString": "y"}] * MANY))), 413,
     "too-many-observations"),
    ("100,000 levels", lambda: b'{"a":' * MANY + b"1" + b"}" * MANY, 422, "json-too-deep"),
    ("65 levels", lambda: raw(annas(observation())).replace(
        b'"note"', b"").replace(b'"final"', b'"final", "x": ' + b"[" * 65 + b"1" + b"]" * 65, 1),
     422, "json-too-deep"),
    ("a day that is none", lambda: raw(annas(observation(effectiveDateTime="2026-02-30"))), 422,
     "date-invalid"),
    ("a day in words", lambda: raw(annas(observation(effectiveDateTime="yesterday"))), 422,
     "date-invalid"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "code"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_what_nobody_can_use_is_refused_by_name_and_kept(
    client: Client, bearer: str, body: Callable[[], bytes], status: int, code: str
) -> None:
    sent = body()
    assert outcome(post(client, sent, bearer), status) == [("error", code)]
    message = kept()
    assert (bytes(message.raw), message.receipt, message.reasons) == (sent, "refused", [code])
    assert results() == []


WAITS: list[tuple[str, Callable[[], Json], str]] = [
    ("a result that is not here", lambda: annas(report("urn:uuid:nowhere")),
     "reference-unresolved"),
    ("a result that is the report itself", lambda: annas(("urn:uuid:r", report("urn:uuid:r"))),
     "reference-unresolved"),
    ("reports that hold each other", circle_of_reports, "reference-unresolved"),
    ("a patient that is not here", lambda: bundle(observation()), "no-pid"),
    ("a patient who is another's",
     lambda: annas(("urn:uuid:o", observation(subject={"reference": "urn:uuid:x"})),
                   report("urn:uuid:o")), "no-pid"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "reason"), [w[1:] for w in WAITS], ids=[w[0] for w in WAITS])
def test_what_leads_nowhere_waits_for_a_person(
    client: Client, bearer: str, body: Callable[[], Json], reason: str
) -> None:
    answer = post(client, body(), bearer)
    assert answer.status_code in (200, 422)
    assert kept().size == len(raw(body()))
    assert results() == []
    if answer.status_code == 200:
        assert reason in waiting()
    else:
        assert outcome(answer, 422) == [("error", reason)]


def test_panels_that_hold_each_other_are_read_once(client: Client, bearer: str) -> None:
    assert post(client, circle_of_panels(), bearer).status_code == 200
    assert kept().receipt == "accepted"


@pytest.mark.parametrize(
    ("sent", "doubt"),
    [
        ("2199-01-01T08:00:00Z", "time-future"),
        ("0001-01-01", "time-year"),
        ("0001-01-01T00:00:00Z", "time-year"),
        ("9999-12-31T23:59:59-12:00", "time-year"),
        ("1899-12-31", "time-year"),
    ],
)
def test_a_day_that_cannot_be_is_not_believed(
    client: Client, bearer: str, sent: str, doubt: str
) -> None:
    body = annas(observation(effectiveDateTime=sent, issued=None))
    assert post(client, body, bearer).status_code == 200
    [result] = results()
    assert result.effective_basis == "received"
    assert result.effective_at == kept().received_at
    assert waiting() == [doubt]


def test_a_number_beyond_all_measure_is_no_measurement(client: Client, bearer: str) -> None:
    post(client, raw(annas(observation(7777))).replace(b"7777", b"1e30"), bearer)
    [result] = results()
    assert (result.value_low, result.value_text, result.state) == (None, "1E+30", "NON_NUMERIC")


@pytest.mark.parametrize("value", [50_000, 0.0001, -31])
def test_a_value_beyond_plausibility_is_told_to_staff_and_never_in_range(
    client: Client, bearer: str, value: float
) -> None:
    ranges = [{"low": quantity(-100), "high": quantity(100_000)}]
    assert post(client, annas(observation(value, referenceRange=ranges)), bearer).status_code == 200
    assert "implausible" in waiting()
    assert [row.state for row in results() if row.state == "IN_RANGE"] == []


def test_the_largest_text_is_kept_and_one_byte_more_is_not_read(
    client: Client, bearer: str, settings: Any
) -> None:
    largest = settings.INTAKE_MAX_BYTES

    def sized(size: int) -> bytes:
        empty = annas(observation(valueQuantity=None, referenceRange=None, valueString="\x00"))
        before, after = raw(empty).split(b"\\u0000")
        return before + b"x" * (size - len(before) - len(after)) + after

    answer = post(client, sized(largest + 1), bearer)
    assert outcome(answer, 413) == [("error", "body-too-large")]
    message = kept()
    assert (message.size, len(bytes(message.raw)), message.truncated) == (
        largest + 1, largest, True,
    )  # fmt: skip
    assert results() == []


def test_a_text_nobody_reads_to_its_end_waits(client: Client, bearer: str) -> None:
    text = "x" * 9_000_000
    body = annas(observation(valueQuantity=None, referenceRange=None, valueString=text))
    answer = post(client, body, bearer)
    assert answer.status_code == 200
    assert len(answer.content) < 10_000
    assert bytes(kept().raw) == raw(body)
    assert (results(), waiting()) == ([], ["text-too-long"])
    with identity(system("lab-intake")):
        assert len(bytes(IntakeItem.objects.get().segment or b"")) < 25_000


@pytest.mark.parametrize(
    "more",
    [
        {"note": [{"text": "x" * 100_001}]},
        {"interpretation": [{"text": "H"}] * 51},
        {"valueQuantity": None, "referenceRange": None, "valueString": "x" * 100_001},
    ],
)
def test_one_more_than_anybody_reads_waits(client: Client, bearer: str, more: Json) -> None:
    post(client, annas(observation(**more)), bearer)
    assert (results(), waiting()) == ([], ["text-too-long"])


@pytest.mark.parametrize(
    "more",
    [
        {"note": [{"text": "x" * 100_000}]},
        {"interpretation": [{"text": "H"}] * 50},
        {"valueQuantity": None, "referenceRange": None, "valueString": "x" * 100_000},
    ],
)
def test_the_longest_that_is_read_is_filed(client: Client, bearer: str, more: Json) -> None:
    post(client, annas(observation(**more)), bearer)
    assert len(results()) == 1
    assert "text-too-long" not in waiting()


@pytest.mark.parametrize(
    ("element", "many"),
    [
        ("note", [{"text": "n"}] * MANY),
        ("interpretation", [{"text": "H"}] * MANY),
        ("referenceRange", [{"text": "1-2"}] * MANY),
        ("category", [{"coding": [{"code": "laboratory"}]}] * MANY),
        ("performer", [{"reference": "urn:uuid:x"}] * MANY),
        ("hasMember", [{"reference": "urn:uuid:o"}] * MANY),
        ("code", {"coding": [{"system": "http://loinc.org", "code": "1742-6"}] * MANY}),
    ],
)
def test_repetition_inside_a_result_breaks_nothing(
    client: Client, bearer: str, element: str, many: Any
) -> None:
    body = annas(("urn:uuid:o", observation(**{element: many})))
    assert post(client, body, bearer).status_code in (200, 413, 422)
    assert kept().receipt in ("accepted", "refused")


def test_repeated_numbers_of_a_patient_find_nobody_else(client: Client, bearer: str) -> None:
    numbers = [{"system": "MAINLAB", "value": f"X{n}"} for n in range(MANY)]
    body = bundle((ANNA, patient(identifier=numbers)), observation())
    assert post(client, body, bearer).status_code == 200
    assert kept().receipt == "accepted"
    assert results() == []


@pytest.mark.parametrize("bearer_sent", ["", "nonsense", "token-of-nobody"])
def test_bad_credentials_leave_a_trace_in_the_audit(
    client: Client, cast: Cast, bearer_sent: str
) -> None:
    assert outcome(post(client, annas(observation()), bearer_sent), 401)
    with identity(system("housekeeping")):
        denial = AuditEvent.objects.get(outcome="denied")
    assert denial.operation == "labs.fhir.submit"


def test_an_inactive_laboratory_is_an_unknown_sender(client: Client, bearer: str) -> None:
    with identity(system("registration")):
        SendingLaboratory.objects.update(is_active=False)
    assert outcome(post(client, annas(observation()), bearer), 403) == [("error", "forbidden")]
    with identity(system("housekeeping")):
        assert AuditEvent.objects.filter(operation="labs.fhir.submit", outcome="denied").exists()
