"""Who may read results, and that what is not released leaves no trace anywhere."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from core.db import identity, system
from core.errors import NotFound
from core.ids import new_id
from core.models import AuditEvent
from labs import selectors
from labs.models import DiagnosticReport, Observation, SendingLaboratory
from patients.models import CaregiverGrant
from tests.cast import START, Cast
from tests.labs.conftest import LABS
from tests.labs.results import COLLECTED, Line, correct, file_report, result_of, withdraw
from tests.tokens import Api, api_of, viewer_of

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
AHEAD = datetime(2099, 1, 1, tzinfo=UTC)
PATHS = ("reports", "results", "analytes", "analytes/alt/trend", "analytes/alt/trend.svg")


def everything(api: Api) -> str:
    """Return all that the reading side says, as one text."""
    answers = [api.get(f"patients/me/{path}") for path in PATHS]
    reports = json.loads(answers[0].content)["items"]
    answers += [api.get(f"patients/me/reports/{report['id']}") for report in reports]
    assert {answer.status_code for answer in answers} == {200}
    return " ".join(answer.content.decode() for answer in answers)


def without_request_id(answer: Any) -> bytes:
    body = json.loads(answer.content)
    body.pop("request_id")
    return json.dumps(body).encode()


HIDDEN = {
    "held": Line("alt", "777.125", held=True),
    "never released": Line(
        "alt",
        "777.125",
        more={"visible_from": None, "release_basis": "", "release_rule_version": ""},
    ),
    "released later": Line("alt", "777.125", visible_from=AHEAD),
}


@pytest.mark.parametrize("line", HIDDEN.values(), ids=HIDDEN.keys())
def test_what_is_not_released_is_absent_from_every_answer(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api, line: Line
) -> None:
    hidden = file_report(cast.anna, laboratory, [line], at=COLLECTED - DAY, name="Hidden panel")
    file_report(cast.anna, laboratory, [Line("ast", "20")])
    said = everything(as_anna)
    assert "777.125" not in said
    assert "Hidden panel" not in said
    assert str(hidden.id) not in said
    assert str(result_of(hidden, "alt").id) not in said
    analytes = as_anna.get("patients/me/analytes").json()["items"]
    assert [entry["key"] for entry in analytes] == ["ast"]
    assert as_anna.get(f"patients/me/reports/{hidden.id}").status_code == 404
    assert as_anna.get("patients/me/analytes/alt/trend").json()["lines"] == []


@pytest.mark.parametrize("line", HIDDEN.values(), ids=HIDDEN.keys())
def test_a_hidden_result_in_a_shown_report_changes_no_byte_of_it(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api, line: Line
) -> None:
    report = file_report(cast.anna, laboratory, [Line("ast", "20"), line])
    shown = as_anna.get(f"patients/me/reports/{report.id}").json()
    assert [result["analyte"] for result in shown["results"]] == ["ast"]
    hidden = result_of(report, "alt")
    corrected = Line("alt", "778.125", status="C", held=True)
    correct(hidden, corrected, at=COLLECTED + DAY)
    after = as_anna.get(f"patients/me/reports/{report.id}").json()
    assert {**after, "as_of": ""} == {**shown, "as_of": ""}
    assert after["corrected"] is False


@pytest.mark.parametrize("line", HIDDEN.values(), ids=HIDDEN.keys())
def test_a_hidden_result_is_not_what_the_next_one_is_compared_with(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api, line: Line
) -> None:
    file_report(cast.anna, laboratory, [line], at=COLLECTED - DAY)
    file_report(cast.anna, laboratory, [Line("alt", "20")])
    (shown,) = as_anna.get("patients/me/results").json()["items"]
    assert shown["change"] is None


@pytest.mark.parametrize("line", HIDDEN.values(), ids=HIDDEN.keys())
def test_a_hidden_version_is_not_what_a_correction_was(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api, line: Line
) -> None:
    report = file_report(cast.anna, laboratory, [line, Line("ast", "20")])
    correct(result_of(report, "alt"), Line("alt", "26", status="C"), at=COLLECTED + DAY)
    shown = {i["analyte"]: i for i in as_anna.get("patients/me/results").json()["items"]}
    assert shown["alt"]["was"] is None
    assert "777.125" not in everything(as_anna)


def test_a_result_taken_back_is_gone_and_so_is_the_report_that_held_only_it(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    report = file_report(cast.anna, laboratory, [Line("alt", "777.125")])
    file_report(cast.anna, laboratory, [Line("ast", "20")])
    assert "777.125" in everything(as_anna)
    withdraw(result_of(report, "alt"), at=COLLECTED + DAY)
    with identity(system("lab-intake")):
        DiagnosticReport.objects.filter(id=report.id).update(
            visible_from=None, status="entered-in-error"
        )
    said = everything(as_anna)
    assert "777.125" not in said
    assert str(report.id) not in said


def test_staff_reach_the_hidden_result_in_the_database(
    cast: Cast, laboratory: SendingLaboratory
) -> None:
    """The rows of the tests above are there: what hides them is the reading side."""
    report = file_report(cast.anna, laboratory, [HIDDEN["held"]])
    assert result_of(report, "alt").value_text == "777.125"


# --- each wall alone ----------------------------------------------------------------------------


@pytest.mark.parametrize("line", HIDDEN.values(), ids=HIDDEN.keys())
def test_the_selectors_hide_without_row_security(
    cast: Cast, laboratory: SendingLaboratory, now: datetime, line: Line
) -> None:
    report = file_report(cast.anna, laboratory, [line, Line("ast", "20")])
    alone = file_report(cast.anna, laboratory, [line], at=COLLECTED - DAY)
    later = file_report(cast.anna, laboratory, [Line("alt", "20")], at=COLLECTED + DAY)
    viewer = viewer_of(cast.anna_user)
    everything_wanted = selectors.ResultFilter()
    with identity(system("lab-intake")):
        page = selectors.results_page(
            viewer, wanted=everything_wanted, cursor=None, limit=9, now=now
        )
        reports = selectors.reports_page(viewer, cursor=None, limit=9, now=now).rows
        _, rows = selectors.report_with_results(viewer, report_id=report.id, now=now)
        with pytest.raises(NotFound):
            selectors.report_with_results(viewer, report_id=alone.id, now=now)
        series = selectors.series_rows(
            viewer, patient_id=cast.anna.id, analyte_key="alt", since=START, now=now
        )
    assert [row["value_text"] for row in page.rows] == ["20", "20"]
    assert [row["previous"] for row in page.rows] == [None, None]
    assert {row["id"] for row in reports} == {report.id, later.id}
    assert [row["analyte_key"] for row in rows] == ["ast"]
    assert [row["value_text"] for row in series] == ["20"]


@pytest.mark.parametrize("line", HIDDEN.values(), ids=HIDDEN.keys())
def test_row_security_hides_without_the_selectors(
    cast: Cast, laboratory: SendingLaboratory, line: Line
) -> None:
    file_report(cast.anna, laboratory, [line, Line("ast", "20")])
    file_report(cast.anna, laboratory, [line], at=COLLECTED - DAY)
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity):
        assert [row.analyte_key for row in Observation.objects.all()] == ["ast"]
        assert DiagnosticReport.objects.count() == 1


@pytest.mark.parametrize("plan", ["auto", "force_generic_plan", "force_custom_plan"])
def test_a_plan_kept_by_the_connection_serves_whoever_asks_now(
    cast: Cast, laboratory: SendingLaboratory, now: datetime, plan: str
) -> None:
    """The statement is planned once under one identity and run under others."""
    file_report(cast.anna, laboratory, [Line("alt", "20")])
    anna = viewer_of(cast.anna_user)
    stranger = replace(anna.identity, user_id=None, patient_id=cast.brigid.id)
    wanted = selectors.ResultFilter()
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('plan_cache_mode', %s, true)", [plan])
    for _ in range(8):
        for who, seen in ((anna.identity, ["20"]), (stranger, []), (anna.identity, ["20"])):
            with identity(who):
                page = selectors.results_page(anna, wanted=wanted, cursor=None, limit=9, now=now)
            assert [row["value_text"] for row in page.rows] == seen


# --- who ----------------------------------------------------------------------------------------


def test_a_stranger_is_answered_like_one_who_asks_for_nothing_that_exists(
    cast: Cast, laboratory: SendingLaboratory
) -> None:
    report = file_report(cast.anna, laboratory, [Line("alt", "20")])
    brigid = api_of(cast.brigid.user, LABS)
    absent = without_request_id(brigid.get(f"patients/{new_id()}/results"))
    for path in PATHS[:4]:
        foreign = brigid.get(f"patients/{cast.anna.id}/{path}")
        assert (foreign.status_code, without_request_id(foreign)) == (404, absent)
    own = brigid.get(f"patients/me/reports/{report.id}")
    nothing = brigid.get(f"patients/me/reports/{new_id()}")
    assert own.status_code == nothing.status_code == 404
    assert without_request_id(own) == without_request_id(nothing) == absent
    assert brigid.get("patients/me/results").json()["items"] == []


def test_a_caregiver_with_the_grant_reads_what_the_patient_reads(
    cast: Cast, laboratory: SendingLaboratory
) -> None:
    report = file_report(cast.anna, laboratory, [Line("alt", "20"), Line("ast", "9", held=True)])
    dora = api_of(cast.dora, LABS)
    assert len(dora.get(f"patients/{cast.anna.id}/results").json()["items"]) == 1
    detail = dora.get(f"patients/{cast.anna.id}/reports/{report.id}").json()
    assert [result["analyte"] for result in detail["results"]] == ["alt"]
    assert dora.get(f"patients/{cast.brigid.id}/results").status_code == 404


@pytest.mark.parametrize("change", [{"scopes": ["appointments.read"]}, {"revoked_at": COLLECTED}])
def test_a_caregiver_without_the_grant_finds_nothing(
    cast: Cast, laboratory: SendingLaboratory, change: dict[str, Any]
) -> None:
    file_report(cast.anna, laboratory, [Line("alt", "20")])
    with identity(system("registration")):
        CaregiverGrant.objects.filter(patient=cast.anna).update(**change)
    dora = api_of(cast.dora, LABS)
    absent = without_request_id(dora.get(f"patients/{new_id()}/results"))
    for path in PATHS[:4]:
        answer = dora.get(f"patients/{cast.anna.id}/{path}")
        assert (answer.status_code, without_request_id(answer)) == (404, absent)


@pytest.mark.parametrize("path", PATHS)
def test_a_token_without_the_scope_is_refused_before_any_id_is_read(cast: Cast, path: str) -> None:
    api = api_of(cast.anna_user, "appointments.read symptoms.read")
    for reference in ("me", str(cast.anna.id), str(new_id())):
        answer = api.get(f"patients/{reference}/{path}")
        assert answer.status_code == 403
        assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path", PATHS)
def test_nobody_is_asked_to_sign_in(db: None, path: str) -> None:
    answer = Api().get(f"patients/me/{path}")
    assert answer.status_code == 401
    assert "Bearer" in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_results_cannot_be_written_here(cast: Cast, as_anna: Api, method: str) -> None:
    assert as_anna.call(method, "patients/me/results").status_code == 405


def test_a_read_is_recorded_with_the_rows_it_showed_and_no_values(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    report = file_report(
        cast.anna, laboratory, [Line("alt", "777.125"), Line("ast", "9", held=True)]
    )
    shown = result_of(report, "alt")
    as_anna.get(f"patients/me/reports/{report.id}")
    with identity(system("housekeeping")):
        event = AuditEvent.objects.get(operation="labs.reports.read")
    assert (event.patient_id, event.actor_id) == (cast.anna.id, cast.anna_user.pk)
    assert set(event.resource_ids) == {report.id, shown.id}
    assert event.area == "labs"
