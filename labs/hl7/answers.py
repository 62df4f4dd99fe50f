"""Decide how a message is answered, and write the acknowledgement.

Any readable MSH is kept and answered: AR for what this door never takes, AE for content nobody
could file, AA for everything else. Source: HL7 v2.5.1 chapter 2 (MSA, ERR), tables 0008, 0357,
0516.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Generic, Literal, TypeVar

from labs.hl7.message import DELETE, Delimiters, Message, MessageError, Segment, parse

AckCode = Literal["AA", "AE", "AR"]
Disposition = Literal["accept", "test-area", "refused"]
Parsed = TypeVar("Parsed")

MAX_OBSERVATIONS: Final = 10_000
OWN_VERSION: Final = "2.5.1"
_VERSION: Final = re.compile(r"2\.[3-8](?:\.\d)?", re.ASCII)
_ECHO_LIMIT: Final = 255
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")

# reason -> (table 0357 code, its text, segment, field)
_ERRORS: Final[dict[str, tuple[str, str, str, int]]] = {
    "empty": ("100", "Segment sequence error", "MSH", 0),
    "msh-unreadable": ("100", "Segment sequence error", "MSH", 0),
    "not-oru": ("200", "Unsupported message type", "MSH", 9),
    "version-missing": ("203", "Unsupported version id", "MSH", 12),
    "unsupported-version": ("203", "Unsupported version id", "MSH", 12),
    "processing-id-missing": ("202", "Unsupported processing id", "MSH", 11),
    "processing-id-not-p": ("202", "Unsupported processing id", "MSH", 11),
    "no-pid": ("101", "Required field missing", "PID", 0),
    "nothing-usable": ("101", "Required field missing", "OBR", 0),
    "too-many-observations": ("207", "Application internal error", "OBX", 0),
    "unauthorised": ("207", "Application internal error", "MSH", 3),
    "frame-too-large": ("207", "Application internal error", "MSH", 0),
    "no-obr": ("101", "Required field missing", "OBR", 0),
    "status-missing": ("101", "Required field missing", "OBX", 11),
    "status-unknown": ("103", "Table value not found", "OBX", 11),
    "code-missing": ("101", "Required field missing", "OBX", 3),
    "unknown-code": ("103", "Table value not found", "OBX", 3),
    "unknown-unit": ("103", "Table value not found", "OBX", 6),
    "unknown-patient": ("204", "Unknown key identifier", "PID", 3),
    "control-id-reused": ("205", "Duplicate key identifier", "MSH", 10),
}
_OTHER_ERROR: Final = ("207", "Application internal error", "MSH", 0)
_UNREADABLE: Final = Segment("MSH|^~\\&", Delimiters())


@dataclass(frozen=True, slots=True)
class Header:
    """What the MSH names, escapes resolved; all empty when it cannot be read."""

    sending_application: str = ""
    sending_facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""
    control_id: str = ""
    message_type: str = ""
    version: str = ""
    processing_id: str = ""
    readable: bool = False


@dataclass(frozen=True, slots=True)
class Intake(Generic[Parsed]):
    """The answer that the message alone allows. `accept` leaves filing to what is stored.

    `message` is what was parsed, for whoever reads on; `expression` where a fault stands.
    """

    message: Parsed | None
    header: Header
    ack: AckCode
    disposition: Disposition
    reasons: tuple[str, ...]
    expression: str = ""


def read_header(message: Message) -> Header:
    msh = message.header
    names = (msh.component(n, 1) or msh.component(n, 2) for n in range(3, 7))
    application, facility, receiving_application, receiving_facility = names
    return Header(
        sending_application=application,
        sending_facility=facility,
        receiving_application=receiving_application,
        receiving_facility=receiving_facility,
        control_id=_present(msh.text(10)),
        message_type="^".join(filter(None, (msh.component(9, 1), msh.component(9, 2)))),
        version=_present(msh.component(12).strip()),
        processing_id=_present(msh.component(11).strip()),
        readable=True,
    )


def _present(text: str) -> str:
    return "" if text == DELETE else text


def classify(raw: bytes) -> Intake[Message]:
    """Decide on one message (see split_messages). Never raises.

    Wrong type or version is refused first (AR). What is not meant for production goes to the
    test area with AA, whatever its content. Then content: no PID before the results, neither
    OBR nor OBX, or more OBX, OBR or PID than we take (AE).
    """
    try:
        message = parse(raw)
    except MessageError as error:
        return Intake(None, Header(), "AE", "refused", (error.code,))
    header = read_header(message)
    refusals = (
        ("not-oru", header.message_type not in {"ORU^R01", "ORU"}),
        ("version-missing", not header.version),
        (
            "unsupported-version",
            bool(header.version) and not _VERSION.fullmatch(header.version),
        ),
    )
    if reasons := tuple(code for code, found in refusals if found):
        return Intake(message, header, "AR", "refused", reasons)
    if header.processing_id != "P":
        reason = "processing-id-not-p" if header.processing_id else "processing-id-missing"
        return Intake(message, header, "AA", "test-area", (reason,))
    if reasons := _content_errors(message):
        return Intake(message, header, "AE", "refused", reasons)
    return Intake(message, header, "AA", "accept", ())


def _content_errors(message: Message) -> tuple[str, ...]:
    names = [segment.name for segment in message.segments]
    results = [place for place, name in enumerate(names) if name in {"OBR", "OBX"}]
    pid = names.index("PID") if "PID" in names else len(names)
    errors = (
        ("no-pid", pid == len(names) or (bool(results) and results[0] < pid)),
        ("nothing-usable", not results),
        (
            "too-many-observations",
            any(names.count(name) > MAX_OBSERVATIONS for name in ("OBX", "OBR", "PID")),
        ),
    )
    return tuple(code for code, found in errors if found)


def body_hash(raw: bytes) -> str:
    """Return the SHA-256 of a message, the same for CR, LF and CRLF and for framed bytes."""
    data = raw.strip(b"\x0b\x1c\r\n").replace(b"\r\n", b"\r").replace(b"\n", b"\r")
    return hashlib.sha256(data).hexdigest()


def build_ack(
    raw: bytes,
    *,
    code: AckCode,
    control_id: str,
    now: datetime,
    reasons: Sequence[str] = (),
) -> bytes:
    """Write the answer to `raw`, in its delimiters and character set, without MLLP framing.

    Sender and receiver change places and MSA-2 repeats MSH-10 as it was sent. Each reason
    becomes an ERR with its HL7 code and, in ERR-5, our own; severity W under AA, E otherwise.
    An unreadable MSH gets the standard delimiters and an empty MSA-2.
    """
    try:
        msh = parse(raw).header
    except MessageError:
        msh = _UNREADABLE
    marks = msh.marks
    version = msh.component(12)
    echoed = [_echo(msh, number) for number in (5, 6, 3, 4)]
    sent_at = now.astimezone(UTC).strftime("%Y%m%d%H%M%S") + "+0000"
    acknowledged = marks.component.join(("ACK", "R01", "ACK"))
    head = [
        "MSH",
        marks.component + marks.repetition + marks.escape + marks.subcomponent,
        *echoed,
        sent_at,
        "",
        acknowledged,
        marks.escape_text(control_id),
        _echo(msh, 11) or "P",
        version if _VERSION.fullmatch(version) else OWN_VERSION,
        *([""] * 5),
        _echo(msh, 18),
    ]
    rows = [head, ["MSA", code, _echo(msh, 10)]]
    rows += [_error(reason, "W" if code == "AA" else "E", marks) for reason in reasons]
    lines = (marks.field.join(row).rstrip(marks.field) for row in rows)
    return ("\r".join(lines) + "\r").encode(marks.codec, "replace")


def _echo(msh: Segment, number: int) -> str:
    """Return a field as sent, free of control characters and of absurd length."""
    return _CONTROL.sub(" ", msh.field(number))[:_ECHO_LIMIT]


def _error(reason: str, severity: str, marks: Delimiters) -> list[str]:
    number, text, segment, position = _ERRORS.get(reason, _OTHER_ERROR)
    place = [segment, "1", str(position)] if position else [segment]
    coded = marks.component.join((number, text, "HL70357"))
    own = marks.component.join((marks.escape_text(reason), "", "L"))
    return ["ERR", "", marks.component.join(place), coded, severity, own]
