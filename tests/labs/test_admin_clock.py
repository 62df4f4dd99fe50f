"""Times on the pages of results are by the clock of whoever reads them."""

from datetime import datetime

import pytest
from django.urls import reverse

from accounts.models import User
from core.db import identity, system
from labs.models import DiagnosticReport
from tests.cast import Cast, SignIn
from tests.labs.messages import Obx, laboratory
from tests.labs.releasing import deliver

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("zone", "shown", "not_shown"),
    [("Europe/Berlin", "10:00 CET", "09:00"), ("Asia/Kolkata", "14:30 IST", "10:00")],
)
def test_a_report_tells_its_times_by_the_clock_of_the_reader(
    cast: Cast, now: datetime, sign_in: SignIn, zone: str, shown: str, not_shown: str
) -> None:
    User.objects.filter(pk=cast.nurse.pk).update(zone=zone)
    cast.nurse.refresh_from_db()
    laboratory(cast.clinic)
    deliver(now, Obx("31"))
    with identity(system("lab-intake")):
        report = DiagnosticReport.objects.get()
    page = sign_in(cast.nurse).get(reverse("admin:labs_diagnosticreport_change", args=[report.pk]))
    words = page.content.decode()
    assert words.count(f"Sun 22 Nov 2026, {shown}") >= 3
    assert "UTC" not in words
    assert f", {not_shown}" not in words
