"""Series: what may share a line, what is left out, and what counts as a change."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from clinical.analytes import by_key
from clinical.reference_data import rows
from clinical.states import PortalState
from clinical.trend import (
    BaselineBasis,
    Direction,
    ExclusionReason,
    Marker,
    SetBaseline,
    TrendPoint,
    build_series,
    reference_change_percent,
)
from clinical.units import unit_of_ucum
from clinical.values import parse_value

START = datetime(2026, 1, 1, 8, 0, tzinfo=UTC)


def point(day, text, *, unit="U/L", family="", state=PortalState.IN_RANGE, **more):
    made = TrendPoint(
        result_id=f"r{day}",
        at=START + timedelta(days=day),
        value=parse_value("ST", text),
        unit=unit_of_ucum(unit),
        method_family=family,
        state=state,
        final=True,
        comparable=True,
    )
    return replace(made, **more)


def series(*points, analyte="alt", **more):
    return build_series(by_key(analyte), points, **more)


def test_points_are_in_order_of_time_in_the_unit_of_the_latest():
    made = series(point(2, "28", unit="g/L"), point(1, "3.0", unit="g/dL"), analyte="albumin")
    assert made.unit.ucum == "g/L"
    assert [p.number for p in made.lines[0].points] == [Decimal(30), Decimal(28)]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"final": False}, ExclusionReason.NOT_FINAL),
        ({"comparable": False}, ExclusionReason.NOT_COMPARABLE),
        ({"unit": None}, ExclusionReason.NOT_COMPARABLE),
        ({"value": parse_value("ST", "HEMOLYZED")}, ExclusionReason.NOT_NUMERIC),
        ({"value": parse_value("ST", "5-10")}, ExclusionReason.NOT_NUMERIC),
    ],
)
def test_exclusions(wrong, reason):
    made = series(point(1, "20"), replace(point(2, "22"), **wrong))
    assert [(e.result_id, e.reason) for e in made.excluded] == [("r2", reason)]
    assert [p.result_id for p in made.lines[0].points] == ["r1"]


def test_mass_and_molar_numbers_do_not_share_a_line():
    made = series(
        point(1, "9.0", unit="mg/dL"), point(2, "2.3", unit="mmol/L"), analyte="calcium_total"
    )
    assert [e.reason for e in made.excluded] == [ExclusionReason.UNIT_OTHER_FAMILY]


def test_equivalents_join_molar_numbers_exactly():
    made = series(
        point(1, "5.0", unit="meq/L"), point(2, "2.3", unit="mmol/L"), analyte="calcium_total"
    )
    assert [p.number for p in made.lines[0].points] == [Decimal("2.5"), Decimal("2.3")]


def test_methods_have_their_own_lines():
    made = series(
        point(1, "60", unit="mL/min/{1.73_m2}", family="ckd-epi-2009"),
        point(2, "55", unit="mL/min/{1.73_m2}", family="ckd-epi-2021"),
        analyte="egfr",
    )
    assert [line.method_family for line in made.lines] == ["ckd-epi-2009", "ckd-epi-2021"]
    assert made.change is None


def test_comparators_are_open_markers_and_never_joined():
    made = series(point(1, "20"), point(2, "<5"), point(3, ">1000"), point(4, "22"))
    line = made.lines[0]
    assert [p.marker for p in line.points] == [
        Marker.CLOSED,
        Marker.OPEN_BELOW,
        Marker.OPEN_ABOVE,
        Marker.CLOSED,
    ]
    assert [p.result_id for p in line.joined] == ["r1", "r4"]
    assert made.change is None


def test_no_points():
    made = series()
    assert (made.unit, made.lines, made.change, made.getting_worse) == (None, (), None, False)


@pytest.mark.parametrize(
    ("before", "now", "direction", "beyond"),
    [
        ("100", "129", Direction.UP, False),
        ("100", "129.1", Direction.UP, True),
        ("100", "71", Direction.DOWN, False),
        ("100", "70.9", Direction.DOWN, True),
        ("100", "100", Direction.SAME, False),
        ("0", "10", Direction.UP, None),
    ],
)
def test_change_since_last(before, now, direction, beyond):
    change = series(point(1, before), point(2, now)).change
    assert (change.direction, change.beyond_noise) == (direction, beyond)


def test_change_without_a_known_figure():
    change = series(point(1, "1.0", unit="mg/dL"), point(2, "9", unit="mg/dL"), analyte="magnesium")
    assert change.change.beyond_noise is None
    assert not change.getting_worse


HIGH, IN = PortalState.HIGH, PortalState.IN_RANGE


@pytest.mark.parametrize(
    ("points", "worse"),
    [
        ((point(1, "30", state=IN), point(2, "50", state=HIGH)), True),
        ((point(1, "38", state=IN), point(2, "41", state=HIGH)), False),
        ((point(1, "50", state=HIGH), point(2, "80", state=HIGH)), False),
        (
            (point(1, "45", state=HIGH), point(2, "50", state=HIGH), point(3, "80", state=HIGH)),
            True,
        ),
        (
            (point(1, "55", state=HIGH), point(2, "50", state=HIGH), point(3, "80", state=HIGH)),
            False,
        ),
        (
            (point(1, ">40", state=HIGH), point(2, "50", state=HIGH), point(3, "80", state=HIGH)),
            False,
        ),
        ((point(1, "50", state=HIGH), point(2, "20", state=IN)), False),
        ((point(1, "20", state=IN), point(2, "5", state=PortalState.LOW)), False),
    ],
)
def test_getting_worse_needs_direction_noise_and_a_crossing_or_a_second_rise(points, worse):
    assert series(*points).getting_worse is worse


def test_falling_albumin_is_getting_worse():
    made = series(
        point(1, "4.0", unit="g/dL"),
        point(2, "3.0", unit="g/dL", state=PortalState.LOW),
        analyte="albumin",
    )
    assert made.getting_worse


def test_reference_change_depends_on_sex():
    assert reference_change_percent("platelets", "female") == 27
    assert reference_change_percent("platelets", "male") == 21
    assert reference_change_percent("platelets", None) == 27
    assert reference_change_percent("alt", "male") == 29
    assert reference_change_percent("glucose", None) is None


def test_computed_figures_follow_the_formula():
    for row in rows("rcv"):
        if row["cvi_percent"]:
            cvi = Decimal(row["cvi_percent"])
            computed = Decimal("2.77") * (cvi**2 + (cvi / 2) ** 2).sqrt()
            assert abs(computed - Decimal(row["rcv_percent"])) < Decimal("0.6")


# --- baseline, rises, typed numbers -------------------------------------------------------------


def started(day):
    return START + timedelta(days=day)


@pytest.mark.parametrize(
    ("numbers", "rises"),
    [
        (["1"], 0),
        (["1", "2"], 1),
        (["1", "2", "3"], 2),
        (["3", "2", "3"], 1),
        (["1", "2", "2"], 0),
        (["2", "2", "3"], 1),
        (["1", "2", "1"], 0),
        (["1", "<2", "3"], 0),
        (["1", "2", "<3"], 0),
        (["<1", "2", "3"], 1),
    ],
)
def test_rises_in_a_row_end_with_the_newest(numbers, rises):
    assert series(*(point(day, text) for day, text in enumerate(numbers))).rises == rises


def test_a_baseline_is_the_median_of_the_last_three_before_treatment():
    points = [point(day, text) for day, text in enumerate(["90", "20", "24", "22", "44"])]
    made = series(*points, treatment_starts=[started(4)])
    assert (made.baseline.number, made.baseline.results) == (Decimal(22), 3)
    assert made.baseline.basis is BaselineBasis.BEFORE_TREATMENT
    assert made.baseline.change.percent == Decimal(100)
    assert made.baseline.change.beyond_noise is True


@pytest.mark.parametrize(
    ("start", "results"),
    [
        # The moment of the treatment itself is not before it.
        (timedelta(days=2), 2),
        (timedelta(days=2, seconds=1), 3),
        (timedelta(0), 0),
        (timedelta(seconds=1), 1),
        # 90 days back, to the second.
        (timedelta(days=92), 1),
        (timedelta(days=92, seconds=1), 0),
    ],
)
def test_what_counts_as_before_treatment(start, results):
    made = series(point(0, "20"), point(1, "20"), point(2, "20"), treatment_starts=[START + start])
    assert (made.baseline.results if made.baseline else 0) == results


def test_the_newest_treatment_with_results_before_it_decides():
    points = [point(0, "10"), point(10, "20"), point(20, "30")]
    starts = [started(5), started(15), started(200)]
    made = series(*points, treatment_starts=starts)
    assert (made.baseline.number, made.baseline.results) == (Decimal(15), 2)


def test_limits_make_no_baseline_and_a_newest_limit_no_change():
    assert series(point(0, "<5"), point(2, "9"), treatment_starts=[started(1)]).baseline is None
    made = series(point(0, "5"), point(2, "<9"), treatment_starts=[started(1)])
    assert (made.baseline.number, made.baseline.change) == (Decimal(5), None)


def test_a_baseline_that_was_set_wins_and_is_converted_exactly():
    chosen = SetBaseline(Decimal("3.0"), unit_of_ucum("g/dL"))
    made = series(
        point(0, "99", unit="g/L"),
        point(2, "28", unit="g/L"),
        analyte="albumin",
        set_baseline=chosen,
        treatment_starts=[started(1)],
    )
    assert (made.baseline.number, made.baseline.results) == (Decimal(30), 0)
    assert made.baseline.basis is BaselineBasis.SET
    assert made.baseline.change.direction is Direction.DOWN


def test_a_set_baseline_that_does_not_convert_is_not_replaced_by_a_guess():
    chosen = SetBaseline(Decimal(3), unit_of_ucum("mmol/L"))
    made = series(
        point(0, "20"), point(2, "20"), set_baseline=chosen, treatment_starts=[started(1)]
    )
    assert made.baseline is None


def test_a_baseline_of_zero_has_no_percent():
    made = series(point(0, "0"), point(2, "20"), treatment_starts=[started(1)])
    assert (made.baseline.change.direction, made.baseline.change.percent) == (Direction.UP, None)


def test_typed_numbers_change_nothing_but_their_own_list():
    measured = [point(0, "20"), point(2, "30"), point(4, "40")]
    typed = [
        point(1, "900", entered=True, comparable=False),
        point(5, "<5", entered=True, comparable=False),
    ]
    plain = series(*measured, treatment_starts=[started(3)])
    both = series(*measured, *typed, treatment_starts=[started(3)])
    assert replace(both, entered=()) == plain
    assert [p.number for p in both.entered] == [Decimal(900), Decimal(5)]
    assert both.entered[1].marker is Marker.OPEN_BELOW


@pytest.mark.parametrize("state", ["IMPLAUSIBLE", "UNKNOWN_UNIT", "UNIT_MISMATCH"])
def test_a_typed_number_in_doubt_is_excluded(state):
    made = series(point(0, "20", entered=True, comparable=False, state=PortalState(state)))
    assert made.entered == ()
    assert made.excluded[0].reason is ExclusionReason.NOT_COMPARABLE


def test_a_laboratory_names_the_unit_even_when_a_typed_number_is_younger():
    made = series(
        point(0, "28", unit="g/L"),
        point(1, "3.0", unit="g/dL", entered=True, comparable=False),
        analyte="albumin",
    )
    assert made.unit.ucum == "g/L"
    assert made.entered[0].number == Decimal(30)
