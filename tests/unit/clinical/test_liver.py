"""Liver patterns."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from clinical.liver import LiverReading, Pattern, multiple_of_uln, possible_hys_law, r_ratio
from clinical.values import parse_value

AT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def v(text):
    return parse_value("ST", text)


def reading(key, text, uln, *, days=0, report="R1", seconds=0):
    return LiverReading(
        version_id=f"{key}-{text}-{days}",
        analyte_key=key,
        value=v(text),
        uln=None if uln is None else Decimal(uln),
        collected_at=AT + timedelta(days=days, seconds=seconds),
        report_id=report,
    )


def test_multiple_of_uln():
    assert multiple_of_uln(v("120"), Decimal(40)) == 3
    assert multiple_of_uln(v(">120"), Decimal(40)) is None
    assert multiple_of_uln(v("120"), None) is None
    assert multiple_of_uln(v("120"), Decimal(0)) is None


@pytest.mark.parametrize(
    ("alt", "alp", "r", "pattern"),
    [
        ("200", "120", "5", Pattern.HEPATOCELLULAR),
        ("199.9", "120", "4.9975", Pattern.MIXED),
        ("80.1", "120", "2.0025", Pattern.MIXED),
        ("80", "120", "2", Pattern.CHOLESTATIC),
        ("40", "240", "0.5", Pattern.CHOLESTATIC),
    ],
)
def test_r_ratio(alt, alp, r, pattern):
    found = r_ratio(alt=v(alt), alt_uln=Decimal(40), alp=v(alp), alp_uln=Decimal(120))
    assert (found.r, found.pattern) == (Decimal(r), pattern)


@pytest.mark.parametrize(("alt", "alp"), [("40", "120"), (">200", "120"), ("200", "0")])
def test_r_ratio_needs_one_raised_plain_number(alt, alp):
    assert r_ratio(alt=v(alt), alt_uln=Decimal(40), alp=v(alp), alp_uln=Decimal(120)) is None


@pytest.mark.parametrize(
    ("key", "transaminase", "bilirubin", "hit"),
    [
        ("alt", "120", "2.01", True),
        ("ast", "120", "2.01", True),
        ("alt", "119.9", "2.01", False),
        ("alt", "120", "2.0", False),
        ("alt", ">1000", "2.5", True),
        ("alt", ">100", "2.5", False),
        ("alt", "<500", "2.5", False),
        ("alt", "120", ">2.0", True),
        ("alt", "120", ">=2.0", False),
        ("ggt", "900", "2.5", False),
        ("alt", "HEMOLYZED", "2.5", False),
    ],
)
def test_possible_hys_law_thresholds(key, transaminase, bilirubin, hit):
    readings = [reading(key, transaminase, "40"), reading("bilirubin_total", bilirubin, "1.0")]
    assert (possible_hys_law(readings) is not None) is hit


def test_window_is_seven_days_or_one_report():
    def found(days, seconds=0, report="R2"):
        return possible_hys_law(
            [
                reading("alt", "200", "40"),
                reading("bilirubin_total", "3", "1.0", days=days, seconds=seconds, report=report),
            ]
        )

    assert found(7) is not None
    assert found(7, seconds=1) is None
    assert found(30, report="R1") is not None


def test_high_alp_is_information_and_does_not_silence():
    base = [reading("alt", "200", "40"), reading("bilirubin_total", "3", "1.0")]
    assert possible_hys_law(base).alp_at_least_twice_uln is None
    assert possible_hys_law([*base, reading("alp", "240", "120")]).alp_at_least_twice_uln is True
    assert possible_hys_law([*base, reading("alp", "239", "120")]).alp_at_least_twice_uln is False


def test_missing_limit_cannot_meet_the_number():
    assert (
        possible_hys_law([reading("alt", "900", None), reading("bilirubin_total", "9", "1.0")])
        is None
    )


def test_latest_pair_is_the_evidence():
    readings = [
        reading("alt", "200", "40"),
        reading("bilirubin_total", "3", "1.0"),
        reading("alt", "300", "40", days=3, report="R2"),
        reading("bilirubin_total", "4", "1.0", days=3, report="R2"),
    ]
    found = possible_hys_law(readings)
    assert (found.transaminase, found.bilirubin) == ("alt-300-3", "bilirubin_total-4-3")
