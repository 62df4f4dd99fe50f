"""Bad input at every door of HL7 v2: each has a clear answer, and a trace that staff find.

What the FHIR door does with the same list stands in test_fhir_bad_input.py; two inputs that both
HTTPS doors share are here.
"""

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client as Browser
from django.urls import reverse

from core.db import identity, system
from core.models import AuditEvent
from labs.models import InboundMessage, IntakeItem, Observation, UnfiledMessage
from tests.cast import Cast
from tests.labs.fhir_bodies import annas, observation
from tests.labs.fhir_bodies import raw as fhir
from tests.labs.listening import Client, listening
from tests.labs.messages import ANNA, Obr, Obx, laboratory, oru
from tests.labs.test_fhir_door import outcome
from tests.labs.test_fhir_door import post as post_fhir
from tests.labs.test_https_door import post, token

LINE = Obr([Obx("31")])
LIMIT = 10 * 1_048_576
NUMBER = "900001^^^MAINLAB^MR"
COMMITTED = pytest.mark.django_db(transaction=True, databases=["default", "owner"])
ROLLED_BACK = pytest.mark.django_db

Heard = tuple[str, list[str]]
"""The answer's code, and our own code of each fault that it names."""


@dataclass(frozen=True)
class Bad:
    """What is sent; the answer; why it was refused, or which reasons wait for a person."""

    raw: Callable[[], bytes]
    code: str
    reasons: tuple[str, ...] = ()
    waits: tuple[str, ...] = ()
    results: tuple[str, ...] = ()


def refused(raw: Callable[[], bytes], code: str, *reasons: str) -> Bad:
    return Bad(raw, code, reasons)


def waiting(raw: Callable[[], bytes], *waits: str, results: tuple[str, ...] = ()) -> Bad:
    return Bad(raw, "AA", waits=waits, results=results)


def one(value: str = "31", **changes: Any) -> bytes:
    return oru(Obr([Obx(value, **changes)]))


def dated(**times: str) -> bytes:
    return oru(Obr([Obx("31")], **times))


def cut(after: bytes, more: int = 0) -> Callable[[], bytes]:
    def made() -> bytes:
        raw = oru(LINE)
        return raw[: raw.index(after) + len(after) + more]

    return made


def numbered(numbers: str) -> bytes:
    return oru(LINE, pid=ANNA.replace(NUMBER, numbers))


