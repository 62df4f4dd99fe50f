"""A copy of her results to keep."""

import csv
import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine

from core.db import identity, system
from core.ids import new_id
from core.models import AuditEvent
from labs.exports import COLUMNS, harmless, table_of
from tests.cast import Cast, make_cast
from tests.labs.results import Line, file_report, make_laboratory
from tests.together import together
from tests.tokens import Api, api_of

pytestmark = pytest.mark.django_db
SCOPES = "labs.read export"
DAY = timedelta(days=1)


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


def test_a_token_without_a_scope_is_refused_before_any_id_is_read(cast: Cast) -> None:
    for scopes in ("labs.read", "export"):
        for patient in (cast.anna.id, cast.carla.id, new_id()):
            address = f"patients/{patient}/results/export.csv"
            assert api_of(cast.dora, scopes).get(address).status_code == 403


@pytest.mark.parametrize(
    ("granted", "status"),
    [(["labs.read"], 404), (["export"], 404), (["labs.read", "export"], 200)],
)
def test_a_caregiver_needs_both_grants(cast: Cast, granted: list[str], status: int) -> None:
    with identity(system("registration")):
        assert cast.anna.grants.update(scopes=granted) == 1
    dora = api_of(cast.dora, SCOPES)
    answer = dora.get(f"patients/{cast.anna.id}/results/export.csv")
    assert answer.status_code == status
    absent = dora.get(f"patients/{new_id()}/results/export.csv")
    stranger = api_of(cast.brigid.user, SCOPES).get(f"patients/{cast.anna.id}/results/export.csv")
    assert absent.status_code == stranger.status_code == 404


def test_each_reader_has_copies_of_her_own(cast: Cast, anna: Api) -> None:
    with identity(system("registration")):
        cast.anna.grants.update(scopes=["labs.read", "export"])
    for _ in range(3):
        assert anna.get("patients/me/results/export.csv").status_code == 200
    address = f"patients/{cast.anna.id}/results/export.csv"
    assert api_of(cast.dora, SCOPES).get(address).status_code == 200


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_copies_taken_at_once_are_counted(now: datetime) -> None:
    anna = api_of(make_cast(now).anna_user, SCOPES)

    def step() -> str:
        return str(anna.get("patients/me/results/export.csv").status_code)

    assert together([step] * 6) == ["200"] * 3 + ["429"] * 3


def test_a_file_is_whole_or_refused(
    cast: Cast, anna: Api, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labs.api.exporting.MOST_RESULTS", 2)
    laboratory = make_laboratory(cast.clinic)
    for days in (400, 10):
        file_report(cast.anna, laboratory, [Line("alt", "31")], at=now - timedelta(days=days))
    assert len(table(anna)) == 2
    file_report(cast.anna, laboratory, [Line("ast", "31")], at=now - timedelta(days=1))
    refused = anna.get("patients/me/results/export.csv")
    assert (refused.status_code, refused.json()["code"]) == (422, "export-too-large")
    since = (now - timedelta(days=30)).date().isoformat()
    part = anna.get("patients/me/results/export.json", {"from": since}).json()
    assert [item["analyte"] for item in part["items"]] == ["ast", "alt"]
    assert [trend["analyte"] for trend in part["trends"]] == ["alt", "ast"]
    wrong = anna.get("patients/me/results/export.json", {"until": "someday"})
    assert wrong.json()["errors"][0]["field"] == "until"


def test_a_row_says_what_the_page_says_in_words(cast: Cast, anna: Api, now: datetime) -> None:
    laboratory = make_laboratory(cast.clinic)
    file_report(cast.anna, laboratory, [Line("alt", "40")], at=now - timedelta(days=2))
    file_report(cast.anna, laboratory, [Line("alt", "96", flags=("HH",))], at=now - DAY)
    newest, _ = table(anna)
    (shown, _) = anna.get("patients/me/results").json()["items"]
    assert newest["what it means"] == shown["meaning"]
    assert newest["what to do"] == shown["what_to_do"]
    assert "Call your care team now" in newest["what to do"]
    assert newest["reviewed"] == shown["review_text"]
    assert newest["since last time"] == "up from 40 U/L"
    assert (newest["range low"], newest["range high"]) == ("7", "35")


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
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        ("\n=1", "'\n'=1"),
        ("a\n\nb", "a\n\nb"),
        ("-1.5", "-1.5"),
        ("+2", "+2"),
        ("-1.5=x", "'-1.5=x"),
        ("<4", "<4"),
        # A program that splits at another sign, or trims, starts a cell there.
        ("a;=1+1", "a;'=1+1"),
        ("a,@x", "a,'@x"),
        ("a\t-x", "a\t'-x"),
        ('a"=1', "a\"'=1"),
        ("a\n=1", "a\n'=1"),
        ("a\r\n+1", "a\r\n'+1"),
        ("  =1", "  '=1"),
        ("\uff1d1", "'\uff1d1"),
        ("=1;=2", "'=1;'=2"),
        ("haemolysed; 5 - 7", "haemolysed; 5 - 7"),
        ("7-35", "7-35"),
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
    text = table_of([], []).decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(text))) == [list(COLUMNS)]
