"""Where one interval lies in another: every kind of end."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinical.intervals import Interval, Position


def interval(text):
    """Read "[1,2)" with "-" for an open side."""
    low, high = text[1:-1].split(",")
    return Interval(
        None if low == "-" else Decimal(low),
        None if high == "-" else Decimal(high),
        text[0] == "[",
        text[-1] == "]",
    )


@pytest.mark.parametrize(
    ("value", "reference", "position"),
    [
        ("[5,5]", "[5,9]", Position.INSIDE),
        ("[9,9]", "[5,9]", Position.INSIDE),
        ("[9,9]", "[5,9)", Position.ABOVE),
        ("[5,5]", "(5,9]", Position.BELOW),
        ("(5,9)", "(5,9)", Position.INSIDE),
        ("(5,9)", "[5,9]", Position.INSIDE),
        ("[5,9]", "(5,9]", Position.UNDECIDED),
        ("[5,9]", "[5,9)", Position.UNDECIDED),
        ("(-,5)", "[5,9]", Position.BELOW),
        ("(-,5]", "[5,9]", Position.UNDECIDED),
        ("(-,5]", "(5,9]", Position.BELOW),
        ("(9,-)", "[5,9]", Position.ABOVE),
        ("[9,-)", "[5,9]", Position.UNDECIDED),
        ("[9,-)", "[5,9)", Position.ABOVE),
        ("(-,5)", "(-,5)", Position.INSIDE),
        ("(-,5]", "(-,5)", Position.UNDECIDED),
        ("(60,-)", "(60,-)", Position.INSIDE),
        ("[60,-)", "(60,-)", Position.UNDECIDED),
        ("(-,9)", "[5,-)", Position.UNDECIDED),
        ("[4,6]", "[5,9]", Position.UNDECIDED),
        ("[1,20]", "[5,9]", Position.UNDECIDED),
    ],
)
def test_position(value, reference, position):
    assert interval(value).position_in(interval(reference)) is position


NUMBER = st.integers(0, 6).map(Decimal)
BOUND = st.one_of(st.none(), NUMBER)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(BOUND, BOUND, st.booleans(), st.booleans(), st.integers(0, 12))
def test_a_number_is_inside_exactly_when_it_meets_both_bounds(low, high, low_in, high_in, half):
    if low is not None and high is not None and low >= high:
        return
    number = Decimal(half) / 2
    meets_low = low is None or number > low or (low_in and number == low)
    meets_high = high is None or number < high or (high_in and number == high)
    position = Interval.point(number).position_in(Interval(low, high, low_in, high_in))
    if meets_low and meets_high:
        assert position is Position.INSIDE
    else:
        assert position is (Position.ABOVE if meets_low else Position.BELOW)
