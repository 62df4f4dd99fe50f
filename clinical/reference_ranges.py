"""Read a reference range as a laboratory wrote it (HL7 v2 OBX-7).

Public: `ReferenceRange`, `RangeProblem`, `RangeFault`, `parse_reference_range(text, ...)`.

The text is a range only when all of it is understood. Everything else is a `RangeProblem`
that keeps the text and says why; such a text can never put a result in range.

Bounds are inclusive where the text does not say otherwise: 8.6-10.2, <=5, FHIR low and
high. "<5" and ">60" are read as written: the bound itself is outside.

Source: FHIR QI-Core (low and high inclusive); HL7 v2.5.1 OBX-7.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from clinical.intervals import Interval
from clinical.units import Unit, normalise_unit
from clinical.values import MAX_DIGITS

MAX_LENGTH = 200
"""Longer texts are notes, not ranges."""


class RangeFault(StrEnum):
    """Why a text is not a usable range."""

    ABSENT = "absent"
    NULL = "null"
    WORDS = "words"
    SEVERAL = "several"
    REVERSED = "reversed"
    UNKNOWN_UNIT = "unknown_unit"


@dataclass(frozen=True, slots=True)
class RangeProblem:
    """A range text that cannot judge a value."""

    fault: RangeFault
    text: str


@dataclass(frozen=True, slots=True)
class ReferenceRange:
    """A usable range. None = no bound on that side; at least one bound is set.

    `unit` is set only when the text (or FHIR) names one; otherwise the numbers are in the
    unit of the result itself.
    """

    low: Decimal | None
    high: Decimal | None
    low_inclusive: bool = True
    high_inclusive: bool = True
    text: str = ""
    unit: Unit | None = None

    def __post_init__(self) -> None:
        if self.low is None and self.high is None:
            raise ValueError("a reference range needs at least one bound")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("the low bound lies above the high bound")

    @property
    def interval(self) -> Interval:
        """Return the numbers that are in range."""
        return Interval(self.low, self.high, self.low_inclusive, self.high_inclusive)


_BELOW = (
    "<=|<|≤|less than or equal to|no more than|not above|less than|lower than|below|under|up to|bis"
)
_ABOVE = (
    ">=|>|≥|greater than or equal to|no less than|at least|greater than|more than|higher than"
    "|above|over"
)
_INCLUSIVE = frozenset(
    {
        "<=",
        "≤",
        ">=",
        "≥",
        "less than or equal to",
        "no more than",
        "not above",
        "up to",
        "bis",
        "greater than or equal to",
        "no less than",
        "at least",
    }
)
_NUMBER = r"[+-]?(?:[0-9]+(?:[.,][0-9]+)?|[.,][0-9]+)"
_HEADING = (
    r"(?:(?:normal|reference|ref\.?|referenz(?:bereich)?)\s*(?:range|interval)?|range)\s*:?\s*"
)
_TWO_SIDED = re.compile(
    rf"\(?(?P<low>{_NUMBER})\)?\s*(?:-|\u2013|\u2014|\bto\b|\.\.)\s*\(?(?P<high>{_NUMBER})\)?",
    re.IGNORECASE,
)
_TWO_COMPARED = re.compile(
    rf"(?P<low_word>{_ABOVE})\s*(?P<low>{_NUMBER})\s*(?:-|\u2013|,|and|to)?\s*"
    rf"(?P<high_word>{_BELOW})\s*(?P<high>{_NUMBER})",
    re.IGNORECASE,
)
_ONE_SIDED = re.compile(
    rf"(?:(?P<below>{_BELOW})|(?P<above>{_ABOVE}))\s*(?P<bound>{_NUMBER})", re.IGNORECASE
)
_SEVERAL = re.compile(
    rf"{_NUMBER}\s*[-\u2013]\s*{_NUMBER}.*{_NUMBER}\s*[-\u2013]\s*{_NUMBER}"
    rf"|(?:[<>≤≥].*{_NUMBER}.*){{2}}",
    re.DOTALL,
)


def parse_reference_range(
    text: str,
    *,
    decimal_comma: bool = False,
    analyte_key: str | None = None,
) -> ReferenceRange | RangeProblem:
    """Return the range a text gives, or why it gives none. Never raises.

    `decimal_comma` is the sender's setting; without it a comma makes the text unclear.
    `analyte_key` helps to read a unit that stands inside the text.
    """
    said = " ".join(text.split())
    if said in ("", '""'):
        return RangeProblem(RangeFault.ABSENT, text)
    if said.lower() == "null":
        return RangeProblem(RangeFault.NULL, text)
    if len(said) > MAX_LENGTH:
        return RangeProblem(RangeFault.WORDS, text)
    return _Reader(text, decimal_comma, analyte_key).read(_unwrapped(said))


def _unwrapped(said: str) -> str:
    for opening, closing in (("[", "]"), ("(", ")"), ("{", "}")):
        inner = said[1:-1]
        if said.startswith(opening) and said.endswith(closing) and opening not in inner:
            said = inner.strip()
    return re.sub(rf"^{_HEADING}(?=[-+0-9.<>≤≥\[(])", "", said, flags=re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Reader:
    text: str
    decimal_comma: bool
    analyte_key: str | None

    def read(self, said: str) -> ReferenceRange | RangeProblem:
        for pattern, build in (
            (_TWO_COMPARED, self._two_compared),
            (_TWO_SIDED, self._two_sided),
            (_ONE_SIDED, self._one_sided),
        ):
            match = pattern.match(said)
            if match is not None:
                return self._with_rest(build(match), said[match.end() :].strip(), said)
        return self._problem(said)

    def _with_rest(
        self, found: ReferenceRange | RangeFault, rest: str, said: str
    ) -> ReferenceRange | RangeProblem:
        if isinstance(found, RangeFault):
            return RangeProblem(found, self.text)
        if not rest:
            return found
        unit = normalise_unit(rest.strip("()[] "), self.analyte_key)
        if unit is None:
            return self._problem(said, looks_like_unit=re.fullmatch(r"\S*/\S+", rest) is not None)
        return ReferenceRange(
            found.low,
            found.high,
            found.low_inclusive,
            found.high_inclusive,
            found.text,
            unit,
        )

    def _problem(self, said: str, *, looks_like_unit: bool = False) -> RangeProblem:
        if _SEVERAL.search(said):
            return RangeProblem(RangeFault.SEVERAL, self.text)
        fault = RangeFault.UNKNOWN_UNIT if looks_like_unit else RangeFault.WORDS
        return RangeProblem(fault, self.text)

    def _two_sided(self, match: re.Match[str]) -> ReferenceRange | RangeFault:
        return self._bounds(match["low"], match["high"], True, True)

    def _two_compared(self, match: re.Match[str]) -> ReferenceRange | RangeFault:
        return self._bounds(
            match["low"],
            match["high"],
            match["low_word"].lower() in _INCLUSIVE,
            match["high_word"].lower() in _INCLUSIVE,
        )

    def _one_sided(self, match: re.Match[str]) -> ReferenceRange | RangeFault:
        bound = self._decimal(match["bound"])
        if bound is None:
            return RangeFault.WORDS
        if match["below"]:
            inclusive = match["below"].lower() in _INCLUSIVE
            return ReferenceRange(None, bound, True, inclusive, self.text)
        return ReferenceRange(bound, None, match["above"].lower() in _INCLUSIVE, True, self.text)

    def _bounds(
        self, low_text: str, high_text: str, low_inclusive: bool, high_inclusive: bool
    ) -> ReferenceRange | RangeFault:
        low, high = self._decimal(low_text), self._decimal(high_text)
        if low is None or high is None:
            return RangeFault.WORDS
        if low > high:
            return RangeFault.REVERSED
        return ReferenceRange(low, high, low_inclusive, high_inclusive, self.text)

    def _decimal(self, text: str) -> Decimal | None:
        if sum(c.isdigit() for c in text) > MAX_DIGITS:
            return None
        if ("," in text) is not self.decimal_comma and ("," in text or "." in text):
            return None
        return Decimal(text.replace(",", "."))
