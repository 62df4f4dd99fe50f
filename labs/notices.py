"""Asked just before a result notice leaves: may she read it, and does she want to be told now?"""

from datetime import datetime

from labs.models import DiagnosticReport
from labs.services.telling import NOT_WANTED, NotWanted, not_yet
from notifications.models import Notification
from notifications.rechecks import Skip, Wait


def recheck_result_notice(row: Notification, now: datetime) -> Skip | Wait | None:
    """Return None when the report may be read and told of now, Wait until then, or Skip.

    A report that was taken back or withheld meanwhile is not announced: the notice itself
    would tell that it exists.
    """
    report = DiagnosticReport.objects.filter(id=row.subject_id, patient_id=row.patient_id).first()
    if report is None or report.visible_from is None:
        return Skip("not-released")
    if report.visible_from > now:
        return Wait(report.visible_from)
    try:
        until = not_yet(row, report, now=now)
    except NotWanted:
        return Skip(NOT_WANTED)
    return Wait(until) if until else None
