"""Stored results as the clinical rules read them; no text is read a second time."""

from collections.abc import Mapping
from typing import Any

from clinical.intervals import Interval
from clinical.reference_ranges import RangeFault, RangeProblem, ReferenceRange
from clinical.units import Unit, unit_of_ucum
from clinical.values import ObservedValue, ValueKind, quantity

VALUE_COLUMNS = ("value_kind", "value_low", "value_high", "comparator", "value_text")


def stored_value(row: Mapping[str, Any]) -> ObservedValue:
    """Return what a stored result means, from `VALUE_COLUMNS`."""
    kind, low, high = ValueKind(row["value_kind"]), row["value_low"], row["value_high"]
    limit = high if low is None else low
    if kind is ValueKind.NUMERIC and limit is not None:
        return quantity(limit, None, row["value_text"])
    if kind is ValueKind.INTERVAL and row["comparator"] and limit is not None:
        return quantity(limit, row["comparator"], row["value_text"])
    if kind is ValueKind.RANGE and low is not None and high is not None:
        return ObservedValue(kind, row["value_text"], Interval(low, high))
    if kind is ValueKind.ABSENT:
        return ObservedValue(kind, row["value_text"])
    return ObservedValue(ValueKind.NON_NUMERIC, row["value_text"])


def value_of(row: Any) -> ObservedValue:
    """Return what an `Observation` means."""
    return stored_value({name: getattr(row, name) for name in VALUE_COLUMNS})


def stored_unit(ucum: str) -> Unit | None:
    """Return the unit of a stored result, None when it has none that is known."""
    try:
        return unit_of_ucum(ucum) if ucum else None
    except KeyError:
        return None


def range_of(row: Any) -> ReferenceRange | RangeProblem:
    """Return the range that was sent with an `Observation`."""
    if row.range_low is None and row.range_high is None:
        return RangeProblem(RangeFault.ABSENT, row.range_text)
    return ReferenceRange(
        row.range_low,
        row.range_high,
        row.range_low_inclusive,
        row.range_high_inclusive,
        row.range_text,
    )
