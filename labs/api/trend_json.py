"""A trend as numbers, for clients that draw their own."""

from decimal import Context, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from clinical.states import PortalState, patient_label
from clinical.trend import Baseline, Change, PlottedPoint
from labs.api.presentation import Page, plain
from labs.trend_words import describe, shown
from labs.trends import Trend

_TENTH = Decimal("0.1")
# A number may have more digits than the usual context holds.
_WIDE = Context(prec=200)


def trend_json(trend: Trend, page: Page) -> dict[str, Any]:
    """Return lines, range bands, the excluded results with their reasons, and the change."""
    change = trend.series.change
    return {
        "analyte": trend.analyte.key,
        "plain_name": trend.analyte.plain_name,
        "unit": trend.unit,
        "unit_text": trend.unit_text,
        "lines": [
            {
                "method_family": line.method_family,
                "points": [_point(point, trend, page) for point in line.points],
            }
            for line in trend.series.lines
        ],
        "entered": [_point(point, trend, page) for point in trend.series.entered],
        "bands": [
            {
                "result_id": band.result_id,
                "at": page.time(band.at),
                "low": plain(band.low),
                "high": plain(band.high),
            }
            for band in trend.bands
        ],
        "excluded": [
            {
                "result_id": item.result_id,
                "at": page.time(trend.as_sent[item.result_id].at),
                "text": trend.as_sent[item.result_id].text,
                "unit": trend.as_sent[item.result_id].unit or None,
                "reason": item.reason.value,
            }
            for item in trend.series.excluded
        ],
        "description": describe(trend, ZoneInfo(page.viewer.zone)),
        "change": None if change is None else _change(change),
        "baseline": _baseline(trend.series.baseline),
        "usual_variation_percent": plain(trend.series.rcv_percent),
        "rises": trend.series.rises,
        "treatments": [
            {
                "number": number,
                "name": treatment.name,
                "starts_on": treatment.starts_on,
                "ends_on": treatment.ends_on,
            }
            for number, treatment in enumerate(trend.treatments, start=1)
        ],
    }


def _point(point: PlottedPoint, trend: Trend, page: Page) -> dict[str, Any]:
    sent = trend.as_sent[point.result_id]
    return {
        "result_id": point.result_id,
        "at": page.time(point.at),
        "number": plain(point.number),
        "text": sent.text,
        "unit": sent.unit or None,
        "marker": point.marker.value,
        "state": point.state.value,
        "label": patient_label(PortalState(point.state)),
    }


def _change(change: Change) -> dict[str, Any]:
    """Return a change with one decimal of its percent; a verdict is for staff."""
    percent = change.percent
    return {
        "direction": change.direction.value,
        "percent": None if percent is None else plain(percent.quantize(_TENTH, context=_WIDE)),
        "beyond_usual_variation": change.beyond_noise,
    }


def _baseline(baseline: Baseline | None) -> dict[str, Any] | None:
    if baseline is None:
        return None
    return {
        "number": shown(baseline.number),
        "basis": baseline.basis.value,
        "results": baseline.results,
        "change": None if baseline.change is None else _change(baseline.change),
    }
