"""Verdicts: the golden table, every disagreement, and the property that guards IN_RANGE."""

import csv
import os
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinical.flags import FLAG_STATES, SenderOptions
from clinical.intervals import Position
from clinical.reference_data import rows
from clinical.reference_ranges import (
    RangeFault,
    RangeProblem,
    ReferenceRange,
    parse_reference_range,
)
from clinical.states import SEVERITY, PortalState, Tier
from clinical.units import normalise_unit, unit_of_ucum
from clinical.values import parse_value
from clinical.verdict import Basis, ResultInput, ReviewCode, judge
from clinical.verdict_reasons import RULE_IDS, reason_for

GOLDEN = Path(__file__).parents[2] / "golden" / "verdicts.csv"
with GOLDEN.open(encoding="utf-8", newline="") as table:
    CASES = list(csv.DictReader(table))


def result(
    value="22",
    *,
    analyte="alt",
    kind="NM",
    unit="U/L",
    lab_range="10-40",
    flags=(),
    status="F",
    **more,
):
    components = value.split("^") if kind == "SN" else value
    return ResultInput(
        analyte_key=analyte,
        value=parse_value(kind, components),
        unit_raw=unit,
        unit=normalise_unit(unit, analyte),
        lab_range=parse_reference_range(lab_range, analyte_key=analyte),
        flags=tuple(flags),
        status=status,
        **more,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['analyte']}-{c['why']}")
def test_golden_verdict(case):
    verdict = judge(
        result(
            case["value"],
            analyte=case["analyte"] or None,
            kind=case["type"],
            unit=case["unit"],
            lab_range=case["range"],
            flags=[code for code in case["flags"].split("~") if code],
            status=case["status"],
        )
    )
    assert (
        verdict.state,
        verdict.basis,
        "yes" if verdict.discrepancy else "no",
    ) == (case["state"], case["basis"], case["discrepancy"])
    assert verdict.staff_critical is (case["staff_critical"] == "yes")


def test_every_portal_state_but_none_is_reached_by_the_golden_table():
    reached = {case["state"] for case in CASES}
    # Flags LL and LU mirror HH and HU; both are asserted below.
    assert set(PortalState) - reached == {"CRITICAL_LOW", "LOW_SIGNIFICANT"}


@pytest.mark.parametrize(
    ("flag", "state"),
    [
        ("LL", PortalState.CRITICAL_LOW),
        ("LU", PortalState.LOW_SIGNIFICANT),
        ("L<", PortalState.LOW_SIGNIFICANT),
        ("H>", PortalState.HIGH_SIGNIFICANT),
        ("ll", PortalState.CRITICAL_LOW),
        (" H ", PortalState.HIGH),
        ("TOX", PortalState.INVALID),
        ("AC", PortalState.INVALID),
        ("E", PortalState.INDETERMINATE),
        ("EX", PortalState.NEEDS_REVIEW),
        ("OBX", PortalState.NEEDS_REVIEW),
        ("POS", PortalState.NON_NUMERIC),
        ("ND", PortalState.NON_NUMERIC),
        ("MS", PortalState.NEEDS_REVIEW),
    ],
)
def test_flag_alone(flag, state):
    assert judge(result(lab_range="", flags=[flag])).state is state


def test_empty_and_deleted_flags_are_no_flag():
    assert judge(result(flags=["", '""'])).flag_state is None


def test_flags_that_contradict_each_other_are_queued():
    verdict = judge(result("55", analyte="calcium_total", lab_range="", flags=["H", "L"]))
    assert ReviewCode.FLAGS_CONTRADICT in verdict.needs_review
    assert ReviewCode.FLAGS_CONTRADICT in judge(result(flags=["N", "H"])).needs_review


def test_a_critical_flag_of_an_invalid_test_hides_the_value_but_alarms_staff_by_its_code():
    verdict = judge(result("55", flags=["HH", "QCF"]))
    assert verdict.state is PortalState.INVALID
    assert ReviewCode.CRITICAL_FLAG in verdict.needs_review
    assert verdict.staff_critical


def test_strong_flags_of_opposite_sides_are_critical_for_staff_too():
    verdict = judge(result("9", analyte="calcium_total", unit="mg/dL", flags=["LU", "HU"]))
    assert verdict.state is PortalState.CRITICAL
    assert verdict.staff_critical


def test_off_scale_follows_the_senders_setting():
    def state(flag, setting):
        return judge(result(flags=[flag], sender=SenderOptions(setting)))

    assert state("<", True).state is PortalState.CRITICAL_LOW
    assert state(">", True).state is PortalState.CRITICAL_HIGH
    assert state(">", True).staff_critical
    assert state(">", False).state is PortalState.OFF_SCALE_HIGH
    assert not state(">", False).staff_critical
    assert ReviewCode.OFF_SCALE_UNCONFIGURED in state("<", None).needs_review
    assert ReviewCode.OFF_SCALE_UNCONFIGURED not in state("<", False).needs_review


def test_sender_gives_its_own_codes_a_meaning():
    sender = SenderOptions(extra_flag_meanings={"C": PortalState.CRITICAL})
    verdict = judge(result("55", flags=["C"], sender=sender))
    assert verdict.state is PortalState.CRITICAL
    assert verdict.staff_critical


