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
from labs.hl7.mllp import Frame, FrameDecoder
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
        for done, path in enumerate(files, start=1):
            for number, raw in enumerate(_messages(path), start=1):
                answer = _take(raw, origin)
                outcomes[answer.disposition] += 1
                if options["json"]:
                    self.stdout.write(json.dumps(_as_json(path, number, answer)))
            if not options["json"]:
                _progress(done, len(files), sys.stderr)
        if not options["json"]:
            self._summary(len(files), outcomes)

    def _require_sender(self, key: str) -> None:
        with identity(system("lab-intake")):
            if not SendingLaboratory.objects.filter(key=key, is_active=True).exists():
                raise CommandError(f"no active laboratory has the key {key}")

    def _summary(self, files: int, outcomes: Counter[str]) -> None:
        total = sum(outcomes.values())
        parts = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
        self.stdout.write(f"{total} messages in {files} files: {parts or 'nothing'}")


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(entry for entry in path.iterdir() if entry.is_file())
        elif path.is_file():
            yield path
        else:
            raise CommandError(f"no such file: {path}")


def _messages(path: Path) -> list[bytes]:
    """Return the messages of a file; a dump of MLLP frames is one too."""
    data = path.read_bytes()
    if data[:1] != b"\x0b":
        return messages_in(data)
    decoder = FrameDecoder(max_bytes=max(len(data), 1))
    pieces = [*decoder.feed(data), *decoder.close()]
    return [
        message
        for piece in pieces
        for message in (messages_in(piece.payload) if isinstance(piece, Frame) else [piece.kept])
    ]


def _take(raw: bytes, origin: Origin) -> Answer:
    limit = settings.INTAKE_MAX_BYTES
    if len(raw) <= limit:
        return receive(raw, origin=origin, now=utc_now())
    overflow = Overflow.of(raw, "body-too-large")
    return receive(raw[:limit], origin=origin, now=utc_now(), overflow=overflow)


def _progress(done: int, total: int, out: TextIO) -> None:
    if out.isatty():
        filled = _BAR_WIDTH * done // total
        end = "\n" if done == total else ""
        out.write(f"\r[{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] {done}/{total}{end}")
        out.flush()


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
        readable = message.laboratory is not None and message.message_type.startswith("ORU")
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
