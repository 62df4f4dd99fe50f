"""The trend picture: what a series looks like, with the range behind it.

Drawn by matplotlib without a screen. Colours are told apart by shape as well; open markers
are limits ("<", ">"). The SVG carries a title and a description for those who do not see it.
"""

import io
from datetime import datetime
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from clinical.states import PortalState, direction_of
from clinical.trend import Line, Marker, PlottedPoint
from labs.trends import Band, Trend

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _LINE, _BAND, _OUT = "#24343b", "#2f6f73", "#d8ebe4", "#b4532a"
_GRID = "#e3e8ea"
_SIZE_INCHES = (6.4, 3.6)


def draw(trend: Trend, *, zone: str, picture_format: str) -> bytes:
    """Return the picture as bytes; `picture_format` is svg or png (2x)."""
    # Loading the plotting library takes half a second: only who draws pays for it.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # Text stays text in the SVG: smaller, searchable, and read aloud.
    with rc_context(
        {"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": "linden"}
    ):
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
        axes = figure.add_subplot()
        tz = ZoneInfo(zone)
        _draw_bands(axes, trend.bands, tz)
        for line in trend.series.lines:
            _draw_line(axes, line, tz)
        _dress(axes, trend, tz)
        out = io.BytesIO()
        if picture_format == "png":
            figure.savefig(out, format="png", dpi=200)
        else:
            figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    if picture_format == "png":
        return out.getvalue()
    return _with_description(out.getvalue(), trend, tz)


def _draw_bands(axes: "Axes", bands: tuple[Band, ...], tz: ZoneInfo) -> None:
    full = [band for band in bands if band.low is not None and band.high is not None]
    if len(full) > 1:
        axes.fill_between(
            [band.at.astimezone(tz) for band in full],
            [float(band.low) for band in full if band.low is not None],
            [float(band.high) for band in full if band.high is not None],
            step="mid",
            color=_BAND,
            linewidth=0,
            label="Lab's range",
        )
    elif full:
        band = full[0]
        axes.axhspan(float(band.low or 0), float(band.high or 0), color=_BAND, label="Lab's range")


def _draw_line(axes: "Axes", line: Line, tz: ZoneInfo) -> None:
    joined = line.joined
    axes.plot(
        [point.at.astimezone(tz) for point in joined],
        [float(point.number) for point in joined],
        color=_LINE,
        linewidth=1.6,
        zorder=2,
    )
    for point in line.points:
        _draw_point(axes, point, tz)


def _draw_point(axes: "Axes", point: PlottedPoint, tz: ZoneInfo) -> None:
    outside = direction_of(PortalState(point.state)) is not None
    colour = _OUT if outside else _LINE
    shape = {Marker.OPEN_BELOW: "v", Marker.OPEN_ABOVE: "^"}.get(
        point.marker, "D" if outside else "o"
    )
    filled = point.marker is Marker.CLOSED
    axes.plot(
        [point.at.astimezone(tz)],
        [float(point.number)],
        shape,
        markersize=6,
        markerfacecolor=colour if filled else "white",
        markeredgecolor=colour,
        zorder=3,
    )


def _dress(axes: "Axes", trend: Trend, tz: ZoneInfo) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(tz=tz, minticks=3, maxticks=7)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=tz))
    axes.set_title(trend.analyte.plain_name, loc="left", color=_INK, fontsize=12)
    axes.set_ylabel(trend.unit, color=_INK)
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.tick_params(colors=_INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if not trend.series.lines:
        axes.text(0.5, 0.5, "Nothing to draw yet", transform=axes.transAxes, ha="center")
    elif trend.bands:
        axes.margins(y=0.15)


def describe(trend: Trend, tz: ZoneInfo) -> str:
    """Return the picture in words: how many results, the last one, and its range."""
    points = [point for line in trend.series.lines for point in line.points]
    if not points:
        return "There is nothing to draw yet."
    last = max(points, key=lambda point: point.at)
    sign = {Marker.OPEN_BELOW: "less than ", Marker.OPEN_ABOVE: "more than "}.get(last.marker, "")
    words = (
        f"{len(points)} results from {_day(min(p.at for p in points), tz)} to {_day(last.at, tz)}. "
        f"The last is {sign}{last.number:f} {trend.unit}."
    )
    band = trend.bands[-1] if trend.bands else None
    if band is None:
        return words + " No range was sent."
    if band.low is not None and band.high is not None:
        return words + f" The lab's range is {band.low:f} to {band.high:f}."
    limit = f"up to {band.high:f}" if band.high is not None else f"from {band.low:f}"
    return words + f" The lab's range is {limit}."


def _day(instant: datetime, tz: ZoneInfo) -> str:
    local = instant.astimezone(tz)
    return f"{local.day} {local:%B %Y}"


def _with_description(svg: bytes, trend: Trend, tz: ZoneInfo) -> bytes:
    """Return the SVG with a role, a title and a description."""
    head, mark, rest = svg.partition(b"<svg ")
    opening, end, body = rest.partition(b">")
    spoken = (
        f"<title>{escape(trend.analyte.plain_name)}</title>"
        f"<desc>{escape(describe(trend, tz))}</desc>"
    ).encode()
    return head + mark + b'role="img" ' + opening + end + spoken + body
