"""What a patient sees of a report's head while some of its results are kept from her.

The head shows the newest version that brings something she may see: as if the others had not
come. An order that she saw as pending stays so while its results are held.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q

from clinical.result_status import Shown, report_status
from labs.models import DiagnosticReport, Observation, ReleaseHold, ReleaseRule, ReportVersion
from labs.models.results import FhirStatus
from labs.services.release import active_holds, covers
from labs.services.rows import withheld

# Codes of OBR-25 that the official map leaves open.
_STATUS = {
    "A": FhirStatus.PARTIAL,
    "M": FhirStatus.PRELIMINARY,
    "N": FhirStatus.REGISTERED,
}
_FINISHED = frozenset({"final", "corrected", "amended", "cancelled", "entered-in-error"})
FRAME = ("status", "collected_at", "resulted_at", "effective_at", "filed_at", "visible_from")
FRAME_COLUMNS = (*FRAME, "shown_version")
_FUTURE = timedelta(hours=24)


def status_of(sent: str, members: Iterable[str]) -> str:
    """Return the FHIR status of a report: OBR-25, else what its results add up to."""
    code = sent.strip().upper()
    mapped = report_status(code).fhir_status or _STATUS.get(code)
    if mapped:
        return mapped
    known = set(members)
    if len(known) == 1:
        return next(iter(known))
    if known & {"corrected", "amended"} and known <= _FINISHED:
        return FhirStatus.CORRECTED
    return FhirStatus.FINAL if known and known <= _FINISHED else FhirStatus.PARTIAL


@dataclass(frozen=True, slots=True)
class _Known:
    """All that is stored of one report; versions are those that count, the newest first."""

    versions: Sequence[ReportVersion]
    current: Sequence[Observation]
    filings: frozenset[datetime]

    def shown(self, now: datetime) -> list[Observation]:
        return [row for row in self.current if not withheld(row, now=now)]


def set_frames(
    heads: Sequence[DiagnosticReport],
    *,
    now: datetime,
    effective_before: Mapping[UUID, datetime | None] | None = None,
) -> None:
    """Set on each head of one patient what she may see of it, unsaved; three statements.

    `effective_before`: the time of each head before what was filed just now.
    """
    live = [head for head in heads if head.status != FhirStatus.ENTERED_IN_ERROR]
    known = _load(live)
    for head in live:
        before = (effective_before or {}).get(head.id) or head.effective_at
        _set_frame(head, known[head.id], before, now)


def _load(heads: Sequence[DiagnosticReport]) -> dict[UUID, _Known]:
    about = Q(
        patient_id__in={head.patient_id for head in heads},
        report_id__in=[head.id for head in heads],
    )
    versions = list(ReportVersion.objects.filter(about, is_stale=False).order_by("-version"))
    filings = set(Observation.objects.filter(about).values_list("report_id", "filed_at"))
    current = list(Observation.objects.current().filter(about, withdrawn_at__isnull=True))
    return {
        head.id: _Known(
            [one for one in versions if one.report_id == head.id],
            [row for row in current if row.report_id == head.id],
            frozenset(at for report_id, at in filings if report_id == head.id),
        )
        for head in heads
    }


def _set_frame(head: DiagnosticReport, known: _Known, before: datetime, now: datetime) -> None:
    shown = known.shown(now)
    told = {row.filed_at for row in shown}
    seen = [one for one in known.versions if one.filed_at in told or _alone(one, known)]
    if not seen:
        released = [row.visible_from for row in known.current if row.visible_from is not None]
        head.visible_from = min(released, default=None)
        if not known.versions:
            return
        _take(head, known.versions, [row.status for row in known.current])
        head.shown_version = None
        return
    frame = seen[0]
    _take(head, seen, [row.status for row in shown if row.filed_at == frame.filed_at])
    if _usable(frame) is None:
        head.effective_at = min((row.effective_at for row in shown), default=before)
    released = [row.visible_from for row in shown if row.visible_from is not None]
    head.visible_from = min(released, default=frame.filed_at)
    newest = known.versions[0]
    head.shown_version = None if frame.version == newest.version else frame.version


def _alone(version: ReportVersion, known: _Known) -> bool:
    """Say whether a version brought no result and tells of the order: pending or cancelled."""
    alone = report_status(version.status_sent).shown is Shown.YES
    return alone and version.filed_at not in known.filings


def _take(head: DiagnosticReport, versions: Sequence[ReportVersion], members: list[str]) -> None:
    frame = versions[0]
    head.status = status_of(frame.status_sent, members) if members else frame.status
    head.collected_at = frame.collected_at
    head.resulted_at = next((one.resulted_at for one in versions if one.resulted_at), None)
    head.effective_at = _usable(frame) or head.effective_at
    head.filed_at = frame.filed_at


def _usable(version: ReportVersion) -> datetime | None:
    collected = version.collected_at
    return collected if collected and collected <= version.filed_at + _FUTURE else None


# --- the one permitted trace ----------------------------------------------------------------------


def note_what_waits(patient_id: UUID, heads: Iterable[DiagnosticReport], *, now: datetime) -> None:
    """Set until when at the latest tests of these heads' visits wait, where it may be said.

    A visit: the reports of one laboratory with one time of collection. Only what is kept by rules
    and holds that say so counts; one that does not say so keeps its results out. Saves.
    """
    visits = {(head.laboratory_id, head.effective_at) for head in heads}
    if not visits:
        return
    found = [
        head
        for head in DiagnosticReport.objects.filter(
            patient_id=patient_id, effective_at__in={at for _, at in visits}
        ).select_related("laboratory")
        if (head.laboratory_id, head.effective_at) in visits
    ]
    latest: dict[tuple[UUID, datetime], datetime] = {}
    for head, row in _waiting(patient_id, found, now=now):
        assert row.visible_from is not None
        visit = (head.laboratory_id, head.effective_at)
        latest[visit] = max(latest.get(visit, row.visible_from), row.visible_from)
    changed = []
    for head in found:
        until = latest.get((head.laboratory_id, head.effective_at))
        if head.not_released_until != until:
            head.not_released_until = until
            changed.append(head)
    DiagnosticReport.objects.bulk_update(changed, ["not_released_until"])


def _waiting(
    patient_id: UUID, heads: Sequence[DiagnosticReport], *, now: datetime
) -> list[tuple[DiagnosticReport, Observation]]:
    """Return the results that wait, of which it may be said that something waits."""
    by_id = {head.id: head for head in heads}
    rows = Observation.objects.current().filter(
        patient_id=patient_id,
        report_id__in=by_id,
        withdrawn_at__isnull=True,
        visible_from__gt=now,
    )
    waiting = [(by_id[row.report_id], row) for row in rows if row.report_id is not None]
    if not waiting:
        return []
    rules = {
        (rule.organization_id, str(rule)): rule
        for rule in ReleaseRule.objects.filter(
            organization_id__in={head.laboratory.organization_id for head in heads},
            tells_of_delay=True,
        )
    }
    holds = active_holds(patient_id, now=now)
    return [(head, row) for head, row in waiting if _says_so(head, row, rules, holds)]


def _says_so(
    head: DiagnosticReport,
    row: Observation,
    rules: dict[tuple[UUID, str], ReleaseRule],
    holds: Sequence[ReleaseHold],
) -> bool:
    keeping = [hold for hold in holds if covers(hold, row.report_id, row.identity_key)]
    if not all(hold.tells_of_delay for hold in keeping):
        return False
    if row.release_basis == Observation.ReleaseBasis.RULE:
        return (head.laboratory.organization_id, row.release_rule_version) in rules
    return bool(keeping)
