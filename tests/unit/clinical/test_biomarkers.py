"""Tumour markers: thresholds on both sides, and that silence is never negative."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinical.biomarkers import read_marker
from clinical.her2 import her2_of
from clinical.intervals import Interval
from clinical.markers import Finding, Marker, MarkerResult, Reading, Unread, marker_of

ER, ER_PERCENT, PR_PERCENT = "85337-4", "85329-1", "85325-9"
HER2, IHC, ISH = "48676-1", "85319-2", "85318-4"
PIK3CA, BRCA1, BRCA2 = "60033-8", "21636-6", "38530-2"
CPS, IC, OTHER_CLONE = "83052-1", "83057-0", "83055-4"
EVERY_TEST = (ER, ER_PERCENT, PR_PERCENT, HER2, IHC, ISH, PIK3CA, BRCA1, BRCA2, CPS, IC)
NEGATIVE = {Reading.NEGATIVE, Reading.ZERO}


def read(loinc: str, text: str = "", **more: object) -> Finding:
    found = read_marker(MarkerResult(loinc, text=text, **more))  # type: ignore[arg-type]
    assert found is not None
    assert (found.reading is None) is not (found.unread is None)
    return found


def percent(loinc: str, number: str) -> Reading | Unread | None:
    found = read(loinc, number, number=Interval.point(Decimal(number)), unit="%")
    return found.reading or found.unread


@pytest.mark.parametrize(
    ("number", "er", "pr"),
    [
        ("0", Reading.NEGATIVE, Reading.NEGATIVE),
        ("0.99", Reading.NEGATIVE, Reading.NEGATIVE),
        ("1", Reading.LOW, Reading.POSITIVE),
        ("10", Reading.LOW, Reading.POSITIVE),
        ("10.01", Reading.POSITIVE, Reading.POSITIVE),
        ("100", Reading.POSITIVE, Reading.POSITIVE),
        ("100.5", Unread.OUT_OF_BOUNDS, Unread.OUT_OF_BOUNDS),
        ("-1", Unread.OUT_OF_BOUNDS, Unread.OUT_OF_BOUNDS),
    ],
)
def test_receptors_are_read_at_one_and_ten_percent(number: str, er: Reading, pr: Reading) -> None:
    assert percent(ER_PERCENT, number) == er
    assert percent(PR_PERCENT, number) == pr


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("Positive", Reading.POSITIVE),
        ("POSITIVE (95 %)", Reading.POSITIVE),
        ("Positive, 95% of tumor cells", Reading.POSITIVE),
        ("positive (5%)", Reading.LOW),
        ("Low positive (5 %)", Reading.LOW),
        ("Low Positive", Reading.LOW),
        ("95 %", Reading.POSITIVE),
        ("90-100%", Reading.POSITIVE),
        (">90 %", Reading.POSITIVE),
        (">10%", Reading.POSITIVE),
        ("1-10 %", Reading.LOW),
        ("<1%", Reading.NEGATIVE),
        ("Negative (<1 %)", Reading.NEGATIVE),
        ("negative, 0%", Reading.NEGATIVE),
        ("Negative.", Reading.NEGATIVE),
        ("Allred score 3/8", Reading.POSITIVE),
        ("Positive (Allred score 8/8)", Reading.POSITIVE),
        ("Allred 2", Reading.NEGATIVE),
        ("Equivocal", Reading.EQUIVOCAL),
    ],
)
def test_known_words_about_a_receptor_are_read(text: str, reading: Reading) -> None:
    assert read(ER, text).reading is reading


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        ("Positive (0 %)", Unread.CONTRADICTION),
        ("Negative (1 %)", Unread.CONTRADICTION),
        ("Negative (80 %)", Unread.CONTRADICTION),
        ("<=1 %", Unread.BETWEEN),
        ("<5 %", Unread.BETWEEN),
        (">=10 %", Unread.BETWEEN),
        ("0-1 %", Unread.BETWEEN),
        ("5-50 %", Unread.BETWEEN),
        ("Allred 1", Unread.OUT_OF_BOUNDS),
        ("Allred 9", Unread.OUT_OF_BOUNDS),
        ("95", Unread.UNKNOWN_TEXT),
        ("negative for malignancy", Unread.UNKNOWN_TEXT),
        ("not negative", Unread.UNKNOWN_TEXT),
        ("negative or positive", Unread.UNKNOWN_TEXT),
        ("see report", Unread.UNKNOWN_TEXT),
        ("", Unread.MISSING),
        ("Not tested", Unread.NOT_TESTED),
        ("Negative control failed", Unread.NOT_TESTED),
    ],
)
def test_everything_else_about_a_receptor_is_left_to_people(text: str, unread: Unread) -> None:
    assert read(ER, text).unread is unread


@pytest.mark.parametrize(
    ("text", "reading", "detail"),
    [
        ("0", Reading.ZERO, "IHC 0"),
        ("Negative (0)", Reading.ZERO, "IHC 0"),
        ("0 with membrane staining", Reading.ULTRALOW, "IHC 0 with membrane staining"),
        ("0 (with faint membrane staining in <=10 % of tumor cells)", Reading.ULTRALOW,
         "IHC 0 with membrane staining"),
        ("1+", Reading.LOW, "IHC 1+"),
        ("1", Reading.LOW, "IHC 1+"),
        ("Negative (1+)", Reading.LOW, "IHC 1+"),
        ("2+", Reading.EQUIVOCAL, "IHC 2+"),
        ("Equivocal (2+)", Reading.EQUIVOCAL, "IHC 2+"),
        ("IHC 3+", Reading.POSITIVE, "IHC 3+"),
        ("Positive (IHC 3+)", Reading.POSITIVE, "IHC 3+"),
        ("Positive", Reading.POSITIVE, "positive"),
    ],
)  # fmt: skip
def test_the_her2_stain_is_read_by_its_score(text: str, reading: Reading, detail: str) -> None:
    found = read(IHC, text)
    assert (found.reading, found.detail) == (reading, detail)


@pytest.mark.parametrize("text", ["Positive (1+)", "Negative (2+)", "Negative (3+)", "Low (0)"])
def test_a_score_against_its_word_is_a_contradiction(text: str) -> None:
    assert read(IHC, text).unread is Unread.CONTRADICTION


@pytest.mark.parametrize("text", ["4+", "0+", "2.5", "1-2+", "score pending", "2+ 3+"])
def test_no_other_score_is_read(text: str) -> None:
    assert read(IHC, text).reading is None


def test_a_bare_digit_is_a_score_only_of_the_stain() -> None:
    assert read(HER2, "2").unread is Unread.UNKNOWN_TEXT
    assert read(HER2, "2+").reading is Reading.EQUIVOCAL


@pytest.mark.parametrize(
    ("ihc", "ish", "expected"),
    [
        ("2+", "Not amplified", Reading.LOW),
        ("2+", "Amplified", Reading.POSITIVE),
        ("2+", "Equivocal", Reading.EQUIVOCAL),
        ("3+", "Amplified", Reading.POSITIVE),
        ("1+", "Not amplified", Reading.LOW),
        ("0", "Not amplified", Reading.ZERO),
        ("0 with membrane staining", "Not amplified", Reading.ULTRALOW),
        ("3+", "Not amplified", Unread.CONTRADICTION),
        ("0", "Amplified", Unread.CONTRADICTION),
        ("1+", "Equivocal", Reading.EQUIVOCAL),
        ("2+", "Not performed", Unread.NOT_TESTED),
        ("Cancelled", "Not amplified", Unread.NOT_TESTED),
    ],
)
def test_stain_and_hybridisation_together(ihc: str, ish: str, expected: Reading | Unread) -> None:
    found = her2_of(read(IHC, ihc), read(ISH, ish))
    assert (found.reading or found.unread) == expected


@pytest.mark.parametrize(
    ("text", "reading", "detail"),
    [
        ("Pathogenic variant detected (p.H1047R)", Reading.POSITIVE,
         "pathogenic variant detected (p.h1047r)"),
        ("Likely pathogenic", Reading.POSITIVE, "likely pathogenic"),
        ("Variant of unknown significance", Reading.UNCERTAIN, "variant of unknown significance"),
        ("VUS: c.123A>G", Reading.UNCERTAIN, "vus (c.123a>g)"),
        ("Not detected", Reading.NEGATIVE, "not detected"),
        ("No pathogenic variants detected", Reading.NEGATIVE, "no pathogenic variants detected"),
        ("Wild type", Reading.NEGATIVE, "wild type"),
    ],
)  # fmt: skip
def test_variants_are_read_by_their_class(text: str, reading: Reading, detail: str) -> None:
    found = read(BRCA1, text)
    assert (found.marker, found.reading, found.detail) == (Marker.BRCA1, reading, detail)


@pytest.mark.parametrize("text", ["Not detected (exon 9 only)", "p.H1047R", "benign", "detected?"])
def test_a_variant_in_other_words_is_left_to_people(text: str) -> None:
    assert read(PIK3CA, text).unread is Unread.UNKNOWN_TEXT


def test_the_gene_of_an_open_variant_test_stands_in_its_name() -> None:
    test = marker_of("53037-8", "ESR1 variant significance")
    assert test is not None
    assert test.marker is Marker.ESR1
    assert marker_of("53037-8", "Genetic variation clinical significance") is None
    assert marker_of("53037-8", "BRCA1 and BRCA2") is None
    assert marker_of("1742-6", "ESR1") is None


@pytest.mark.parametrize("loinc", ["69548-6", "81247-9"])
def test_the_presence_of_one_variant_says_nothing_of_the_gene(loinc: str) -> None:
    for said in ("Present", "Detected", "Absent", "Not detected"):
        assert read_marker(MarkerResult(loinc, name="PIK3CA variant", text=said)) is None


@pytest.mark.parametrize(
    ("text", "codes", "expected"),
    [
        ("", ("LA6668-3",), Reading.POSITIVE),
        ("Likely pathogenic", ("LA26332-9",), Reading.POSITIVE),
        ("", ("LA26333-7",), Reading.UNCERTAIN),
        ("", ("LA26334-5",), Unread.UNKNOWN_TEXT),
        ("Benign", ("LA6675-8",), Unread.UNKNOWN_TEXT),
        ("Not detected", (), Unread.UNKNOWN_TEXT),
        ("Negative", (), Unread.UNKNOWN_TEXT),
        ("Detected", (), Unread.UNKNOWN_TEXT),
    ],
)
def test_a_harmless_variant_is_no_negative_gene(
    text: str, codes: tuple[str, ...], expected: Reading | Unread
) -> None:
    found = read_marker(MarkerResult("53037-8", name="BRCA2 significance", text=text, codes=codes))
    assert found is not None
    assert (found.reading or found.unread) == expected


@pytest.mark.parametrize("code", ["LA13538-6", "373121007"])
def test_a_code_for_not_tested_is_never_negative(code: str) -> None:
    assert read(ER, codes=(code,)).unread is Unread.NOT_TESTED
    assert read(ER, "Negative", codes=(code,)).unread is Unread.CONTRADICTION


def test_the_clone_of_the_code_stands_against_a_name() -> None:
    other = MarkerResult(OTHER_CLONE, name="PD-L1 22C3", text="CPS 20")
    found = read_marker(other)
    assert found is not None
    assert found.unread is Unread.ASSAY_UNKNOWN


@pytest.mark.parametrize(
    ("loinc", "text", "expected"),
    [
        (CPS, "CPS 10", Reading.POSITIVE),
        (CPS, "CPS 9.9", Reading.NEGATIVE),
        (CPS, "CPS: 12", Reading.POSITIVE),
        (CPS, "CPS < 10", Reading.NEGATIVE),
        (CPS, "CPS < 20", Unread.BETWEEN),
        (CPS, "CPS >= 10", Reading.POSITIVE),
        (CPS, "CPS >= 1", Unread.BETWEEN),
        (CPS, "Positive", Unread.UNKNOWN_TEXT),
        (CPS, "TPS 50 %", Unread.UNKNOWN_TEXT),
        (IC, "IC 1 %", Reading.POSITIVE),
        (IC, "IC 0.9 %", Reading.NEGATIVE),
        (IC, "IC < 1 %", Reading.NEGATIVE),
        (IC, "5 % immune cells", Reading.POSITIVE),
        (IC, "CPS 20", Unread.UNKNOWN_TEXT),
        (OTHER_CLONE, "CPS 20", Unread.ASSAY_UNKNOWN),
    ],
)
def test_pd_l1_keeps_to_the_cut_off_of_its_assay(
    loinc: str, text: str, expected: Reading | Unread
) -> None:
    found = read(loinc, text)
    assert (found.reading or found.unread) == expected
    if found.reading is not None:
        assert ("22C3" if loinc == CPS else "SP142") in found.detail


def test_codes_are_read_and_may_not_contradict_the_text() -> None:
    assert read(ER, codes=("10828004",)).reading is Reading.POSITIVE
    assert read(ER, codes=("LA6577-6",)).reading is Reading.NEGATIVE
    assert read(ER, codes=("42425007",)).reading is Reading.EQUIVOCAL
    assert read(ER, "Positive", codes=("10828004",)).reading is Reading.POSITIVE
    assert read(ER, "Negative", codes=("10828004",)).unread is Unread.CONTRADICTION
    assert read(ER, "Positive", codes=("260385009",)).unread is Unread.CONTRADICTION
    assert read(ER, "Positive", codes=("10828004", "260385009")).unread is Unread.CONTRADICTION
    assert read(ER, codes=("385432009",)).unread is Unread.MISSING


def test_other_tests_are_no_markers() -> None:
    assert read_marker(MarkerResult("1742-6", text="positive")) is None


# --- silence is never negative -------------------------------------------------------------------

SILENCE = st.sampled_from(
    [
        "", " ", "Not tested", "not done", "NOT PERFORMED", "QNS", "insufficient tissue",
        "Insufficient", "cancelled", "Canceled by lab", "pending", "unknown", "n/a", "NA",
        "not evaluable", "not assessable", "no tumor in block", "failed", "specimen lost",
        "inadequate sample", "not reported", "to follow", "unsatisfactory", "declined",
    ]
)  # fmt: skip
AROUND = st.sampled_from(["", "Negative", "negative, ", "0 %", "<1%", "0", "Not detected; ", "1+"])


@given(st.sampled_from(EVERY_TEST), SILENCE, AROUND, st.booleans())
def test_what_was_not_tested_is_never_negative(
    loinc: str, silence: str, around: str, first: bool
) -> None:
    said = silence.strip()
    text = f"{silence} {around}" if first else f"{around} {silence}"
    assert read(loinc, silence).reading is None
    if said:
        assert read(loinc, text).reading is None


@given(st.sampled_from(EVERY_TEST), st.text(max_size=30))
def test_no_unknown_text_is_negative(loinc: str, text: str) -> None:
    found = read(loinc, text)
    if found.reading in NEGATIVE:
        said = " ".join(text.lower().split()).rstrip(".! ")
        assert any(
            word in said for word in ("neg", "not", "no ", "absent", "wild", "0", "<", "non")
        )


@given(
    st.sampled_from(EVERY_TEST),
    st.sampled_from(["Negative", "0", "Not detected", "<1 %", "Not amplified", "CPS 1", "IC 0 %"]),
)
def test_no_unfinished_result_is_read(loinc: str, text: str) -> None:
    assert read(loinc, text, is_final=False).unread is Unread.NOT_FINAL


@given(st.decimals(0, 100, places=2), st.decimals(0, 100, places=2))
def test_a_range_is_negative_only_when_all_of_it_is(a: Decimal, b: Decimal) -> None:
    low, high = sorted((a, b))
    found = read(ER_PERCENT, f"{low}-{high}", number=Interval(low, high), unit="%")
    assert (found.reading is Reading.NEGATIVE) is (high < 1)
    assert (found.reading is Reading.LOW) is (low >= 1 and high <= 10)
    assert (found.reading is Reading.POSITIVE) is (low > 10)


@given(st.decimals(0, 100, places=1), st.sampled_from(["", "mg/dL", "score", "10*3/uL"]))
def test_a_number_without_percent_is_not_read(number: Decimal, unit: str) -> None:
    found = read(ER_PERCENT, str(number), number=Interval.point(number), unit=unit)
    assert found.unread is Unread.UNKNOWN_TEXT
