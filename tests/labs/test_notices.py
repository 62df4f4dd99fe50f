"""A result notice leaves only while there is something she may read."""

from datetime import UTC, datetime, timedelta

import pytest

from core.db import identity, system
from core.ids import new_id
from labs.models import DiagnosticReport
from labs.notices import recheck_result_notice
from notifications.models import Notification
from notifications.rechecks import Skip
from patients.models import Patient
from tests.cast import Cast
from tests.labs.messages import Obx, laboratory
from tests.labs.releasing import deliver, the_report

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
MORNING = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def notice_of(report: DiagnosticReport, patient: Patient) -> Notification:
    return Notification(
        patient_id=patient.pk,
        subject_id=report.pk,
        purpose="result",
        occurrence=f"result:{report.pk}:1",
        planned_at=MORNING,
    )


def recheck(cast: Cast, row: Notification, now: datetime) -> object:
    with identity(system("notifications")):
        return recheck_result_notice(row, now)


@pytest.fixture
def report(cast: Cast) -> DiagnosticReport:
    laboratory(cast.clinic)
    deliver(MORNING, Obx("31"))
    return the_report()


def test_a_released_report_is_announced(cast: Cast, report: DiagnosticReport) -> None:
    assert recheck(cast, notice_of(report, cast.anna), MORNING) is None


@pytest.mark.parametrize("visible", [None, SECOND, timedelta(days=3)], ids=str)
def test_a_report_withheld_meanwhile_is_not_announced(
    cast: Cast, report: DiagnosticReport, visible: timedelta | None
) -> None:
    """Its release brings a notice of its own: this one must not wait for it."""
    with identity(system("lab-intake")):
        DiagnosticReport.objects.filter(pk=report.pk).update(
            visible_from=None if visible is None else MORNING + visible
        )
    assert recheck(cast, notice_of(report, cast.anna), MORNING) == Skip("no-longer-applies")


def test_a_report_of_somebody_else_is_not_announced(cast: Cast, report: DiagnosticReport) -> None:
    gone = Skip("no-longer-applies")
    assert recheck(cast, notice_of(report, cast.brigid), MORNING) == gone
    missing = notice_of(report, cast.anna)
    missing.subject_id = new_id()
    assert recheck(cast, missing, MORNING) == gone
