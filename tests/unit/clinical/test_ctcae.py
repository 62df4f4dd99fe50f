"""CTCAE grades: every published edge, then limits, units, comparators and baselines."""

import csv
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinical.analytes import by_key
from clinical.ctcae import Ungraded, grade_result
from clinical.units import unit_of_ucum
from clinical.values import parse_value, quantity

GOLDEN = Path(__file__).parents[2] / "golden" / "ctcae_vectors.csv"
with GOLDEN.open(encoding="utf-8", newline="") as table:
    VECTORS = list(csv.DictReader(table))
MODERATE = settings(max_examples=150, deadline=None, derandomize=True)


def number(text):
    return Decimal(text) if text else None


def grades(analyte, value, unit, lln=None, uln=None, baseline=None, version="5.0", kind="ST"):
    return {
        grade.term: grade
        for grade in grade_result(
            analyte_key=analyte,
            value=parse_value(kind, value),
            unit=unit_of_ucum(unit),
            lln=number(lln),
            uln=number(uln),
            baseline=number(baseline),
            version=version,
        )
    }


@pytest.mark.parametrize(
    "vector", VECTORS, ids=lambda v: f"v{v['ctcae_version']}-{v['analyte_key']}-{v['value']}"
)
def test_golden_grade(vector):
    unit = vector["unit"]
    if unit == "any (ratio)":
        unit = by_key(vector["analyte_key"]).ucum_conventional
    found = grades(
        vector["analyte_key"],
        vector["value"],
        unit,
        vector["lln"],
        vector["uln"],
        vector["baseline"],
        vector["ctcae_version"],
    )
    assert found[vector["term"]].grade == int(vector["expected_grade"]), vector["why"]


def test_golden_table_is_whole():
    assert len(VECTORS) == 123


ALT = "Alanine aminotransferase increased"


def test_no_limit_means_cannot_tell():
    found = grades("alt", "55", "U/L")[ALT]
    assert (found.grade, found.why) == (None, Ungraded.LIMIT_MISSING)


def test_absolute_cuts_grade_without_a_limit():
    low = grades("hemoglobin", "9.9", "g/dL")["Anemia"]
    assert low.grade == 2
    assert grades("hemoglobin", "10", "g/dL")["Anemia"].why is Ungraded.LIMIT_MISSING


def test_counts_are_graded_exactly_after_conversion():
    assert grades("neutrophils_abs", "1500", "/uL", "1800")["Neutrophil count decreased"].grade == 1
    assert grades("neutrophils_abs", "1499", "/uL", "1800")["Neutrophil count decreased"].grade == 2


def test_calcium_is_graded_in_the_unit_the_lab_used():
    conventional = grades("calcium_corrected", "11.55", "mg/dL", "8.6", "10.2")
    si = grades("calcium_corrected", "2.88", "mmol/L", "2.15", "2.55")
    assert conventional["Hypercalcemia"].grade == 2
    assert si["Hypercalcemia"].grade == 1
    assert conventional["Hypocalcemia"].grade == 0


def test_equivalents_are_exact_millimoles():
    found = grades("calcium_ionized", "3.02", "meq/L", "2.28", "2.70")
    assert found["Hypercalcemia"].grade == 2


def test_total_calcium_is_not_graded():
    assert grades("calcium_total", "12", "mg/dL", "8.6", "10.2") == {}


def test_unit_without_rows_is_not_graded():
    found = grades("magnesium", "1", "g/dL", "0.7", "1.0")["Hypomagnesemia"]
    assert found.why is None
    wrong = grades("hemoglobin", "10", "U/L", "12")["Anemia"]
    assert wrong.why is Ungraded.UNIT


def test_words_are_not_graded():
    assert grades("alt", "HEMOLYZED", "U/L", "10", "40")[ALT].why is Ungraded.NOT_NUMERIC


@pytest.mark.parametrize(
    ("value", "grade", "at_least", "why"),
    [
        (">1000", 4, False, None),
        (">800", 4, False, None),
        (">=800", 3, True, None),
        (">200", 3, True, None),
        (">30", None, False, Ungraded.OPEN_INTERVAL),
        ("<40", 0, False, None),
        ("<=40", 0, False, None),
        ("<50", None, False, Ungraded.OPEN_INTERVAL),
        ("50-60", 1, False, None),
        ("100-150", 1, True, None),
    ],
)
def test_comparators_give_a_grade_only_when_it_is_certain(value, grade, at_least, why):
    found = grades("alt", value, "U/L", "10", "40")[ALT]
    assert (found.grade, found.at_least, found.why) == (grade, at_least, why)


def test_low_analyte_with_a_comparator():
    found = grades("platelets", "<25", "10*3/uL", "150")["Platelet count decreased"]
    assert (found.grade, found.at_least) == (4, False)
    assert grades("platelets", "<30", "10*3/uL", "150")["Platelet count decreased"].at_least


def test_baseline_unknown_is_said_only_where_a_baseline_matters():
    assert grades("alt", "50", "U/L", "10", "40")[ALT].baseline_unknown
    assert not grades("alt", "50", "U/L", "10", "40", "20")[ALT].baseline_unknown
    assert not grades("hemoglobin", "11", "g/dL", "12")["Anemia"].baseline_unknown


def test_version_6_alp_needs_a_baseline():
    term = "Alkaline phosphatase increased"
    assert (
        grades("alp", "500", "U/L", "30", "120", version="6.0")[term].why
        is Ungraded.BASELINE_MISSING
    )
    assert grades("alp", "120", "U/L", "30", "120", version="6.0")[term].grade == 0


def test_creatinine_baseline_half_has_no_upper_bound():
    term = "Creatinine increased"
    assert grades("creatinine", "2.8", "mg/dL", "0.3", "1.1", "0.4")[term].grade == 3
    assert grades("creatinine", "1.2", "mg/dL", "0.3", "1.1", "0.4")[term].grade == 2


def test_creatinine_grades_by_baseline_when_the_limit_is_missing():
    term = "Creatinine increased"
    assert grades("creatinine", "1.6", "mg/dL", baseline="1.0")[term].grade == 2
    unknown = grades("creatinine", "1.2", "mg/dL", baseline="1.0")[term]
    assert unknown.why is Ungraded.LIMIT_MISSING


@MODERATE
@given(
    st.decimals("0.1", 5000, places=1),
    st.decimals("0.1", 500, places=1),
    st.decimals(10, 100, places=0),
    st.one_of(st.none(), st.decimals(5, 500, places=0)),
    st.sampled_from(["5.0", "6.0"]),
)
def test_a_higher_number_never_has_a_lower_grade(value, more, uln, baseline, version):
    def grade(n):
        return grade_result(
            analyte_key="alt",
            value=quantity(n),
            unit=unit_of_ucum("U/L"),
            lln=None,
            uln=uln,
            baseline=baseline,
            version=version,
        )[0].grade

    assert grade(value) <= grade(value + more)
