"""Turn one stored message into results: one transaction, and what cannot be placed is queued."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db.models import CharField, UUIDField

from accounts.models import User
from clinical.result_status import Handling, report_status
from clinical.states import RULE_VERSION
from core import audit
from core.areas import Area
from core.models import AuditEvent
from core.prepared import Given, Prepared, insert
from labs.documents import BINARY_TYPES, Documents, without_data
from labs.hl7.oru import ObservationLine, OruMessage, PatientGroup, Report
from labs.models import Filing, InboundMessage, Observation
from labs.queues import refresh_queue_marks
from labs.readings import format_of, read
from labs.services import alarms, biomarkers
from labs.services.announcing import announce
from labs.services.correcting import tell_of_corrections
from labs.services.derived import refresh_corrected_calcium
from labs.services.documents import store_documents
from labs.services.frames import note_what_waits
from labs.services.judging import QUEUED_DOUBTS, JudgedLine, Person, judge_line
from labs.services.matching import match_group
from labs.services.placing import Placed, place_lines
from labs.services.queueing import Doubt, queue
from labs.services.release import ReleaseTerms, load_terms
from labs.services.reports import (
    ReportDraft,
    drafts_of,
    refresh_heads,
    report_key,
    settle_versions,
    stands_alone,
)
from labs.services.rising import raise_for_rising_calcium
from labs.services.rows import observation_row, withheld
from labs.services.senders import SenderSettings, load_settings
from labs.services.turns import take_turn
from labs.services.versions import Standing
from patients.models import Patient


@dataclass(frozen=True, slots=True)
class LineOutcome:
    """What became of one OBX. `patient_id` is set only when it stands in that record."""

    judged: JudgedLine
    patient_id: UUID | None
    fate: str
    reason: str = ""


@dataclass
class FilingPass:
    """One pass over one message, collecting what happened."""

    message: InboundMessage
    settings: SenderSettings
    oru: OruMessage
    actor: User | None
    now: datetime
    outcomes: list[LineOutcome] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)
    critical: list[tuple[JudgedLine, UUID | None, Doubt]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    placed_reports: int = 0

    @property
    def outcome(self) -> str:
        """Stored when anything was placed, queued when everything waits for a person."""
        placed = self.placed_reports or any(o.patient_id is not None for o in self.outcomes)
        waits = self.reasons and not placed
        return (Filing.Outcome.QUEUED if waits else Filing.Outcome.STORED).value

    def judge(
        self,
        line: ObservationLine,
        report: Report,
        *,
        person: Person | None = None,
        earlier: dict[str, frozenset[str]] | None = None,
    ) -> JudgedLine:
        return judge_line(
            line,
            report,
            settings=self.settings,
            person=person,
            message_at=self.oru.message_at,
            received_at=self.message.received_at,
            earlier_dimensions=earlier or {},
        )

    def refuse(self, judged: JudgedLine, reason: str, patient_id: UUID | None) -> None:
        """Queue one line of a known patient."""
        doubt = Doubt(
            reason=reason,
            segment=without_data(judged.line.value_type, judged.line.raw_segment),
            code=_code_in_question(judged, reason),
            obr_position=judged.report.position,
            obx_index=judged.line.obx_index,
        )
        self.doubts.append(doubt)
        self.reasons.append(reason)
        self.outcomes.append(LineOutcome(judged, None, "queued", reason))
        if judged.is_critical:
            self.critical.append((judged, patient_id, doubt))


def _code_in_question(judged: JudgedLine, reason: str) -> str:
    if reason == "unknown-unit":
        return judged.line.unit_text
    code = judged.line.code
    return code.code or code.alt_code or code.text


def open_pass(
    message: InboundMessage, *, actor: User | None, now: datetime, parsed: Any = None
) -> FilingPass:
    """Read a stored message under its laboratory's present settings. `parsed`: see `read`."""
    assert message.laboratory is not None
    settings = load_settings(message.laboratory)
    oru = read(message, zone=settings.zone, parsed=parsed)
    return FilingPass(message, settings, oru, actor, now)


def file_message(
    message: InboundMessage, *, actor: User | None, now: datetime, parsed: Any = None
) -> FilingPass:
    """File every line that can be filed, queue the others, and record the pass.

    Runs inside the caller's transaction as `system("lab-intake")`. `parsed`: see `read`.
    """
    work = open_pass(message, actor=actor, now=now, parsed=parsed)
    for group in work.oru.groups:
        _file_group(work, group)
    _miss_results(work)
    items = queue(message=message, doubts=work.doubts, now=now)
    item_of = {(i.reason, i.obr_position, i.obx_index): i.id for i in items}
    for judged, patient_id, doubt in work.critical:
        alarms.raise_for_queued(
            judged,
            item_id=item_of[(doubt.reason, doubt.obr_position, doubt.obx_index)],
            patient_id=patient_id,
            message=message,
            laboratory=work.settings.laboratory,
            now=now,
        )
    _record(work)
    return work


