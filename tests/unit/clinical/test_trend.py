"""Series: what may share a line, what is left out, and what counts as a change."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from clinical.analytes import by_key
from clinical.reference_data import rows
from clinical.states import PortalState
from clinical.trend import (
    Direction,
    ExclusionReason,
    Marker,
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
