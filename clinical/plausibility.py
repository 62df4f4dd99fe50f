"""Size checks of one number, and the fallback limits behind staff tasks.

Public: `check_size(...)`, `SizeCheck`.

The limits are our own choice (data/analytes.csv, data/suspect_units.csv). A number outside
them is kept and shown to staff with its message. Nothing is converted on suspicion; a
number that would be critical under the stated or the suspected unit is critical at once.
The critical limits never touch what the patient sees.
"""

from dataclasses import dataclass
from decimal import Decimal

from clinical.analytes import Analyte, Limits
from clinical.intervals import Interval
from clinical.units import Unit, convert, unit_of_ucum
from clinical.values import ObservedValue, ValueKind


@dataclass(frozen=True, slots=True)
class SizeCheck:
    """What the size of a number says.

    `suspected` is the UCUM unit that would fit better, `ask` one that merely might.
    `critical` speaks of the fallback limits under the stated unit, a suspected one, or a
    multiple of the upper limit of normal.
    """

    plausible: bool
    suspected: str | None
    ask: str | None
    critical: bool


def check_size(
    analyte: Analyte, value: ObservedValue, unit: Unit, uln: Decimal | None
) -> SizeCheck:
    """Check a numeric value in a unit that the analyte accepts.

    `uln` is the upper limit of the range in use, in `unit`; None when there is none.
    """
    interval = value.interval
    if interval is None:
        return SizeCheck(True, None, None, False)
    numbers = [n for n in (interval.low, interval.high) if n is not None]
    matches = [
        suspect
        for suspect in analyte.suspect_units
        if any(suspect.matches(number, unit.ucum) for number in numbers)
    ]
    readings = [unit, *(unit_of_ucum(suspect.suspected) for suspect in matches)]
    return SizeCheck(
        plausible=not any(_outside(analyte.plausible, n, unit, analyte) for n in numbers),
        suspected=next((s.suspected for s in matches if s.certain), None),
        ask=next((s.suspected for s in matches if not s.certain), None),
        critical=any(_critical(analyte, value, interval, reading) for reading in readings)
        or _above_uln_multiple(analyte, value, interval, uln),
    )


def _outside(limits: Limits | None, number: Decimal, unit: Unit, analyte: Analyte) -> bool:
    if limits is None:
        return False
    comparable = convert(number, unit, unit_of_ucum(limits.ucum), analyte)
    if comparable is None:
        return False
    return (limits.low is not None and comparable < limits.low) or (
        limits.high is not None and comparable > limits.high
    )


def _critical(analyte: Analyte, value: ObservedValue, interval: Interval, unit: Unit) -> bool:
    limits = analyte.critical
    if limits is None:
        return False
    target = unit_of_ucum(limits.ucum)
    low_end, high_end = _certain_ends(value, interval)
    if low_end is not None and limits.low is not None:
        number = convert(low_end, unit, target, analyte)
        if number is not None and number <= limits.low:
            return True
    if high_end is not None and limits.high is not None:
        number = convert(high_end, unit, target, analyte)
        if number is not None and number >= limits.high:
            return True
    return False


def _certain_ends(
    value: ObservedValue, interval: Interval
) -> tuple[Decimal | None, Decimal | None]:
    """Return the number to hold against a low and against a high limit.

    "<5" is surely low only if 5 is; ">5" is surely high only if 5 is. A range such as
    10-20 counts with either end.
    """
    if value.kind is ValueKind.INTERVAL:
        return interval.high, interval.low
    return interval.low, interval.high


def _above_uln_multiple(
    analyte: Analyte, value: ObservedValue, interval: Interval, uln: Decimal | None
) -> bool:
    if analyte.critical_uln_multiple is None or uln is None or uln <= 0:
        return False
    high_end = _certain_ends(value, interval)[1]
    return high_end is not None and high_end >= analyte.critical_uln_multiple * uln
