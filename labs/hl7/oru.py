"""Read an ORU^R01 message into frozen facts: patients, reports, observation lines.

Nothing here judges a value or knows a stored patient. What a line lacks becomes a stable fault
code on that line; content never raises. Source: HL7 v2.5.1 chapter 7 (ORU^R01).
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from labs.hl7.codes import CodedElement, choose_loinc, is_loinc, loinc_faults
from labs.hl7.facts import (
    EntityId,
    Identifier,
    ObservationLine,
    OruMessage,
    PatientGroup,
    PatientIdentity,
    Report,
    Specimen,
    identity_gaps,
    join_notes,
)
from labs.hl7.message import DELETE, Message, Segment
from labs.hl7.timestamps import Timestamp, read_date, read_timestamp

__all__ = [
    "EntityId",
    "Identifier",
    "ObservationLine",
    "OruMessage",
    "PatientGroup",
    "PatientIdentity",
    "Report",
    "Specimen",
    "choose_loinc",
    "identity_gaps",
    "is_loinc",
    "join_notes",
    "read_identity",
    "read_oru",
]

# HL7 tables 0085 and 0123, version 2.5.1 with the later additions.
RESULT_STATUSES: Final = frozenset("PFCABVUDWXNIORS")
REPORT_STATUSES: Final = frozenset("OISAPRFCMNXYZ")


def read_oru(message: Message, *, zone: ZoneInfo, now: datetime | None = None) -> OruMessage:
    """Read every segment in order. `zone` serves times without an offset; see read_timestamp."""
    reader = _Reader(zone, now)
    for segment in message.segments[1:]:
        reader.take(segment)
    head = message.header
    return OruMessage(
        control_id=head.text(10),
        sending_application=_hierarchic(head, 3),
        sending_facility=_hierarchic(head, 4),
        receiving_application=_hierarchic(head, 5),
        receiving_facility=_hierarchic(head, 6),
        message_at=reader.time(head, 7),
        version=head.component(12),
        processing_id=head.component(11),
        message_type="^".join(filter(None, (head.component(9, 1), head.component(9, 2)))),
        charset=message.marks.codec,
        groups=tuple(group.build() for group in reader.groups),
        notes=tuple(reader.notes),
        warnings=message.warnings,
    )


def _hierarchic(segment: Segment, number: int) -> str:
    """Return an HD field: namespace, else universal id."""
    return segment.component(number, 1) or segment.component(number, 2)


def _authority(segment: Segment, repetition: str, component: int) -> str:
    return segment.part(repetition, component, 1) or segment.part(repetition, component, 2)


def _entity(segment: Segment, number: int) -> EntityId:
    reps = segment.repetitions(number)
    if not reps or reps[0] == DELETE:
        return EntityId()
    rep = reps[0]
    return EntityId(segment.part(rep, 1), segment.part(rep, 2) or segment.part(rep, 3))


def _note(segment: Segment) -> tuple[str, ...]:
    return tuple(segment.marks.unescape(line) for line in segment.repetitions(3)) or ("",)


def read_identity(segment: Segment) -> PatientIdentity:
    """Read a PID segment. PID-3 repeats; the authority is CX.4 as namespace, else as OID."""
    found = (
        Identifier(segment.part(rep, 1), _authority(segment, rep, 4), segment.part(rep, 5))
        for rep in segment.repetitions(3)
    )
    return PatientIdentity(
        identifiers=tuple(entry for entry in found if entry.value not in {"", DELETE}),
        family=_sent(segment.component(5, 1, 1)),
        given=_sent(segment.component(5, 2)),
        birth_date=read_date(segment.component(7)),
        birth_date_raw=segment.field(7),
        sex=_sent(segment.component(8)),
        raw=segment.raw,
    )


def _sent(text: str) -> str:
    return "" if text == DELETE else text


@dataclass(slots=True)
class _Line:
    segment: Segment
    index: int
    notes: list[str] = field(default_factory=list)
    orphan: bool = False


@dataclass(slots=True)
class _SpecimenDraft:
    segment: Segment
    notes: list[str] = field(default_factory=list)
    lines: list[_Line] = field(default_factory=list)


@dataclass(slots=True)
class _ReportDraft:
    segment: Segment | None
    order: Segment | None
    position: int
    notes: list[str] = field(default_factory=list)
    lines: list[_Line] = field(default_factory=list)
    specimens: list[_SpecimenDraft] = field(default_factory=list)


@dataclass(slots=True)
class _GroupDraft:
    reader: "_Reader"
    pid: PatientIdentity | None = None
    notes: list[str] = field(default_factory=list)
    reports: list[_ReportDraft] = field(default_factory=list)

    def build(self) -> PatientGroup:
        reports = tuple(self.reader.report(draft) for draft in self.reports)
        return PatientGroup(self.pid, reports, tuple(self.notes))


class _Reader:
    """Walks the segments once and hangs each on the one it follows."""

    def __init__(self, zone: ZoneInfo, now: datetime | None) -> None:
        self.zone, self.now = zone, now
        self.groups: list[_GroupDraft] = []
        self.notes: list[str] = []
        self._notes_here = self.notes
        self._order: Segment | None = None
        self._order_notes: list[str] = []
        self._obr = self._obx = 0
        self._current: _ReportDraft | None = None

    def time(self, segment: Segment, number: int, component: int = 1) -> Timestamp:
        return read_timestamp(segment.component(number, component), self.zone, now=self.now)

    def take(self, segment: Segment) -> None:
        match segment.name:
            case "PID":
                group = _GroupDraft(self, read_identity(segment))
                self.groups.append(group)
                self._notes_here, self._current, self._order = group.notes, None, None
            case "ORC":
                self._take_order(segment)
            case "OBR":
                self._open(segment)
            case "OBX":
                self._take_line(segment)
            case "SPM":
                specimen = _SpecimenDraft(segment)
                self._report().specimens.append(specimen)
                self._notes_here = specimen.notes
            case "NTE":
                self._notes_here.extend(_note(segment))

    def _take_order(self, segment: Segment) -> None:
        """ORC precedes its OBR; where a sender puts it right after, it serves that OBR."""
        draft = self._current
        if draft and draft.segment and draft.order is None and not draft.lines:
            draft.order, self._notes_here = segment, draft.notes
        else:
            self._order, self._order_notes = segment, []
            self._notes_here = self._order_notes

    def _open(self, segment: Segment | None) -> _ReportDraft:
        if not self.groups:
            self.groups.append(_GroupDraft(self))
        self._obr += segment is not None
        draft = _ReportDraft(segment, self._order, self._obr if segment else 0)
        draft.notes.extend(self._order_notes)
        self._order, self._order_notes = None, []
        self.groups[-1].reports.append(draft)
        self._current, self._notes_here = draft, draft.notes
        return draft

    def _report(self) -> _ReportDraft:
        return self._current or self._open(None)

    def _take_line(self, segment: Segment) -> None:
        self._obx += 1
        draft = self._report()
        line = _Line(segment, self._obx, orphan=draft.segment is None)
        (draft.specimens[-1].lines if draft.specimens else draft.lines).append(line)
        self._notes_here = line.notes

    def report(self, draft: _ReportDraft) -> Report:
        obr = draft.segment
        if obr is None:
            first = draft.lines[0] if draft.lines else draft.specimens[0]
            obr = Segment("OBR", first.segment.marks)
        placer, filler = _entity(obr, 2), _entity(obr, 3)
        if draft.order is not None:
            placer = placer if placer.value else _entity(draft.order, 2)
            filler = filler if filler.value else _entity(draft.order, 3)
        code, status = CodedElement.read(obr, 4), obr.component(25)
        specimens = tuple(self._specimen(entry) for entry in draft.specimens)
        if not specimens and obr.field(15):
            source, site = (CodedElement.read(obr, 15, nested=part) for part in (1, 4))
            specimens = (Specimen(source, body_site=site),)
        faults = (
            ("no-obr", draft.segment is None),
            ("report-code-missing", draft.segment is not None and not code),
            ("report-status-unknown", bool(status) and status not in REPORT_STATUSES),
        )
        return Report(
            position=draft.position,
            set_id=obr.field(1),
            placer=placer,
            filler=filler,
            code=code,
            collected_at=self.time(obr, 7),
            received_at=self.time(obr, 14),
            result_at=self.time(obr, 22),
            status=status,
            category=obr.component(24),
            specimens=specimens,
            notes=tuple(draft.notes),
            observations=tuple(self._line(line) for line in draft.lines),
            faults=tuple(fault for fault, found in faults if found),
            raw_segment=draft.segment.raw if draft.segment else "",
        )

    def _specimen(self, draft: _SpecimenDraft) -> Specimen:
        spm = draft.segment
        pair = (spm.repetitions(2) or [""])[0]
        own = EntityId(spm.part(pair, 2, 1) or spm.part(pair, 1, 1), _authority_of_pair(spm, pair))
        return Specimen(
            type=CodedElement.read(spm, 4),
            identifier=own,
            collected_at=self.time(spm, 17),
            received_at=self.time(spm, 18),
            reject_reason=CodedElement.read(spm, 21),
            notes=tuple(draft.notes),
            observations=tuple(self._line(line) for line in draft.lines),
            body_site=CodedElement.read(spm, 8),
        )

    def _line(self, draft: _Line) -> ObservationLine:
        obx, unescape = draft.segment, draft.segment.marks.unescape
        code, values = CodedElement.read(obx, 3), tuple(obx.repetitions(5))
        status = obx.component(11).strip()
        loinc = choose_loinc(code)
        faults = (
            ("no-obr", draft.orphan),
            ("status-missing", status in {"", DELETE}),
            ("status-unknown", status not in {"", DELETE} and status not in RESULT_STATUSES),
            ("code-missing", not code),
        )
        return ObservationLine(
            obx_index=draft.index,
            set_id=obx.field(1),
            value_type=obx.component(2).strip(),
            code=code,
            loinc=loinc,
            sub_id=obx.text(4),
            values=values,
            texts=tuple(unescape(value) for value in values),
            components=tuple(
                tuple(unescape(part) for part in value.split(obx.marks.component))
                for value in values
            ),
            unit=CodedElement.read(obx, 6),
            range_text=obx.text(7),
            flags=tuple(flag for rep in obx.repetitions(8) if (flag := obx.part(rep, 1).strip())),
            status=_sent(status),
            observed_at=self.time(obx, 14),
            analysed_at=self.time(obx, 19),
            method=CodedElement.read(obx, 17),
            performing_lab=_performer(obx),
            notes=tuple(draft.notes),
            faults=tuple(fault for fault, found in faults if found) + loinc_faults(code),
            raw_segment=obx.raw,
        )


def _authority_of_pair(spm: Segment, pair: str) -> str:
    """Return who assigned the SPM-2 identifier: filler (second component) before placer."""
    place = 2 if spm.part(pair, 2, 1) else 1
    return spm.part(pair, place, 2) or spm.part(pair, place, 3)


def _performer(obx: Segment) -> str:
    """Return the performing laboratory: OBX-23 name, else OBX-15 text or code."""
    return obx.component(23) or obx.component(15, 2) or obx.component(15, 1)
