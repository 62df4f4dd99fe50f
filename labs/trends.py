"""One series per analyte, from stored rows; list, chart and export draw the same one."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from clinical.analytes import Analyte, by_key, loinc_code
from clinical.states import PortalState
from clinical.trend import Series, TrendPoint, build_series
from clinical.units import Unit, convert, unit_of_ucum
from clinical.values import ObservedValue, parse_value, quantity
from core.errors import NotFound

_FINAL = {"final", "amended", "corrected"}


@dataclass(frozen=True, slots=True)
class Band:
    """The range that judged one point, in the unit of the series."""

    at: datetime
    low: Decimal | None
    high: Decimal | None


@dataclass(frozen=True, slots=True)
class Trend:
    """A series with the range band under it."""

    analyte: Analyte
    series: Series
    bands: tuple[Band, ...]

    @property
    def unit(self) -> str:
        return self.series.unit.ucum if self.series.unit else ""


def known_analyte(key: str) -> Analyte:
    """Return the analyte of a key. Raises: NotFound."""
    try:
        return by_key(key)
    except KeyError as error:
        raise NotFound() from error


def trend_of(analyte: Analyte, rows: list[dict[str, Any]]) -> Trend:
    """Return the trend that `labs.selectors.series_rows` make."""
    series = build_series(analyte, [_point(row) for row in rows])
    bands = tuple(band for row in rows if (band := _band(row, analyte, series.unit)) is not None)
    return Trend(analyte=analyte, series=series, bands=bands)


def _unit(ucum: str) -> Unit | None:
    try:
        return unit_of_ucum(ucum) if ucum else None
    except KeyError:
        return None


def _value(row: dict[str, Any]) -> ObservedValue:
    limit = row["value_low"] if row["value_low"] is not None else row["value_high"]
    if row["value_kind"] == "numeric" and limit is not None:
        return quantity(limit, None)
    if row["value_kind"] == "interval" and row["comparator"] and limit is not None:
        return quantity(limit, row["comparator"])
    return parse_value("ST", row["value_text"])


def _point(row: dict[str, Any]) -> TrendPoint:
    code = loinc_code(row["loinc"]) if row["loinc"] else None
    return TrendPoint(
        result_id=str(row["id"]),
        at=row["effective_at"],
        value=_value(row),
        unit=_unit(row["unit_ucum"]),
        method_family=code.method_family if code else "",
        state=PortalState(row["state"]),
        final=row["status"] in _FINAL,
        comparable=row["comparable"],
    )


def _band(row: dict[str, Any], analyte: Analyte, unit: Unit | None) -> Band | None:
    own = _unit(row["unit_ucum"])
    if own is None or unit is None:
        return None
    bounds = [
        None if bound is None else convert(bound, own, unit, analyte)
        for bound in (row["range_used_low"], row["range_used_high"])
    ]
    if bounds == [None, None]:
        return None
    return Band(at=row["effective_at"], low=bounds[0], high=bounds[1])
