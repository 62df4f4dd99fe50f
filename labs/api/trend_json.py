"""A trend as numbers, for clients that draw their own."""

from typing import Any
from zoneinfo import ZoneInfo

from clinical.states import PortalState, patient_label
from labs.api.presentation import Page, plain
from labs.trend_words import describe
from labs.trends import Trend


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
                "points": [
                    {
                        "result_id": point.result_id,
                        "at": page.time(point.at),
                        "number": plain(point.number),
                        "text": trend.as_sent[point.result_id].text,
                        "unit": trend.as_sent[point.result_id].unit or None,
                        "marker": point.marker.value,
                        "state": point.state.value,
                        "label": patient_label(PortalState(point.state)),
                    }
                    for point in line.points
                ],
            }
            for line in trend.series.lines
        ],
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
        "change": None if change is None else {"direction": change.direction.value},
    }
