"""Tell the rest of the system what became visible, changed or disappeared."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from core.areas import Area
from core.events import ResultsFiled, publish
from core.models import Change
from core.prepared import insert
from labs.models import Observation
from labs.services.reports import ReportDraft
from labs.services.rows import withheld

Line = tuple[str, UUID, str]


def announce(
    *,
    patient_id: UUID,
    drafts: list[ReportDraft],
    filed: list[Observation],
    lost: list[Observation],
    now: datetime,
) -> None:
    """Write change-feed lines and events in the current transaction.

    `filed` are new current versions, `lost` versions that were visible and no longer count.
    What the patient may not see leaves no trace here.
    """
    shown = [row for row in filed if not withheld(row)]
    lines: list[Line] = [("Observation", row.id, Change.Kind.GONE) for row in lost]
    lines += [("Observation", row.id, Change.Kind.UPSERT) for row in shown]
    for draft in drafts:
        if draft.head.visible_from is not None:
            lines.append(("DiagnosticReport", draft.head.id, Change.Kind.UPSERT))
        elif draft.was_visible:
            lines.append(("DiagnosticReport", draft.head.id, Change.Kind.GONE))
    record_changes(patient_id=patient_id, lines=lines, now=now)
    for draft in drafts:
        _publish(draft, shown, filed, now=now)


def _publish(
    draft: ReportDraft, shown: list[Observation], filed: list[Observation], *, now: datetime
) -> None:
    mine = [row for row in shown if row.report_id == draft.head.id]
    withdrawn = draft.corrected and not mine
    alone = not draft.report.observations and draft.head.visible_from is not None
    if not mine and not withdrawn and not alone:
        return
    rows = mine or [row for row in filed if row.report_id == draft.head.id and withdrawn]
    publish(
        ResultsFiled(
            subject_id=draft.head.id,
            patient_id=draft.head.patient_id,
            report_version=draft.head.version,
            loincs=tuple(sorted({row.loinc for row in rows if row.loinc})),
            states=tuple(sorted({row.state for row in rows})),
            corrected=draft.corrected,
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
