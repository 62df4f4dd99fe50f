"""Read the value of one result (HL7 v2 OBX-5, FHIR value) without ever guessing.

Public: `ObservedValue`, `ValueKind`, `NoResult`, `parse_value(value_type, components, ...)`,
`quantity(number, comparator)`.

A number counts only when the whole text is a number; first digits are never picked out of
words. A comparator makes an interval and is never dropped. Nothing here raises on input.

Source: HL7 v2.5.1 types NM and SN; HL7 v2-to-FHIR map SN[Quantity].
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from clinical.intervals import Interval

MAX_DIGITS = 18
"""Longer numbers are kept as text: no laboratory measures them."""


class ValueKind(StrEnum):
    """What OBX-5 turned out to be."""

    NUMERIC = "numeric"
    INTERVAL = "interval"
    RANGE = "range"
    NON_NUMERIC = "non_numeric"
    ABSENT = "absent"


class NoResult(StrEnum):
    """What a text says about a result that is not there."""

    PENDING = "pending"
    NOT_DONE = "not_done"


@dataclass(frozen=True, slots=True)
class ObservedValue:
    """The value of one result.

    `raw` is the text as sent. `interval` is set for the three numeric kinds: one number,
    one side of a limit (`comparator` is <, <=, > or >=), or both ends of a range.
    `no_result` is set when a text says that there is no result.
    """

    kind: ValueKind
    raw: str
    interval: Interval | None = None
    comparator: str | None = None
    no_result: NoResult | None = None

    @property
    def number(self) -> Decimal | None:
        """Return the plain number, None for everything else, also for comparators."""
        if self.kind is ValueKind.NUMERIC and self.interval is not None:
            return self.interval.low
        return None

    @property
    def limit(self) -> Decimal | None:
        """Return the number that a comparator stands before, for an open marker."""
        if self.kind is not ValueKind.INTERVAL or self.interval is None:
            return None
        return self.interval.high if self.interval.low is None else self.interval.low


_DOT = r"(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
_COMMA = r"(?:[0-9]+(?:,[0-9]+)?)"
_COMPARATORS = r"<=|>=|<|>|≤|≥"
_NORMAL_COMPARATOR = {"≤": "<=", "≥": ">="}
_NUMERIC_TYPES = frozenset({"NM", "SN", "ST", "TX", "FT", ""})
_CODED_TYPES = frozenset({"CE", "CWE", "CNE", "IS", "ID", "CF"})

_PENDING_TEXTS = frozenset(
    {"?", "pending", "to follow", "in progress", "result pending", "results pending", "folgt"}
)
_NOT_DONE_TEXTS = frozenset(
    {
        "qns",
        "quantity not sufficient",
        "quantity insufficient",
        "insufficient",
        "insufficient sample",
        "insufficient specimen",
        "tnp",
        "test not performed",
        "not performed",
        "not done",
        "no result",
        "no specimen",
        "no sample",
        "not received",
        "specimen lost",
        "cancelled",
        "canceled",
        "test cancelled",
        "test canceled",
        "unable to report",
        "nicht bestimmbar",
        "not-performed",
        "error",
        "not-asked",
        "asked-unknown",
        "unknown",
        "temp-unknown",
        "as-text",
        "masked",
    }
)


def parse_value(
    value_type: str, components: str | Sequence[str], *, decimal_comma: bool = False
) -> ObservedValue:
    """Return what one repetition of OBX-5 says.

    `value_type` is OBX-2. `components` are the unescaped components (SN needs four:
    comparator, number, separator, number); a plain string is one component. With
    `decimal_comma` (a setting of the sender, never guessed) a comma is the decimal sign
    and a dot makes the text non-numeric, because it could separate thousands.
    """
    parts = (components,) if isinstance(components, str) else tuple(components)
    value_type = value_type.strip().upper()
    raw = "^".join(parts).rstrip("^") if len(parts) > 1 else "".join(parts)
    text = parts[0].strip() if parts else ""
    if all(part.strip() in ("", '""') for part in parts):
        return ObservedValue(ValueKind.ABSENT, raw)
    if value_type in _CODED_TYPES:
        return _words(raw, next((p.strip() for p in (*parts[1:2], *parts) if p.strip()), ""))
    if value_type not in _NUMERIC_TYPES:
        return ObservedValue(ValueKind.NON_NUMERIC, raw)
    if value_type == "SN" and any(part.strip() for part in parts[1:]):
        return _structured(raw, [part.strip() for part in parts], decimal_comma)
    if any(part.strip() for part in parts[1:]):
        return _words(raw, raw)
    return _plain(raw, text, signed=value_type == "NM", decimal_comma=decimal_comma)


def quantity(
    number: Decimal, comparator: str | None = None, raw: str | None = None
) -> ObservedValue:
    """Return the value of a FHIR Quantity; `comparator` is <, <=, >, >= or None.

    A comparator outside that list, and a number that is not finite, make it non-numeric.
    """
    raw = f"{comparator or ''}{number}" if raw is None else raw
    if not number.is_finite() or len(number.as_tuple().digits) > MAX_DIGITS:
        return ObservedValue(ValueKind.NON_NUMERIC, raw)
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or abs(exponent) > MAX_DIGITS:
        return ObservedValue(ValueKind.NON_NUMERIC, raw)
    if comparator is None:
        return ObservedValue(ValueKind.NUMERIC, raw, Interval.point(number))
    return _limited(raw, comparator, number)


def _number(text: str, decimal_comma: bool, *, signed: bool = False) -> Decimal | None:
    sign = "[+-]?" if signed else "-?"
    pattern = f"{sign}{_COMMA if decimal_comma else _DOT}"
    if re.fullmatch(pattern, text) is None or sum(c.isdigit() for c in text) > MAX_DIGITS:
        return None
    return Decimal(text.replace(",", "."))


def _plain(raw: str, text: str, *, signed: bool, decimal_comma: bool) -> ObservedValue:
    number = _number(text, decimal_comma, signed=signed)
    if number is not None:
        return ObservedValue(ValueKind.NUMERIC, raw, Interval.point(number))
    limited = re.fullmatch(rf"({_COMPARATORS})\s*(\S+)", text)
    if limited is not None:
        limit = _number(limited[2], decimal_comma)
        if limit is not None:
            return _limited(raw, limited[1], limit)
    between = re.fullmatch(r"(\S*[0-9])\s*[-\u2013]\s*(\S+)", text)
    if between is not None:
        return _between(raw, between[1], between[2], decimal_comma)
    return _words(raw, text)


def _structured(raw: str, parts: list[str], decimal_comma: bool) -> ObservedValue:
    comparator, first, separator, second = (parts + [""] * 4)[:4]
    number = _number(first, decimal_comma, signed=True)
    if separator == "-" and comparator in ("", "="):
        return _between(raw, first, second, decimal_comma)
    if separator or second or number is None or any(parts[4:]):
        return ObservedValue(ValueKind.NON_NUMERIC, raw)
    if comparator in ("", "="):
        return ObservedValue(ValueKind.NUMERIC, raw, Interval.point(number))
    return _limited(raw, comparator, number)


def _limited(raw: str, comparator: str, limit: Decimal) -> ObservedValue:
    comparator = _NORMAL_COMPARATOR.get(comparator, comparator)
    if comparator in ("<", "<="):
        interval = Interval(None, limit, False, comparator == "<=")
    elif comparator in (">", ">="):
        interval = Interval(limit, None, comparator == ">=", False)
    else:
        return ObservedValue(ValueKind.NON_NUMERIC, raw)
    return ObservedValue(ValueKind.INTERVAL, raw, interval, comparator)


def _between(raw: str, first: str, second: str, decimal_comma: bool) -> ObservedValue:
    low, high = _number(first, decimal_comma), _number(second, decimal_comma)
    if low is None or high is None or low > high:
        return _words(raw, raw)
    return ObservedValue(ValueKind.RANGE, raw, Interval(low, high))


def _words(raw: str, text: str) -> ObservedValue:
    said = " ".join(text.lower().strip(" .*!()[]").split())
    no_result = None
    if said in _PENDING_TEXTS:
        no_result = NoResult.PENDING
    elif said in _NOT_DONE_TEXTS:
        no_result = NoResult.NOT_DONE
    return ObservedValue(ValueKind.NON_NUMERIC, raw, no_result=no_result)
