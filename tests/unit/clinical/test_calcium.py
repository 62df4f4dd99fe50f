"""Albumin-corrected calcium."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from clinical.calcium import (
    DERIVED_LABEL,
    OBSTACLE_TEXT,
    CalciumSource,
    CorrectedCalcium,
    KidneyAndProtein,
    Measurement,
    NotCorrected,
    Obstacle,
    corrected_calcium,
    preferred_calcium,
)
from clinical.units import unit_of_ucum
from clinical.values import parse_value

AT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def measurement(text, unit, version="v1", **more):
    return replace(
        Measurement(
            version_id=version,
            value=parse_value("ST", text),
            unit=unit_of_ucum(unit),
            status="F",
            comparable=True,
            specimen="S1",
            collected_at=AT,
        ),
        **more,
    )


def correct(calcium, albumin, **background):
    return corrected_calcium(
        calcium=calcium, albumin=albumin, background=KidneyAndProtein(**background)
    )


CA = measurement("10.0", "mg/dL", "ca")
ALB = measurement("2.5", "g/dL", "alb")


@pytest.mark.parametrize(
    ("calcium", "ca_unit", "albumin", "alb_unit", "expected", "unit"),
    [
        ("8.0", "mg/dL", "2.0", "g/dL", "9.6", "mg/dL"),
        ("10.0", "mg/dL", "2.5", "g/dL", "11.2", "mg/dL"),
        ("2.40", "mmol/L", "28", "g/L", "2.64", "mmol/L"),
        ("9.1", "mg/dL", "4.0", "g/dL", "9.1", "mg/dL"),
        ("2.3", "mmol/L", "40", "g/L", "2.3", "mmol/L"),
        ("11.8", "mg/dL", "2.9", "g/dL", "12.68", "mg/dL"),
        ("10.0", "mg/dL", "25", "g/L", "11.2", "mg/dL"),
        ("2.40", "mmol/L", "2.8", "g/dL", "2.64", "mmol/L"),
        ("4.80", "meq/L", "28", "g/L", "2.64", "mmol/L"),
    ],
)
def test_vectors(calcium, ca_unit, albumin, alb_unit, expected, unit):
    found = correct(measurement(calcium, ca_unit, "ca"), measurement(albumin, alb_unit, "alb"))
    assert isinstance(found, CorrectedCalcium)
    assert found.value == Decimal(expected)
    assert found.unit.ucum == unit
    assert (found.calcium_version, found.albumin_version) == ("ca", "alb")
    assert found.label == DERIVED_LABEL


@pytest.mark.parametrize(
    ("calcium", "albumin", "obstacle"),
    [
        (replace(CA, status="P"), ALB, Obstacle.NOT_FINAL),
        (CA, replace(ALB, status=""), Obstacle.NOT_FINAL),
        (measurement(">10", "mg/dL"), ALB, Obstacle.NOT_A_PLAIN_NUMBER),
        (CA, measurement("<2.5", "g/dL"), Obstacle.NOT_A_PLAIN_NUMBER),
        (CA, measurement("SEE NOTE", "g/dL"), Obstacle.NOT_A_PLAIN_NUMBER),
        (replace(CA, unit=None), ALB, Obstacle.UNIT_UNKNOWN),
        (CA, measurement("40", "%"), Obstacle.UNIT_UNKNOWN),
        (measurement("10", "U/L"), ALB, Obstacle.UNIT_UNKNOWN),
        (replace(CA, comparable=False), ALB, Obstacle.NOT_COMPARABLE),
        (CA, measurement("0.99", "g/dL"), Obstacle.ALBUMIN_TOO_LOW),
        (CA, measurement("4.01", "g/dL"), Obstacle.ALBUMIN_HIGH),
        (CA, replace(ALB, specimen="S2", collected_at=None), Obstacle.OTHER_SPECIMEN),
        (
            replace(CA, specimen=None, collected_at=None),
            replace(ALB, specimen=None, collected_at=None),
            Obstacle.OTHER_SPECIMEN,
        ),
    ],
)
def test_measurement_obstacles(calcium, albumin, obstacle):
    found = correct(calcium, albumin)
    assert isinstance(found, NotCorrected)
    assert obstacle in found.obstacles


@pytest.mark.parametrize("albumin", ["1.0", "4.0"])
def test_albumin_limits_themselves_are_allowed(albumin):
    assert isinstance(correct(CA, measurement(albumin, "g/dL")), CorrectedCalcium)


def test_same_specimen_or_same_time_is_enough():
    assert isinstance(correct(CA, replace(ALB, specimen=None)), CorrectedCalcium)
    assert isinstance(correct(CA, replace(ALB, collected_at=None)), CorrectedCalcium)


@pytest.mark.parametrize(
    ("background", "obstacle"),
    [
        ({"egfr": parse_value("NM", "59.9")}, Obstacle.LOW_EGFR),
        ({"egfr": parse_value("ST", "<90")}, Obstacle.LOW_EGFR),
        ({"egfr": parse_value("ST", ">45")}, Obstacle.LOW_EGFR),
        ({"egfr": parse_value("NM", "60")}, None),
        ({"egfr": parse_value("ST", ">60")}, None),
        ({"egfr": parse_value("ST", ">60"), "creatinine_raised": True}, None),
        ({"creatinine_raised": True}, Obstacle.EGFR_UNKNOWN_CREATININE_RAISED),
        ({"creatinine_raised": False}, None),
        ({}, None),
        ({"on_dialysis": True}, Obstacle.DIALYSIS),
        ({"paraprotein": True}, Obstacle.PARAPROTEIN),
    ],
)
def test_background_obstacles(background, obstacle):
    found = correct(CA, ALB, **background)
    if obstacle is None:
        assert isinstance(found, CorrectedCalcium)
    else:
        assert found == NotCorrected((obstacle,))


def test_every_obstacle_has_words():
    assert set(OBSTACLE_TEXT) == set(Obstacle)


def test_all_obstacles_are_named_together():
    found = correct(replace(CA, status="P"), ALB, on_dialysis=True)
    assert found == NotCorrected((Obstacle.NOT_FINAL, Obstacle.DIALYSIS))


def test_order_of_preference():
    everything = set(CalciumSource)
    order = []
    while everything:
        best = preferred_calcium(frozenset(everything))
        order.append(best)
        everything.remove(best)
    assert order == ["calcium_ionized", "calcium_corrected", "derived", "calcium_total"]
    assert preferred_calcium(frozenset()) is None