def test_a_flag_cannot_mean_a_state_that_belongs_to_the_status():
    with pytest.raises(ValueError, match="RETRACTED"):
        SenderOptions(extra_flag_meanings={"C": PortalState.RETRACTED})


def test_senders_own_code_for_normal_still_needs_a_range():
    sender = SenderOptions(extra_flag_meanings={"OK": PortalState.IN_RANGE})
    assert judge(result(flags=["OK"], sender=sender, lab_range="")).state is PortalState.NO_RANGE
    assert judge(result("55", flags=["OK"], sender=sender)).state is PortalState.HIGH


CONFIGURED = ReferenceRange(Decimal(7), Decimal(33), unit=unit_of_ucum("U/L"))


def test_configured_range_judges_when_the_lab_sent_none():
    inside = judge(result("33", lab_range="", configured_range=CONFIGURED))
    above = judge(result("33.1", lab_range="null", configured_range=CONFIGURED))
    assert (inside.state, inside.basis) == (PortalState.IN_RANGE, Basis.CONFIGURED_RANGE)
    assert (above.state, above.basis) == (PortalState.HIGH, Basis.CONFIGURED_RANGE)


def test_configured_range_never_replaces_what_the_lab_sent():
    assert judge(result("35", configured_range=CONFIGURED)).state is PortalState.IN_RANGE
    for text in ("See note", "M:1-2 F:3-4", "40-10"):
        verdict = judge(result("22", lab_range=text, configured_range=CONFIGURED))
        assert verdict.state is PortalState.NO_RANGE


def test_configured_range_is_converted_inside_its_family_only():
    ukat = ReferenceRange(None, Decimal("0.5"), unit=unit_of_ucum("ukat/L"))
    assert judge(result("30", lab_range="", configured_range=ukat)).state is PortalState.IN_RANGE
    assert judge(result("30.1", lab_range="", configured_range=ukat)).state is PortalState.HIGH
    grams = ReferenceRange(None, Decimal(40), unit=unit_of_ucum("g/L"))
    verdict = judge(result("30", lab_range="", configured_range=grams))
    assert verdict.state is PortalState.NO_RANGE
    assert ReviewCode.CONFIGURED_RANGE_UNIT in verdict.needs_review


def test_configured_range_must_name_its_unit():
    with pytest.raises(ValueError, match="unit"):
        result(configured_range=ReferenceRange(Decimal(1), Decimal(2)))


def test_unit_of_another_family_than_before_is_a_mismatch():
    before = frozenset({"molar_concentration"})
    calcium = {"analyte": "calcium_total", "unit": "mg/dL", "lab_range": "8.6-10.2"}
    assert judge(result("9", **calcium)).state is PortalState.IN_RANGE
    changed = judge(result("9", previous_dimensions=before, **calcium))
    assert changed.state is PortalState.UNIT_MISMATCH
    assert not changed.comparable
    same = frozenset({"mass_concentration"})
    assert judge(result("9", previous_dimensions=same, **calcium)).state is PortalState.IN_RANGE


def test_a_number_that_may_be_in_another_unit_keeps_its_state_but_is_not_compared_further():
    verdict = judge(result("1.9", analyte="calcium_ionized", unit="mmol/L", lab_range="1.14-1.35"))
    assert verdict.state is PortalState.HIGH
    assert ReviewCode.UNIT_ASK in verdict.needs_review
    assert not verdict.comparable


def test_low_value_of_an_analyte_that_matters_when_high_is_neutral():
    assert judge(result("9")).tier is Tier.NEUTRAL
    assert judge(result("41")).tier is Tier.ATTENTION
    assert judge(result("22")).tier is Tier.FINE
    albumin = {"analyte": "albumin", "unit": "g/dL", "lab_range": "3.5-5.0"}
    assert judge(result("3.4", **albumin)).tier is Tier.ATTENTION
    assert judge(result("5.1", **albumin)).tier is Tier.NEUTRAL


def test_fallback_limits_never_turn_the_patient_state_critical():
    verdict = judge(result("14", analyte="calcium_total", unit="mg/dL", lab_range="8.6-10.2"))
    assert verdict.state is PortalState.HIGH
    assert verdict.staff_critical
    assert ReviewCode.CRITICAL_FALLBACK in verdict.needs_review


def test_uln_multiple_fallback_on_both_sides():
    assert judge(result("600")).staff_critical
    assert not judge(result("599.9")).staff_critical
    assert not judge(result("600", lab_range="")).staff_critical


def test_wrong_patient_is_marked():
    assert ReviewCode.WRONG_PATIENT in judge(result(status="W")).needs_review
    assert ReviewCode.WRONG_PATIENT not in judge(result(status="D")).needs_review


def test_no_reason_contains_a_digit():
    for rule in RULE_IDS:
        assert not any(c.isdigit() for c in reason_for(rule, discrepancy=True))


def test_unknown_analyte_key_raises():
    with pytest.raises(KeyError):
        judge(result(analyte="unobtainium"))


