"""Where the lines of one patient belong among her stored results."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import cast
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db.models import CharField, UUIDField

from clinical.result_status import Handling
from clinical.values import ValueKind
from core.prepared import Given, Prepared
from labs.hl7.oru import ObservationLine, Report
from labs.hl7.timestamps import Timestamp
from labs.models import InboundMessage, Observation
from labs.readings import read
from labs.services.judging import JudgedLine, content_hash, digest, identity_base
from labs.services.senders import SenderSettings
from labs.services.versions import WITHDRAWN, Standing, VersionFacts, standing

Judge = Callable[[ObservationLine, Report], JudgedLine]

# Statuses that speak about an earlier result, and may come without the value.
_REFERRING = frozenset({Handling.PROMOTE, Handling.ADD_COMMENT, Handling.VERIFY})


@dataclass
class Placed:
    """One line and its standing among the stored versions of its result."""

    judged: JudgedLine
    identity_key: str = ""
    standing: Standing = Standing.NEW
    ordering_at: datetime | None = None
    content: str = ""
    current: Observation | None = None
    versions: list[Observation] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    @property
    def refusal(self) -> str:
        return self.judged.refusal

    @property
    def ignored(self) -> bool:
        return self.judged.status.handling is Handling.IGNORE

    @property
    def withdraws(self) -> bool:
        return self.judged.line.status in WITHDRAWN


def ordering_time(report: Report, message_at: Timestamp) -> datetime | None:
    """Return when the result changed at the laboratory: OBR-22, else MSH-7."""
    return report.result_at.instant or message_at.instant


def place_lines(
    judged: list[JudgedLine],
    *,
    patient_id: UUID,
    settings: SenderSettings,
    message_at: Timestamp,
    judge: Judge,
) -> list[Placed]:
    """Return every line with its standing. One statement, and one more a referred message."""
    placed = [Placed(line) for line in judged]
    fit = [p for p in placed if not p.refusal and not p.ignored]
    bases: dict[str, list[Placed]] = defaultdict(list)
    for entry in fit:
        bases[identity_base(entry.judged, settings.id)].append(entry)
    stored = _stored_versions(bases, patient_id)
    for base, entries in bases.items():
        _number(base, entries, stored)
    for entry in fit:
        if entry.refusal or not entry.identity_key:
            continue
        entry.versions = stored.get(entry.identity_key, [])
        entry.current = next((v for v in entry.versions if v.superseded_at is None), None)
        if entry.judged.status.handling in _REFERRING:
            _resolve_reference(entry, settings, judge)
        if not entry.refusal:
            _stand(entry, message_at)
    return placed


def _occurrence_key(base: str, occurrence: int) -> str:
    return base if occurrence == 0 else digest(base, occurrence)


@lru_cache(maxsize=1)
def versions_of() -> Prepared:
    """Every version of the results of `patient` with one of these identity `keys`, in order."""
    return Prepared(
        Observation.objects.filter(
            patient_id=cast(UUID, Given("patient", UUIDField())),
            identity_key__any_of=Given("keys", ArrayField(CharField())),
        ).order_by("version")
    )


def _stored_versions(
    bases: dict[str, list[Placed]], patient_id: UUID
) -> dict[str, list[Observation]]:
    keys = {
        _occurrence_key(base, n)
        for base, entries in bases.items()
        for n in range(max(2, len(entries)))
    }
    found: dict[str, list[Observation]] = defaultdict(list)
    for row in versions_of().objects(patient=patient_id, keys=sorted(keys)):
        found[row.identity_key].append(row)
    return found


def _number(base: str, entries: list[Placed], stored: dict[str, list[Observation]]) -> None:
    """Give lines of equal identity their own keys, in the order of the message.

    The same line twice is one line. Two different values under one code are two results, and
    a person looks at them. One line where two are stored could mean either: it is refused.
    """
    distinct: list[Placed] = []
    for entry in entries:
        twin = next((d for d in distinct if _same_content(d.judged, entry.judged)), None)
        if twin is None:
            distinct.append(entry)
        else:
            entry.standing = Standing.UNCHANGED
    if len(distinct) == 1 and _occurrence_key(base, 1) in stored:
        distinct[0].judged = replace(distinct[0].judged, refusal="repeated-result")
        return
    for n, entry in enumerate(distinct):
        entry.identity_key = _occurrence_key(base, n)
        if n:
            entry.doubts.append("repeated-result")


def _same_content(a: JudgedLine, b: JudgedLine) -> bool:
    return content_hash(a) == content_hash(b)


def _resolve_reference(entry: Placed, settings: SenderSettings, judge: Judge) -> None:
    """Fill a line that speaks about the stored result: final now, a comment more, verified."""
    judged, current = entry.judged, entry.current
    silent = judged.value.kind is ValueKind.ABSENT
    if current is None or current.message_id is None:
        if silent:
            entry.judged = replace(judged, refusal="nothing-stored")
        return
    handling = judged.status.handling
    if handling is Handling.VERIFY and (silent or judged.value_text == current.value_text):
        entry.standing = Standing.UNCHANGED
        return
    if not silent and handling is not Handling.ADD_COMMENT:
        return
    line, report = judged.line, judged.report
    if silent:
        old = _stored_line(current, settings)
        if old is None:
            entry.judged = replace(judged, refusal="nothing-stored")
            return
        earlier, earlier_report = old
        line = replace(
            earlier,
            status=line.status,
            notes=line.notes or earlier.notes,
            obx_index=line.obx_index,
            raw_segment=line.raw_segment,
        )
        report = replace(
            earlier_report,
            result_at=report.result_at,
            status=report.status,
            code=report.code,
            filler=report.filler,
            placer=report.placer,
        )
    if handling is Handling.ADD_COMMENT and current.lab_comment:
        known = tuple(current.lab_comment.split("\n"))
        new = tuple(note for note in judged.line.notes if note not in known)
        line = replace(line, notes=known + new)
    entry.judged = judge(line, report)


def _stored_line(
    row: Observation, settings: SenderSettings
) -> tuple[ObservationLine, Report] | None:
    message = InboundMessage.objects.get(observations=row)
    oru = read(message, zone=settings.zone)
    return next(
        (
            (line, report)
            for report in oru.reports
            for line in report.observations
            if line.obx_index == row.obx_index
        ),
        None,
    )


def _stand(entry: Placed, message_at: Timestamp) -> None:
    if entry.standing is Standing.UNCHANGED:
        return
    judged = entry.judged
    entry.ordering_at = ordering_time(judged.report, message_at)
    entry.content = content_hash(judged)
    arriving = VersionFacts(judged.line.status, entry.ordering_at, entry.content)
    if not entry.versions or entry.current is None:
        return
    facts = [VersionFacts(v.status_sent, v.ordering_at, v.content_hash) for v in entry.versions]
    entry.standing = standing(arriving, facts, entry.versions.index(entry.current))
    if _unfinished_after_final(entry):
        entry.doubts.append("preliminary-after-final")


def _unfinished_after_final(entry: Placed) -> bool:
    current = entry.current
    return (
        entry.standing is Standing.STALE
        and entry.judged.status.handling in (Handling.PRELIMINARY, Handling.PENDING)
        and current is not None
        and current.ordering_at is not None
        and entry.ordering_at is not None
        and entry.ordering_at > current.ordering_at
    )