def _miss_results(work: FilingPass) -> None:
    """Queue a message that brought nothing at all, as one that was cut off does.

    Orders without results beside others are headings: some senders write them.
    """
    if work.outcomes or work.placed_reports or work.doubts:
        return
    empty = next((report for group in work.oru.groups for report in group.reports), None)
    if empty is not None:
        work.doubts.append(
            Doubt("report-without-results", empty.raw_segment, obr_position=empty.position)
        )
        work.reasons.append("report-without-results")


def _record(work: FilingPass) -> None:
    # Only a person files a message again.
    again = work.actor is not None
    filed = sum(outcome.patient_id is not None for outcome in work.outcomes)
    queued = sum(outcome.fate == "queued" for outcome in work.outcomes)
    insert(
        Filing(
            message=work.message,
            sequence=1 + (Filing.objects.filter(message=work.message).count() if again else 0),
            outcome=work.outcome,
            reasons=list(dict.fromkeys(work.reasons)),
            lines_filed=filed,
            lines_queued=queued,
            parser_version=format_of(work.message.door).version,
            rule_version=RULE_VERSION,
            filed_by=work.actor,
            filed_at=work.now,
        )
    )


def _file_group(work: FilingPass, group: PatientGroup) -> None:
    match = match_group(group.pid, work.settings.laboratory)
    if match.patient is None:
        _queue_group(work, group, match.reasons)
        return
    _file_for_patient(work, group, match.patient)


def _queue_group(work: FilingPass, group: PatientGroup, reasons: tuple[str, ...]) -> None:
    position = group.reports[0].position if group.reports else None
    segment = group.pid.raw if group.pid else ""
    doubts = [Doubt(reason, segment=segment, obr_position=position) for reason in reasons]
    work.doubts += doubts
    work.reasons += reasons
    critical: JudgedLine | None = None
    for report in group.reports:
        for line in report.lines:
            judged = work.judge(line, report)
            critical = critical or (judged if judged.is_critical else None)
            work.outcomes.append(LineOutcome(judged, None, "queued", reasons[0]))
    if critical is not None:
        work.critical.append((critical, None, doubts[0]))


def _file_for_patient(work: FilingPass, group: PatientGroup, patient: Patient) -> None:
    take_turn(patient.id)
    person = Person(sex=patient.sex, birth_date=patient.birth_date)
    reports = [report for report in group.reports if _usable_report(work, report, person)]
    _queue_specimen_lines(work, reports, person, patient.id)
    lines = [(line, report) for report in reports for line in report.observations]
    judged = [work.judge(line, report, person=person) for line, report in lines]
    earlier = _earlier_dimensions(judged, patient.id, work.message)
    judged = [
        work.judge(line.line, line.report, person=person, earlier=earlier)
        if _differs(line, earlier)
        else line
        for line in judged
    ]
    placed = place_lines(
        judged,
        patient_id=patient.id,
        settings=work.settings,
        message_at=work.oru.message_at,
        judge=lambda line, report: work.judge(line, report, person=person, earlier=earlier),
    )
    fit = [entry for entry in placed if not entry.refusal]
    for entry in placed:
        if entry.refusal:
            work.refuse(entry.judged, entry.refusal, patient.id)
    kept = {report_key(entry.judged.report) for entry in fit if not entry.ignored}
    kept |= {report_key(report) for report in reports if stands_alone(report)}
    drafts = drafts_of(
        [report for report in reports if report_key(report) in kept],
        patient_id=patient.id,
        message=work.message,
        now=work.now,
    )
    _write(work, patient.id, fit, drafts)


def _differs(judged: JudgedLine, earlier: dict[str, frozenset[str]]) -> bool:
    """Say whether earlier results of this analyte came in units of another family only."""
    families = earlier.get(judged.analyte_key)
    return bool(families and judged.unit and judged.unit.dimension not in families)


