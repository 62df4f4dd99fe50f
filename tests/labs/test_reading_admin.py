"""Results and trends on the staff site."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from core.db import identity, system
from core.models import AuditEvent
from labs.models import DiagnosticReport, Observation, SendingLaboratory
from tests.cast import Cast
from tests.labs.results import COLLECTED, Line, correct, file_report, result_of
from worklist.models import Urgency, WorkItem
from worklist.services import Fact, acknowledge, raise_item

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
REPORTS = "/admin/labs/diagnosticreport/"
RESULTS = "/admin/labs/observation/"


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def nurse(cast: Cast) -> Client:
    return signed_in(cast.nurse)


def page(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, response.content[:500]
    return str(response.content.decode())


def report_page(report: DiagnosticReport) -> str:
    return reverse("admin:labs_diagnosticreport_change", args=[report.pk])


def trend_page(patient_id: Any, analyte: str = "alt") -> str:
    return reverse("admin:labs_observation_trend", args=[patient_id, analyte])


def raise_for(report: DiagnosticReport, cast: Cast, analyte: str) -> WorkItem:
    with identity(system("worklist")):
        return raise_item(
            patient_id=report.patient_id,
            concern="liver",
            title="Critical result",
            urgency=Urgency.SAME_DAY,
            owner_team=WorkItem.Team.NURSE,
            organization_id=cast.clinic.pk,
            dedupe_key=str(report.pk),
            fact=Fact("observation", result_of(report, analyte).pk, "ALT"),
            now=report.filed_at,
        )


def test_the_queue_has_what_waits_first_by_seriousness_then_age(
    cast: Cast, laboratory: SendingLaboratory, nurse: Client
) -> None:
    def made(name: str, value: str, days_ago: int, flags: tuple[str, ...] = ()) -> DiagnosticReport:
        at = COLLECTED - days_ago * DAY
        lines = [Line("alt", value, flags=flags)]
        return file_report(cast.anna, laboratory, lines, at=at, name=name)

    made("newest-fine", "20", 0)
    made("older-taken", "900", 2, ("HH",))
    waiting = [
        made("attention-new", "96", 1),
        made("attention-old", "96", 5),
        made("urgent-new", "900", 1, ("HH",)),
    ]
    for report in waiting:
        raise_for(report, cast, "alt")
    shown = page(nurse, REPORTS)
    order = ["urgent-new", "attention-old", "attention-new", "newest-fine", "older-taken"]
    assert sorted(order, key=shown.index) == order
    only = page(nurse, REPORTS + "?waiting=yes&worst=3")
    assert "urgent-new" in only
    assert "attention-old" not in only
    assert "older-taken" not in only


def test_an_acknowledged_item_no_longer_waits(
    cast: Cast, laboratory: SendingLaboratory, nurse: Client
) -> None:
    report = file_report(cast.anna, laboratory, [Line("alt", "96")], name="the-report")
    item = raise_for(report, cast, "alt")
    assert "the-report" in page(nurse, REPORTS + "?waiting=yes")
    with identity(system("worklist")):
        acknowledge(item_id=item.pk, actor=cast.nurse, now=report.filed_at)
    assert "the-report" not in page(nurse, REPORTS + "?waiting=yes")
    assert "the-report" in page(nurse, REPORTS + "?waiting=no")


def test_only_results_in_range_make_a_report_look_fine(
    cast: Cast, laboratory: SendingLaboratory, nurse: Client
) -> None:
    file_report(cast.anna, laboratory, [Line("alt", "20"), Line("ast", "21")])
    assert ">\n\nIn range\n<" in compact(page(nurse, REPORTS))
    unrated = Line("alp", "60", range="")
    file_report(cast.anna, laboratory, [Line("alt", "20"), unrated], at=COLLECTED - DAY)
    critical = Line("calcium_total", "15.0", held=True)
    file_report(cast.anna, laboratory, [critical], at=COLLECTED - 2 * DAY)
    shown = compact(page(nurse, REPORTS))
    labels = [label for label in ("In range", "Not rated", "Urgent") if f"\n\n{label}\n" in shown]
    assert labels == ["In range", "Not rated", "Urgent"]


def compact(html: str) -> str:
    return "\n".join(line.strip() for line in html.splitlines())


def test_the_queue_costs_the_same_whatever_its_length(
    cast: Cast, laboratory: SendingLaboratory, nurse: Client
) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            page(nurse, REPORTS)
        return len(captured)

    file_report(cast.anna, laboratory, [Line("alt", "20")])
    page(nurse, REPORTS)
    few = cost()
    for back in range(1, 6):
        file_report(cast.anna, laboratory, [Line("alt", "96")] * 3, at=COLLECTED - back * DAY)
    assert cost() == few


def test_a_report_shows_verdicts_grades_multiples_and_liver_patterns(
    cast: Cast, laboratory: SendingLaboratory, nurse: Client
) -> None:
    report = file_report(
        cast.anna,
        laboratory,
        [
            Line("alt", "350", flags=("HH",), more={"lab_comment": "Repeated."}),
            Line("alp", "104"),
            Line("bilirubin_total", "3.0"),
            Line("ast", "20", held=True),
        ],
    )
    shown = page(nurse, report_page(report))
    assert "Possible Hy&#x27;s law: review today." in shown or "Possible Hy's law" in shown
    assert "10.0" in shown
    assert "hepatocellular" in shown
    assert "grade 3" in shown
    assert "flag.critical_high" in shown
    assert "Repeated." in shown
    # Staff see what is held, and that it is.
    assert "Not released" in shown
    assert "not released" in shown
    assert trend_page(cast.anna.pk) in shown
    assert "Testmann, Anna" in shown


@pytest.mark.parametrize(
    ("alt", "bilirubin", "expected"),
    [("105", "2.5", True), ("104", "2.5", False), ("105", "2.4", False)],
)
def test_hys_law_is_shown_from_its_numbers_on(
    cast: Cast,
    laboratory: SendingLaboratory,
    nurse: Client,
    alt: str,
    bilirubin: str,
    expected: bool,
) -> None:
    report = file_report(cast.anna, laboratory, [Line("alt", alt)])
    file_report(cast.anna, laboratory, [Line("bilirubin_total", bilirubin)], at=COLLECTED - 7 * DAY)
    assert ('role="alert"' in page(nurse, report_page(report))) is expected


def test_a_preliminary_result_has_no_grade(
    cast: Cast, laboratory: SendingLaboratory, nurse: Client
) -> None:
    report = file_report(cast.anna, laboratory, [Line("alt", "350", status="P")])
    shown = page(nurse, report_page(report))
    assert "grade 3" not in shown
    assert "10.0" not in shown


def test_earlier_versions_are_shown_and_can_be_opened(
    cast: Cast, laboratory: SendingLaboratory, nurse: Client
) -> None:
    report = file_report(cast.anna, laboratory, [Line("alt", "96")])
    first = result_of(report, "alt")
    second = correct(first, Line("alt", "26", status="C"), at=COLLECTED + DAY)
    assert "version 1: 96 U/L (final)" in page(nurse, report_page(report))
    newest = page(nurse, reverse("admin:labs_observation_change", args=[second.pk]))
    older = reverse("admin:labs_observation_change", args=[first.pk])
    assert older in newest
    assert "96 U/L" in page(nurse, older)
    assert "26 U/L" in page(nurse, RESULTS)
    assert "96 U/L" not in page(nurse, RESULTS)


def test_nothing_of_a_result_can_be_changed(
    cast: Cast, laboratory: SendingLaboratory, nurse: Client
) -> None:
    report = file_report(cast.anna, laboratory, [Line("alt", "96")])
    result = result_of(report, "alt")
    for address in (
        report_page(report),
        reverse("admin:labs_observation_change", args=[result.pk]),
    ):
        assert 'name="_save"' not in page(nurse, address)
        assert nurse.post(address, {"state": "IN_RANGE", "name": "x"}).status_code == 403
        assert nurse.get(address.replace("change", "delete")).status_code in (403, 404)
    assert nurse.get(RESULTS + "add/").status_code == 403
    with identity(system("lab-intake")):
        assert Observation.objects.get(pk=result.pk).state == "HIGH"


# --- the trend page -----------------------------------------------------------------------------


def test_the_trend_page_shows_picture_numbers_and_what_is_left_out(
    cast: Cast, laboratory: SendingLaboratory, nurse: Client
) -> None:
    for back, line in enumerate(
        [Line("alt", "96"), Line("alt", "<5"), Line("alt", "hemolyzed"), Line("alt", "20")]
    ):
        file_report(cast.anna, laboratory, [line], at=COLLECTED - back * DAY)
    shown = page(nurse, trend_page(cast.anna.pk))
    assert "<svg " in shown
    assert 'role="img"' in shown
    assert "<!DOCTYPE svg" not in shown
    assert "ALT (liver test)" in shown
    assert "Testmann, Anna" in shown
    assert "Above range" in shown
    assert "hemolyzed U/L, not one number" in shown
    assert "&lt;5" in shown


def test_a_unit_that_looks_like_markup_stays_text(
    cast: Cast, laboratory: SendingLaboratory, nurse: Client
) -> None:
    odd = {"unit_text": "<b>$x^$</b>"}
    file_report(cast.anna, laboratory, [Line("alt", "20", more=odd)])
    shown = page(nurse, trend_page(cast.anna.pk))
    assert "<b>$x^$</b>" not in shown
    assert "$x^$" in shown


def test_the_trend_of_somebody_out_of_reach_is_not_found(
    cast: Cast, laboratory: SendingLaboratory
) -> None:
    file_report(cast.anna, laboratory, [Line("alt", "96")])
    assert signed_in(cast.clinician).get(trend_page(cast.anna.pk)).status_code == 200
    for user in (cast.other_nurse, cast.desk, cast.lab):
        assert signed_in(user).get(trend_page(cast.anna.pk)).status_code == 404
    nurse = signed_in(cast.nurse)
    assert nurse.get(trend_page(cast.anna.pk, "ast")).status_code == 404
    assert nurse.get(trend_page(cast.anna.pk, "unobtainium")).status_code == 404
    assert nurse.get(trend_page(cast.brigid.pk)).status_code == 404


# --- who, and what is recorded ------------------------------------------------------------------


def test_rows_of_other_clinics_do_not_appear(
    cast: Cast, laboratory: SendingLaboratory, nurse: Client
) -> None:
    foreign = file_report(cast.carla, laboratory, [Line("alt", "96")], name="elsewhere")
    assert "elsewhere" not in page(nurse, REPORTS)
    assert nurse.get(report_page(foreign)).status_code in (302, 404)
    for user in (cast.desk, cast.lab):
        assert signed_in(user).get(REPORTS).status_code == 403
        assert signed_in(user).get(RESULTS).status_code == 403


def test_each_look_is_recorded_with_the_rows_shown(
    cast: Cast, laboratory: SendingLaboratory, nurse: Client
) -> None:
    report = file_report(cast.anna, laboratory, [Line("alt", "96")])
    result = result_of(report, "alt")
    page(nurse, REPORTS)
    page(nurse, report_page(report))
    page(nurse, trend_page(cast.anna.pk))
    with identity(system("housekeeping")):
        events = {
            event.operation: event
            for event in AuditEvent.objects.filter(
                operation__startswith="admin.", outcome="success"
            )
        }
    for operation, shown in {
        "admin.diagnosticreport.list": report.pk,
        "admin.diagnosticreport.read": report.pk,
        "admin.diagnosticreport.results": result.pk,
        "admin.observation.trend": result.pk,
    }.items():
        event = events[operation]
        assert (event.patient_id, event.actor_id, event.action) == (
            cast.anna.pk,
            cast.nurse.pk,
            "R",
        )
        assert shown in event.resource_ids
