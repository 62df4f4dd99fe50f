"""What a kept message says, whichever door it came through.

HL7 v2 and FHIR bodies give the same facts; everything after this point is one path.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from labs.fhir.answers import classify_fhir
from labs.fhir.reader import OpenedBody, read_opened
from labs.hl7.answers import Intake, build_ack, classify
from labs.hl7.message import Message, parse
from labs.hl7.oru import OruMessage, read_oru
from labs.hl7.version import PARSER_VERSION
from labs.models import InboundMessage
from labs.narrative import with_whole_texts


@dataclass(frozen=True, slots=True)
class Format:
    """How the bodies of a door are answered and read, and the version of what reads them.

    `classify` parses once, for the time of receipt; `read` gives the facts of what it parsed.
    `acknowledge` writes an HL7 ACK; a FHIR body is answered by its door.
    """

    parse: Callable[[bytes, datetime], Any]
    classify: Callable[[bytes, datetime], Intake[Any]]
    read: Callable[[Any, ZoneInfo, datetime], OruMessage]
    acknowledge: Callable[..., bytes]
    version: str


def _parse_hl7(raw: bytes, now: datetime) -> Message:
    return parse(raw)


def _classify_hl7(raw: bytes, now: datetime) -> Intake[Message]:
    return classify(raw)


def _hl7(parsed: Message, zone: ZoneInfo, now: datetime) -> OruMessage:
    return with_whole_texts(read_oru(parsed, zone=zone, now=now))


def _parse_fhir(raw: bytes, now: datetime) -> OpenedBody:
    return read_opened(raw, now=now)


def _fhir(opened: OpenedBody, zone: ZoneInfo, now: datetime) -> OruMessage:
    return opened.facts_in(zone, now)


def _no_ack(raw: bytes, **told: object) -> bytes:
    return b""


_HL7: Final = Format(_parse_hl7, _classify_hl7, _hl7, build_ack, PARSER_VERSION)
_FHIR: Final = Format(_parse_fhir, classify_fhir, _fhir, _no_ack, "fhir-2")


def format_of(door: str) -> Format:
    return _FHIR if door == InboundMessage.Door.FHIR else _HL7


def read(message: InboundMessage, *, zone: ZoneInfo, parsed: Any = None) -> OruMessage:
    """Return what a stored message says; times without an offset belong to `zone`.

    `parsed` is what `classify` made of the same bytes, where they were just received.
    Raises: MessageError when the stored bytes cannot be read at all.
    """
    content = format_of(message.door)
    if parsed is None:
        parsed = content.parse(bytes(message.raw), message.received_at)
    return content.read(parsed, zone, message.received_at)