BAD: dict[str, Bad] = {
    "unknown sender": refused(lambda: oru(LINE, facility="NOBODY"), "AR", "unauthorised"),
    "wrong message type": refused(
        lambda: oru(LINE).replace(b"ORU^R01^ORU_R01", b"ADT^A01"), "AR", "not-oru"
    ),
    "another version": refused(lambda: oru(LINE, version="1.0"), "AR", "unsupported-version"),
    "cut in the header": refused(cut(b"|MAINLAB|PORT"), "AR", "not-oru", "version-missing"),
    "cut in the patient": refused(cut(b"PID|1||9000"), "AE", "nothing-usable"),
    "cut in the order": waiting(cut(b"OBR|1|PL1"), "report-without-results"),
    "cut in the value": waiting(cut(b"||3"), "status-missing"),
    "a segment of more than 10 MB": refused(lambda: one("x" * (LIMIT + 1), type="ST"), "AE"),
    "a text of 9 MB": waiting(lambda: one("x" * 9_000_000, type="ST"), "text-too-long"),
    "a comment of 9 MB": waiting(
        lambda: oru(Obr([Obx("31", notes=["x" * 9_000_000])])), "text-too-long"
    ),
    "nothing but NUL": refused(lambda: b"\0" * 100, "AE", "msh-unreadable"),
    "NUL in a number": Bad(lambda: one("3\x001"), "AA", results=("NON_NUMERIC",)),
    "NUL in the patient's number": waiting(
        lambda: numbered("9000\x0001^^^MAINLAB^MR"), "unknown-patient"
    ),
    "50,000 results": refused(
        lambda: oru(Obr([Obx("31")] * 50_000)), "AE", "too-many-observations"
    ),
    "100,000 orders": refused(
        lambda: oru(*["OBR|1||F|X^Y^LN"] * 100_000), "AE", "too-many-observations"
    ),
    "100,000 patients": refused(
        lambda: oru(*[ANNA] * 100_000, LINE), "AE", "too-many-observations"
    ),
    "a value a million times": waiting(lambda: one("1~" * 1_000_000), "text-too-long"),
    "a million components": waiting(lambda: one("1^" * 1_000_000), "text-too-long"),
    "100,000 flags": waiting(lambda: one(flag="H~" * 100_000), "text-too-long"),
    "100,000 comments": waiting(
        lambda: oru(Obr([Obx("31", notes=["x"] * 100_000)])), "text-too-long"
    ),
    "100,000 numbers of a patient": waiting(
        lambda: numbered("~".join(f"{n}^^^MAINLAB^MR" for n in range(100_000))), "unknown-patient"
    ),
    "an escape of a million bytes": waiting(
        lambda: one(f"\\X{'41' * 1_000_000}\\", type="ST"), "text-too-long"
    ),
    "compressed": refused(
        lambda: gzip.compress(oru(LINE), mtime=0).translate(None, b"\x0b\x1c"),
        "AE",
        "msh-unreadable",
    ),
    "text in a number": Bad(lambda: one("haemolysed"), "AA", results=("NON_NUMERIC",)),
    "a number with words": Bad(lambda: one("31 or so"), "AA", results=("NON_NUMERIC",)),
    "a number beyond all measure": Bad(lambda: one("9" * 1000), "AA", results=("NON_NUMERIC",)),
    "collected in the future": waiting(
        lambda: dated(collected="21990101080000+0100"), "time-future", results=("IN_RANGE",)
    ),
    "collected in the year 0001": waiting(
        lambda: dated(collected="00010101"), "time-year", results=("IN_RANGE",)
    ),
    "resulted in the future": waiting(
        lambda: dated(resulted="21990101080000+0100"), "time-future", results=("IN_RANGE",)
    ),
    "born in the year 0001": waiting(
        lambda: oru(LINE, pid=ANNA.replace("19700101", "00010101")), "pid-birth-date-missing"
    ),
    "born in the future": waiting(
        lambda: oru(LINE, pid=ANNA.replace("19700101", "21990101")), "birth-date-differs"
    ),
    "a value beyond plausibility": waiting(
        lambda: one("50000", range="10-100000"), "implausible", results=("IMPLAUSIBLE",)
    ),
    "a value below nothing": waiting(
        lambda: one("-31", range="-100-100"), "implausible", results=("IMPLAUSIBLE",)
    ),
    "an empty batch": refused(
        lambda: b"FHS|^~\\&\rBHS|^~\\&\rBTS|0\rFTS|1\r", "AE", "msh-unreadable"
    ),
    "nothing": refused(lambda: b"", "AE", "empty"),
    "a result of no order": waiting(
        lambda: oru("OBX|1|NM|1742-6^ALT^LN||31|U/L|10-40||||F"), "no-obr"
    ),
    "a document that lies elsewhere": Bad(
        lambda: one("https://nowhere.example/x.pdf^LAB^PDF", type="RP", unit="", range=""),
        "AA",
        results=("NON_NUMERIC",),
    ),
}
TOO_LARGE = {"mllp": "frame-too-large", "https": "body-too-large", "file": "body-too-large"}


def heard(ack: bytes) -> Heard:
    segments = [segment.split(b"|") for segment in ack.split(b"\r")]
    return segments[1][1].decode(), [
        segment[5].split(b"^")[0].decode() for segment in segments if segment[0] == b"ERR"
    ]


def by_mllp(raw: bytes, now: datetime, folder: Path) -> Heard:
    with listening(now, frame_seconds=5.0) as port:
        client = Client(port)
        try:
            return heard(client.ask(raw))
        finally:
            client.close()


def by_https(raw: bytes, now: datetime, folder: Path) -> Heard:
    answer: Any = post(Browser(), raw, token("lis"))
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/hl7-v2")
    return heard(answer.content)


def by_file(raw: bytes, now: datetime, folder: Path) -> Heard:
    (folder / "sent.hl7").write_bytes(raw)
    out = io.StringIO()
    call_command("ingest_hl7", str(folder / "sent.hl7"), "--json", stdout=out)
    [told] = [json.loads(line) for line in out.getvalue().splitlines()]
    return told["ack"], told["reasons"] if told["outcome"] == "refused" else []


DOORS = [
    pytest.param("mllp", by_mllp, marks=COMMITTED),
    pytest.param("https", by_https, marks=ROLLED_BACK),
    pytest.param("file", by_file, marks=ROLLED_BACK),
]


def page(cast: Cast, model: str) -> str:
    desk = Browser()
    desk.force_login(cast.lab)
    response = desk.get(reverse(f"admin:labs_{model}_changelist"))
    assert response.status_code == 200
    return str(response.content.decode())


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize(("door", "send"), DOORS)
def test_bad_input_has_a_clear_answer_and_leaves_a_trace_for_staff(
    cast: Cast,
    now: datetime,
    tmp_path: Path,
    name: str,
    door: str,
    send: Callable[[bytes, datetime, Path], Heard],
) -> None:
    laboratory(cast.clinic, client_id="lis")
    bad = BAD[name]
    sent = bad.raw()
    too_large = len(sent) > LIMIT
    reasons = [TOO_LARGE[door]] if too_large else list(bad.reasons)
    assert send(sent, now, tmp_path) == (bad.code, reasons)
    with identity(system("lab-intake")):
        message = InboundMessage.objects.get()
        waits = sorted(IntakeItem.objects.values_list("reason", flat=True))
        states = tuple(Observation.objects.values_list("state", flat=True))
        assert not UnfiledMessage.objects.exists()
    assert bytes(message.raw) == sent[:LIMIT]
    assert (message.size, message.sha256) == (len(sent), hashlib.sha256(sent).hexdigest())
    assert (message.reasons, message.truncated) == (reasons, too_large)
    assert (waits, states) == (sorted(bad.waits), bad.results)
    listed = page(cast, "inboundmessage")
    assert all(reason in listed for reason in reasons)
    queue = page(cast, "intakeitem")
    assert all(reason in queue for reason in bad.waits)


