"""Split HL7 v2 bytes into messages, segments, fields, repetitions, components, subcomponents.

Positions count from 1 as in the standard: `segment.component(3, 4, 1)` is PID-3.4.1, and MSH-1
is the field separator itself. Splitting is lazy: fields are cut on first use.
Source: HL7 v2.5.1 chapter 2 (message construction, escape sequences).
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final

from labs.hl7.charset import decode, without_nul

DELETE: Final = '""'
ENVELOPE: Final = frozenset({"FHS", "BHS", "BTS", "FTS"})
_MESSAGE_START: Final = re.compile(rb"(?:^|\r)[ \t]*(?=MSH[^A-Za-z0-9\s])")
_ENVELOPE_LINE: Final = re.compile(rb"\r[ \t]*(?:FHS|BHS|BTS|FTS)[^A-Za-z0-9][^\r]*")
_BREAKS: Final = frozenset({"br", "sp", "ce"})


class MessageError(ValueError):
    """Bytes that cannot be read as one message. `code` is stable; content is never quoted."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def _normalised(raw: bytes) -> bytes:
    data = raw.replace(codecs.BOM_UTF8 + b"MSH", b"MSH").removeprefix(codecs.BOM_UTF8)
    data = data.replace(b"\r\n", b"\r").replace(b"\n", b"\r")
    return data.replace(b"\x0b", b"\r").replace(b"\x1c", b"\r")


def split_messages(raw: bytes) -> list[bytes]:
    """Return every message of a file, batch or frame, from its MSH on, without envelope segments.

    Bytes that hold no MSH come back as one piece, so that nothing received is lost.
    """
    data = _normalised(raw)
    starts = [match.end() for match in _MESSAGE_START.finditer(data)]
    if not starts:
        return [raw] if data.strip() else []
    pieces = (data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=True))
    return [_ENVELOPE_LINE.sub(b"", piece).strip(b"\r") + b"\r" for piece in pieces]


@dataclass(frozen=True, slots=True)
class Delimiters:
    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    codec: str = "utf-8"

    def unescape(self, text: str) -> str:
        """Resolve escape sequences. Whatever is no known sequence stays as it was sent."""
        return _unescape(text, self) if self.escape in text else text

    def escape_text(self, text: str) -> str:
        """Write text so that `unescape` gives it back; line ends become sequences."""
        codes = {self.escape: "E", self.field: "F", self.component: "S", self.repetition: "R"}
        codes |= {self.subcomponent: "T", "\r": "X0D", "\n": ".br"}
        marks = str.maketrans({c: f"{self.escape}{to}{self.escape}" for c, to in codes.items()})
        return text.translate(marks)


def _unescape(text: str, marks: Delimiters) -> str:
    mark, out, at = marks.escape, [], 0
    while (start := text.find(mark, at)) >= 0:
        end = text.find(mark, start + 1)
        meant = _sequence(text[start + 1 : end], marks) if end > 0 else None
        out.append(text[at:start])
        out.append(mark if meant is None else meant)
        at = start + 1 if meant is None else end + 1
    out.append(text[at:])
    return "".join(out)


def _sequence(body: str, marks: Delimiters) -> str | None:
    """Return what one sequence means, "" for mere formatting, None when it is not one."""
    if len(body) == 1 and body in "FSTREHNP":
        separators = (marks.field, marks.component, marks.subcomponent, marks.repetition)
        return (*separators, marks.escape, "", "", "#")["FSTREHNP".index(body)]
    if formatted := re.fullmatch(r"\.(br|ce|sp|sk|in|ti|fi|nf) ?([+-]?\d{0,2})", body):
        name, count = formatted[1], int(formatted[2] or 1) if formatted[2] not in "+-" else 1
        return "\n" * max(count, 1) if name in _BREAKS else " " * count if name == "sk" else ""
    if re.fullmatch(r"X(?:[0-9A-Fa-f]{2})+", body):
        return without_nul(bytes.fromhex(body[1:]).decode(marks.codec, "replace"))
    return "" if re.fullmatch(r"C[0-9A-F]{4}|M[0-9A-F]{4}(?:[0-9A-F]{2})?", body) else None


