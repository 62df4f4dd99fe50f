"""Report heads and their versions."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import cast
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db.models import CharField, DateTimeField, Min, OuterRef, Q, Subquery, UUIDField

from clinical.result_status import Shown, report_status
from core.prepared import Given, Prepared, insert, update
from labs.hl7.codes import choose_loinc
from labs.hl7.oru import Report, join_notes
from labs.hl7.timestamps import Timestamp
from labs.models import DiagnosticReport, InboundMessage, Observation, ReportVersion
from labs.models.results import FhirStatus
from labs.services.frames import FRAME_COLUMNS, set_frames, status_of
from labs.services.judging import filler_key

_TELLS_SOMETHING_ALONE = frozenset("OISNX")


@dataclass
class ReportDraft:
    """One report of a message on its way into the record."""

    report: Report
    head: DiagnosticReport
    is_new: bool
    is_stale: bool = False
    known_comment: str = ""
    known_status_sent: str = ""
    known_resulted_at: datetime | None = None
    known_effective_at: datetime | None = None
    member_statuses: list[str] = field(default_factory=list)
    changed: bool = False
    corrected: bool = False
    version: ReportVersion | None = None
    was_visible: bool = False

    @property
    def comment(self) -> str:
        return join_notes(self.report.notes)


def report_key(report: Report) -> tuple[str, str]:
    code = report.code
    return filler_key(report), (code.code or code.alt_code or code.text)[:80]


def stands_alone(report: Report) -> bool:
    """Say whether a report without results tells the patient something: pending or cancelled."""
    return not report.observations and report.status in _TELLS_SOMETHING_ALONE


@lru_cache(maxsize=1)
def _heads() -> Prepared:
    patient = cast(UUID, Given("patient", UUIDField()))
    latest = ReportVersion.objects.filter(
        patient_id=patient, report=OuterRef("pk"), is_stale=False
    ).order_by("-version")
    return Prepared(
        DiagnosticReport.objects.annotate(
            known_comment=Subquery(latest.values("lab_comment")[:1]),
            known_status_sent=Subquery(latest.values("status_sent")[:1]),
            known_resulted_at=Subquery(
                latest.filter(resulted_at__isnull=False).values("resulted_at")[:1]
            ),
        ).filter(
            patient_id=patient,
            laboratory_id=cast(UUID, Given("laboratory", UUIDField())),
            filler_key__any_of=Given("orders", ArrayField(CharField())),
        )
    )


def drafts_of(
    reports: list[Report], *, patient_id: UUID, message: InboundMessage, now: datetime
) -> dict[tuple[str, str], ReportDraft]:
    """Return a draft for each report, joined with its stored head; one statement."""
    heads = {
        (head.filler_key, head.code): head
        for head in _heads().objects(
            patient=patient_id,
            laboratory=message.laboratory_id,
            orders=sorted({filler_key(report) for report in reports}),
        )
    }
    drafts: dict[tuple[str, str], ReportDraft] = {}
    for report in reports:
        key = report_key(report)
        known = heads.get(key)
        if known is None:
            head = _new_head(report, key, patient_id=patient_id, message=message, now=now)
            draft = ReportDraft(report, head, is_new=True)
        else:
            draft = ReportDraft(
                report,
                known,
                is_new=False,
                known_comment=known.known_comment or "",
                known_status_sent=known.known_status_sent or "",
                known_resulted_at=known.known_resulted_at,
                known_effective_at=known.effective_at,
                is_stale=_older(report.result_at.instant, known.known_resulted_at),
                was_visible=seen_at(known, now),
            )
        drafts.setdefault(key, draft)
    return drafts


def _older(sent: datetime | None, stored: datetime | None) -> bool:
    return sent is not None and stored is not None and sent < stored


def _new_head(
    report: Report,
    key: tuple[str, str],
    *,
    patient_id: UUID,
    message: InboundMessage,
    now: datetime,
) -> DiagnosticReport:
    loinc = choose_loinc(report.code)
    code = report.code
    return DiagnosticReport(
        patient_id=patient_id,
        laboratory=message.laboratory,
        filler_key=key[0],
        placer_number=report.placer.value[:200],
        code=key[1],
        code_system=code.system[:80],
        loinc=loinc.code if loinc else "",
        name=(code.text or code.alt_text or code.code or "Laboratory report")[:300],
        category=report.category[:10],
        version=0,
        status=FhirStatus.UNKNOWN,
        effective_at=_usable(report.collected_at)
        or _usable(report.result_at)
        or message.received_at,
        filed_at=now,
    )


def _usable(time: Timestamp) -> datetime | None:
    return None if "time-future" in time.faults else time.instant


def seen_at(head: DiagnosticReport, now: datetime) -> bool:
    """Say whether the patient can see this report at `now`."""
    return head.visible_from is not None and head.visible_from <= now


def settle_versions(
    drafts: list[ReportDraft], *, message: InboundMessage, now: datetime
) -> list[ReportDraft]:
    """Give every draft that says something new its version; return those drafts.

    New heads are inserted here, before their results; at most two statements.
    """
    moved = []
    for draft in drafts:
        status = status_of(draft.report.status, draft.member_statuses)
        if not (draft.is_new or draft.changed or _head_differs(draft, status)):
            continue
        draft.head.version += 1
        draft.head.filed_at = now
        draft.head.corrected = draft.head.corrected or draft.corrected
        if not draft.is_stale:
            draft.head.status = status
            draft.head.collected_at = draft.report.collected_at.instant
            draft.head.resulted_at = draft.report.result_at.instant or draft.known_resulted_at
            draft.head.effective_at = _usable(draft.report.collected_at) or draft.head.effective_at
        draft.version = ReportVersion(
            patient_id=draft.head.patient_id,
            report=draft.head,
            version=draft.head.version,
            status=status,
            status_sent=draft.report.status[:10],
            collected_at=draft.report.collected_at.instant,
            received_at_lab=draft.report.received_at.instant,
            resulted_at=draft.report.result_at.instant,
            lab_comment=draft.comment,
            is_stale=draft.is_stale,
            message=message,
            obr_position=draft.report.position,
            filed_at=now,
        )
        moved.append(draft)
    insert(*[draft.head for draft in moved if draft.is_new])
    insert(*[draft.version for draft in moved if draft.version is not None])
    return moved


def _head_differs(draft: ReportDraft, status: str) -> bool:
    if draft.is_stale:
        return False
    resulted = draft.report.result_at.instant
    return (
        draft.report.status != draft.known_status_sent
        or draft.comment != draft.known_comment
        or (resulted is not None and resulted != draft.known_resulted_at)
    )


@lru_cache(maxsize=1)
def _summaries() -> Prepared:
    shown = Q(visible_from__isnull=False, withdrawn_at__isnull=True)
    kept = Q(withdrawn_at__isnull=True) & (
        Q(visible_from__isnull=True) | Q(visible_from__gt=Given("now", DateTimeField()))
    )
    return Prepared(
        Observation.objects.current()
        .filter(
            patient_id__any_of=Given("patients", ArrayField(UUIDField())),
            report_id__any_of=Given("reports", ArrayField(UUIDField())),
        )
        .values("report_id")
        .annotate(
            visible=Min("visible_from", filter=shown),
            first=Min("effective_at"),
            live=Min("position", filter=~Q(state="RETRACTED")),
            kept=Min("position", filter=kept),
        )
    )


_MOVING = ("version", "corrected", *FRAME_COLUMNS)


def refresh_heads(drafts: list[ReportDraft], *, now: datetime) -> bool:
    """Set each head's visibility and time from its current results; say whether some are kept."""
    if not drafts:
        return False
    summary = {
        row["report_id"]: row
        for row in _summaries().rows(
            patients=list({draft.head.patient_id for draft in drafts}),
            reports=[draft.head.id for draft in drafts],
            now=now,
        )
    }
    for draft in drafts:
        found = summary.get(draft.head.id)
        draft.head.shown_version = None
        if found is None:
            alone = report_status(draft.report.status).shown is Shown.YES
            draft.head.visible_from = now if alone else None
            continue
        draft.head.visible_from = found["visible"]
        if draft.report.collected_at.instant is None:
            draft.head.effective_at = found["first"]
        if found["live"] is None:
            draft.head.status = FhirStatus.ENTERED_IN_ERROR
            draft.head.visible_from = None
    kept = [draft for draft in drafts if summary.get(draft.head.id, {}).get("kept") is not None]
    if kept:
        before = {draft.head.id: draft.known_effective_at for draft in kept}
        set_frames([draft.head for draft in kept], now=now, effective_before=before)
    for draft in drafts:
        update(draft.head, *_MOVING)
    return bool(kept)
