"""What stands behind a trend: treatments, a baseline, rises, and what was typed in."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from accounts.models import User
from clinical.states import PortalState
from core.db import identity, system
from core.models import AuditEvent
from labs.models import AnalyteBaseline, Observation, SendingLaboratory
from labs.services.baselines import take_baseline
from labs.staff_reading import baselines_of, grades_of, staff_results
from patients.models import ProfileFact
from patients.viewer import staff_viewer
from tests.cast import Cast
from tests.conftest import NOW
from tests.labs.results import COLLECTED, Line, correct, file_report, result_of, withdraw
from tests.tokens import Api, api_of
from tests.unit.clinical.test_ctcae import GOLDEN

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
TREND = "patients/me/analytes/alt/trend"


def file_series(cast: Cast, laboratory: SendingLaboratory, *values: str) -> list[str]:
    """File one ALT a day apart, the last at COLLECTED. Returns the result ids."""
    ids = []
    for back, value in zip(range(len(values) - 1, -1, -1), values, strict=True):
        report = file_report(cast.anna, laboratory, [Line("alt", value)], at=COLLECTED - back * DAY)
        ids.append(str(result_of(report, "alt").id))
    return ids


def treated(cast: Cast, code: str, starts: date, ends: date | None = None, **more: Any) -> None:
    with identity(system("registration")):
        ProfileFact.objects.create(
            **{
                "patient": cast.anna,
                "kind": "treatment",
                "code": code,
                "result": "present",
                "starts_on": starts,
                "ends_on": ends,
                "source": "test",
                "recorded_at": COLLECTED,
                **more,
            }
        )


def typed_in(cast: Cast, value: str, **more: str) -> Any:
    body = {
        "analyte": "alt",
        "value": value,
        "unit": "U/L",
        "range": "7-35",
        "taken_on": "2026-10-30",
        "where": "Harbor",
        **more,
    }
    # Row security goes by the start of the test's own transaction.
    with time_machine.travel(NOW, tick=False):
        api = api_of(cast.anna_user, "labs.read symptoms.write")
        answer = api.post("patients/me/outside-results", body)
    assert answer.status_code == 201, answer.content
    return answer.json()["id"]


# --- typed in ---------------------------------------------------------------------------------


def test_what_was_typed_in_stands_apart_and_enters_no_comparison(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    file_series(cast, laboratory, "20", "30", "40")
    treated(cast, "cdk46", (COLLECTED - DAY).date())
    before = as_anna.get(TREND).json()
    entered = typed_in(cast, "900")
    after = as_anna.get(TREND).json()
    for name in ("lines", "bands", "change", "baseline", "rises", "excluded", "unit"):
        assert after[name] == before[name], name
    (point,) = after["entered"]
    assert (point["result_id"], point["number"], point["marker"]) == (entered, "900", "closed")
    assert "1 result was typed in, not by the clinic; the last is 900 U/L" in after["description"]
    assert "The highest is 40 U/L" in after["description"]
    assert "typed in, not by clinic" in as_anna.get(f"{TREND}.svg").content.decode()


def test_a_trend_of_typed_numbers_alone_has_no_line(cast: Cast, as_anna: Api) -> None:
    typed_in(cast, "41")
    typed_in(cast, "<5")
    shown = as_anna.get(TREND).json()
    assert (shown["lines"], shown["bands"], shown["change"], shown["baseline"]) == (
        [],
        [],
        None,
        None,
    )
    assert [p["marker"] for p in shown["entered"]] in (
        ["closed", "open_below"],
        ["open_below", "closed"],
    )
    assert (shown["unit"], shown["unit_text"]) == ("U/L", "U/L")
    assert "2 results were typed in" in shown["description"]
    assert as_anna.get(f"{TREND}.png").status_code == 200


def test_staff_see_it_marked_and_are_not_asked_to_review_it(
    cast: Cast, laboratory: SendingLaboratory
) -> None:
    file_series(cast, laboratory, "20")
    entered = typed_in(cast, "900")
    nora = signed_in(cast.nurse)
    trend = nora.get(trend_page(cast)).content.decode()
    assert "typed in by the patient or a caregiver" in trend
    assert "They enter no comparison" in trend
    page = nora.get(reverse("admin:labs_observation_change", args=[entered])).content.decode()
    assert "not by a laboratory" in page
    assert "Alanine aminotransferase increased" not in page
    every = nora.get("/admin/labs/observation/").content.decode()
    assert f"/admin/labs/observation/{entered}/change/" in every
    waiting = nora.get("/admin/labs/observation/?reviewed=no").content.decode()
    assert f"/admin/labs/observation/{entered}/change/" not in waiting
    assert waiting.count("/admin/labs/observation/0") >= 1


@pytest.mark.parametrize("unit", ["furlongs", "mg/dL"])
def test_a_typed_number_in_doubt_is_listed_and_not_drawn(
    cast: Cast, as_anna: Api, unit: str
) -> None:
    typed_in(cast, "41", unit=unit)
    shown = as_anna.get(TREND).json()
    assert shown["entered"] == []
    assert [item["reason"] for item in shown["excluded"]] == ["not_comparable"]


# --- treatments -------------------------------------------------------------------------------


def test_treatments_are_in_the_numbers_the_words_and_the_picture(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    file_series(cast, laboratory, *["20"] * 9)
    first, second = (COLLECTED - 5 * DAY).date(), (COLLECTED - 2 * DAY).date()
    treated(cast, "hormone-therapy", first, second)
    treated(cast, "cdk46", second)
    treated(cast, "chemotherapy", date(2020, 1, 1), date(2020, 6, 1))
    treated(cast, "radiation", first, result="not-tested")
    treated(cast, "immunotherapy", first, superseded_at=COLLECTED)
    treated(cast, "surgery", COLLECTED.date() + DAY)
    shown = as_anna.get(TREND).json()
    assert shown["treatments"] == [
        {
            "number": 1,
            "name": "hormone therapy",
            "starts_on": first.isoformat(),
            "ends_on": second.isoformat(),
        },
        {"number": 2, "name": "CDK4/6 drug", "starts_on": second.isoformat(), "ends_on": None},
    ]
    said = "1: hormone therapy, from 28 October 2026 to 31 October 2026; 2: CDK4/6 drug, from"
    assert said in shown["description"]
    svg = as_anna.get(f"{TREND}.svg").content.decode()
    assert "2: CDK4/6 drug, from 31 Oct 2026" in svg
    # One upright line for each start and end, each with its number.
    assert svg.count("stroke-dasharray: 4.5,1.8,0.9,1.8") >= 2
    assert ">1</text>" in svg
    assert ">2</text>" in svg


def test_the_name_that_staff_typed_is_text(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    file_series(cast, laboratory, "20", "30")
    treated(cast, "cdk46", COLLECTED.date(), detail="<script>x</script> $a$ " + "y" * 60)
    svg = as_anna.get(f"{TREND}.svg").content.decode()
    assert "<script>" not in svg
    assert "…, from" in svg


# --- baseline ---------------------------------------------------------------------------------


def test_without_a_treatment_or_a_setting_there_is_no_baseline(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    file_series(cast, laboratory, "20", "30")
    shown = as_anna.get(TREND).json()
    assert (shown["baseline"], shown["treatments"]) == (None, [])
    assert (shown["rises"], shown["usual_variation_percent"]) == (1, "29")
    assert shown["change"] == {
        "direction": "up", "percent": "50.0", "beyond_usual_variation": True,
    }  # fmt: skip


def test_the_baseline_is_the_median_before_treatment(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    file_series(cast, laboratory, "99", "20", "26", "22", "44")
    treated(cast, "cdk46", COLLECTED.date())
    baseline = as_anna.get(TREND).json()["baseline"]
    assert baseline == {
        "number": "22",
        "basis": "before_treatment",
        "results": 3,
        "change": {"direction": "up", "percent": "100.0", "beyond_usual_variation": True},
    }


@pytest.mark.parametrize(
    ("code", "has"), [("bone-drugs", False), ("radiation", False), ("chemotherapy", True)]
)
def test_only_a_drug_against_the_cancer_makes_a_baseline(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api, code: str, has: bool
) -> None:
    file_series(cast, laboratory, "20", "30")
    treated(cast, code, COLLECTED.date())
    assert (as_anna.get(TREND).json()["baseline"] is not None) is has


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def baseline_page(cast: Cast, analyte: str = "alt") -> str:
    return reverse("admin:labs_observation_baseline", args=[cast.anna.pk, analyte])


def trend_page(cast: Cast) -> str:
    return reverse("admin:labs_observation_trend", args=[cast.anna.pk, "alt"])


def baselines(cast: Cast) -> list[tuple[Decimal | None, str]]:
    with identity(system("lab-intake")):
        return list(
            AnalyteBaseline.objects.order_by("set_at", "id").values_list("value", "unit_ucum")
        )


def test_a_clinician_sets_it_and_grades_and_trend_use_it(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    first, *_ = file_series(cast, laboratory, "50", "75")
    clara = signed_in(cast.clinician)
    page = clara.get(trend_page(cast)).content.decode()
    assert "No baseline" in page
    assert 'name="result"' in page
    assert clara.post(baseline_page(cast), {"result": first}).status_code == 302
    page = clara.get(trend_page(cast)).content.decode()
    assert "set by clara" in page
    assert "up, 50 %" in page
    shown = as_anna.get(TREND).json()["baseline"]
    assert (shown["number"], shown["basis"], shown["results"]) == ("50", "set", 0)
    with identity(system("lab-intake")):
        last = Observation.objects.get(value_text="75")
    words = clara.get(reverse("admin:labs_diagnosticreport_change", args=[last.report_id]))
    assert "baseline not known" not in words.content.decode()
    words = clara.get(reverse("admin:labs_observation_change", args=[last.pk])).content.decode()
    assert "Alanine aminotransferase increased: grade 1" in words
    with identity(system("housekeeping")):
        events = AuditEvent.objects.filter(operation="labs.baseline.set")
        assert [e.actor_id for e in events] == [cast.clinician.pk]


def test_the_baseline_that_we_work_out_grades_nothing(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    """CTCAE's baseline must be set by staff: without one, grades go by the upper limit.

    75 against a worked-out 50 would be 1.5 x baseline; against the limit of 35 it is 2.1 x ULN.
    """
    *_, last = file_series(cast, laboratory, "50", "50", "50", "75")
    treated(cast, "cdk46", COLLECTED.date())
    shown = as_anna.get(TREND).json()["baseline"]
    assert (shown["number"], shown["basis"]) == ("50", "before_treatment")
    with identity(system("lab-intake")):
        row = Observation.objects.get(id=last)
        assert baselines_of(cast.anna.pk) == {}
        (found,) = [
            result.grades
            for result in staff_results(patient_id=cast.anna.pk, report_id=row.report_id)
        ]
    assert found
    assert all(grade.baseline_unknown for grade in found)
    assert found == grades_of(row, {})
    words = signed_in(cast.clinician).get(reverse("admin:labs_observation_change", args=[last]))
    assert "baseline not known" in words.content.decode()


def test_a_number_can_be_typed_and_taken_away_again(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    file_series(cast, laboratory, "50")
    clara = signed_in(cast.clinician)
    clara.post(baseline_page(cast), {"value": "0.5", "unit": "ukat/L"})
    assert as_anna.get(TREND).json()["baseline"]["number"] == "30"
    clara.post(baseline_page(cast), {"remove": "1"})
    assert as_anna.get(TREND).json()["baseline"] is None
    assert baselines(cast) == [(Decimal("0.5"), "ukat/L"), (None, "")]


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"value": "-3", "unit": "U/L"},
        {"value": "0", "unit": "U/L"},
        {"value": "NaN", "unit": "U/L"},
        {"value": "20", "unit": "mg/dL"},
        {"value": "20", "unit": "furlongs"},
        {"value": "20", "unit": ""},
        {"value": "20", "unit": "U/L", "remove": "1"},
        {"result": "no-id"},
        {"result": "01999999-0000-7000-8000-000000000000"},
    ],
    ids=str,
)
def test_a_form_that_makes_no_sense_sets_nothing(
    cast: Cast, laboratory: SendingLaboratory, form: dict[str, str]
) -> None:
    file_series(cast, laboratory, "50")
    answer = signed_in(cast.clinician).post(baseline_page(cast), form, follow=True)
    assert answer.status_code == 200
    assert baselines(cast) == []


def test_only_a_usable_result_of_a_laboratory_becomes_a_baseline(
    cast: Cast, laboratory: SendingLaboratory
) -> None:
    file_series(cast, laboratory, "50")
    clara = signed_in(cast.clinician)
    early = file_report(cast.anna, laboratory, [Line("alt", "30", status="P")])
    limit = file_report(cast.anna, laboratory, [Line("alt", "<5")])
    other = file_report(cast.brigid, laboratory, [Line("alt", "20")])
    for wrong in (
        typed_in(cast, "41"),
        *(str(result_of(report, "alt").id) for report in (early, limit, other)),
    ):
        clara.post(baseline_page(cast), {"result": wrong})
    assert baselines(cast) == []


@pytest.mark.parametrize(
    ("who", "status"), [("nurse", 404), ("other_nurse", 404), ("desk", 404), ("lab", 404)]
)
def test_only_a_clinician_of_her_team_sets_it(
    cast: Cast, laboratory: SendingLaboratory, who: str, status: int
) -> None:
    (result,) = file_series(cast, laboratory, "50")
    client = signed_in(getattr(cast, who))
    assert client.post(baseline_page(cast), {"result": result}).status_code == status
    assert baselines(cast) == []
    if who == "nurse":
        assert 'name="result"' not in client.get(trend_page(cast)).content.decode()
    assert signed_in(cast.clinician).get(baseline_page(cast)).status_code == 405
    foreign = reverse("admin:labs_observation_baseline", args=[cast.brigid.pk, "alt"])
    assert signed_in(cast.clinician).post(foreign, {"value": "1"}).status_code == 404


def test_a_baseline_goes_with_the_result_that_it_was_taken_from(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    first, _ = file_series(cast, laboratory, "50", "75")
    clara = signed_in(cast.clinician)
    clara.post(baseline_page(cast), {"result": first})
    with identity(system("lab-intake")):
        taken = Observation.objects.get(id=first)
    correct(taken, Line("alt", "51", status="C"), at=COLLECTED)
    assert "was corrected since" in clara.get(trend_page(cast)).content.decode()
    withdraw(taken, at=COLLECTED + DAY)
    assert as_anna.get(TREND).json()["baseline"] is None
    assert "No baseline" in clara.get(trend_page(cast)).content.decode()


def test_a_baseline_from_a_held_result_is_not_shown_to_her(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api, now: datetime
) -> None:
    file_series(cast, laboratory, "20", "30")
    hidden = file_report(cast.anna, laboratory, [Line("alt", "777", held=True)])
    viewer = staff_viewer(user=cast.clinician, now=now)
    before = as_anna.get(TREND).content.partition(b'"as_of"')[0]
    with identity(viewer.identity):
        take_baseline(
            viewer,
            patient_id=cast.anna.pk,
            analyte_key="alt",
            result_id=result_of(hidden, "alt").id,
            now=now,
        )
    assert baselines(cast) == [(Decimal("777"), "U/L")]
    assert as_anna.get(TREND).content.partition(b'"as_of"')[0] == before


def vectors() -> list[dict[str, str]]:
    import csv

    with GOLDEN.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if row["baseline"] and row["ctcae_version"] == "5.0"]


@pytest.mark.parametrize(
    "vector", vectors(), ids=lambda row: f"{row['analyte_key']} {row['value']}"
)
def test_staff_grades_are_those_of_the_published_rows_with_a_baseline(
    vector: dict[str, str],
) -> None:
    units = {"bilirubin_total": "mg/dL", "creatinine": "mg/dL"}
    unit = units.get(vector["analyte_key"], "U/L")
    value = Decimal(vector["value"])
    row = Observation(
        analyte_key=vector["analyte_key"],
        value_kind="numeric",
        value_text=vector["value"],
        value_low=value,
        value_high=value,
        unit_ucum=unit,
        range_used_low=Decimal(vector["lln"]) if vector["lln"] else None,
        range_used_high=Decimal(vector["uln"]),
        comparable=True,
        status="final",
        state=PortalState.HIGH,
        effective_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    baseline = AnalyteBaseline(
        analyte_key=row.analyte_key, value=Decimal(vector["baseline"]), unit_ucum=unit
    )
    grades = grades_of(row, {row.analyte_key: baseline})
    (grade,) = [g for g in grades if g.term == vector["term"]]
    assert grade.grade == int(vector["expected_grade"]), vector["why"]
    assert not grade.baseline_unknown


def test_there_are_vectors() -> None:
    assert len(vectors()) >= 12
