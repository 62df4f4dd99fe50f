"""Asked just before a result notice leaves: is there still something she may read?"""

from datetime import datetime

from labs.models import DiagnosticReport
from notifications.models import Notification
from notifications.rechecks import Skip, Wait


def recheck_result_notice(row: Notification, now: datetime) -> Skip | Wait | None:
    """Return None when the report may be read now, Wait until its release, or Skip.

    A report that was taken back or withheld meanwhile is not announced: the notice itself
    would tell that it exists.
    """
    report = DiagnosticReport.objects.filter(id=row.subject_id, patient_id=row.patient_id).first()
    if report is None or report.visible_from is None:
        return Skip("not-released")
    return Wait(report.visible_from) if report.visible_from > now else None
