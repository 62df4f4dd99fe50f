"""Units, the catalogue, and conversion."""

import re
from decimal import Decimal

import pytest

from clinical.analytes import analytes, by_key, by_loinc, loinc_code
from clinical.reference_data import rows
from clinical.units import accepts, convert, normalise_unit, unit_of_ucum


def ucum(raw, analyte=None, **more):
    unit = normalise_unit(raw, analyte, **more)
    return None if unit is None else unit.ucum


@pytest.mark.parametrize(
    ("raw", "analyte", "expected"),
    [
        ("mg/dL", None, "mg/dL"),
        ("MG/DL", None, "mg/dL"),
        ("mg / dL", None, "mg/dL"),
        ("mg%", None, "mg/dL"),
        ("µmol/L", None, "umol/L"),
        ("μmol/L", None, "umol/L"),
        ("mcmol/l", None, "umol/L"),
        ("mEq/L", None, "meq/L"),
        ("K/uL", None, "10*3/uL"),
        ("K/mm3", "wbc", "10*3/uL"),
        ("X10 9/L", "wbc", "10*9/L"),
        ("IU/L", "alt", "U/L"),
        ("IU/L", "ca_15_3", None),
        ("IU/L", None, None),
        ("G/L", "wbc", "10*9/L"),
        ("G/L", "albumin", None),
        ("G/L", "hemoglobin", None),
        ("G/L", None, None),
        ("M/uL", "rbc", "10*6/uL"),
        ("M/uL", "wbc", None),
        ("[arb'U]/mL", "ca_15_3", "U/mL"),
        ("[arb'U]/mL", "cea", None),
        ("AU/mL", "ca_15_3", None),
        ("mL/min/1.73m2", "egfr", "mL/min/{1.73_m2}"),
        ("mg/L", None, "mg/L"),
        ("", None, None),
        ("   ", None, None),
        ("furlong", None, None),
        ("\x00", None, None),
    ],
)
def test_spelling_to_ucum(raw, analyte, expected):
    assert ucum(raw, analyte) == expected


def test_sender_alias_comes_first_and_must_be_ucum():
    assert ucum("AU/mL", "ca_15_3", sender_aliases={"AU/mL": "U/mL"}) == "U/mL"
    assert ucum("IE/L", "alt", sender_aliases={"IE/L": "U/L"}) == "U/L"
    assert ucum("IE/L", "alt", sender_aliases={"IE/L": "nonsense"}) is None


def test_every_alias_of_the_source_table_is_handled():
    for row in rows("unit_aliases"):
        keys = [None, *(analyte.key for analyte in analytes())]
        reached = {ucum(row["alias_as_sent"], key) for key in keys} - {None}
        expected = row["ucum"].rpartition("treat as ")[2]
        if row["alias_as_sent"] in ("", "AU/mL"):
            assert reached == set()
        else:
            assert reached == {expected}


@pytest.mark.parametrize(
    ("number", "source", "target", "analyte", "expected"),
    [
        ("1500", "/uL", "10*9/L", None, "1.5"),
        ("1499", "/uL", "10*9/L", None, "1.499"),
        ("4.0", "g/dL", "g/L", None, "40"),
        ("28", "g/L", "g/dL", None, "2.8"),
        ("1", "ukat/L", "U/L", None, "60"),
        ("45", "%", "L/L", None, "0.45"),
        ("31", "U/mL", "kU/L", None, "31"),
        ("0", "g/dL", "g/L", None, "0"),
        ("10", "mg/dL", "mmol/L", "calcium_total", "2.495"),
        ("2.495", "mmol/L", "mg/dL", "calcium_total", "10"),
        ("5", "meq/L", "mmol/L", "calcium_total", "2.5"),
        ("140", "meq/L", "mmol/L", "sodium", "140"),
        ("2.5", "mmol/L", "meq/L", "calcium_ionized", "5"),
        ("1", "mg/dL", "umol/L", "bilirubin_total", "17.1"),
    ],
)
def test_conversion(number, source, target, analyte, expected):
    got = convert(
        Decimal(number),
        unit_of_ucum(source),
        unit_of_ucum(target),
        None if analyte is None else by_key(analyte),
    )
    assert got == Decimal(expected)


@pytest.mark.parametrize(
    ("source", "target", "analyte"),
    [
        ("mg/dL", "mmol/L", None),
        ("mmol/L", "g/dL", "hemoglobin"),
        ("umol/L", "g/dL", "albumin"),
        ("U/L", "mg/dL", "alt"),
        ("U/L", "U/mL", "ca_15_3"),
        ("mg/dL", "mmol/L", "urea"),
        ("%", "g/dL", "albumin"),
        ("10*3/uL", "%", "neutrophils_abs"),
    ],
)
def test_no_conversion_across_families_without_a_safe_factor(source, target, analyte):
    known = None if analyte is None else by_key(analyte)
    assert convert(Decimal(1), unit_of_ucum(source), unit_of_ucum(target), known) is None


