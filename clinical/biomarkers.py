"""Read one tumour marker result into a finding, or say why it cannot be read.

Public: `read_marker(MarkerResult)`, `RULE_VERSION`.

A finding is only ever proposed; a clinician decides. Only whole, known texts are read: whatever
is missing, not tested, cancelled, insufficient or unknown is never read as negative.

Source: `clinical.receptors`, `clinical.her2`; PD-L1 in breast cancer: 22C3 combined positive
score at least 10 (KEYNOTE-355), SP142 immune cells at least 1 % (IMpassion130); variants by the
words of ACMG/AMP 2015; answers of LOINC and qualifiers of SNOMED CT.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from clinical.her2 import ISH_WORDS, read_ihc
from clinical.markers import (
    NUMBER,
    Finding,
    Found,
    Kind,
    MarkerResult,
    MarkerTest,
    Reading,
    Unread,
    marker_of,
    of_words,
)
from clinical.receptors import read_receptor

RULE_VERSION: Final = "biomarkers-2"


def read_marker(result: MarkerResult) -> Finding | None:
    """Return the finding of one result; None when it tests no marker."""
    test = marker_of(result.loinc, result.name)
    if test is None:
        return None
    found = _read(test, result)
    reading, unread = (found.what, None) if isinstance(found.what, Reading) else (None, found.what)
    return Finding(test.marker, test.kind, result.text, reading, unread, found.detail)


_NOT_TESTED: Final = re.compile(
    r"\b(?:not (?:tested|done|performed|assessed|evaluated|available|assessable|evaluable"
    r"|interpretable|reported|applicable|received|determined|sent)|insufficient|inadequate|qns|tnp"
    r"|quantity not sufficient|cancell?ed|pending|to follow"
    r"|unknown(?! significance)|unsatisfactory|failed|n/?a"
    r"|no (?:tumou?r|tissue|specimen|sample|result)|lost|ordered|deferred|declined)\b"
)
_CODES: Final[Mapping[str, str]] = MappingProxyType(
    {
        # SNOMED CT qualifiers
        "10828004": "positive",
        "260385009": "negative",
        "260373001": "detected",
        "260415000": "not detected",
        "42425007": "equivocal",
        "82334004": "indeterminate",
        "373121007": "test not done",
        # LOINC answers
        "LA6576-8": "positive",
        "LA6577-6": "negative",
        "LA11882-0": "detected",
        "LA11883-8": "not detected",
        "LA9633-4": "present",
        "LA9634-2": "absent",
        "LA11885-3": "equivocal",
        "LA11884-6": "indeterminate",
        "LA13538-6": "not tested",
        "LA6668-3": "pathogenic",
        "LA26332-9": "likely pathogenic",
        "LA26333-7": "uncertain significance",
        "LA26334-5": "likely benign",
        "LA6675-8": "benign",
    }
)


def _said(result: MarkerResult) -> str:
    """Return the text in one spelling: small letters, single blanks, no closing full stop."""
    said = result.text or next((_CODES[code] for code in result.codes if code in _CODES), "")
    said = _CODES.get(said, said)
    said = said.lower().replace("\u2264", "<=").replace("\u2265", ">=").replace("\u2013", "-")
    return " ".join(said.split()).rstrip(".! ")


def _read(test: MarkerTest, result: MarkerResult) -> Found:
    if not result.is_final:
        return Found(Unread.NOT_FINAL)
    said = _said(result)
    if _NOT_TESTED.search(said):
        return Found(Unread.NOT_TESTED)
    coded = {_CODES[code] for code in result.codes if code in _CODES}
    if not said and result.number is None:
        return Found(Unread.MISSING)
    match test.kind:
        case Kind.PRESENCE | Kind.PERCENT:
            found = read_receptor(test, result, said)
        case Kind.HER2_ISH:
            found = of_words(said, ISH_WORDS)
        case Kind.HER2 | Kind.HER2_IHC:
            found = read_ihc(said, scored=test.kind is Kind.HER2_IHC)
        case Kind.VARIANT:
            found = _variant(said, _VARIANT)
        case Kind.SIGNIFICANCE:
            found = _variant(said, _SIGNIFICANCE)
        case Kind.PDL1:
            found = _pd_l1(test, result, said)
    return found if _agree(found, coded) else Found(Unread.CONTRADICTION)


_POSITIVE_CODES: Final = frozenset(
    {"positive", "detected", "present", "pathogenic", "likely pathogenic"}
)
_NEGATIVE_CODES: Final = frozenset({"negative", "not detected", "absent"})
_POSITIVE_READINGS: Final = frozenset({Reading.POSITIVE, Reading.LOW, Reading.ULTRALOW})
_NEGATIVE_READINGS: Final = frozenset(
    {Reading.NEGATIVE, Reading.ZERO, Reading.ULTRALOW, Reading.LOW}
)


def _agree(found: Found, coded: set[str]) -> bool:
    """Say whether the codes of the value do not contradict its text."""
    if not isinstance(found.what, Reading) or not coded:
        return True
    if coded <= _POSITIVE_CODES:
        return found.what in _POSITIVE_READINGS
    if coded <= _NEGATIVE_CODES:
        return found.what in _NEGATIVE_READINGS
    return found.what in (Reading.EQUIVOCAL, Reading.UNCERTAIN) and len(coded) == 1


_VARIANT: Final = {
    "pathogenic": Reading.POSITIVE,
    "pathogenic variant": Reading.POSITIVE,
    "pathogenic variant detected": Reading.POSITIVE,
    "likely pathogenic": Reading.POSITIVE,
    "likely pathogenic variant": Reading.POSITIVE,
    "likely pathogenic variant detected": Reading.POSITIVE,
    "mutation detected": Reading.POSITIVE,
    "mutated": Reading.POSITIVE,
    "variant of uncertain significance": Reading.UNCERTAIN,
    "variant of unknown significance": Reading.UNCERTAIN,
    "uncertain significance": Reading.UNCERTAIN,
    "vus": Reading.UNCERTAIN,
    "not detected": Reading.NEGATIVE,
    "no mutation detected": Reading.NEGATIVE,
    "no mutations detected": Reading.NEGATIVE,
    "mutation not detected": Reading.NEGATIVE,
    "no pathogenic variant detected": Reading.NEGATIVE,
    "no pathogenic variants detected": Reading.NEGATIVE,
    "wild type": Reading.NEGATIVE,
    "wild-type": Reading.NEGATIVE,
    "wildtype": Reading.NEGATIVE,
    "negative": Reading.NEGATIVE,
    "positive": Reading.POSITIVE,
    "detected": Reading.POSITIVE,
    "indeterminate": Reading.EQUIVOCAL,
    "equivocal": Reading.EQUIVOCAL,
}


# What one variant means; that it is harmless, or not there, says nothing of the gene.
_SIGNIFICANCE: Final = {
    words: reading
    for words, reading in _VARIANT.items()
    if reading is Reading.UNCERTAIN or (reading is Reading.POSITIVE and "pathogenic" in words)
}


def _variant(said: str, words: Mapping[str, Reading]) -> Found:
    """Read a variant; what stands in brackets (the variant's own name) is kept as detail."""
    match = re.fullmatch(r"([^():]+?)(?: \(([^()]{1,60})\)|: ([^():]{1,60}))?", said)
    if match is None:
        return Found(Unread.UNKNOWN_TEXT)
    found = of_words(match[1], words)
    named = match[2] or match[3]
    if not named or not isinstance(found.what, Reading):
        return found
    if found.what is Reading.NEGATIVE:
        return Found(Unread.UNKNOWN_TEXT)
    return Found(found.what, f"{match[1]} ({named})")


_CPS: Final = re.compile(rf"(?:cps|combined positive score)[:=]? ?(<|>=)? ?({NUMBER})")
_IMMUNE_CELLS: Final = re.compile(
    rf"(?:ic|immune cells?)(?: score)?[:=]? ?(<|>=)? ?({NUMBER}) ?%"
    rf"|(<|>=)? ?({NUMBER}) ?% (?:ic|immune cells?)"
)
_CPS_POSITIVE: Final = Decimal(10)
_IC_POSITIVE: Final = Decimal(1)


def _pd_l1(test: MarkerTest, result: MarkerResult, said: str) -> Found:
    """Read a score by the cut-off of its own assay; a bare "positive" names none."""
    assay = test.assay or _assay_in(f"{result.name} {result.method}")
    pattern, cut, most = {
        "22C3": (_CPS, _CPS_POSITIVE, Decimal(100)),
        "SP142": (_IMMUNE_CELLS, _IC_POSITIVE, Decimal(100)),
    }.get(assay, (None, None, None))
    if pattern is None or cut is None or most is None:
        return Found(Unread.ASSAY_UNKNOWN)
    match = pattern.fullmatch(said)
    if match is None:
        return Found(Unread.UNKNOWN_TEXT, assay)
    found = [group for group in match.groups() if group]
    sign, number = (found[0], Decimal(found[1])) if len(found) > 1 else ("", Decimal(found[0]))
    detail = f"{assay} {said}"
    if number > most:
        return Found(Unread.OUT_OF_BOUNDS, detail)
    if (sign == "<" and number <= cut) or (not sign and number < cut):
        return Found(Reading.NEGATIVE, detail)
    if sign != "<" and number >= cut:
        return Found(Reading.POSITIVE, detail)
    return Found(Unread.BETWEEN, detail)


def _assay_in(words: str) -> str:
    named = {name for name in ("22C3", "SP142", "28-8", "SP263") if name in words.upper()}
    return named.pop() if len(named) == 1 else ""
