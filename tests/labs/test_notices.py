"""A result notice leaves only while there is something she may read."""

from datetime import datetime, timedelta

import pytest

from core.db import identity, system
from core.ids import new_id
from labs.models import DiagnosticReport
from labs.notices import recheck_result_notice
from notifications.models import Notification
from notifications.rechecks import Skip, Wait
from tests.cast import Cast
from tests.labs.results import Line, file_report, make_laboratory

pytestmark = pytest.mark.django_db


def recheck(cast: Cast, report: DiagnosticReport, now: datetime) -> object:
    row = Notification(
        recipient=cast.anna_user, patient_id=cast.anna.pk, subject_id=report.pk, purpose="result"
    )
    with identity(system("notifications")):
        return recheck_result_notice(row, now)


def filed(cast: Cast, visible_from: datetime | None) -> DiagnosticReport:
    report = file_report(cast.anna, make_laboratory(cast.clinic), [Line("alt", "30")])
    with identity(system("lab-intake")):
        DiagnosticReport.objects.filter(pk=report.pk).update(visible_from=visible_from)
    return report


def test_a_released_report_is_announced(cast: Cast, now: datetime) -> None:
    assert recheck(cast, filed(cast, now), now) is None


def test_a_report_released_later_waits_for_its_release(cast: Cast, now: datetime) -> None:
    release = now + timedelta(seconds=1)
    assert recheck(cast, filed(cast, release), now) == Wait(release)


def test_a_report_withheld_meanwhile_is_not_announced(cast: Cast, now: datetime) -> None:
    assert recheck(cast, filed(cast, None), now) == Skip("not-released")


def test_a_report_of_somebody_else_is_not_announced(cast: Cast, now: datetime) -> None:
    report = filed(cast, now)
    row = Notification(patient_id=cast.brigid.pk, subject_id=report.pk, purpose="result")
    with identity(system("notifications")):
        assert recheck_result_notice(row, now) == Skip("not-released")
        missing = Notification(patient_id=cast.anna.pk, subject_id=new_id(), purpose="result")
        assert recheck_result_notice(missing, now) == Skip("not-released")