# --- the frame, the sender and the wrapping -------------------------------------------------


@COMMITTED
def test_a_frame_that_stops_half_way_is_kept_and_its_sender_told(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    begun = oru(LINE)[:90]
    with listening(now, frame_seconds=0.3) as port:
        client = Client(port)
        client.socket.sendall(b"\x0b" + begun)
        assert heard(client.answer()) == ("AE", ["frame-incomplete"])
        client.close()
    with identity(system("lab-intake")):
        assert bytes(InboundMessage.objects.get().raw) == begun
    assert "frame-incomplete" in page(cast, "inboundmessage")


@COMMITTED
def test_an_address_that_nobody_registered_is_told_so_and_leaves_its_message(
    cast: Cast, now: datetime
) -> None:
    laboratory(cast.clinic, peer_networks=["192.0.2.0/24"])
    with listening(now) as port:
        client = Client(port)
        assert heard(client.ask(oru(LINE))) == ("AR", ["unauthorised"])
        client.close()
    assert "unauthorised" in page(cast, "inboundmessage")


@ROLLED_BACK
@pytest.mark.parametrize("bearer", ["", "nonsense"])
def test_a_bad_token_is_told_and_on_record(cast: Cast, bearer: str) -> None:
    answer: Any = post(Browser(), oru(LINE), bearer)
    assert (answer.status_code, answer.json()["code"]) == (401, "not-authenticated")
    with identity(system("housekeeping")):
        denial = AuditEvent.objects.get(outcome="denied")
    assert denial.operation == "labs.messages.submit"


@ROLLED_BACK
def test_the_command_takes_a_laboratorys_messages_from_itself_only(
    cast: Cast, tmp_path: Path
) -> None:
    laboratory(cast.clinic)
    laboratory(cast.clinic, key="otherlab")
    (tmp_path / "sent.hl7").write_bytes(oru(LINE))
    out = io.StringIO()
    call_command(
        "ingest_hl7", str(tmp_path / "sent.hl7"), "--json", "--sender", "otherlab", stdout=out
    )
    told = json.loads(out.getvalue())
    assert (told["ack"], told["outcome"], told["reasons"]) == ("AR", "refused", ["unauthorised"])
    assert "unauthorised" in page(cast, "inboundmessage")
    with pytest.raises(CommandError, match="no active laboratory has the key nobody"):
        call_command("ingest_hl7", str(tmp_path / "sent.hl7"), "--sender", "nobody")


@ROLLED_BACK
@pytest.mark.parametrize("wrapped", [gzip.compress, zlib.compress])
def test_a_compressed_body_is_never_unpacked(cast: Cast, wrapped: Callable[[bytes], bytes]) -> None:
    """A few kilobytes that say they are many megabytes stay a few kilobytes."""
    laboratory(cast.clinic, client_id="lis")
    bearer = token("lis")
    bomb = wrapped(b" " * 50_000_000)
    answer: Any = Browser().post(
        "/api/v1/labs/messages", bomb, content_type="application/hl7-v2",
        headers={"Authorization": f"Bearer {bearer}", "Content-Encoding": "gzip"},
    )  # fmt: skip
    assert heard(answer.content) == ("AE", ["msh-unreadable"])
    assert outcome(post_fhir(Browser(), bomb, bearer), 422) == [("error", "json-invalid")]
    with identity(system("lab-intake")):
        kept = list(InboundMessage.objects.order_by("id"))
    assert [bytes(message.raw) for message in kept] == [bomb, bomb]


@ROLLED_BACK
@pytest.mark.parametrize("part", [1, 10, 400, -1])
def test_a_bundle_that_is_cut_off_is_refused_and_kept(cast: Cast, part: int) -> None:
    laboratory(cast.clinic, client_id="lis")
    begun = fhir(annas(observation()))[:part]
    answer = post_fhir(Browser(), begun, token("lis"))
    assert outcome(answer, 422) == [("error", "json-invalid")]
    with identity(system("lab-intake")):
        assert bytes(InboundMessage.objects.get().raw) == begun
        assert not Observation.objects.exists()
    assert "json-invalid" in page(cast, "inboundmessage")
