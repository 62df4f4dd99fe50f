"""Series from stored rows, their words, and what the picture draws. No database."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinical.states import PortalState
from clinical.values import ValueKind
from labs.charts import date_ticks, draw, inline
from labs.stored import stored_value
from labs.trend_words import describe, headline, shown
from labs.trends import Trend, known_analyte, trend_of

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
BAND, OUTSIDE, URGENT, FINE, NEUTRAL = "#dcefe7", "#c2602a", "#a3243b", "#1f6f6b", "#6b7a83"


def row(
    day: int,
    value: str,
    state: str = "IN_RANGE",
    *,
    limits: tuple[str | None, str | None] = ("7", "35"),
    loinc: str = "1742-6",
    unit: str = "U/L",
    unit_text: str = "",
    **more: Any,
) -> dict[str, Any]:
    comparator = value[0] if value[0] in "<>" else ""
    number = Decimal(value.lstrip("<>"))
    return {
        "id": f"result-{day:03}",
        "effective_at": START + timedelta(days=day),
        "loinc": loinc,
        "value_text": value,
        "value_kind": "interval" if comparator else "numeric",
        "value_low": None if comparator == "<" else number,
        "value_high": None if comparator == ">" else number,
        "comparator": comparator,
        "unit_text": unit_text or unit,
        "unit_ucum": unit,
        "state": state,
        "status": "final",
        "comparable": True,
        "range_used_low": None if limits[0] is None else Decimal(limits[0]),
        "range_used_high": None if limits[1] is None else Decimal(limits[1]),
        "origin": "laboratory",
        **more,
    }


def trend(*rows: dict[str, Any], analyte: str = "alt") -> Trend:
    return trend_of(known_analyte(analyte), list(rows))


def picture(made: Trend) -> str:
    return draw(made, zone="Europe/Berlin", picture_format="svg").decode()


@pytest.mark.parametrize(
    ("kind", "low", "high", "comparator", "expected"),
    [
        ("numeric", "5", "5", "", (ValueKind.NUMERIC, Decimal(5), None)),
        ("interval", None, "5", "<", (ValueKind.INTERVAL, None, Decimal(5))),
        ("interval", "5", None, ">=", (ValueKind.INTERVAL, None, Decimal(5))),
        ("range", "5", "9", "", (ValueKind.RANGE, None, None)),
        ("non_numeric", None, None, "", (ValueKind.NON_NUMERIC, None, None)),
        ("absent", None, None, "", (ValueKind.ABSENT, None, None)),
    ],
)
def test_a_stored_value_means_what_its_columns_say_not_its_text(
    kind: str, low: str | None, high: str | None, comparator: str, expected: tuple[Any, ...]
) -> None:
    value = stored_value(
        {
            "value_kind": kind,
            "value_text": "12",
            "value_low": None if low is None else Decimal(low),
            "value_high": None if high is None else Decimal(high),
            "comparator": comparator,
        }
    )
    assert (value.kind, value.number, value.limit) == expected


def test_bands_are_those_of_drawn_points_in_the_unit_of_the_series() -> None:
    made = trend(
        row(0, "2.30", unit="mmol/L", limits=("2.15", "2.55")),
        row(1, "9.9", unit="mg/dL", limits=("8.6", "10.2"), comparable=False),
        row(2, "9.4", unit="mg/dL", limits=("8.6", "10.2")),
        analyte="calcium_total",
    )
    assert [(band.result_id, band.low, band.high) for band in made.bands] == [
        ("result-002", Decimal("8.6"), Decimal("10.2"))
    ]
    assert (made.unit, made.unit_text) == ("mg/dL", "mg/dL")


def test_the_unit_is_spelled_as_the_newest_result_drawn_spells_it() -> None:
    made = trend(
        row(0, "20", unit_text="IU/L"),
        row(1, "21", unit_text="U/l"),
        row(2, "22", unit_text="units", status="preliminary"),
    )
    assert (made.unit, made.unit_text) == ("U/L", "U/l")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("34", "34"),
        ("9.10", "9.10"),
        ("1E+2", "100"),
        ("9.21843687", "9.2184"),
        ("123456", "123456"),
    ],
)
def test_numbers_have_no_exponent_and_a_sane_length(number: str, text: str) -> None:
    assert shown(Decimal(number)) == text


def test_words_tell_count_extremes_last_and_range() -> None:
    made = trend(
        row(0, "20"),
        row(30, "96", "HIGH"),
        row(60, "<5", "OFF_SCALE_LOW"),
        row(90, "33", limits=("7", "40")),
        row(95, "30", status="preliminary"),
    )
    assert describe(made, BERLIN) == (
        "4 results from 5 January 2026 to 5 April 2026. "
        "The highest is 96 U/L (4 February 2026), the lowest <5 U/L (6 March 2026). "
        "2 of them are outside the lab's range. The last is 33 U/L: In range. "
        "The lab's range is 7 to 40. Not drawn: 1."
    )
    assert headline(made, BERLIN) == "33 on 5 Apr 2026 · lab's range 7 to 40"


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ((None, "35"), "The lab's range is up to 35."),
        (("60", None), "The lab's range is from 60."),
        ((None, None), "No range came with it."),
    ],
)
def test_words_for_ranges_open_on_a_side(limits: Any, words: str) -> None:
    assert describe(trend(row(0, "20", "NO_RANGE", limits=limits)), BERLIN).endswith(words)


def test_nothing_to_draw_is_said_in_picture_and_words() -> None:
    made = trend()
    assert describe(made, BERLIN) == "There is nothing to draw yet."
    assert "There is nothing to draw yet." in picture(made)


def marks(svg: str, colour: str) -> int:
    """Return how many markers are filled with a colour; the legend draws one more each."""
    return len(re.findall(rf"<use [^>]*fill: {colour}", svg))


@pytest.mark.parametrize(
    ("state", "colour"),
    [
        ("IN_RANGE", FINE),
        ("HIGH", OUTSIDE),
        ("CRITICAL_HIGH", URGENT),
        # A low ALT does not matter, and what nobody rated is never drawn as fine.
        ("LOW", NEUTRAL),
        ("NO_RANGE", NEUTRAL),
        ("INDETERMINATE", NEUTRAL),
        ("NEEDS_REVIEW", OUTSIDE),
    ],
)
def test_only_a_result_in_range_is_drawn_as_fine(state: str, colour: str) -> None:
    svg = picture(trend(row(0, "20", state)))
    drawn = {c for c in (FINE, OUTSIDE, URGENT, NEUTRAL) if marks(svg, c)}
    assert drawn == {colour}


def test_no_other_state_has_the_colour_of_fine() -> None:
    others = [state for state in PortalState if state is not PortalState.IN_RANGE]
    made = trend(*(row(day, "20", state) for day, state in enumerate(others)))
    assert len(made.points) == len(others)
    assert not marks(picture(made), FINE)


@pytest.mark.parametrize("value", ["<5", ">999"])
def test_a_limit_is_an_open_marker_that_interrupts_the_line(value: str) -> None:
    solid = picture(trend(row(0, "20"), row(1, "21"), row(2, "22")))
    broken = picture(trend(row(0, "20"), row(1, value, "OFF_SCALE_LOW"), row(2, "22")))
    # A line between three closed points has three corners; none runs to or over a limit.
    assert corners_of_line(solid) == [3]
    assert corners_of_line(broken) == [1, 1]
    assert marks(broken, "#ffffff") >= 1
    assert ("less than" if value[0] == "<" else "more than") in broken


def corners_of_line(svg: str) -> list[int]:
    paths = re.findall(r'<path d="([^"]*)"[^>]*stroke: #8aa5a8', svg)
    return [len(re.findall("[ML] ", path)) for path in paths]


def bands_of(svg: str) -> int:
    return svg.count("FillBetweenPolyCollection")


def test_a_change_of_range_is_a_step_and_a_missing_one_a_gap() -> None:
    same = [row(day, "20") for day in range(3)]
    assert bands_of(picture(trend(*same))) == 1
    assert bands_of(picture(trend(*same, row(3, "20", limits=("7", "40"))))) == 2
    gap = row(3, "20", "NO_RANGE", limits=(None, None))
    assert bands_of(picture(trend(*same, gap, row(4, "20")))) == 2
    assert bands_of(picture(trend(gap))) == 0
    assert "lab's range" not in picture(trend(gap))


@pytest.mark.parametrize("limits", [(None, "35"), ("7", None)])
def test_a_range_open_on_a_side_is_drawn(limits: Any) -> None:
    assert bands_of(picture(trend(row(0, "20", limits=limits), row(1, "21", limits=limits)))) == 1


def test_two_methods_are_two_lines_named_in_the_legend() -> None:
    made = trend(
        row(0, "60", loinc="33914-3", unit="mL/min/{1.73_m2}", limits=("60", None)),
        row(1, "64", loinc="98979-8", unit="mL/min/{1.73_m2}", limits=("60", None)),
        analyte="egfr",
    )
    assert len(made.series.lines) == 2
    svg = picture(made)
    assert "mdrd" in svg
    assert "ckd-epi-2021" in svg
    assert corners_of_line(svg)[:2] == [1, 1]


def test_inline_is_an_element_without_prolog() -> None:
    text = inline(draw(trend(row(0, "20")), zone="UTC", picture_format="svg"))
    assert text.startswith("<svg ")
    assert "<!DOCTYPE" not in text


def test_days_are_those_of_the_zone_of_the_reader() -> None:
    made = trend(row(0, "20", effective_at=datetime(2026, 1, 5, 23, 30, tzinfo=UTC)))
    assert "6 January 2026" in draw(made, zone="Europe/Berlin", picture_format="svg").decode()
    assert "5 January 2026" in draw(made, zone="UTC", picture_format="svg").decode()


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2080, 1, 1)),
    st.timedeltas(timedelta(days=60), timedelta(days=11 * 366)),
)
def test_a_time_axis_has_two_to_six_labels_inside(start: datetime, span: timedelta) -> None:
    left = start.replace(tzinfo=BERLIN)
    right = left + span
    ticks, _ = date_ticks(left, right)
    assert 2 <= len(ticks) <= 6
    assert left <= ticks[0]
    assert ticks[-1] <= right
    assert ticks == sorted(set(ticks))


@pytest.mark.parametrize(
    ("days", "step"),
    [(60, 0), (100, 1), (250, 2), (500, 3), (3 * 365, 6), (4 * 365, 12), (10 * 365, 24)],
)
def test_the_time_axis_is_labelled_in_steps_that_fit(days: int, step: int) -> None:
    left = datetime(2020, 1, 10, tzinfo=BERLIN)
    assert date_ticks(left, left + timedelta(days=days))[1] == step


@settings(max_examples=10, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 4000),
            st.decimals("0", "1000000", places=3),
            st.sampled_from(["IN_RANGE", "HIGH", "LOW", "NO_RANGE", "CRITICAL_HIGH"]),
            st.sampled_from([("7", "35"), (None, "35"), ("7", None), (None, None)]),
        ),
        max_size=8,
        unique_by=lambda item: item[0],
    )
)
def test_any_series_gives_a_picture_with_a_text(items: list[tuple[Any, ...]]) -> None:
    made = trend(*(row(d, f"{v:f}", s, limits=limits) for d, v, s, limits in items))
    svg = picture(made)
    assert svg.count("<title ") == svg.count("<desc ") == 1
    assert len(made.points) == len(items)
