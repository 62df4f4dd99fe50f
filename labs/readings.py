"""What a kept message says, whichever door it came through.

HL7 v2 and FHIR bodies give the same facts; everything after this point is one path.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from labs.fhir.answers import classify_fhir
from labs.fhir.reader import read_fhir
from labs.hl7.answers import Intake, build_ack, classify
from labs.hl7.message import parse
from labs.hl7.oru import OruMessage, read_oru
from labs.hl7.version import PARSER_VERSION
from labs.models import InboundMessage
from labs.narrative import with_whole_texts


@dataclass(frozen=True, slots=True)
class Format:
    """How the bodies of a door are answered and read, and the version of what reads them.

    `acknowledge` writes an HL7 ACK; a FHIR body is answered by its door.
    """

    classify: Callable[[bytes], Intake]
    read: Callable[[bytes, ZoneInfo, datetime], OruMessage]
    acknowledge: Callable[..., bytes]
    version: str


def _hl7(raw: bytes, zone: ZoneInfo, now: datetime) -> OruMessage:
    return with_whole_texts(read_oru(parse(raw), zone=zone, now=now))


def _fhir(raw: bytes, zone: ZoneInfo, now: datetime) -> OruMessage:
    return read_fhir(raw, zone=zone, now=now)


def _no_ack(raw: bytes, **told: object) -> bytes:
    return b""


_HL7: Final = Format(classify, _hl7, build_ack, PARSER_VERSION)
_FHIR: Final = Format(classify_fhir, _fhir, _no_ack, "fhir-2")


def format_of(door: str) -> Format:
    return _FHIR if door == InboundMessage.Door.FHIR else _HL7


def read(message: InboundMessage, *, zone: ZoneInfo) -> OruMessage:
    """Return what a stored message says; times without an offset belong to `zone`.

    Raises: MessageError when the stored bytes cannot be read at all.
    """
    return format_of(message.door).read(bytes(message.raw), zone, message.received_at)