class Segment:
    """One segment: `name`, `raw` text, and its parts by position. Absent parts read as ""."""

    __slots__ = ("_fields", "marks", "name", "raw")

    def __init__(self, raw: str, marks: Delimiters) -> None:
        self.raw, self.marks, self.name = raw, marks, raw[:3]
        self._fields: list[str] | None = None

    def field(self, number: int) -> str:
        """Return the field as sent, escapes unresolved."""
        fields = self._fields
        if fields is None:
            mark = self.marks.field
            fields = self.raw.split(mark)
            if self.name in {"MSH", "FHS", "BHS"}:
                fields.insert(1, mark)
            self._fields = fields
        return fields[number] if 0 < number < len(fields) else ""

    def __len__(self) -> int:
        self.field(1)
        return len(self._fields or ()) - 1

    def repetitions(self, number: int) -> list[str]:
        """Return the non-escaped repetitions of a field; an empty field has none."""
        text = self.field(number)
        if self.name == "MSH" and number < 3:
            return [text]
        return text.split(self.marks.repetition) if text else []

    def text(self, number: int) -> str:
        """Return the whole field with escapes resolved, separators left in place."""
        return self.marks.unescape(self.field(number))

    def component(self, number: int, component: int = 1, sub: int = 0, *, rep: int = 1) -> str:
        """Return one component (or subcomponent) of one repetition, escapes resolved."""
        reps = self.repetitions(number)
        return self.part(reps[rep - 1], component, sub) if rep <= len(reps) else ""

    def part(self, repetition: str, component: int, sub: int = 0) -> str:
        """Return one component (or subcomponent) of a repetition already cut out."""
        parts = repetition.split(self.marks.component)
        text = parts[component - 1] if component <= len(parts) else ""
        if sub:
            subs = text.split(self.marks.subcomponent)
            text = subs[sub - 1] if sub <= len(subs) else ""
        return self.marks.unescape(text)


@dataclass(frozen=True, slots=True)
class Message:
    segments: tuple[Segment, ...]
    marks: Delimiters
    warnings: tuple[str, ...]

    @property
    def header(self) -> Segment:
        return self.segments[0]

    def all(self, name: str) -> Iterator[Segment]:
        return (segment for segment in self.segments if segment.name == name)


def _marks(head: str, codec: str) -> tuple[Delimiters, bool]:
    """Read MSH-1 and MSH-2. Doubled or alphanumeric marks are unusable: the standard ones apply."""
    field, given = head[3], head[4:].split(head[3], 1)[0][:4]
    odd = len({field, *given}) != len(given) + 1 or bool(re.search(r"[\w\s]", given))
    marks = list("^~\\&" if odd else given + "^~\\&"[len(given) :])
    return Delimiters(field, marks[0], marks[1], marks[2], marks[3], codec), odd or not given


def parse(raw: bytes) -> Message:
    """Read one message. A line without a segment name continues the field before it.

    Raises: MessageError `empty` or `msh-unreadable`.
    """
    data = _normalised(raw).strip(b"\r \t")
    if not data:
        raise MessageError("empty")
    if not re.match(rb"MSH[!-/:-@\[-`{-~][^\r]", head := data.split(b"\r", 1)[0]):
        raise MessageError("msh-unreadable")
    charset = (head.split(head[3:4]) + [b""] * 18)[17].split(b"~")[0].decode("ascii", "replace")
    text, codec, odd_charset = decode(data, charset)
    marks, odd_marks = _marks(text.split("\r", 1)[0], codec)
    lines, loose = list[str](), list[tuple[int, str]]()
    for line in text.split("\r"):
        bare = line.lstrip(" \t")
        name, rest = bare[:3], bare[3:4]
        if name.isupper() and name.isalnum() and len(name) == 3 and rest in {marks.field, ""}:
            lines.append(bare)
        elif bare:
            loose.append((len(lines) - 1, line))
    for place, group in groupby(loose, itemgetter(0)):
        lines[place] = "\n".join((lines[place], *(line for _, line in group)))
    found = (
        ("encoding-characters-invalid", odd_marks),
        ("charset-mismatch", odd_charset),
        ("line-without-segment", bool(loose)),
    )
    segments = tuple(Segment(line, marks) for line in lines if line[:3] not in ENVELOPE)
    return Message(segments, marks, tuple(code for code, is_so in found if is_so))
