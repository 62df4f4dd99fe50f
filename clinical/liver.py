"""Liver patterns. For staff only, never a diagnosis.

Public: `multiple_of_uln(...)`, `r_ratio(...) -> RRatio | None`, `Pattern`,
`possible_hys_law(readings) -> HysLaw | None`, `LiverReading`.

In metastatic breast cancer bone disease raises ALP, which drags R down; so a high ALP is
reported as information and never silences the Hy's law task.

Source: FDA 2009 guidance on drug-induced liver injury (ALT or AST >= 3 x ULN with total
bilirubin > 2 x ULN); R value pages disagree at the ends only: >= 5 and <= 2 are our choice,
as is the window of seven days.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from clinical.values import ObservedValue

WINDOW = timedelta(days=7)


class Pattern(StrEnum):
    """What the R ratio suggests."""

    HEPATOCELLULAR = "hepatocellular"
    MIXED = "mixed"
    CHOLESTATIC = "cholestatic"


@dataclass(frozen=True, slots=True)
class LiverReading:
    """One final, comparable result of ALT, AST, ALP or total bilirubin.

    `uln` is the upper limit sent with this result, in the unit of the value.
    """

    version_id: str
    analyte_key: str
    value: ObservedValue
    uln: Decimal | None
    collected_at: datetime
    report_id: str


@dataclass(frozen=True, slots=True)
class RRatio:
    """R and its pattern. Both values and limits come from one report."""

    r: Decimal
    pattern: Pattern


@dataclass(frozen=True, slots=True)
class HysLaw:
    """Evidence for "possible Hy's law: review today".

    `alp_at_least_twice_uln` None = no usable ALP in the window.
    """

    transaminase: str
    bilirubin: str
    alp_at_least_twice_uln: bool | None


def multiple_of_uln(value: ObservedValue, uln: Decimal | None) -> Decimal | None:
    """Return a plain number as a multiple of the upper limit, None when it cannot be."""
    number = value.number
    if number is None or uln is None or uln <= 0:
        return None
    return number / uln


def r_ratio(
    *,
    alt: ObservedValue,
    alt_uln: Decimal | None,
    alp: ObservedValue,
    alp_uln: Decimal | None,
) -> RRatio | None:
    """Return R = (ALT/ULN) / (ALP/ULN), None unless one of the two is above its limit."""
    alt_multiple, alp_multiple = multiple_of_uln(alt, alt_uln), multiple_of_uln(alp, alp_uln)
    if alt_multiple is None or alp_multiple is None or alp_multiple <= 0:
        return None
    if alt_multiple <= 1 and alp_multiple <= 1:
        return None
    r = alt_multiple / alp_multiple
    if r >= 5:
        return RRatio(r, Pattern.HEPATOCELLULAR)
    return RRatio(r, Pattern.CHOLESTATIC if r <= 2 else Pattern.MIXED)


def possible_hys_law(readings: Sequence[LiverReading]) -> HysLaw | None:
    """Return the latest pair that meets the numbers, within one report or seven days.

    A value with a comparator counts when its limit alone already meets the number.
    """
    transaminases = [
        r for r in readings if r.analyte_key in ("alt", "ast") and _reaches(r, Decimal(3), True)
    ]
    bilirubins = [
        r for r in readings if r.analyte_key == "bilirubin_total" and _reaches(r, Decimal(2), False)
    ]
    pairs = [(t, b) for t in transaminases for b in bilirubins if _together(t, b)]
    if not pairs:
        return None
    transaminase, bilirubin = max(
        pairs, key=lambda pair: sorted((r.collected_at for r in pair), reverse=True)
    )
    return HysLaw(
        transaminase=transaminase.version_id,
        bilirubin=bilirubin.version_id,
        alp_at_least_twice_uln=_high_alp(readings, transaminase, bilirubin),
    )


def _reaches(reading: LiverReading, multiple: Decimal, inclusive: bool) -> bool:
    interval = reading.value.interval
    if interval is None or interval.low is None or reading.uln is None or reading.uln <= 0:
        return False
    bound = multiple * reading.uln
    return interval.low > bound or (
        interval.low == bound and (inclusive or not interval.low_inclusive)
    )


def _together(a: LiverReading, b: LiverReading) -> bool:
    return a.report_id == b.report_id or abs(a.collected_at - b.collected_at) <= WINDOW


def _high_alp(readings: Sequence[LiverReading], *pair: LiverReading) -> bool | None:
    multiples = [
        multiple_of_uln(r.value, r.uln)
        for r in readings
        if r.analyte_key == "alp" and any(_together(r, other) for other in pair)
    ]
    known = [m for m in multiples if m is not None]
    return any(m >= 2 for m in known) if known else None
