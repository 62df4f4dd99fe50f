"""Every sample message through the real listener, in the order of the golden file, twice: with
nobody registered, and with every complete patient known."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from core.db import identity, system
from labs.hl7.answers import classify
from labs.hl7.message import parse
from labs.hl7.mllp import Frame, FrameDecoder
from labs.hl7.oru import PatientIdentity, identity_gaps, read_oru
from labs.models import Filing, InboundMessage, Observation, SendingLaboratory
from labs.services.intake import messages_in
from labs.services.registration import NewPatient, register_for_matching
from patients.models import Patient, PatientIdentifier
from patients.names import normalised_family_name
from tests.cast import Cast
from tests.labs.listening import Client, ack_code, listening
from tests.unit.hl7.samples import HL7V2, golden_rows, needs_samples, sample_files

pytestmark = [
    needs_samples,
    pytest.mark.django_db(transaction=True, databases=["default", "owner"]),
]


@dataclass(frozen=True)
class Sample:
    file: str
    number: int
    raw: bytes


def samples() -> list[Sample]:
    return [
        Sample(path.name, number, raw)
        for path in sample_files()
        for number, raw in enumerate(messages_of(path.read_bytes()), start=1)
    ]


def messages_of(data: bytes) -> list[bytes]:
    """Return the messages of a file, in their very bytes; one file is a dump of MLLP frames."""
    if not data.startswith(b"\x0b"):
        return messages_in(data)
    return [frame.payload for frame in FrameDecoder().feed(data) if isinstance(frame, Frame)]


@pytest.fixture
def gateway(cast: Cast) -> None:
    """An interface engine that forwards for everybody, as a test bench would."""
    with identity(system("registration")):
        SendingLaboratory.objects.create(
            key="bench",
            name="Bench",
            organization=cast.clinic,
            zone="UTC",
            peer_networks=["127.0.0.0/8"],
            is_gateway=True,
        )


def identities(raw: bytes) -> list[PatientIdentity]:
    if classify(raw).disposition != "accept":
        return []
    found = read_oru(parse(raw), zone=ZoneInfo("UTC"))
    return [g.pid for g in found.groups if g.pid is not None and not identity_gaps(g.pid)]


def register_everybody(now: datetime) -> None:
    sex = {"F": "female", "M": "male"}
    people = [
        NewPatient(
            number=number.value,
            authority=number.authority,
            family_name=pid.family,
            given_name=pid.given,
            birth_date=pid.birth_date,
            sex=sex.get(pid.sex, "unknown"),
        )
        for sample in samples()
        for pid in identities(sample.raw)
        for number in pid.identifiers[:1]
        if number.authority and pid.birth_date is not None
    ]
    register_for_matching(people=people, organization=None, now=now)


def feed(now: datetime) -> dict[tuple[str, int], tuple[str, str, frozenset[str]]]:
    """Send every sample; return ack, disposition and reasons by file and number."""
    with listening(now) as port:
        client = Client(port)
        answers = [(sample, client.ask(sample.raw)) for sample in samples()]
        client.close()
    with identity(system("lab-intake")):
        kept = list(InboundMessage.objects.order_by("id"))
        filings = {filing.message_id: filing for filing in Filing.objects.all()}
    assert [bytes(message.raw) for message in kept] == [sample.raw for sample in samples()]
    found = {}
    for (sample, answer), message in zip(answers, kept, strict=True):
        assert ack_code(answer) == message.ack_code
        filing = filings.get(message.id)
        if filing is not None:
            outcome = (filing.outcome, frozenset(filing.reasons))
        else:
            kind = "queued" if message.receipt == "set-aside" else message.receipt
            outcome = (kind, frozenset(message.reasons))
        found[(sample.file, sample.number)] = (message.ack_code, *outcome)
    return found


def golden(column: str) -> dict[tuple[str, int], tuple[str, str, frozenset[str]]]:
    return {
        (row["file"], int(row["message"])): (
            row["ack"],
            row[f"disposition{column}"],
            frozenset(filter(None, row[f"reasons{column}"].split(";"))),
        )
        for row in golden_rows()
    }


def test_every_sample_is_kept_and_answered_as_the_golden_file_says(
    gateway: None, now: datetime
) -> None:
    assert feed(now) == golden("")
    with identity(system("lab-intake")):
        assert not Observation.objects.exists()


def test_every_sample_of_a_known_patient_is_filed_as_the_golden_file_says(
    gateway: None, now: datetime
) -> None:
    register_everybody(now)
    assert feed(now) == golden("_registered")
    with identity(system("lab-intake")):
        rows = Observation.objects.select_related("message", "patient").all()
        assert rows.exists()
        for row in rows:
            assert_named_by_the_message(row.patient, bytes(row.message.raw))


def assert_named_by_the_message(patient: Patient, raw: bytes) -> None:
    numbers = set(PatientIdentifier.objects.filter(patient=patient).values_list("value", flat=True))
    assert any(
        numbers & {number.value for number in pid.identifiers}
        and normalised_family_name(pid.family) == patient.family_name_key
        and pid.birth_date == patient.birth_date
        for pid in identities(raw)
    )


def test_the_samples_are_where_they_should_be() -> None:
    assert HL7V2.is_dir()
    assert len(samples()) == len(list(golden_rows()))