def _usable_report(work: FilingPass, report: Report, person: Person) -> bool:
    """Queue a report whose OBR-25 says that it is no result; note an unknown status."""
    if "report-status-unknown" in report.faults:
        work.doubts.append(
            Doubt("report-status-unknown", report.raw_segment, obr_position=report.position)
        )
    status = report_status(report.status)
    if not status.known or not status.queue:
        return True
    work.doubts.append(
        Doubt("report-status-query", report.raw_segment, obr_position=report.position)
    )
    work.reasons.append("report-status-query")
    for line in report.lines:
        judged = work.judge(line, report, person=person)
        work.outcomes.append(LineOutcome(judged, None, "queued", "report-status-query"))
    return False


def _queue_specimen_lines(
    work: FilingPass, reports: list[Report], person: Person, patient_id: UUID
) -> None:
    """Leave OBX that follow an SPM to a person: by the standard they describe the specimen, yet
    some senders write their results there."""
    for report in reports:
        for line in report.specimen_observations:
            judged = work.judge(line, report, person=person)
            if judged.status.handling is Handling.IGNORE:
                work.outcomes.append(LineOutcome(judged, None, "ignored"))
            else:
                work.refuse(judged, "specimen-observation", patient_id)


@lru_cache(maxsize=1)
def _dimensions() -> Prepared:
    return Prepared(
        Observation.objects.current()
        .laboratory_made()
        .filter(
            patient_id=cast(UUID, Given("patient", UUIDField())),
            laboratory_id=cast(UUID, Given("laboratory", UUIDField())),
            analyte_key__any_of=Given("analytes", ArrayField(CharField())),
            comparable=True,
        )
        .exclude(message_id=cast(UUID, Given("message", UUIDField())))
        .order_by()
        .values("analyte_key", "unit_dimension")
        .distinct()
    )


def _earlier_dimensions(
    judged: list[JudgedLine], patient_id: UUID, message: InboundMessage
) -> dict[str, frozenset[str]]:
    """Return the unit families of her earlier results from this laboratory; one statement."""
    keys = {line.analyte_key for line in judged if line.analyte_key and line.unit}
    if not keys:
        return {}
    rows = _dimensions().rows(
        patient=patient_id,
        laboratory=message.laboratory_id,
        analytes=sorted(keys),
        message=message.id,
    )
    found: dict[str, set[str]] = {}
    for row in rows:
        if row["unit_dimension"]:
            found.setdefault(row["analyte_key"], set()).add(row["unit_dimension"])
    return {key: frozenset(dimensions) for key, dimensions in found.items()}


def _write(
    work: FilingPass,
    patient_id: UUID,
    fit: list[Placed],
    drafts: dict[tuple[str, str], ReportDraft],
) -> None:
    terms = load_terms(work.settings.laboratory, patient_id=patient_id, now=work.now)
    new: list[Observation] = []
    sent: list[tuple[Observation, Documents]] = []
    superseded: list[Observation] = []
    withdrawn: list[Observation] = []
    wrong_patient: list[Observation] = []
    for entry in fit:
        if entry.ignored:
            work.outcomes.append(LineOutcome(entry.judged, None, "ignored"))
            continue
        draft = drafts[report_key(entry.judged.report)]
        draft.member_statuses.append(entry.judged.fhir_status)
        work.outcomes.append(LineOutcome(entry.judged, patient_id, entry.standing.value))
        if entry.standing is Standing.UNCHANGED:
            # Processed again: what was in doubt about this line still is.
            if entry.current is not None and entry.current.message_id == work.message.id:
                _collect_doubts(work, entry, entry.current)
            continue
        row = _version(work, entry, draft, terms)
        new.append(row)
        sent.append((row, entry.judged.documents))
        _collect_doubts(work, entry, row)
        draft.changed = True
        if entry.standing is not Standing.REPLACES:
            continue
        assert entry.current is not None
        superseded.append(entry.current)
        shown = not withheld(entry.current, now=work.now)
        draft.corrected = draft.corrected or (shown and _says_otherwise(entry.current, row))
        if entry.withdraws:
            withdrawn += entry.versions
            if entry.judged.line.status == "W":
                wrong_patient += entry.versions
    moved = settle_versions(list(drafts.values()), message=work.message, now=work.now)
    work.placed_reports += len(drafts)
    lost = [row for row in superseded if not withheld(row, now=work.now)]
    _supersede(superseded, withdrawn, now=work.now)
    insert(*new)
    store_documents(sent, now=work.now)
    current = [row for row in new if row.superseded_at is None]
    laboratory = work.settings.laboratory
    biomarkers.question_facts([*superseded, *withdrawn], laboratory=laboratory, now=work.now)
    biomarkers.propose(current, zone=work.settings.zone, now=work.now)
    derived = refresh_corrected_calcium(current, message=work.message, now=work.now)
    kept = refresh_heads(moved, now=work.now)
    if kept or terms.tell_of_delay or any(draft.head.not_released_until for draft in moved):
        note_what_waits(patient_id, [draft.head for draft in moved], now=work.now)
    filed = [*current, *derived.filed]
    changed = {row.report_id for row in (*filed, *superseded, *withdrawn, *derived.lost)}
    changed |= {draft.head.id for draft in moved}
    refresh_queue_marks(filter(None, changed), patient_id=patient_id)
    tell_of_corrections([*superseded, *derived.lost], filed, now=work.now)
    _alarm(work, filed, wrong_patient)
    if not moved:
        return
    told = announce(
        patient_id=patient_id,
        drafts=moved,
        filed=filed,
        lost=lost + [row for row in derived.lost if not withheld(row, now=work.now)],
        now=work.now,
    )
    audit.record(
        action=AuditEvent.Action.CREATE,
        operation="labs.results.file" if told else f"{audit.STAFF_ONLY}labs.results.file",
        now=work.now,
        area=Area.LABS,
        patient_id=patient_id,
        resource="Observation",
        resource_ids=[row.id for row in (*new, *derived.filed)],
    )