# `make proof` asks for 20,000.
EXAMPLES = int(os.environ.get("LINDEN_EXAMPLES", "200"))
MODERATE = settings(max_examples=EXAMPLES, deadline=None, derandomize=True)

# --- properties -----------------------------------------------------------------------

ANALYTES = st.sampled_from(
    [None, "alt", "alp", "bilirubin_total", "albumin", "calcium_total", "calcium_ionized"]
)
NUMBERS = st.decimals(0, 3000, places=2)
VALUES = st.one_of(
    NUMBERS.map(str),
    st.tuples(st.sampled_from(["<", "<=", ">", ">="]), NUMBERS).map(lambda p: f"{p[0]}{p[1]}"),
    st.tuples(NUMBERS, NUMBERS).map(lambda p: f"{min(p)}-{max(p)}"),
    st.sampled_from(["", "QNS", "PENDING", "HEMOLYZED", "1:40", "+", "12 H", "NaN", "1e5"]),
    st.text(max_size=8),
)
RANGES = st.one_of(
    st.tuples(NUMBERS, NUMBERS).map(lambda p: f"{p[0]}-{p[1]}"),
    st.tuples(st.sampled_from(["<", "<=", ">", ">="]), NUMBERS).map(lambda p: f"{p[0]}{p[1]}"),
    st.sampled_from(["", "null", "See note", "M:1-2 F:3-4", "8.6-10.2 mg/dL"]),
    st.text(max_size=10),
)
UNITS = st.sampled_from(["", "U/L", "mg/dL", "g/dL", "mmol/L", "umol/L", "g/L", "%", "K/uL", "x"])
FLAG_CODES = ["", "ZZ", *(row["code"] for row in rows("interpretation_codes"))]
FLAGS = st.lists(st.sampled_from(FLAG_CODES), max_size=2)
STATUSES = st.sampled_from(["F", "C", "A", "P", "R", "X", "D", "W", "I", "N", "", "?"])
CONFIGURED_RANGES = st.one_of(
    st.none(),
    st.tuples(NUMBERS, NUMBERS, st.sampled_from(["U/L", "mg/dL", "mmol/L", "g/L"])).map(
        lambda p: ReferenceRange(min(p[:2]), max(p[:2]), unit=unit_of_ucum(p[2]))
    ),
)


@st.composite
def results(draw):
    return result(
        draw(VALUES),
        analyte=draw(ANALYTES),
        kind=draw(st.sampled_from(["NM", "ST", "TX", "CWE"])),
        unit=draw(UNITS),
        lab_range=draw(RANGES),
        flags=draw(FLAGS),
        status=draw(STATUSES),
        configured_range=draw(CONFIGURED_RANGES),
        sender=SenderOptions(draw(st.sampled_from([None, True, False]))),
    )


@MODERATE
@given(results())
def test_in_range_only_with_a_usable_range_that_contains_the_whole_value(given_result):
    verdict = judge(given_result)
    if verdict.state is PortalState.IN_RANGE:
        used = verdict.range_used
        assert used is not None
        assert verdict.basis in (Basis.LAB_RANGE, Basis.CONFIGURED_RANGE)
        assert given_result.status in ("F", "C", "A")
        interval = given_result.value.interval
        assert interval is not None
        if interval.low is None:
            interval = replace(interval, low=Decimal(0), low_inclusive=True)
        assert interval.position_in(used.interval) is Position.INSIDE
        assert verdict.flag_state in (None, PortalState.IN_RANGE)
    else:
        assert verdict.tier is not Tier.FINE


@MODERATE
@given(results())
def test_state_is_never_less_serious_than_flag_or_comparison(given_result):
    verdict = judge(given_result)
    if given_result.status not in ("F", "C", "A"):
        return
    said = [verdict.computed_state]
    if verdict.flag_state is not None:
        said.append(verdict.flag_state)
    assert SEVERITY[verdict.state] >= max(SEVERITY[state] for state in said)


@MODERATE
@given(results())
def test_a_critical_state_is_always_a_task_for_staff(given_result):
    verdict = judge(given_result)
    if verdict.tier is Tier.URGENT and verdict.flag_state is not PortalState.OFF_SCALE_HIGH:
        assert verdict.staff_critical


@MODERATE
@given(results())
def test_reason_and_rule_are_always_given(given_result):
    verdict = judge(given_result)
    assert verdict.rule_id in RULE_IDS
    assert verdict.reason
    assert verdict.rule_version


@pytest.mark.parametrize("flag", sorted(FLAG_STATES))
@pytest.mark.parametrize("value", ["22", "55", "9"])
def test_every_flag_against_every_side_yields_the_more_serious(flag, value):
    sender = SenderOptions(extra_flag_meanings={"Z": flag})
    verdict = judge(result(value, flags=["Z"], sender=sender))
    assert SEVERITY[verdict.state] == max(
        SEVERITY[verdict.computed_state], SEVERITY[PortalState(flag)]
    )


def test_range_problem_as_input_is_kept_out_of_the_verdict():
    bare = replace(result(), lab_range=RangeProblem(RangeFault.WORDS, "See note"))
    assert judge(bare).range_used is None
