"""The mark that somebody has opened a report."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db import connection

from core.errors import NotFound
from core.ids import uuid7
from labs.selectors import reports_for
from patients.viewer import Viewer

_MARK = """
INSERT INTO labs_reportseen AS mark (id, patient_id, user_id, report_id, seen_at)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (patient_id, user_id, report_id)
  DO UPDATE SET seen_at = greatest(mark.seen_at, excluded.seen_at)
RETURNING seen_at
"""
_MARKS = """
INSERT INTO labs_reportseen AS mark (id, patient_id, user_id, report_id, seen_at)
SELECT one.id, one.patient, %s, one.report, %s
FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[]) AS one (id, patient, report)
ON CONFLICT (patient_id, user_id, report_id)
  DO UPDATE SET seen_at = greatest(mark.seen_at, excluded.seen_at)
"""


def mark_seen(
    viewer: Viewer, *, report_id: UUID, read_at: datetime | None, now: datetime
) -> datetime:
    """Record that this person has read a report; return the time of her mark.

    `read_at` is when the answer that she read was made (`as_of`); None = now. A correction that
    came in between stays new. The mark never goes back, and is hers alone.
    Raises: NotFound for a report that she may not see.
    """
    report = reports_for(viewer, now=now).filter(id=report_id).values("patient_id").first()
    if report is None:
        raise NotFound()
    seen_at = now if read_at is None else min(read_at, now)
    values = [uuid7(now), report["patient_id"], viewer.user_id, report_id, seen_at]
    with connection.cursor() as cursor:
        cursor.execute(_MARK, values)
        marked: datetime = cursor.fetchone()[0]
    return marked


def mark_read_by_staff(
    reports: Iterable[tuple[UUID, UUID]], *, user_id: UUID, now: datetime
) -> None:
    """Remember that a member of staff was shown these (patient, report), to tell her of a change.

    One statement.
    """
    shown = sorted(set(reports))
    if not shown:
        return
    columns = [
        [uuid7(now) for _ in shown],
        [patient for patient, _ in shown],
        [report for _, report in shown],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_MARKS, [user_id, now, *columns])
