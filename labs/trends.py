"""One series per analyte, from stored rows; list, chart and export draw the same one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from clinical.analytes import Analyte, by_key, loinc_code
from clinical.states import PortalState
from clinical.trend import Line, PlottedPoint, Series, TrendPoint, build_series
from clinical.units import Unit, convert
from core.errors import NotFound
from labs.stored import stored_unit, stored_value

FINAL = frozenset({"final", "amended", "corrected"})


@dataclass(frozen=True, slots=True)
class Band:
    """The range that judged one drawn point, in the unit of the series."""

    result_id: str
    at: datetime
    low: Decimal | None
    high: Decimal | None


@dataclass(frozen=True, slots=True)
class AsSent:
    """What the laboratory wrote."""

    text: str
    unit: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Trend:
    """A series, the range bands under it, and every result as the laboratory wrote it.

    `unit_text` is the unit of the series in the spelling of the newest result drawn.
    """

    analyte: Analyte
    series: Series
    bands: tuple[Band, ...]
    unit_text: str = ""
    as_sent: Mapping[str, AsSent] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        return self.series.unit.ucum if self.series.unit else ""

    @property
    def points(self) -> tuple[PlottedPoint, ...]:
        """Return what is drawn, oldest first."""
        drawn = (point for line in self.series.lines for point in line.points)
        return tuple(sorted(drawn, key=lambda point: (point.at, point.result_id)))

    @property
    def newest_line(self) -> Line | None:
        """Return the line that holds the newest point; its ranges are the ones drawn."""
        if not self.points:
            return None
        newest = self.points[-1]
        return next(line for line in self.series.lines if newest in line.points)


def known_analyte(key: str) -> Analyte:
    """Return the analyte of a key. Raises: NotFound."""
    try:
        return by_key(key)
    except KeyError as error:
        raise NotFound() from error


def trend_of(analyte: Analyte, rows: list[dict[str, Any]]) -> Trend:
    """Return the trend that `labs.selectors.series_rows` make."""
    series = build_series(analyte, [_point(row) for row in rows])
    drawn = {point.result_id for line in series.lines for point in line.points}
    shown = [row for row in rows if str(row["id"]) in drawn]
    return Trend(
        analyte=analyte,
        series=series,
        bands=tuple(
            band for row in shown if (band := _band(row, analyte, series.unit)) is not None
        ),
        unit_text=shown[-1]["unit_text"] if shown else "",
        as_sent={
            str(row["id"]): AsSent(row["value_text"], row["unit_text"], row["effective_at"])
            for row in rows
        },
    )


def _point(row: dict[str, Any]) -> TrendPoint:
    code = loinc_code(row["loinc"]) if row["loinc"] else None
    return TrendPoint(
        result_id=str(row["id"]),
        at=row["effective_at"],
        value=stored_value(row),
        unit=stored_unit(row["unit_ucum"]),
        method_family=code.method_family if code else "",
        state=PortalState(row["state"]),
        final=row["status"] in FINAL,
        comparable=row["comparable"],
    )


def _band(row: dict[str, Any], analyte: Analyte, unit: Unit | None) -> Band | None:
    own = stored_unit(row["unit_ucum"])
    if own is None or unit is None:
        return None
    low, high = (
        None if bound is None else convert(bound, own, unit, analyte)
        for bound in (row["range_used_low"], row["range_used_high"])
    )
    if low is None and high is None:
        return None
    return Band(result_id=str(row["id"]), at=row["effective_at"], low=low, high=high)
