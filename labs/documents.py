"""Documents in result lines: HL7 v2 ED and RP, and FHIR Attachment read into the same shape.

Source: HL7 v2.5.1 chapter 2.A (ED: source application, type, subtype, encoding, data; RP:
pointer, application, type, subtype; table 0299 encodings A, Hex, Base64).
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from core.media import media_type_of, words_of

EMBEDDED: Final = "ED"
POINTER: Final = "RP"
BINARY_TYPES: Final = frozenset({EMBEDDED, POINTER})
MAX_BYTES: Final = 10_000_000
ELSEWHERE: Final = "Document that stays at the laboratory"
_SPACE: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class SentDocument:
    """One document of a line: its bytes, or (`content` None) where the sender says it lies.

    A reference is kept for the staff and never fetched.
    """

    content: bytes | None = field(default=None, repr=False)
    reference: str = field(default="", repr=False)

    @property
    def words(self) -> str:
        return ELSEWHERE if self.content is None else words_of(media_type_of(self.content))

    @property
    def digest(self) -> str:
        """Return a SHA-256 of what was sent: the bytes, or the reference."""
        what = self.reference.encode() if self.content is None else self.content
        return hashlib.sha256(what).hexdigest()


@dataclass(frozen=True, slots=True)
class Documents:
    """What the repetitions of a line hold, or the first fault that stops it from being filed."""

    sent: tuple[SentDocument, ...] = ()
    fault: str = ""

    @property
    def words(self) -> str:
        return ", ".join(dict.fromkeys(document.words for document in self.sent))


def documents_of(value_type: str, repetitions: Sequence[Sequence[str]]) -> Documents:
    """Return the documents in the unescaped components of OBX-5; none for other types.

    Faults: `document-encoding-unknown`, `document-unreadable`, `document-too-large`,
    `document-empty`. A line without any component says nothing, and that is no fault.
    """
    kind = value_type.strip().upper()
    if kind not in BINARY_TYPES:
        return Documents()
    read: list[SentDocument] = []
    for components in repetitions:
        if not any(part.strip(' "') for part in components):
            continue
        if kind == POINTER:
            read.append(SentDocument(reference="^".join(components).rstrip("^")))
            continue
        encoding, data = (*components, "", "", "", "", "")[3:5]
        content, fault = _decoded(encoding.strip().upper(), data)
        if content is None:
            return Documents(fault=fault)
        read.append(SentDocument(content))
    return Documents(tuple(read))


def _decoded(encoding: str, data: str) -> tuple[bytes | None, str]:
    if not data.strip():
        return None, "document-empty"
    match encoding:
        case "A":
            content: bytes | None = data.encode()
        case "HEX":
            content = _hex(_SPACE.sub("", data))
        case "BASE64":
            content = _base64(_SPACE.sub("", data))
        case _:
            return None, "document-encoding-unknown"
    if content is None:
        return None, "document-unreadable"
    if not content:
        return None, "document-empty"
    if len(content) > MAX_BYTES:
        return None, "document-too-large"
    return content, ""


def _hex(data: str) -> bytes | None:
    # bytes.fromhex would skip blanks inside a pair; there are none left here.
    return bytes.fromhex(data) if re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", data) else None


def _base64(data: str) -> bytes | None:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None


def without_data(value_type: str, segment: str) -> str:
    """Return a segment as it was sent, its document left out: the message keeps every byte."""
    if value_type.strip().upper() != EMBEDDED or len(segment) < 4:
        return segment
    mark = segment[3]
    return mark.join(
        field if len(field) <= 500 else f"{field[:80]}… (document of {len(field)} characters)"
        for field in segment.split(mark)
    )
