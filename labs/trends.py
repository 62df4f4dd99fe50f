"""One series per analyte, from stored rows; list, chart and export draw the same one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from clinical.analytes import Analyte, Sex, by_key, loinc_code
from clinical.states import PortalState
from clinical.trend import (
    Direction,
    Line,
    PlottedPoint,
    Series,
    SetBaseline,
    TrendPoint,
    build_series,
    direction_between,
)
from clinical.units import Unit, convert
from clinical.values import ValueKind
from core.errors import NotFound
from labs.stored import stored_unit, stored_value

FINAL = frozenset({"final", "amended", "corrected"})
# Codes of the recorded profile whose words are more than the code.
_TREATMENT_WORDS = {"cdk46": "CDK4/6 drug"}
# A baseline is what was usual before a drug against the cancer (our choice).
_NO_BASELINE_BEFORE = frozenset({"bone-drugs", "surgery", "radiation"})
_SEXES: Mapping[str, Sex] = {"female": "female", "male": "male"}


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
class Treatment:
    """A treatment of the recorded profile, by local days; `ends_on` None = no end is recorded."""

    name: str
    starts_on: date
    ends_on: date | None
    code: str = ""


@dataclass(frozen=True, slots=True)
class Background:
    """What stands behind a series: her treatments, oldest first, and a baseline that was set.

    `sex` None: not recorded as one that a usual variation is known for.
    """

    treatments: tuple[Treatment, ...] = ()
    baseline: SetBaseline | None = None
    sex: Sex | None = None

    def starts(self, tz: ZoneInfo) -> list[datetime]:
        """Return when each drug against the cancer began: the first moment of its day."""
        return [
            _midnight(treatment.starts_on, tz)
            for treatment in self.treatments
            if treatment.code not in _NO_BASELINE_BEFORE
        ]


def _midnight(day: date, tz: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=tz)


def background_of(rows: list[dict[str, Any]]) -> Background:
    """Return what `labs.selectors.series_rows` carry beside each row; each row carries the same."""
    if not rows:
        return Background()
    treatments = tuple(
        Treatment(
            detail or _TREATMENT_WORDS.get(code, code.replace("-", " ")),
            date.fromisoformat(starts),
            date.fromisoformat(ends) if ends else None,
            code,
        )
        for code, detail, starts, ends in orjson.loads(rows[0]["treatments"])
    )
    sex = _SEXES.get(rows[0]["sex"])
    chosen = orjson.loads(rows[0]["baseline"]) if rows[0]["baseline"] else (None, "")
    unit = stored_unit(chosen[1])
    if chosen[0] is None or unit is None:
        return Background(treatments, sex=sex)
    return Background(treatments, SetBaseline(Decimal(chosen[0]), unit), sex)


@dataclass(frozen=True, slots=True)
class Trend:
    """A series, the range bands under it, and every result as the laboratory wrote it.

    `treatments` are those that touch the days drawn. `unit_text` is the unit of the series in the
    spelling of the newest result drawn.
    """

    analyte: Analyte
    series: Series
    bands: tuple[Band, ...]
    unit_text: str = ""
    as_sent: Mapping[str, AsSent] = field(default_factory=dict)
    treatments: tuple[Treatment, ...] = ()

    @property
    def unit(self) -> str:
        return self.series.unit.ucum if self.series.unit else ""

    @property
    def points(self) -> tuple[PlottedPoint, ...]:
        """Return what is drawn, oldest first."""
        drawn = (point for line in self.series.lines for point in line.points)
        return tuple(sorted(drawn, key=lambda point: (point.at, point.result_id)))

    @property
    def drawn(self) -> tuple[PlottedPoint, ...]:
        """Return the points with those that the patient typed in, oldest first."""
        both = (*self.points, *self.series.entered)
        return tuple(sorted(both, key=lambda point: (point.at, point.result_id)))

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


def trend_of(
    analyte: Analyte,
    rows: list[dict[str, Any]],
    *,
    background: Background | None = None,
    zone: str = "UTC",
) -> Trend:
    """Return the trend that rows of `labs.selectors.SERIES_COLUMNS` make.

    `background` None: without treatments and baseline. Their days are those of IANA `zone`.
    """
    behind, tz = background or Background(), ZoneInfo(zone)
    series = build_series(
        analyte,
        [_point(row) for row in rows],
        sex=behind.sex,
        set_baseline=behind.baseline,
        treatment_starts=behind.starts(tz),
    )
    drawn = {point.result_id for line in series.lines for point in line.points}
    typed = {point.result_id for point in series.entered}
    shown = [row for row in rows if str(row["id"]) in drawn]
    return Trend(
        analyte=analyte,
        series=series,
        bands=tuple(
            band for row in shown if (band := _band(row, analyte, series.unit)) is not None
        ),
        unit_text=_spelling(shown or [row for row in rows if str(row["id"]) in typed]),
        as_sent={
            str(row["id"]): AsSent(row["value_text"], row["unit_text"], row["effective_at"])
            for row in rows
        },
        treatments=_touching(behind.treatments, series, tz),
    )


def _touching(
    treatments: tuple[Treatment, ...], series: Series, tz: ZoneInfo
) -> tuple[Treatment, ...]:
    """Return the treatments of the days between the first and the last point."""
    points = [point for line in series.lines for point in line.points] + list(series.entered)
    if not points:
        return ()
    days = [point.at.astimezone(tz).date() for point in points]
    return tuple(
        treatment
        for treatment in treatments
        if treatment.starts_on <= max(days)
        and (treatment.ends_on is None or treatment.ends_on >= min(days))
    )


def _spelling(rows: list[dict[str, Any]]) -> str:
    return rows[-1]["unit_text"] if rows else ""


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
        entered=row["origin"] == "patient",
    )


def direction_since(row: Mapping[str, Any], previous: Mapping[str, Any]) -> Direction | None:
    """Return which way a result went since `previous`, the one before it on its line.

    What `Series.change` says, for one row of a list; None when one of the two is a limit.
    """
    if not row["value_kind"] == previous["kind"] == ValueKind.NUMERIC.value:
        return None
    before = Decimal(previous["number"])
    if previous["ucum"] == row["unit_ucum"]:
        return direction_between(before, row["value_low"])
    own, unit = stored_unit(previous["ucum"]), stored_unit(row["unit_ucum"])
    if own is None or unit is None:
        return None
    converted = convert(before, own, unit, by_key(row["analyte_key"]))
    return None if converted is None else direction_between(converted, row["value_low"])


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
