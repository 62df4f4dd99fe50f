"""Reading OBX-7."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinical.reference_ranges import (
    RangeFault,
    RangeProblem,
    ReferenceRange,
    parse_reference_range,
)

MODERATE = settings(max_examples=200, deadline=None, derandomize=True)


def D(text):
    return None if text is None else Decimal(text)


@pytest.mark.parametrize(
    ("text", "low", "high", "low_inclusive", "high_inclusive"),
    [
        ("8.6-10.2", "8.6", "10.2", True, True),
        ("8.6 - 10.2", "8.6", "10.2", True, True),
        (" 8.6  \u2013  10.2 ", "8.6", "10.2", True, True),
        ("[8.6-10.2]", "8.6", "10.2", True, True),
        ("(8.6-10.2)", "8.6", "10.2", True, True),
        ("8.6 to 10.2", "8.6", "10.2", True, True),
        ("Normal: 8.6-10.2", "8.6", "10.2", True, True),
        ("Reference range 8.6-10.2", "8.6", "10.2", True, True),
        ("0 - 1.0", "0", "1.0", True, True),
        ("4-4", "4", "4", True, True),
        ("-2 - 2", "-2", "2", True, True),
        ("(-2)-(+2)", "-2", "2", True, True),
        ("<5", None, "5", True, False),
        ("< 5.0", None, "5.0", True, False),
        ("(<5)", None, "5", True, False),
        ("<=5", None, "5", True, True),
        ("≤5", None, "5", True, True),
        (">60", "60", None, False, True),
        (">= 60", "60", None, True, True),
        ("BELOW 15", None, "15", True, False),
        ("less than 5", None, "5", True, False),
        ("up to 5", None, "5", True, True),
        ("at least 60", "60", None, True, True),
        (">=1.5 - <3", "1.5", "3", True, False),
    ],
)
def test_usable_forms(text, low, high, low_inclusive, high_inclusive):
    found = parse_reference_range(text)
    assert isinstance(found, ReferenceRange)
    assert (found.low, found.high) == (D(low), D(high))
    assert (found.low_inclusive, found.high_inclusive) == (low_inclusive, high_inclusive)
    assert found.text == text


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", RangeFault.ABSENT),
        ("  ", RangeFault.ABSENT),
        ('""', RangeFault.ABSENT),
        ("null", RangeFault.NULL),
        ("NULL", RangeFault.NULL),
        ("Negative", RangeFault.WORDS),
        ("See note", RangeFault.WORDS),
        ("SEE TARGETS", RangeFault.WORDS),
        ("TARGET <5.20", RangeFault.WORDS),
        ("3.9-5.8) fasting", RangeFault.WORDS),
        ("8.6-10.2 (adult)", RangeFault.WORDS),
        ("<9 mcg/dL: acceptable background", RangeFault.WORDS),
        ("-5", RangeFault.WORDS),
        ("10-", RangeFault.WORDS),
        ("8,6-10,2", RangeFault.WORDS),
        ("8.6-10,2", RangeFault.WORDS),
        ("1-2-3", RangeFault.WORDS),
        ("1.5E3-2", RangeFault.WORDS),
        ("<" + "9" * 30, RangeFault.WORDS),
        ("x" * 500, RangeFault.WORDS),
        ("10-5", RangeFault.REVERSED),
        (">5 - <3", RangeFault.REVERSED),
        ("M:14-18 F:12-16", RangeFault.SEVERAL),
        ("15-200 / 15-50 (grey) / 100-120 (best)", RangeFault.SEVERAL),
        ("0.5-1.2 mg/dL or 44-106 umol/L", RangeFault.SEVERAL),
        ("<5 or >10", RangeFault.SEVERAL),
        ("10-20 foo/bar", RangeFault.UNKNOWN_UNIT),
    ],
)
def test_everything_else_keeps_its_text_and_says_why(text, fault):
    assert parse_reference_range(text) == RangeProblem(fault, text)


@pytest.mark.parametrize(
    ("text", "ucum", "analyte"),
    [
        ("0.0-0.3 mg/dL", "mg/dL", None),
        ("> 60 mL/min/1.73m2", "mL/min/{1.73_m2}", None),
        ("10-40 IU/L", "U/L", "alt"),
        ("4.0-10.0 (K/uL)", "10*3/uL", None),
    ],
)
def test_unit_inside_the_text(text, ucum, analyte):
    found = parse_reference_range(text, analyte_key=analyte)
    assert isinstance(found, ReferenceRange)
    assert found.unit is not None
    assert found.unit.ucum == ucum


def test_unit_that_is_not_safe_for_the_analyte_makes_the_range_unusable():
    assert isinstance(parse_reference_range("10-40 IU/L", analyte_key="ca_15_3"), RangeProblem)


def test_decimal_comma_is_a_setting():
    found = parse_reference_range("8,6-10,2", decimal_comma=True)
    assert isinstance(found, ReferenceRange)
    assert (found.low, found.high) == (Decimal("8.6"), Decimal("10.2"))
    assert isinstance(parse_reference_range("8.6-10.2", decimal_comma=True), RangeProblem)
    assert isinstance(parse_reference_range("8-10", decimal_comma=True), ReferenceRange)


def test_a_range_needs_a_bound_and_an_order():
    with pytest.raises(ValueError, match="bound"):
        ReferenceRange(None, None)
    with pytest.raises(ValueError, match="above"):
        ReferenceRange(Decimal(2), Decimal(1))


@MODERATE
@given(
    st.text(alphabet=st.sampled_from("0123456789.,-\u2013<>=≤≥ ()[]:MFml/gdLtoup\x00"), max_size=25)
)
def test_any_text_is_read_or_refused(text):
    found = parse_reference_range(text)
    assert found.text == text
    if isinstance(found, ReferenceRange) and found.low is not None and found.high is not None:
        assert found.low <= found.high


@MODERATE
@given(st.decimals(0, 5000, places=2), st.decimals(0, 5000, places=2))
def test_two_numbers_are_a_range_exactly_when_they_are_in_order(a, b):
    found = parse_reference_range(f"{a} - {b}")
    if a <= b:
        assert isinstance(found, ReferenceRange)
        assert (found.low, found.high) == (a, b)
    else:
        assert found == RangeProblem(RangeFault.REVERSED, f"{a} - {b}")
