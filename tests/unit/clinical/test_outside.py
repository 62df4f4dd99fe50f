"""Numbers that a patient typed in: her range judges, and a dangerous one says to call."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinical.analytes import analytes
from clinical.outside import (
    CRITICAL_RULE,
    OutsideVerdict,
    judge_outside,
    not_by_clinic,
    outside_reason,
    outside_text,
)
from clinical.patient_text import PROMISES
from clinical.reference_ranges import parse_reference_range
from clinical.states import PortalState, Tier
from clinical.units import normalise_unit
from clinical.values import parse_value

REACHED = (
    *("IN_RANGE", "LOW", "HIGH", "INDETERMINATE", "NO_RANGE"),
    *("UNKNOWN_UNIT", "UNIT_MISMATCH", "IMPLAUSIBLE", "CRITICAL"),
)


def judged(analyte: str, value: str, unit: str, typed: str = "") -> OutsideVerdict:
    return judge_outside(
        analyte_key=analyte,
        value=parse_value("ST", value),
        unit_raw=unit,
        unit=normalise_unit(unit, analyte),
        typed_range=parse_reference_range(typed, analyte_key=analyte),
    )


@pytest.mark.parametrize(
    ("value", "typed", "state"),
    [
        ("35", "7-35", "IN_RANGE"),
        ("35.1", "7-35", "HIGH"),
        ("7", "7-35", "IN_RANGE"),
        ("6.9", "7-35", "LOW"),
        ("20", "", "NO_RANGE"),
        ("20", "see note", "NO_RANGE"),
        ("<40", "7-35", "INDETERMINATE"),
    ],
)
def test_only_the_typed_range_judges(value: str, typed: str, state: str) -> None:
    assert judged("alt", value, "U/L", typed).state == state


def test_a_unit_that_nobody_knows_or_that_does_not_fit_is_not_rated() -> None:
    assert judged("alt", "20", "furlongs", "7-35").state == "UNKNOWN_UNIT"
    assert judged("alt", "20", "mg/dL", "7-35").state == "UNIT_MISMATCH"


# analytes.csv: potassium critical from 3.0 down and from 6.0 up, in mmol/L.
@pytest.mark.parametrize(
    ("value", "critical"), [("5.9", False), ("6.0", True), ("3.1", False), ("3.0", True)]
)
@pytest.mark.parametrize("typed", ["", "2.0-9.0"])
def test_a_number_beyond_the_fallback_limits_says_to_call(
    value: str, typed: str, critical: bool
) -> None:
    verdict = judged("potassium", value, "mmol/L", typed)
    assert (verdict.state is PortalState.CRITICAL) is critical
    assert (verdict.rule_id == CRITICAL_RULE) is critical
    if critical:
        assert verdict.tier is Tier.URGENT
        assert verdict.range_used is None
        assert "{phone_24h}" in outside_text(verdict.state).what_to_do


def test_no_text_promises_somebody_or_speaks_for_a_laboratory() -> None:
    for name in REACHED:
        text = outside_text(PortalState(name))
        said = f"{text.meaning} {text.what_to_do} {outside_reason(PortalState(name))}".lower()
        assert "the lab" not in said
        assert not any(promise in said for promise in PROMISES)
        assert "call" in said


def test_who_entered_it_is_said_to_everybody() -> None:
    mine = not_by_clinic(by_reader=True, by_patient=False)
    assert mine == "You entered this. Your clinic did not."
    assert not_by_clinic(by_reader=False, by_patient=True).startswith("The patient entered this")
    assert not_by_clinic(by_reader=False, by_patient=False).startswith("A caregiver entered this")


@given(
    st.sampled_from([analyte.key for analyte in analytes()]),
    st.decimals(min_value=Decimal("0"), max_value=Decimal("99999"), places=2),
    st.sampled_from(["", "<", ">"]),
    st.sampled_from(["U/L", "mg/dL", "mmol/L", "g/L", "g/dL", "10*3/uL", "x", ""]),
    st.sampled_from(["", "1-10", "<5", ">60", "about 5", "10-1"]),
)
def test_every_number_gets_words_and_in_range_needs_a_range(
    key: str, number: Decimal, sign: str, unit: str, typed: str
) -> None:
    verdict = judged(key, f"{sign}{number}", unit, typed)
    assert verdict.state in REACHED
    assert outside_text(verdict.state).meaning
    assert verdict.state is not PortalState.IN_RANGE or verdict.range_used is not None
