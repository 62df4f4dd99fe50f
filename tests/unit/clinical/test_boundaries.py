"""HL7-7: both sides of every threshold of calcium, ALT, AST, ALP and bilirubin, in every unit.

`tests/golden/boundaries.csv` is written from the rules, each row with the section it follows.
"""

import csv
from pathlib import Path

import pytest

from clinical.reference_ranges import parse_reference_range
from clinical.units import normalise_unit
from clinical.values import parse_value
from clinical.verdict import ResultInput, judge

GOLDEN = Path(__file__).parents[2] / "golden" / "boundaries.csv"
with GOLDEN.open(encoding="utf-8", newline="") as table:
    CASES = list(csv.DictReader(table))


@pytest.mark.parametrize(
    "case", CASES, ids=lambda c: f"{c['analyte']} {c['value']} {c['unit']} [{c['range']}]"
)
def test_boundary(case: dict[str, str]) -> None:
    analyte = case["analyte"]
    verdict = judge(
        ResultInput(
            analyte_key=analyte,
            value=parse_value(case["type"], case["value"]),
            unit_raw=case["unit"],
            unit=normalise_unit(case["unit"], analyte),
            lab_range=parse_reference_range(case["range"], analyte_key=analyte),
            flags=tuple(code for code in case["flags"].split("~") if code),
            status="F",
        )
    )
    assert (verdict.state, "yes" if verdict.staff_critical else "no") == (
        case["state"],
        case["staff_critical"],
    )


def test_every_analyte_is_there_from_both_sides() -> None:
    for analyte in (
        "alt", "ast", "alp", "bilirubin_total",
        "calcium_total", "calcium_corrected", "calcium_ionized",
    ):  # fmt: skip
        states = {case["state"] for case in CASES if case["analyte"] == analyte}
        assert {"LOW", "IN_RANGE", "HIGH"} <= states
