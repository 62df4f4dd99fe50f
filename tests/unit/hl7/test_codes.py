import pytest

from labs.hl7.codes import CodedElement, LoincChoice, choose_loinc, is_loinc, loinc_faults


@pytest.mark.parametrize(
    "code", ["17861-6", "1751-7", "1742-6", "2823-3", "24323-8", "98979-8", "4548-4", "718-7"]
)
def test_real_loinc_codes_pass_their_check_digit(code: str) -> None:
    assert is_loinc(code)
    wrong = f"{code[:-1]}{(int(code[-1]) + 1) % 10}"
    assert not is_loinc(wrong)


@pytest.mark.parametrize(
    "code", ["", "CA", "17861", "17861-", "-6", "017861-6", "17861-66", "17861\u20136", "١٧٨٦١-٦"]
)
def test_other_shapes_are_no_loinc(code: str) -> None:
    assert not is_loinc(code)


def coded(*parts: str) -> CodedElement:
    return CodedElement(*parts)


@pytest.mark.parametrize(
    ("code", "chosen"),
    [
        (coded("17861-6", "Calcium", "LN"), ("17861-6", "Calcium", "primary", "stated")),
        (
            coded("CA", "Ca", "L", "17861-6", "Calcium", "LN"),
            ("17861-6", "Calcium", "alternate", "stated"),
        ),
        (coded("17861-6", "Calcium"), ("17861-6", "Calcium", "primary", "shape")),
        (
            coded("CA", "Ca", "L", "17861-6", "Calcium"),
            ("17861-6", "Calcium", "alternate", "shape"),
        ),
        (
            coded("1554-5", "GLUCOSE", "POST 12H CFST:MCNC"),
            ("1554-5", "GLUCOSE", "primary", "shape"),
        ),
        (
            coded("2823-3", "K", "", "17861-6", "Calcium", "LN"),
            ("17861-6", "Calcium", "alternate", "stated"),
        ),
        (coded("17861-6", "Ca", "2.16.840.1.113883.6.1"), ("17861-6", "Ca", "primary", "stated")),
        (coded("17861-6", "Ca", "ln"), ("17861-6", "Ca", "primary", "stated")),
        (
            coded("17861-6", "Ca", "LN", "17861-6", "Ca", "LN"),
            ("17861-6", "Ca", "primary", "stated"),
        ),
    ],
)
def test_loinc_is_chosen_from_either_triplet(
    code: CodedElement, chosen: tuple[str, str, str, str]
) -> None:
    assert choose_loinc(code) == LoincChoice(*chosen)
    assert loinc_faults(code) == ()


@pytest.mark.parametrize(
    ("code", "faults"),
    [
        (coded("17861-6", "Ca", "L"), ()),
        (coded("17861-6", "Ca", "99LAB"), ()),
        (coded("GLU", "Glucose", "LN"), ()),
        (coded("17861-5", "Ca"), ()),
        (coded("17861-5", "Ca", "LN"), ("loinc-check-digit",)),
        (coded("17861-6", "Ca", "LN", "1751-7", "Albumin", "LN"), ("loinc-conflict",)),
        (coded(), ()),
    ],
)
def test_doubtful_codes_are_not_chosen(code: CodedElement, faults: tuple[str, ...]) -> None:
    assert choose_loinc(code) is None
    assert loinc_faults(code) == faults
