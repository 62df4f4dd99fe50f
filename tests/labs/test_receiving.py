"""How a message is kept and answered, whatever it holds."""

import hashlib
from datetime import datetime, timedelta

import pytest

from core.db import identity, system
from labs.hl7.message import parse
from labs.models import Filing, InboundMessage, IntakeItem, Observation, UnfiledMessage
from labs.services import intake
from labs.services.intake import NotReprocessable, Overflow, reprocess
from labs.services.senders import Door, Origin
from tests.cast import Cast
from tests.labs.messages import FROM_LAB, Obr, Obx, laboratory, oru, send
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db
LINE = Obr([Obx("31")])


def kept() -> list[InboundMessage]:
    with identity(system("lab-intake")):
        return list(InboundMessage.objects.order_by("id"))


def count_results() -> int:
    with identity(system("lab-intake")):
        return Observation.objects.count()


def test_the_answer_names_the_message_and_its_code(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    answer = send(oru(LINE, control_id="ABC1"), now)
    msh, msa = parse(answer.ack).segments[:2]
    assert (msa.field(1), msa.field(2)) == ("AA", "ABC1")
    assert (msh.field(3), msh.field(5), msh.field(6)) == ("PORTAL", "LIS", "MAINLAB")


def test_a_replay_is_answered_again_and_changes_nothing(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    raw = oru(LINE)
    send(raw, now)
    again = send(raw.replace(b"\r", b"\n"), now)
    assert (again.ack_code, again.disposition) == ("AA", "duplicate")
    assert count_results() == 1
    assert [message.receipt for message in kept()] == ["accepted", "duplicate"]


def test_the_control_id_of_another_message_sets_the_second_aside(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    send(oru(LINE, control_id="X1"), now)
    other = oru(Obr([Obx("99")]), control_id="X1")
    answer = send(other, now)
    assert (answer.ack_code, answer.disposition, answer.reasons) == (
        "AA",
        "queued",
        ("control-id-reused",),
    )
    assert send(other, now).disposition == "duplicate"
    assert count_results() == 1
    with identity(system("lab-intake")):
        assert IntakeItem.objects.get().reason == "control-id-reused"


def test_a_sender_known_to_reuse_ids_is_told_apart_by_the_body(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic, reuses_control_ids=True)
    first, second = oru(LINE, control_id="1"), oru(Obr([Obx("99")], filler="FL2"), control_id="1")
    assert [send(raw, now).disposition for raw in (first, second, second)] == [
        "stored",
        "stored",
        "duplicate",
    ]


def test_without_a_control_id_the_body_is_the_key(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    raw = oru(LINE, control_id="")
    other = oru(Obr([Obx("99")], filler="FL2"), control_id="")
    assert [send(message, now).disposition for message in (raw, raw, other)] == [
        "stored",
        "duplicate",
        "stored",
    ]


def test_two_laboratories_may_use_the_same_control_id(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    laboratory(cast.clinic, key="otherlab")
    assert send(oru(LINE, control_id="1"), now).disposition == "stored"
    second = send(oru(LINE, control_id="1", facility="OTHERLAB"), now)
    assert second.disposition == "stored"


@pytest.mark.parametrize("processing", ["D", "T", ""])
def test_what_is_not_for_production_goes_to_the_test_area(
    cast: Cast, now: datetime, processing: str
) -> None:
    laboratory(cast.clinic)
    answer = send(oru(LINE, processing=processing), now)
    assert (answer.ack_code, answer.disposition) == ("AA", "test-area")
    assert count_results() == 0


@pytest.mark.parametrize(
    ("raw", "ack", "reason"),
    [
        (oru(LINE, pid=""), "AE", "no-pid"),
        (oru(), "AE", "nothing-usable"),
        (oru(LINE, version="1.0"), "AR", "unsupported-version"),
        (oru(LINE).replace(b"ORU^R01^ORU_R01", b"ADT^A01"), "AR", "not-oru"),
        (oru(LINE, facility="NOBODY"), "AR", "unauthorised"),
        (b"", "AE", "empty"),
        (b"\x00\xff garbage \x1c\x0b", "AE", "msh-unreadable"),
    ],
)
def test_what_cannot_be_taken_is_kept_and_refused(
    cast: Cast, now: datetime, raw: bytes, ack: str, reason: str
) -> None:
    laboratory(cast.clinic)
    answer = send(raw, now)
    assert (answer.ack_code, answer.disposition, answer.reasons) == (ack, "refused", (reason,))
    [message] = kept()
    assert bytes(message.raw) == raw
    assert message.sha256 == hashlib.sha256(raw).hexdigest()


@pytest.mark.parametrize(
    ("data", "messages"),
    [
        (b"MSH|a\nPID|1\n", [b"MSH|a\nPID|1\n"]),
        (b"MSH|", [b"MSH|"]),
        (b"", [b""]),
        (b"nonsense", [b"nonsense"]),
        (b"MSH|a\r\nPID|1\r\nMSH|b\r\n", [b"MSH|a\r\nPID|1\r\n", b"MSH|b\r\n"]),
        (
            b"FHS|x\rBHS|y\rMSH|a\rPID|1\rMSH|b\rBTS|2\rBHS|z\rMSH|c\rBTS|1\rFTS|1\r",
            [b"MSH|a\rPID|1\r", b"MSH|b\r", b"MSH|c\r"],
        ),
        (b"BHS|y\nMSH|a\nBTS|1\n", [b"MSH|a\n"]),
    ],
)
def test_messages_keep_their_very_bytes(data: bytes, messages: list[bytes]) -> None:
    assert intake.messages_in(data) == messages


def test_more_than_the_limit_keeps_the_beginning_and_the_hash_of_all(
    cast: Cast, now: datetime
) -> None:
    laboratory(cast.clinic)
    raw = oru(LINE)
    overflow = Overflow("frame-too-large", 20_000_000, "f" * 64)
    answer = intake.receive(raw, origin=FROM_LAB, now=now, overflow=overflow)
    assert (answer.ack_code, answer.reasons) == ("AE", ("frame-too-large",))
    [message] = kept()
    assert (message.truncated, message.size, message.sha256) == (True, 20_000_000, "f" * 64)
    assert count_results() == 0


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (Origin(Door.MLLP, peer="127.0.0.1"), True),
        (Origin(Door.MLLP, peer="::ffff:127.0.0.1"), True),
        (Origin(Door.MLLP, peer="10.0.0.1"), False),
        (Origin(Door.MLLP), False),
        (Origin(Door.HTTPS, client_id="client-1"), True),
        (Origin(Door.HTTPS, client_id="client-2"), False),
        (Origin(Door.HTTPS), False),
        (Origin(Door.FILE), True),
        (Origin(Door.FILE, sender_key="mainlab"), True),
        (Origin(Door.FILE, sender_key="otherlab"), False),
    ],
)
def test_a_name_is_taken_only_from_its_own_laboratory(
    cast: Cast, now: datetime, origin: Origin, allowed: bool
) -> None:
    laboratory(cast.clinic, client_id="client-1")
    laboratory(cast.clinic, key="otherlab", client_id="client-2", is_gateway=True)
    answer = send(oru(LINE), now, origin)
    assert (answer.ack_code == "AA") is allowed


def test_a_gateway_forwards_for_names_that_nobody_registered(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic, key="engine", is_gateway=True)
    assert send(oru(LINE, facility="FARAWAY"), now).disposition == "stored"


def test_an_inactive_laboratory_is_refused(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic, is_active=False)
    assert send(oru(LINE), now).reasons == ("unauthorised",)


# --- filing that does not succeed ---------------------------------------------------------


def break_filing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr(intake, "file_message", broken)


def test_a_message_that_filing_dropped_is_filed_by_the_sweep(
    cast: Cast, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    laboratory(cast.clinic)
    with monkeypatch.context() as patch:
        break_filing(patch)
        answer = send(oru(LINE), now)
    assert (answer.ack_code, answer.disposition) == ("AA", "received")
    later = now + timedelta(seconds=60)
    assert intake.intake_lag_seconds(later) == 60
    assert intake.sweep(now=now + timedelta(seconds=29)) == 0
    assert intake.sweep(now=later) == 1
    assert count_results() == 1
    assert intake.intake_lag_seconds(later) == 0


def test_three_failures_park_the_message_for_a_person_and_block_nobody(
    cast: Cast, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    laboratory(cast.clinic)
    with monkeypatch.context() as patch:
        break_filing(patch)
        poison = send(oru(LINE), now)
        for minutes in (1, 10, 20):
            intake.sweep(now=now + timedelta(minutes=minutes))
    with identity(system("lab-intake")):
        row = UnfiledMessage.objects.get()
        assert (row.tries, row.error_code) == (3, "RuntimeError")
        assert IntakeItem.objects.get().reason == "filing-failed"
    with identity(system("worklist")):
        assert WorkItem.objects.get().concern == "intake.failed"
    assert send(oru(Obr([Obx("35")], filler="FL2")), now).disposition == "stored"
    assert intake.sweep(now=now + timedelta(days=1)) == 0
    reprocess(message_id=poison.message_id, actor=cast.lab, now=now)
    assert count_results() == 2
    assert intake.oldest_unprocessed_at() is None


# --- processing again ----------------------------------------------------------------------


def test_a_mapped_code_makes_the_result_as_if_it_had_been_right_at_once(
    cast: Cast, now: datetime
) -> None:
    lab = laboratory(cast.clinic)
    answer = send(oru(Obr([Obx("130", code="GPT", system="L"), Obx("31")])), now)
    assert answer.reasons == ("unknown-code",)
    with identity(system("registration")):
        lab.code_maps.create(local_code="GPT", local_system="L", loinc="1742-6", mapped_at=now)
    later = now + timedelta(hours=1)
    work = reprocess(message_id=answer.message_id, actor=cast.lab, now=later)
    assert (work.outcome, work.reasons) == ("stored", [])
    with identity(system("lab-intake")):
        row = Observation.objects.get(code="GPT")
        assert (row.state, row.loinc, row.version) == ("HIGH", "1742-6", 1)
        assert row.filed_by_id == cast.lab.pk
        assert Observation.objects.count() == 2
        item = IntakeItem.objects.get()
        assert (item.clearance, item.cleared_by_id) == ("reprocessed", cast.lab.pk)
        assert [f.outcome for f in Filing.objects.order_by("sequence")] == ["stored", "stored"]


def test_processing_again_without_a_change_changes_nothing(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    answer = send(oru(Obr([Obx("31", flag="H")])), now)
    reprocess(message_id=answer.message_id, actor=cast.lab, now=now)
    with identity(system("lab-intake")):
        assert Observation.objects.count() == 1
        still_open = IntakeItem.objects.filter(cleared_at__isnull=True)
        assert [item.reason for item in still_open] == ["discrepancy"]


def test_a_message_set_aside_can_be_processed(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    send(oru(LINE, control_id="X1"), now)
    aside = send(oru(Obr([Obx("99")], filler="FL2"), control_id="X1"), now)
    reprocess(message_id=aside.message_id, actor=cast.lab, now=now)
    assert count_results() == 2


@pytest.mark.parametrize("raw", [oru(LINE, processing="T"), oru(LINE, pid="")])
def test_a_test_or_refused_message_is_never_processed(
    cast: Cast, now: datetime, raw: bytes
) -> None:
    laboratory(cast.clinic)
    answer = send(raw, now)
    with pytest.raises(NotReprocessable):
        reprocess(message_id=answer.message_id, actor=cast.lab, now=now)