def _version(
    work: FilingPass, entry: Placed, draft: ReportDraft, terms: ReleaseTerms
) -> Observation:
    stale = entry.standing is Standing.STALE
    release = terms.release_of(
        entry.judged,
        report_id=draft.head.id,
        identity_key=entry.identity_key,
        replaces=entry.current if entry.standing is Standing.REPLACES else None,
        now=work.now,
    )
    row = observation_row(
        entry.judged,
        message=work.message,
        report=draft.head,
        identity_key=entry.identity_key,
        content=entry.content,
        ordering_at=entry.ordering_at,
        release=release if not stale else None,
        filed_by_id=work.actor.pk if work.actor else None,
        now=work.now,
    )
    row.version = len(entry.versions) + 1
    if stale:
        row.is_stale, row.superseded_at = True, work.now
    elif entry.current is not None:
        row.supersedes = entry.current
    if entry.withdraws:
        row.withdrawn_at = work.now
    return row


def _collect_doubts(work: FilingPass, entry: Placed, row: Observation) -> None:
    """Queue what a person must settle although the line was filed."""
    if row.is_stale and not entry.doubts:
        return
    judged = entry.judged
    doubts = [code.value for code in judged.verdict.needs_review if code in QUEUED_DOUBTS]
    for reason in (*entry.doubts, *judged.doubts, *doubts):
        work.doubts.append(
            Doubt(
                reason=reason,
                segment=without_data(judged.line.value_type, judged.line.raw_segment),
                code=_code_in_question(judged, reason),
                obr_position=judged.report.position,
                obx_index=judged.line.obx_index,
                observation_id=row.id,
            )
        )


def _says_otherwise(old: Observation, new: Observation) -> bool:
    """Say whether what she saw before reads differently now."""
    if new.value_type.upper() in BINARY_TYPES and old.content_hash != new.content_hash:
        return True
    facts = ("value_text", "unit_text", "range_text", "state", "flags", "body_site")
    return any(getattr(old, name) != getattr(new, name) for name in facts)


def _supersede(
    superseded: list[Observation], withdrawn: list[Observation], *, now: datetime
) -> None:
    if superseded:
        ids = [row.id for row in superseded]
        Observation.objects.filter(id__in=ids).update(superseded_at=now)
    open_ids = [row.id for row in withdrawn if row.withdrawn_at is None]
    if open_ids:
        Observation.objects.filter(id__in=open_ids).update(withdrawn_at=now)


def _alarm(work: FilingPass, filed: list[Observation], wrong_patient: list[Observation]) -> None:
    laboratory = work.settings.laboratory
    alarms.raise_for_results(filed, laboratory=laboratory, now=work.now)
    alarms.raise_for_hys_law(filed, laboratory=laboratory, now=work.now)
    raise_for_rising_calcium(filed, laboratory=laboratory, now=work.now)
    alarms.raise_wrong_patient(wrong_patient, laboratory=laboratory, now=work.now)


def preview(message: InboundMessage, *, now: datetime) -> list[LineOutcome]:
    """Judge every result of a stored message without filing anything."""
    work = open_pass(message, actor=None, now=now)
    return [
        LineOutcome(work.judge(line, report), None, "not-filed")
        for report in work.oru.reports
        for line in report.lines
    ]
