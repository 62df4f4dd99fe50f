"""Reading OBX-5: numbers, limits, ranges, words, and everything that must not crash."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinical.intervals import Interval
from clinical.values import NoResult, ValueKind, parse_value, quantity

MODERATE = settings(max_examples=200, deadline=None, derandomize=True)


@pytest.mark.parametrize(
    ("kind", "text", "number"),
    [
        ("NM", "5.30", "5.30"),
        ("NM", " 40 ", "40"),
        ("NM", "+1.20", "1.20"),
        ("NM", "-3", "-3"),
        ("NM", ".5", "0.5"),
        ("ST", "4.2", "4.2"),
        ("TX", "0", "0"),
        ("nm", "7", "7"),
        ("", "7", "7"),
        ("SN", "<10", None),
    ],
)
def test_plain_numbers(kind, text, number):
    value = parse_value(kind, text)
    assert value.number == (None if number is None else Decimal(number))
    assert value.raw == text


@pytest.mark.parametrize(
    ("text", "comparator", "interval"),
    [
        ("<5", "<", Interval(None, Decimal(5), False, False)),
        ("< 5.0", "<", Interval(None, Decimal("5.0"), False, False)),
        ("<=5", "<=", Interval(None, Decimal(5), False, True)),
        ("≤5", "<=", Interval(None, Decimal(5), False, True)),
        (">60", ">", Interval(Decimal(60), None, False, False)),
        (">=60", ">=", Interval(Decimal(60), None, True, False)),
    ],
)
def test_comparators_make_open_intervals(text, comparator, interval):
    value = parse_value("ST", text)
    assert (value.kind, value.comparator, value.interval) == (
        ValueKind.INTERVAL,
        comparator,
        interval,
    )
    assert value.number is None
    assert value.limit == (interval.high if interval.low is None else interval.low)


@pytest.mark.parametrize(
    ("components", "kind", "interval"),
    [
        (("<", "5"), ValueKind.INTERVAL, Interval(None, Decimal(5), False, False)),
        (("", "16.0"), ValueKind.NUMERIC, Interval.point(Decimal("16.0"))),
        (("=", "16.0"), ValueKind.NUMERIC, Interval.point(Decimal("16.0"))),
        (("", "5", "-", "10"), ValueKind.RANGE, Interval(Decimal(5), Decimal(10))),
        (("", "10", "-", "5"), ValueKind.NON_NUMERIC, None),
        (("", "1", ":", "40"), ValueKind.NON_NUMERIC, None),
        (("<>", "5"), ValueKind.NON_NUMERIC, None),
        (("<", "5", "-", "10"), ValueKind.NON_NUMERIC, None),
        (("", "5", "+"), ValueKind.NON_NUMERIC, None),
        (("<", "five"), ValueKind.NON_NUMERIC, None),
    ],
)
def test_structured_numeric(components, kind, interval):
    value = parse_value("SN", components)
    assert (value.kind, value.interval) == (kind, interval)


@pytest.mark.parametrize(
    "text",
    [
        "<>5",
        "1:40",
        "140/90",
        "+",
        "1+",
        "5 mg/dL",
        "12 H",
        "43*",
        "5,3",
        "1,234",
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "1E3",
        "0x10",
        "٣",
        "5\x00",
        "\x00",
        "9" * 19,
        "<" + "9" * 400,
        "--5",
        "< <5",
        "5-",
        "10-5",
        "HEMOLYZED",
        "SEE NOTE",
        "12.5.1",
        "1_000",
    ],
)
@pytest.mark.parametrize("kind", ["NM", "ST", "TX", "FT"])
def test_text_is_never_mined_for_digits(kind, text):
    value = parse_value(kind, text)
    assert value.kind is ValueKind.NON_NUMERIC
    assert value.interval is None


def test_text_range_is_read_with_both_ends():
    assert parse_value("ST", "5-10").interval == Interval(Decimal(5), Decimal(10))
    assert parse_value("ST", "5 - 10").kind is ValueKind.RANGE


def test_decimal_comma_only_when_the_sender_says_so():
    assert parse_value("NM", "5,3", decimal_comma=True).number == Decimal("5.3")
    assert parse_value("ST", "<5,3", decimal_comma=True).limit == Decimal("5.3")
    assert parse_value("NM", "5,3").kind is ValueKind.NON_NUMERIC
    assert parse_value("NM", "1.234", decimal_comma=True).kind is ValueKind.NON_NUMERIC


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("QNS", NoResult.NOT_DONE),
        ("Test Not  Performed.", NoResult.NOT_DONE),
        ("CANCELLED", NoResult.NOT_DONE),
        ("not-performed", NoResult.NOT_DONE),
        ("PENDING", NoResult.PENDING),
        ("folgt", NoResult.PENDING),
        ("?", NoResult.PENDING),
        ("HEMOLYZED", None),
        ("SEE NOTE", None),
        ("pending repeat of 5", None),
    ],
)
def test_texts_that_say_there_is_no_result(text, said):
    assert parse_value("ST", text).no_result is said


@pytest.mark.parametrize("components", ["", "   ", '""', [], ["", ""], ("", "", "")])
def test_nothing_sent_is_absent(components):
    assert parse_value("NM", components).kind is ValueKind.ABSENT


def test_coded_value_is_words_even_when_it_looks_like_a_number():
    value = parse_value("CWE", ("260415000", "Not detected", "SCT"))
    assert value.kind is ValueKind.NON_NUMERIC
    assert value.raw == "260415000^Not detected^SCT"
    assert parse_value("CE", "5").kind is ValueKind.NON_NUMERIC
    assert parse_value("TS", "20180705").kind is ValueKind.NON_NUMERIC


def test_number_with_a_stray_component_is_not_a_number():
    assert parse_value("NM", ("5", "6")).kind is ValueKind.NON_NUMERIC


def test_fhir_quantity():
    assert quantity(Decimal("5.1")).number == Decimal("5.1")
    assert quantity(Decimal(5), "<").comparator == "<"
    assert quantity(Decimal(5), "ad").kind is ValueKind.NON_NUMERIC
    assert quantity(Decimal("NaN")).kind is ValueKind.NON_NUMERIC
    assert quantity(Decimal("Infinity")).kind is ValueKind.NON_NUMERIC
    assert quantity(Decimal("1e400")).kind is ValueKind.NON_NUMERIC
    assert quantity(Decimal("9" * 19)).kind is ValueKind.NON_NUMERIC


@MODERATE
@given(
    st.sampled_from(["NM", "SN", "ST", "TX", "FT", "CE", "CWE", "ED", "", "zz"]),
    st.lists(st.text(max_size=12), max_size=5),
    st.booleans(),
)
def test_any_input_is_read_and_keeps_its_text(kind, components, comma):
    value = parse_value(kind, components, decimal_comma=comma)
    numeric = value.kind in (ValueKind.NUMERIC, ValueKind.INTERVAL, ValueKind.RANGE)
    assert (value.interval is not None) is numeric
    if components:
        assert components[0] in value.raw


@MODERATE
@given(st.decimals(0, 10**9, places=4))
def test_a_decimal_survives_unchanged(number):
    assert parse_value("NM", str(number)).number == number
