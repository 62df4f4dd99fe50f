"""A copy of her results to keep."""

import csv
import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine

from core.db import identity, system
from core.models import AuditEvent
from labs.exports import COLUMNS, harmless, table_of
from tests.cast import Cast
from tests.labs.results import Line, file_report, make_laboratory
from tests.tokens import Api, api_of

pytestmark = pytest.mark.django_db
SCOPES = "labs.read export"


@pytest.fixture(autouse=True)
def clock(now: datetime) -> Iterator[Any]:
    with time_machine.travel(now, tick=False) as traveller:
        yield traveller


@pytest.fixture
def anna(cast: Cast) -> Api:
    return api_of(cast.anna_user, SCOPES)


def table(api: Api) -> list[dict[str, str]]:
    answer = api.get("patients/me/results/export.csv")
    assert answer.status_code == 200, answer.content
    text = answer.content.decode("utf-8-sig")
    assert tuple(next(csv.reader(io.StringIO(text)))) == COLUMNS
    return list(csv.DictReader(io.StringIO(text)))


def test_every_result_is_a_row_with_its_place_in_the_trend(
    cast: Cast, anna: Api, now: datetime
) -> None:
    laboratory = make_laboratory(cast.clinic)
    for days, value in ((30, "31"), (10, "33"), (1, "see comment")):
        file_report(cast.anna, laboratory, [Line("alt", value)], at=now - timedelta(days=days))
    rows = table(anna)
    assert [(row["value"], row["in trend"], row["trend number"]) for row in rows] == [
        ("see comment", "no: not_numeric", ""),
        ("33", "closed", "33"),
        ("31", "closed", "31"),
    ]
    assert (rows[2]["unit"], rows[2]["range"], rows[2]["trend unit"]) == ("U/L", "7-35", "U/L")
    assert rows[2]["collected"].endswith("Europe/Berlin")
    assert rows[2]["collected (UTC)"].endswith("Z")


def test_it_is_all_of_them_and_the_same_as_the_list_shows(
    cast: Cast, anna: Api, now: datetime
) -> None:
    laboratory = make_laboratory(cast.clinic)
    for number in range(105):
        file_report(
            cast.anna,
            laboratory,
            [Line("alt", str(20 + number % 10))],
            at=now - timedelta(days=number + 1),
        )
    whole = anna.get("patients/me/results/export.json").json()
    assert len(whole["items"]) == len({item["id"] for item in whole["items"]}) == 105
    assert len(table(anna)) == 105
    listed = anna.get("patients/me/results", {"limit": "100"}).json()["items"]
    assert whole["items"][:100] == listed
    drawn = anna.get("patients/me/analytes/alt/trend", {"years": "10"}).json()
    (trend,) = whole["trends"]
    assert trend == {name: drawn[name] for name in trend}


def test_what_is_not_released_is_not_in_it(cast: Cast, anna: Api, now: datetime) -> None:
    laboratory = make_laboratory(cast.clinic)
    file_report(cast.anna, laboratory, [Line("alt", "31")])
    before = anna.get("patients/me/results/export.csv").content
    file_report(
        cast.anna, laboratory, [Line("alt", "777", held=True), Line("ast", "778", held=True)]
    )
    assert anna.get("patients/me/results/export.csv").content == before


def test_three_a_day_and_each_is_audited(cast: Cast, anna: Api, now: datetime, clock: Any) -> None:
    for _ in range(3):
        assert anna.get("patients/me/results/export.json").status_code == 200
    refused = anna.get("patients/me/results/export.csv")
    assert (refused.status_code, refused.json()["code"]) == (429, "too-many-exports")
    with identity(system("housekeeping")):
        taken = AuditEvent.objects.filter(operation="labs.results.export")
        assert sorted(taken.values_list("outcome", flat=True)).count("success") == 3
    clock.move_to(now + timedelta(days=1) - timedelta(microseconds=1))
    fresh = api_of(cast.anna_user, SCOPES)
    assert fresh.get("patients/me/results/export.csv").status_code == 429
    clock.move_to(now + timedelta(days=1))
    assert fresh.get("patients/me/results/export.csv").status_code == 200


@pytest.mark.parametrize("scopes", ["labs.read", "export", "appointments.read export"])
def test_it_needs_both_scopes(cast: Cast, scopes: str) -> None:
    assert api_of(cast.anna_user, scopes).get("patients/me/results/export.csv").status_code == 403


def test_a_caregiver_needs_the_grant_for_it(cast: Cast) -> None:
    dora = api_of(cast.dora, SCOPES)
    address = f"patients/{cast.anna.id}/results/export.csv"
    assert dora.get(address).status_code in (403, 404)
    assert api_of(cast.brigid.user, SCOPES).get(address).status_code == 404


def test_the_file_has_a_neutral_name_and_is_not_run(anna: Api) -> None:
    answer = anna.get("patients/me/results/export.csv")
    assert answer["Content-Disposition"] == 'attachment; filename="results.csv"'
    assert answer["Content-Type"].startswith("text/csv")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cache-Control"] == "no-store, private"


def test_another_format_is_refused(anna: Api) -> None:
    assert anna.get("patients/me/results/export.exe").status_code in (404, 406)


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("+++", "'+++"),
        ("-", "'-"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("-1.5", "-1.5"),
        ("+2", "+2"),
        ("-1.5=x", "'-1.5=x"),
        ("<4", "<4"),
        ("", ""),
    ],
)
def test_no_spreadsheet_runs_a_cell(cell: str, safe: str) -> None:
    assert harmless(cell) == safe


def test_quotes_and_lines_stay_in_their_cell(cast: Cast, anna: Api) -> None:
    laboratory = make_laboratory(cast.clinic)
    comment = 'haemolysed, "repeat"\nsecond line'
    file_report(cast.anna, laboratory, [Line("alt", "31", more={"lab_comment": comment})])
    assert table(anna)[0]["laboratory comment"] == comment


def test_an_empty_record_is_a_table_without_rows() -> None:
    assert table_of([], []).decode("utf-8-sig").strip().split(",") == list(COLUMNS)
