"""Messages damaged at random, from a fixed seed: nothing escapes, nothing is lost, and nothing
lands on a patient whom the message does not name. `make proof` runs more of them."""

import random
from datetime import datetime, timedelta

import pytest

from core.db import identity, system
from labs.hl7.message import MessageError, parse
from labs.hl7.oru import read_identity
from labs.models import InboundMessage, IntakeItem, Observation
from labs.services import intake
from patients.names import normalised_family_name
from tests.cast import Cast
from tests.labs.messages import ALBUMIN, CALCIUM, Obr, Obx, laboratory, oru, send

pytestmark = pytest.mark.django_db
COUNT = 150
SEED = 20261122
ANSWERS = {"stored", "queued", "duplicate", "refused", "test-area"}
NASTY = [b"\x00", b"\x0b", b"\x1c", b"|", b"^", b"~", b"&", b"\\", b"\r", b"\xff", b'""', b"9" * 40]
BRIGID = "PID|1||900002^^^MAINLAB^MR||PROBE^BRIGID||19650505|F"


def originals() -> list[bytes]:
    lines = [Obx("11.8", flag="H", **CALCIUM), Obx("2.9", **ALBUMIN), Obx(">^99", type="SN")]
    return [
        oru(Obr(lines)),
        oru(Obr([Obx("31", status="P", notes=["a note"])]), Obr([Obx("40")], filler="FL2")),
        oru(Obr(lines[:1]), BRIGID, Obr(lines[1:], specimen="S1")),
    ]


def mutated(raw: bytes, dice: random.Random) -> bytes:
    data = bytearray(raw)
    for _ in range(dice.choice([1, 1, 2, 5, 20])):
        at = dice.randrange(len(data) + 1)
        kind = dice.randrange(6)
        if kind == 0:
            data[at : at + 1] = bytes([dice.randrange(256)])
        elif kind == 1:
            del data[at : at + dice.choice([1, 3, 60])]
        elif kind == 2:
            data[at:at] = dice.choice(NASTY)
        elif kind == 3:
            segments = bytes(data).split(b"\r")
            dice.shuffle(segments)
            data = bytearray(b"\r".join(segments))
        elif kind == 4:
            segments = bytes(data).split(b"\r")
            segments += [dice.choice(segments)] * dice.choice([1, 30])
            data = bytearray(b"\r".join(segments))
        else:
            data = data[:at]
        if not data:
            return b""
    return bytes(data)


def test_mutated_messages_are_answered_kept_and_never_misplaced(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic, is_gateway=True)
    dice = random.Random(SEED)
    sent = [mutated(dice.choice(originals()), dice) for _ in range(COUNT)]
    outcomes = [send(raw, now).disposition for raw in sent]
    assert {"stored", "queued", "refused"} <= set(outcomes) <= {*ANSWERS, "received"}
    # Where reading itself failed, a person gets the message after three tries; it is never lost.
    for minutes in (1, 10, 20):
        assert intake.sweep(now=now + timedelta(minutes=minutes)) == 0
    with identity(system("lab-intake")):
        parked = IntakeItem.objects.filter(reason="filing-failed").count()
    assert parked == outcomes.count("received") <= 1 + COUNT // 100
    with identity(system("lab-intake")):
        assert [bytes(message.raw) for message in InboundMessage.objects.order_by("id")] == sent
        rows = list(Observation.objects.select_related("patient", "message"))
    assert rows
    for row in rows:
        assert row.message is not None
        assert names(bytes(row.message.raw), row), row.message_id


def names(raw: bytes, row: Observation) -> bool:
    try:
        segments = parse(raw).segments
    except MessageError:
        return False
    people = [read_identity(segment) for segment in segments if segment.name == "PID"]
    with identity(system("lab-intake")):
        numbers = set(row.patient.identifiers.values_list("authority", "value"))
    return any(
        numbers & {(number.authority, number.value.strip()) for number in person.identifiers}
        and normalised_family_name(person.family) == row.patient.family_name_key
        and person.birth_date == row.patient.birth_date
        for person in people
    )
