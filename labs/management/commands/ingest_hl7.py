"""Take HL7 v2 messages from files, single or in batches, through the same path as the doors."""

import json
import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.clock import utc_now
from core.db import identity, system
from labs.hl7.mllp import Frame, FrameDecoder, FramingError
from labs.models import InboundMessage, SendingLaboratory
from labs.services.filing import LineOutcome, preview
from labs.services.intake import Answer, Overflow, messages_in, receive
from labs.services.senders import Door, Origin
from patients.models import PatientIdentifier

_BAR_WIDTH = 30


class Command(BaseCommand):
    help = "File HL7 v2 messages from files or folders (batches with FHS/BHS and MLLP dumps too)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
        parser.add_argument("--sender", default="", help="key of the laboratory that sends")
        parser.add_argument("--json", action="store_true", help="one JSON object a message")

    def handle(self, *args: Any, **options: Any) -> None:
        files = list(_files(options["paths"]))
        if options["sender"]:
            self._require_sender(options["sender"])
        origin = Origin(door=Door.FILE, sender_key=options["sender"])
        outcomes: Counter[str] = Counter()
        # The bar and the objects would mix on one terminal.
        bar = Bar(files, sys.stderr, hidden=options["json"] and sys.stdout.isatty())
        unreadable = 0
        for path in files:
            try:
                pieces = _pieces(path)
            except OSError as error:
                unreadable += 1
                self.stderr.write(f"cannot read {path.name}: {error.strerror}")
                continue
            for number, (raw, overflow) in enumerate(pieces, start=1):
                answer = receive(raw, origin=origin, now=utc_now(), overflow=overflow)
                outcomes[answer.disposition] += 1
                if options["json"]:
                    self.stdout.write(json.dumps(_as_json(path, number, answer)))
                bar.advance(len(raw))
            bar.finish(path)
        summary = self.stderr if options["json"] else self.stdout
        summary.write(_summary(len(files), outcomes))
        if unreadable:
            raise CommandError(f"{unreadable} of {len(files)} files could not be read")

    def _require_sender(self, key: str) -> None:
        with identity(system("lab-intake")):
            if not SendingLaboratory.objects.filter(key=key, is_active=True).exists():
                raise CommandError(f"no active laboratory has the key {key}")


class Bar:
    """A progress bar over the bytes of all files; nothing where `out` is no terminal."""

    def __init__(self, files: list[Path], out: TextIO, *, hidden: bool) -> None:
        self._sizes = {path: path.stat().st_size for path in files}
        self._total = max(1, sum(self._sizes.values()))
        self._out = out
        self._hidden = hidden or not out.isatty()
        self._before = self._here = self._messages = 0
        self._files = 0

    def advance(self, size: int) -> None:
        """Count one message of `size` bytes."""
        self._messages += 1
        self._here += size
        self._draw()

    def finish(self, path: Path) -> None:
        """Count one file; envelopes of batches are bytes, but no messages."""
        self._before += self._sizes[path]
        self._here = 0
        self._files += 1
        self._draw()

    def _draw(self) -> None:
        if self._hidden:
            return
        filled = min(_BAR_WIDTH, _BAR_WIDTH * (self._before + self._here) // self._total)
        done = self._files == len(self._sizes)
        self._out.write(
            f"\r[{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] "
            f"{self._messages} messages, {self._files}/{len(self._sizes)} files"
            + ("\n" if done else "")
        )
        self._out.flush()


def _summary(files: int, outcomes: Counter[str]) -> str:
    total = sum(outcomes.values())
    parts = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
    return f"{total} messages in {files} files: {parts or 'nothing'}"


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(entry for entry in path.iterdir() if entry.is_file())
        elif path.is_file():
            yield path
        else:
            raise CommandError(f"no such file: {path}")


def _pieces(path: Path) -> Iterator[tuple[bytes, Overflow | None]]:
    """Return the messages of a file, and what of it is none; a dump of MLLP frames is one too.

    Raises: OSError.
    """
    data = path.read_bytes()
    limit = settings.INTAKE_MAX_BYTES
    if data[:1] != b"\x0b":
        return iter([_within(raw, limit) for raw in messages_in(data)])
    decoder = FrameDecoder(max_bytes=limit)
    return _framed([*decoder.feed(data), *decoder.close()])


def _within(raw: bytes, limit: int) -> tuple[bytes, Overflow | None]:
    if len(raw) <= limit:
        return raw, None
    return raw[:limit], Overflow.of(raw, "body-too-large")


def _framed(
    found: list[Frame | FramingError],
) -> Iterator[tuple[bytes, Overflow | None]]:
    """A frame that was cut off is no message, as at the listener."""
    for piece in found:
        if isinstance(piece, Frame):
            yield from ((raw, None) for raw in messages_in(piece.payload))
        else:
            yield piece.kept, Overflow(piece.code, piece.size, piece.sha256)


def _as_json(path: Path, number: int, answer: Answer) -> dict[str, Any]:
    lines = answer.lines or _previewed(answer)
    record_numbers = _record_numbers({line.patient_id for line in lines if line.patient_id})
    filed_to = {record_numbers.get(line.patient_id) for line in lines if line.patient_id}
    return {
        "file": path.name,
        "msg": number,
        "msh10": answer.control_id,
        "ack": answer.ack_code,
        "outcome": answer.disposition,
        "reasons": list(answer.reasons),
        "patients": sorted(number for number in filed_to if number),
        "results": [_result_json(line, record_numbers) for line in _in_order(lines)],
    }


def _in_order(lines: tuple[LineOutcome, ...]) -> list[LineOutcome]:
    return sorted(lines, key=lambda line: line.judged.line.obx_index)


def _previewed(answer: Answer) -> tuple[LineOutcome, ...]:
    """Return what the rules say about a message that was kept but not filed."""
    with identity(system("lab-intake")):
        message = InboundMessage.objects.select_related("laboratory").get(id=answer.message_id)
        readable = (
            message.laboratory is not None
            and message.message_type.startswith("ORU")
            and "too-many-observations" not in message.reasons
        )
        return tuple(preview(message, now=message.received_at)) if readable else ()


def _record_numbers(patient_ids: set[UUID]) -> dict[UUID | None, str]:
    if not patient_ids:
        return {}
    with identity(system("lab-intake")):
        rows = PatientIdentifier.objects.filter(
            patient_id__in=patient_ids, type="MR", valid_until__isnull=True
        ).order_by("-valid_from")
        return {row.patient_id: row.value for row in rows}


def _result_json(outcome: LineOutcome, record_numbers: dict[UUID | None, str]) -> dict[str, Any]:
    judged = outcome.judged
    return {
        "obx_index": judged.line.obx_index,
        "patient": record_numbers.get(outcome.patient_id),
        "analyte": judged.analyte_key or None,
        "loinc": judged.loinc or None,
        "value": judged.value_text,
        "comparator": judged.value.comparator,
        "unit": judged.line.unit_text,
        "range": judged.line.range_text,
        "lab_flag": "~".join(judged.line.flags),
        "state": judged.verdict.state.value,
        "rule": judged.verdict.rule_id,
        "reason": outcome.reason or judged.verdict.reason,
    }
