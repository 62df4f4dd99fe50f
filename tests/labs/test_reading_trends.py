"""One analyte over time: the numbers, the picture, and what is left out and why."""

from datetime import timedelta
from xml.etree import ElementTree

import pytest

from core.db import identity, system
from labs.models import SendingLaboratory
from patients.models import Patient
from tests.cast import Cast
from tests.labs.results import COLLECTED, Line, file_report, result_of
from tests.tokens import Api

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
TREND = "patients/me/analytes/alt/trend"


def file_series(cast: Cast, laboratory: SendingLaboratory, *lines: Line) -> list[str]:
    """File one report a line, a day apart, the last one at COLLECTED. Returns the result ids."""
    ids = []
    for back, line in zip(range(len(lines) - 1, -1, -1), lines, strict=True):
        report = file_report(cast.anna, laboratory, [line], at=COLLECTED - back * DAY)
        ids.append(str(result_of(report, line.analyte).id))
    return ids


def test_points_bands_and_change_oldest_first(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    first, second = file_series(
        cast, laboratory, Line("alt", "20"), Line("alt", "96", range="7-40")
    )
    shown = as_anna.get(TREND).json()
    assert (shown["analyte"], shown["unit"], shown["unit_text"]) == ("alt", "U/L", "U/L")
    (line,) = shown["lines"]
    points = [(p["result_id"], p["number"], p["marker"], p["state"]) for p in line["points"]]
    assert points == [(first, "20", "closed", "IN_RANGE"), (second, "96", "closed", "HIGH")]
    bands = [(b["result_id"], b["low"], b["high"]) for b in shown["bands"]]
    assert bands == [(first, "7", "35"), (second, "7", "40")]
    assert shown["change"] == {
        "direction": "up",
        "percent": "380.0",
        "beyond_usual_variation": True,
    }
    assert "The last is 96 U/L: Above range." in shown["description"]


@pytest.mark.parametrize(("value", "marker"), [("<5", "open_below"), (">999", "open_above")])
def test_a_limit_is_an_open_marker_and_no_change_is_worked_out_from_it(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api, value: str, marker: str
) -> None:
    file_series(cast, laboratory, Line("alt", "20"), Line("alt", value))
    shown = as_anna.get(TREND).json()
    last = shown["lines"][0]["points"][-1]
    assert (last["marker"], last["text"], last["number"]) == (marker, value, value[1:])
    assert shown["change"] is None
    assert f"The last is {value} U/L" in shown["description"]


def test_what_is_not_drawn_is_listed_with_its_reason(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    words, early, unit, drawn = file_series(
        cast,
        laboratory,
        Line("alt", "hemolyzed"),
        Line("alt", "30", status="P"),
        Line("alt", "30", unit="furlongs"),
        Line("alt", "20"),
    )
    shown = as_anna.get(TREND).json()
    assert [p["result_id"] for p in shown["lines"][0]["points"]] == [drawn]
    assert {e["result_id"]: (e["text"], e["reason"]) for e in shown["excluded"]} == {
        words: ("hemolyzed", "not_numeric"),
        early: ("30", "not_final"),
        unit: ("30", "not_comparable"),
    }
    assert [b["result_id"] for b in shown["bands"]] == [drawn]
    assert "Not drawn: 3." in shown["description"]


def test_years_limit_how_far_back(cast: Cast, laboratory: SendingLaboratory, as_anna: Api) -> None:
    file_report(cast.anna, laboratory, [Line("alt", "20")], at=COLLECTED - timedelta(days=800))
    file_report(cast.anna, laboratory, [Line("alt", "21")])

    def count(years: str) -> int:
        return sum(
            len(line["points"]) for line in as_anna.get(TREND, {"years": years}).json()["lines"]
        )

    assert (count("1"), count("3"), count("10")) == (1, 2, 2)


@pytest.mark.parametrize("years", ["0", "11", "-1", "1.5", "x", "000100", "99999999999", "\u0663"])
def test_years_out_of_range_are_refused(as_anna: Api, years: str) -> None:
    answer = as_anna.get(TREND, {"years": years})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "years"


@pytest.mark.parametrize("path", ["trend", "trend.svg", "trend.png"])
def test_an_analyte_that_nobody_knows_is_not_found(as_anna: Api, path: str) -> None:
    answer = as_anna.get(f"patients/me/analytes/unobtainium/{path}")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_the_svg_speaks_to_those_who_do_not_see_it(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    file_series(cast, laboratory, Line("alt", "20"), Line("alt", "<5"), Line("alt", "96"))
    answer = as_anna.get(f"{TREND}.svg")
    assert answer.headers["Content-Type"] == "image/svg+xml"
    assert "no-store" in answer.headers["Cache-Control"]
    root = ElementTree.fromstring(answer.content)
    space = {"svg": "http://www.w3.org/2000/svg"}
    described = as_anna.get(TREND).json()["description"]
    title, text = root.find("svg:title", space), root.find("svg:desc", space)
    assert title is not None
    assert text is not None
    assert (title.text, text.text) == ("ALT (liver test)", described)
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == f"{title.get('id')} {text.get('id')}"


def test_the_same_series_gives_the_same_bytes_and_304(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    file_series(cast, laboratory, Line("alt", "20"), Line("alt", "96"))
    for kind in ("svg", "png"):
        first = as_anna.get(f"{TREND}.{kind}")
        assert as_anna.get(f"{TREND}.{kind}").content == first.content
        again = as_anna.get(f"{TREND}.{kind}", **{"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_the_png_is_one_and_wide_enough_for_a_sharp_phone(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    file_series(cast, laboratory, Line("alt", "20"))
    answer = as_anna.get(f"{TREND}.png")
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.content.startswith(b"\x89PNG")
    assert int.from_bytes(answer.content[16:20], "big") >= 3 * 360


def test_another_picture_format_is_not_found(as_anna: Api) -> None:
    assert as_anna.get(f"{TREND}.gif").status_code == 404


# --- one function for list, detail, chart and numbers -----------------------------------------

ALBUMIN = {"analyte": "albumin", "range": "3.5-5.2"}


@pytest.mark.parametrize(
    ("lines", "direction", "since"),
    [
        # Up from a limit is no direction, and the number before the limit is not the last time.
        ((Line("alt", "40"), Line("alt", "<5"), Line("alt", "20")), None, None),
        ((Line("alt", "40"), Line("alt", ">30"), Line("alt", "20")), None, None),
        ((Line("alt", "40"), Line("alt", "20"), Line("alt", "<5")), None, None),
        # What is not drawn is passed over.
        ((Line("alt", "40"), Line("alt", "hemolyzed"), Line("alt", "20")), "down", "40"),
        ((Line("alt", "40"), Line("alt", "9", status="P"), Line("alt", "20")), "down", "40"),
        ((Line("alt", "40"), Line("alt", "9", unit="furlongs"), Line("alt", "20")), "down", "40"),
        ((Line("alt", "40"), Line("alt", "9", unit="mg/dL"), Line("alt", "20")), "down", "40"),
        # One line is one method; codes of the same method share it.
        (
            (
                Line("alt", "10", more={"loinc": "1743-4"}),
                Line("alt", "40"),
                Line("alt", "20", more={"loinc": "1743-4"}),
            ),
            "up",
            "10",
        ),
        (
            (
                Line("calcium_total", "8.9", more={"loinc": "49765-1"}),
                Line("calcium_total", "9.9"),
                Line("calcium_total", "9.1", more={"loinc": "1996-8"}),
            ),
            "up",
            "8.9",
        ),
        # Units of one family are converted exactly, those of another passed over.
        (
            (
                Line(**ALBUMIN, value="2.0", unit="g/dL"),
                Line(**ALBUMIN, value="4.0", unit="g/dL"),
                Line("albumin", "30", unit="g/L", range="35-52"),
            ),
            "down",
            "4.0",
        ),
        (
            (
                Line(**ALBUMIN, value="3.0", unit="g/dL"),
                Line("albumin", "30", unit="g/L", range="35-52"),
            ),
            "same",
            "3.0",
        ),
        (
            (
                Line("calcium_total", "9.0"),
                Line("calcium_total", "2.0", unit="mmol/L", range="2.1-2.6"),
                Line("calcium_total", "9.4"),
            ),
            "up",
            "9.0",
        ),
        (
            (
                Line("calcium_total", "5.0", unit="meq/L", range="4.3-5.1"),
                Line("calcium_total", "2.3", unit="mmol/L", range="2.1-2.6"),
            ),
            "down",
            "5.0",
        ),
    ],
)
def test_a_list_a_report_and_a_trend_say_the_same_of_the_last_time(
    cast: Cast,
    laboratory: SendingLaboratory,
    as_anna: Api,
    lines: tuple[Line, ...],
    direction: str | None,
    since: str | None,
) -> None:
    newest = file_series(cast, laboratory, *lines)[-1]
    trend = as_anna.get(f"patients/me/analytes/{lines[0].analyte}/trend").json()
    listed = as_anna.get("patients/me/results").json()["items"][0]
    (reported,) = as_anna.get(f"patients/me/reports/{listed['report_id']}").json()["results"]
    assert listed["id"] == reported["id"] == newest
    assert (trend["change"] or {}).get("direction") == direction
    for shown in (listed["change"], reported["change"]):
        assert ((shown or {}).get("direction"), (shown or {}).get("from")) == (direction, since)


@pytest.mark.parametrize(("sex", "beyond"), [("male", True), ("female", False), ("unknown", False)])
def test_usual_variation_is_that_of_her_recorded_sex(
    cast: Cast, laboratory: SendingLaboratory, as_anna: Api, sex: str, beyond: bool
) -> None:
    """Platelets vary by 21 % in men and 27 % in women; unknown takes the larger."""
    with identity(system("registration")):
        Patient.objects.filter(pk=cast.anna.pk).update(sex=sex)
    count = {"analyte": "platelets", "unit": "10*3/uL", "range": "150-400"}
    file_series(cast, laboratory, Line(**count, value="200"), Line(**count, value="248"))
    trend = as_anna.get("patients/me/analytes/platelets/trend").json()
    assert trend["usual_variation_percent"] == ("21" if sex == "male" else "27")
    assert trend["change"]["beyond_usual_variation"] is beyond