def test_charge_is_used_for_molar_analytes_only():
    assert convert(Decimal(1), unit_of_ucum("meq/L"), unit_of_ucum("U/L"), by_key("alt")) is None


def test_conversion_never_writes_an_exponent():
    assert str(convert(Decimal(2), unit_of_ucum("g/dL"), unit_of_ucum("mg/dL"))) == "2000"


def test_every_source_loinc_is_listed_once():
    source = {
        code
        for row in rows("analytes")
        for code in [row["loinc_primary"], *re.findall(r"\b(\d+-\d)\[", row["loinc_alternates"])]
    }
    listed = [row["loinc"] for row in rows("loincs")]
    assert sorted(source) == sorted(listed)


@pytest.mark.parametrize(
    ("code", "key"),
    [
        ("1975-2", "bilirubin_total"),
        ("14631-6", "bilirubin_total"),
        ("1968-7", "bilirubin_direct"),
        ("1971-1", "bilirubin_indirect"),
        ("17861-6", "calcium_total"),
        ("1995-0", "calcium_ionized"),
        ("46099-8", "calcium_corrected"),
        ("29265-6", "calcium_corrected"),
        ("18281-6", "calcium_protein_corrected"),
        ("34907-6", "calcium_protein_corrected"),
        ("3094-0", "bun"),
        ("3091-6", "urea"),
        ("22664-7", "urea"),
        ("17838-4", "alp_bone"),
        ("788-0", "rdw"),
        ("21000-5", "rdw_sd"),
        ("19166-8", "cea_arbitrary"),
        (" 1742-6 ", "alt"),
    ],
)
def test_code_to_analyte(code, key):
    analyte = by_loinc(code)
    assert analyte is not None
    assert analyte.key == key
    assert code.strip() in analyte.loincs


@pytest.mark.parametrize("code", ["", "0000-0", "17862-4", "CA 15-3", "1742"])
def test_unlisted_code(code):
    assert by_loinc(code) is None


def test_method_families_keep_lines_apart():
    families = {code: loinc_code(code).method_family for code in ("62238-1", "98979-8", "33914-3")}
    assert len(set(families.values())) == 3
    assert loinc_code("14804-9").method_family != loinc_code("14805-6").method_family
    assert loinc_code("57333-7").method_family != loinc_code("1995-0").method_family


def test_every_analyte_is_complete():
    for analyte in analytes():
        for code in (*analyte.accepted_ucum, analyte.orientation_ucum):
            unit_of_ucum(code)
        for limits in (analyte.plausible, analyte.critical):
            if limits is not None:
                assert accepts(analyte, unit_of_ucum(limits.ucum))
        assert analyte.concern in ("high", "low", "both", "none")
        assert analyte.loinc_primary in analyte.loincs


def test_suspect_windows_match_the_source_text():
    for row in rows("suspect_units"):
        source = next(r for r in rows("analytes") if r["analyte_key"] == row["analyte_key"])
        number = f"{row['low']}-{row['high']}" if row["high"] else f">{row['low']}"
        verb = "suspect " if row["action"] == "suspect" else "ask (could be "
        text = source["suspect_unit_rule"].replace("fraction (L/L)", "L/L")
        assert f"{number} labelled {row['labelled']} -> {verb}{row['suspected']}" in text
    described = sum(r["suspect_unit_rule"].count(" labelled ") for r in rows("analytes"))
    assert described == len(rows("suspect_units"))


@pytest.mark.parametrize(
    ("key", "number", "unit", "hit"),
    [
        ("calcium_total", "1.0", "mg/dL", True),
        ("calcium_total", "3.9", "mg/dL", True),
        ("calcium_total", "3.95", "mg/dL", False),
        ("calcium_total", "4.0", "mmol/L", True),
        ("wbc", "1000", "10*3/uL", False),
        ("wbc", "1001", "10*3/uL", True),
    ],
)
def test_suspect_window_edges(key, number, unit, hit):
    suspects = by_key(key).suspect_units
    assert any(suspect.matches(Decimal(number), unit) for suspect in suspects) is hit


def test_orientation_range_depends_on_sex():
    hemoglobin = by_key("hemoglobin")
    assert hemoglobin.orientation("female") == (Decimal("12.0"), Decimal("16.0"))
    assert hemoglobin.orientation("male") == (Decimal("14.0"), Decimal("17.0"))
