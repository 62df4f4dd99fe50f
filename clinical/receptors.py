"""Estrogen and progesterone receptor results, read by ASCO/CAP.

Source: ASCO/CAP 2020 (Allison et al., J Clin Oncol 38:1346): below 1 % of tumour nuclei negative,
ER 1 to 10 % low positive, above 10 % positive; PR positive from 1 %. Allred score: Harvey et al.,
J Clin Oncol 17:1474, above 2 positive; the score 1 does not exist.
"""

import re
from decimal import Decimal
from typing import Final

from clinical.intervals import Interval
from clinical.markers import NUMBER, Found, Marker, MarkerResult, MarkerTest, Reading, Unread

_RECEPTOR: Final = {
    "positive": Reading.POSITIVE,
    "pos": Reading.POSITIVE,
    "present": Reading.POSITIVE,
    "detected": Reading.POSITIVE,
    "low positive": Reading.LOW,
    "positive low": Reading.LOW,
    "weakly positive": Reading.POSITIVE,
    "weak positive": Reading.POSITIVE,
    "strongly positive": Reading.POSITIVE,
    "strong positive": Reading.POSITIVE,
    "negative": Reading.NEGATIVE,
    "neg": Reading.NEGATIVE,
    "absent": Reading.NEGATIVE,
    "not detected": Reading.NEGATIVE,
    "equivocal": Reading.EQUIVOCAL,
    "indeterminate": Reading.EQUIVOCAL,
    "borderline": Reading.EQUIVOCAL,
}
_PERCENT: Final = re.compile(
    rf"(?:(<=|>=|<|>) ?)?({NUMBER})(?: ?%)?(?: ?(?:-|to) ?({NUMBER}))? ?%"
    r"(?: (?:of (?:tumou?r )?(?:cells|nuclei)|(?:tumou?r )?(?:cells|nuclei)|staining))?"
)
_ALLRED: Final = re.compile(r"allred(?: score)?:? ?([0-9]{1,2})(?: ?/ ?8| of 8)?")
_ALLRED_ABOVE: Final = 2
_ALLRED_SCORES: Final = frozenset({0, 2, 3, 4, 5, 6, 7, 8})


def read_receptor(test: MarkerTest, result: MarkerResult, said: str) -> Found:
    """Return what a percentage, an Allred score or a known word says about ER or PR."""
    if result.number is not None:
        is_point = result.number.low == result.number.high
        if "allred" in f"{result.name} {result.method}".lower():
            return _allred(result.number.low) if is_point else Found(Unread.BETWEEN)
        if result.unit.strip() != "%":
            return Found(Unread.UNKNOWN_TEXT)
        return _of_percent(test.marker, result.number, f"{said.rstrip('% ')} %")
    stated, rest = _parts(said)
    word = _RECEPTOR.get(stated)
    number = _number_in(test.marker, rest if word is not None else said)
    if word is None:
        return number or Found(Unread.UNKNOWN_TEXT)
    if not rest:
        return Found(word, stated)
    if number is None:
        return Found(Unread.UNKNOWN_TEXT)
    same = number.what is word or (word is Reading.POSITIVE and number.what is Reading.LOW)
    if not isinstance(number.what, Reading):
        return number
    return number if same else Found(Unread.CONTRADICTION)


def _parts(said: str) -> tuple[str, str]:
    """Split "positive (95 %)" and "positive, 95 %" into the word and what stands behind it."""
    match = re.fullmatch(r"([a-z ]+?) ?(?:\(|,|;|:|-)? ?((?:[0-9<>]|allred).*?)\)?", said)
    return (match[1], match[2]) if match else (said, "")


def _number_in(marker: Marker, text: str) -> Found | None:
    allred = _ALLRED.fullmatch(text)
    if allred is not None:
        return _allred(Decimal(allred[1]))
    match = _PERCENT.fullmatch(text)
    if match is None:
        return None
    low, high = Decimal(match[2]), Decimal(match[3] or match[2])
    match match[1]:
        case "<":
            interval = Interval(None, high, False, False)
        case "<=":
            interval = Interval(None, high, False, True)
        case ">":
            interval = Interval(low, None, False, False)
        case ">=":
            interval = Interval(low, None, True, False)
        case _:
            interval = Interval(low, high)
    return _of_percent(marker, interval, text)


def _of_percent(marker: Marker, cells: Interval, detail: str) -> Found:
    """Return the category that contains the whole interval of stained cells, in percent."""
    low = Decimal(0) if cells.low is None else cells.low
    high = Decimal(100) if cells.high is None else cells.high
    if low < 0 or high > 100 or low > high:
        return Found(Unread.OUT_OF_BOUNDS, detail)
    below_one = high < 1 or (high == 1 and cells.high is not None and not cells.high_inclusive)
    if below_one:
        return Found(Reading.NEGATIVE, detail)
    if low < 1:
        return Found(Unread.BETWEEN, detail)
    above_ten = low > 10 or (low == 10 and not cells.low_inclusive)
    if marker is Marker.PR or above_ten:
        return Found(Reading.POSITIVE, detail)
    if high <= 10:
        return Found(Reading.LOW, detail)
    return Found(Unread.BETWEEN, detail)


def _allred(score: Decimal | None) -> Found:
    if score is None or score not in _ALLRED_SCORES:
        return Found(Unread.OUT_OF_BOUNDS)
    reading = Reading.POSITIVE if score > _ALLRED_ABOVE else Reading.NEGATIVE
    return Found(reading, f"Allred {score}")
