"""Tell the rest of the system what became visible, changed or disappeared."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from core.areas import Area
from core.events import ResultsFiled, publish
from core.models import Change
from core.prepared import insert
from labs.models import DiagnosticReport, Observation
from labs.services.reports import ReportDraft, seen_at
from labs.services.rows import withheld

Line = tuple[str, UUID, str]


def announce(
    *,
    patient_id: UUID,
    drafts: list[ReportDraft],
    filed: list[Observation],
    lost: list[Observation],
    now: datetime,
) -> bool:
    """Write change-feed lines and events in the current transaction; say whether there were any.

    `filed` are new current versions, `lost` versions that were visible and no longer count.
    What the patient may not see leaves no trace here.
    """
    shown = [row for row in filed if not withheld(row, now=now)]
    lines: list[Line] = [("Observation", row.id, Change.Kind.GONE) for row in lost]
    lines += [("Observation", row.id, Change.Kind.UPSERT) for row in shown]
    touched = {row.report_id for row in (*shown, *lost)}
    with_results = {row.report_id for row in filed}
    for draft in drafts:
        # Only withheld results came: a line would tell of them.
        unseen = draft.head.id in with_results - touched
        if seen_at(draft.head, now):
            if not unseen:
                lines.append(("DiagnosticReport", draft.head.id, Change.Kind.UPSERT))
        elif draft.was_visible:
            lines.append(("DiagnosticReport", draft.head.id, Change.Kind.GONE))
    record_changes(patient_id=patient_id, lines=lines, now=now)
    for draft in drafts:
        _publish(draft, shown, filed, now=now)
    return bool(lines)


def _publish(
    draft: ReportDraft, shown: list[Observation], filed: list[Observation], *, now: datetime
) -> None:
    mine = [row for row in shown if row.report_id == draft.head.id]
    withdrawn = draft.corrected and not mine
    alone = not draft.report.observations and seen_at(draft.head, now)
    if not mine and not withdrawn and not alone:
        return
    rows = mine or [row for row in filed if row.report_id == draft.head.id and withdrawn]
    _tell(draft.head, rows, corrected=draft.corrected, release="", now=now)


def announce_released(
    *,
    heads: Iterable[DiagnosticReport],
    rows: list[Observation],
    now: datetime,
) -> None:
    """Tell of results that became visible without being filed, one event a report.

    Change-feed lines, and events whose `release` makes a notice of its own: the report's version
    may have been told of before.
    """
    for head in heads:
        mine = [row for row in rows if row.report_id == head.id]
        if not mine:
            continue
        lines: list[Line] = [("Observation", row.id, Change.Kind.UPSERT) for row in mine]
        lines.append(("DiagnosticReport", head.id, Change.Kind.UPSERT))
        record_changes(patient_id=head.patient_id, lines=lines, now=now)
        released = max(row.visible_from for row in mine if row.visible_from is not None)
        _tell(head, mine, corrected=False, release=f"{released.timestamp():.0f}", now=now)


def _tell(
    head: DiagnosticReport,
    rows: list[Observation],
    *,
    corrected: bool,
    release: str,
    now: datetime,
) -> None:
    publish(
        ResultsFiled(
            subject_id=head.id,
            patient_id=head.patient_id,
            report_version=head.version,
            loincs=tuple(sorted({row.loinc for row in rows if row.loinc})),
            states=tuple(sorted({row.state for row in rows})),
            corrected=corrected,
            release=release,
        ),
        now=now,
    )


def record_changes(*, patient_id: UUID, lines: Iterable[Line], now: datetime) -> None:
    """Add change-feed lines in one statement."""
    insert(
        *[
            Change(
                xid=Change.writing_transaction(),
                patient_id=patient_id,
                area=Area.LABS,
                resource=resource,
                resource_id=resource_id,
                kind=kind,
                at=now,
            )
            for resource, resource_id, kind in lines
        ]
    )
