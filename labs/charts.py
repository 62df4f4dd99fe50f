"""The trend picture: what a series looks like, with the laboratory's range behind it.

Drawn by matplotlib without a screen, for a phone held upright. Shapes tell apart what colours
do: a diamond lies outside the range, an open triangle is a limit ("<", ">"), an open square was
typed in by hand, and only a result that a range contains has the colour of the band. A treatment
is a numbered upright line, dashes where it starts and dots where it ends, with its words below.
The SVG carries a title and a description.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, Literal
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from clinical.states import PortalState, Tier, direction_of, tier_of
from clinical.trend import Line, Marker, PlottedPoint
from labs.trend_words import describe, headline, treatment_caption, trend_name
from labs.trends import Band, Trend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PictureFormat = Literal["svg", "png"]

_SIZE_INCHES = (4.5, 3.1)
_TREATMENT_LINE_INCHES = 0.17
_PNG_DOTS_PER_INCH = 240
_INK, _QUIET, _GRID, _BAND = "#22313a", "#61727b", "#e8edef", "#dcefe7"
_LINE = "#8aa5a8"
_COLOURS = {
    Tier.FINE: "#1f6f6b",
    Tier.NEUTRAL: "#6b7a83",
    Tier.NONE: "#6b7a83",
    Tier.ATTENTION: "#c2602a",
    Tier.URGENT: "#a3243b",
}
_LINE_STYLES = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))
_SHORTEST = timedelta(days=60)
_MONTH_STEPS = (0, 1, 2, 3, 4, 6, 12, 24, 60, 120)
_MOST_TICKS = 6
_OUTSIDE = frozenset({PortalState.ABNORMAL, PortalState.CRITICAL})


@dataclass(frozen=True, slots=True)
class _Look:
    """How one point is drawn, and the words of its legend."""

    shape: str
    colour: str
    filled: bool
    words: str


_ENTERED = _Look("s", _INK, False, "typed in, not by clinic")
_BASELINE_STYLE = (0, (8, 3))
_STARTS, _ENDS = (0, (5, 2, 1, 2)), (0, (1, 2))


@cache
def _plotting() -> Any:
    """Load matplotlib once. It takes half a second, so only who draws pays for it."""
    import matplotlib
    import matplotlib.dates

    # Text stays text in the SVG: smaller, searchable, read aloud. The salt keeps ids stable.
    # Only the first font is measured, for it comes with the library; a phone has one of the rest.
    matplotlib.rcParams.update(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "linden",
            "text.parse_math": False,
            "font.sans-serif": ["DejaVu Sans", "Segoe UI", "Roboto", "Helvetica Neue", "Arial"],
        }
    )
    return matplotlib


def draw(trend: Trend, *, zone: str, picture_format: PictureFormat) -> bytes:
    """Return the picture as bytes, days as they fell in IANA `zone`."""
    _plotting()
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    tz = ZoneInfo(zone)
    width, height = _SIZE_INCHES
    figure = Figure(
        figsize=(width, height + _TREATMENT_LINE_INCHES * len(trend.treatments)),
        layout=ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08),
        facecolor="white",
    )
    axes = figure.add_subplot()
    if trend.drawn:
        _scale(axes, trend, tz)
        _draw_bands(axes, trend, tz)
        _draw_baseline(axes, trend)
        _draw_treatments(axes, trend, tz)
        for line, style in zip(trend.series.lines, _styles(), strict=False):
            _draw_line(axes, line, style, tz)
        for point in trend.points:
            _draw_point(axes, point, _look(point, trend), tz)
        for point in trend.series.entered:
            _draw_point(axes, point, _ENTERED, tz)
        _dress(axes, tz)
        _legend(axes, trend)
        _treatment_legend(figure, trend)
    else:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "There is nothing to draw yet.", color=_QUIET, ha="center")
    _head(axes, trend, tz)
    out = io.BytesIO()
    if picture_format == "png":
        figure.savefig(out, format="png", dpi=_PNG_DOTS_PER_INCH)
        return out.getvalue()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return _with_description(out.getvalue(), trend, tz)


def inline(svg: bytes) -> str:
    """Return an SVG document as an element that can stand inside a page."""
    text = svg.decode()
    return text[text.index("<svg ") :]


def _when(instant: datetime, tz: ZoneInfo) -> float:
    """Return where an instant stands on the time axis."""
    dates: Any = _plotting().dates
    return float(dates.date2num(instant.astimezone(tz)))


def _styles() -> Iterator[Any]:
    while True:
        yield from _LINE_STYLES


def _look(point: PlottedPoint, trend: Trend) -> _Look:
    state = PortalState(point.state)
    tier = tier_of(state, trend.analyte.concern)
    colour = _COLOURS[tier]
    if point.marker is Marker.OPEN_BELOW:
        return _Look("v", colour, False, "less than")
    if point.marker is Marker.OPEN_ABOVE:
        return _Look("^", colour, False, "more than")
    if tier is Tier.URGENT:
        return _Look("D", colour, True, "well outside")
    if state in _OUTSIDE or direction_of(state) is not None:
        return _Look("D", colour, True, "outside range")
    if state is PortalState.IN_RANGE:
        return _Look("o", colour, True, "in range")
    return _Look("o", colour, True, "not rated")


def _scale(axes: "Axes", trend: Trend, tz: ZoneInfo) -> None:
    """Show every point and every bound, with a little air; no axis below zero for nothing."""
    points = trend.drawn
    numbers = [float(point.number) for point in points]
    if trend.series.baseline is not None:
        numbers.append(float(trend.series.baseline.number))
    for band in trend.bands:
        numbers += [float(bound) for bound in (band.low, band.high) if bound is not None]
    low, high = min(numbers), max(numbers)
    air = (high - low) * 0.12 or abs(high) * 0.2 or 1.0
    axes.set_ylim(max(0.0, low - air) if low >= 0 else low - air, high + air)
    first, last = points[0].at, points[-1].at
    missing = max(timedelta(0), _SHORTEST - (last - first)) / 2
    side = (last - first + 2 * missing) * 0.04
    axes.set_xlim(
        _when(first - missing - side, tz),
        _when(last + missing + side, tz),
    )


def _draw_bands(axes: "Axes", trend: Trend, tz: ZoneInfo) -> None:
    """Fill the range around the points that it judged: a change of range is a step.

    A run of points without a range leaves a gap. An open side reaches the edge.
    """
    left, right = axes.get_xlim()
    floor, ceiling = axes.get_ylim()
    known = {band.result_id: band for band in trend.bands}
    newest = trend.newest_line
    points = newest.points if newest is not None else ()
    at = [_when(point.at, tz) for point in points]
    edges = [left, *((a + b) / 2 for a, b in pairwise(at)), right]
    spans = [(known.get(p.result_id), edges[i], edges[i + 1]) for i, p in enumerate(points)]
    for bounds, same in groupby(spans, key=lambda span: _bounds(span[0])):
        if bounds is None:
            continue
        run = list(same)
        low, high = bounds
        axes.fill_between(
            [run[0][1], run[-1][2]],
            floor if low is None else low,
            ceiling if high is None else high,
            color=_BAND,
            linewidth=0,
            zorder=0,
        )


def _draw_baseline(axes: "Axes", trend: Trend) -> None:
    if trend.series.baseline is not None:
        axes.axhline(
            float(trend.series.baseline.number),
            color=_QUIET,
            linestyle=_BASELINE_STYLE,
            linewidth=0.9,
            zorder=1,
        )


def _draw_treatments(axes: "Axes", trend: Trend, tz: ZoneInfo) -> None:
    """Draw a numbered line where a treatment starts or ends between the edges of the picture."""
    left, right = axes.get_xlim()
    for number, treatment in enumerate(trend.treatments, start=1):
        for day, style in ((treatment.starts_on, _STARTS), (treatment.ends_on, _ENDS)):
            if day is None:
                continue
            at = _when(datetime(day.year, day.month, day.day, tzinfo=tz), tz)
            if not left <= at <= right:
                continue
            axes.axvline(at, color=_INK, linestyle=style, linewidth=0.9, zorder=1)
            axes.annotate(
                str(number),
                (at, 1),
                (0, -1),
                xycoords=axes.get_xaxis_transform(),
                textcoords="offset points",
                ha="center",
                va="top",
                fontsize=8,
                color=_INK,
                bbox={"boxstyle": "square,pad=0.12", "facecolor": "white", "edgecolor": "none"},
                zorder=4,
            )


def _bounds(band: Band | None) -> tuple[float | None, float | None] | None:
    if band is None:
        return None
    return (
        None if band.low is None else float(band.low),
        None if band.high is None else float(band.high),
    )


def _draw_line(axes: "Axes", line: Line, style: Any, tz: ZoneInfo) -> None:
    """Join neighbouring closed points; a limit interrupts the line, for nobody knows its height."""
    for closed, run in groupby(line.points, key=lambda point: point.marker is Marker.CLOSED):
        if closed:
            points = list(run)
            axes.plot(
                [_when(point.at, tz) for point in points],
                [float(point.number) for point in points],
                color=_LINE,
                linestyle=style,
                linewidth=1.4,
                solid_capstyle="round",
                zorder=2,
            )


def _draw_point(axes: "Axes", point: PlottedPoint, look: _Look, tz: ZoneInfo) -> None:
    axes.plot(
        [_when(point.at, tz)],
        [float(point.number)],
        look.shape,
        markersize=5.5 if look.shape == "D" else 6,
        markerfacecolor=look.colour if look.filled else "white",
        markeredgecolor="white" if look.filled else look.colour,
        markeredgewidth=0.8 if look.filled else 1.4,
        zorder=3,
        clip_on=False,
    )


def _dress(axes: "Axes", tz: ZoneInfo) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.ticklabel_format(axis="y", style="plain", useOffset=False)
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_QUIET, labelsize=9, length=0, pad=5)
    _date_ticks(axes, tz)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_GRID)


def _date_ticks(axes: "Axes", tz: ZoneInfo) -> None:
    """Label a few days, months or years; the year stands below where it begins."""
    dates: Any = _plotting().dates
    left, right = (dates.num2date(end, tz=tz) for end in axes.get_xlim())
    ticks, step = date_ticks(left, right)
    labels, year = [], None
    for tick in ticks:
        if step >= 12:
            labels.append(str(tick.year))
            continue
        label = f"{tick:%b}" if step else f"{tick.day} {tick:%b}"
        # Two lines each, or the single ones would sit higher.
        below = " " if tick.year == year else tick.year
        labels.append(f"{label}\n{below}")
        year = tick.year
    axes.set_xticks([_when(tick, tz) for tick in ticks], labels)


def date_ticks(left: datetime, right: datetime) -> tuple[list[datetime], int]:
    """Return two to six days to label between two instants of one zone, and the step in months.

    The narrowest step that leaves at most six first days of a month; 0 = also the 15th.
    """
    months = range(left.year * 12 + left.month - 1, right.year * 12 + right.month)
    for step in _MONTH_STEPS:
        days = (1,) if step else (1, 15)
        ticks = [
            tick
            for month in months
            if month % (step or 1) == 0
            for day in days
            if left
            <= (tick := datetime(month // 12, month % 12 + 1, day, tzinfo=left.tzinfo))
            <= right
        ]
        if len(ticks) <= _MOST_TICKS:
            break
    return ticks, step


def _head(axes: "Axes", trend: Trend, tz: ZoneInfo) -> None:
    axes.set_title(
        trend_name(trend), loc="left", color=_INK, fontsize=12, fontweight="bold", pad=22
    )
    axes.annotate(
        headline(trend, tz),
        (0, 1),
        (0, 8),
        xycoords="axes fraction",
        textcoords="offset points",
        color=_QUIET,
        fontsize=9,
        annotation_clip=False,
    )


def _legend(axes: "Axes", trend: Trend) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    looks = {look.words: look for look in (_look(point, trend) for point in trend.points)}
    if trend.series.entered:
        looks[_ENTERED.words] = _ENTERED
    handles: list[Any] = [Patch(color=_BAND, label="lab's range")] if trend.bands else []
    handles += [
        Line2D(
            [],
            [],
            linestyle="none",
            marker=look.shape,
            markersize=5.5,
            markerfacecolor=look.colour if look.filled else "white",
            markeredgecolor=look.colour,
            label=words,
        )
        for words, look in looks.items()
    ]
    if trend.series.baseline is not None:
        baseline = Line2D([], [], color=_QUIET, linestyle=_BASELINE_STYLE, label="baseline")
        handles.append(baseline)
    if len(trend.series.lines) > 1:
        handles += [
            Line2D([], [], color=_LINE, linestyle=style, label=line.method_family or "usual method")
            for line, style in zip(trend.series.lines, _styles(), strict=False)
        ]
    axes.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(-0.02, -0.19),
        ncols=4 if len(handles) <= 4 else 3,
        frameon=False,
        fontsize=8,
        labelcolor=_QUIET,
        handletextpad=0.3,
        columnspacing=1.0,
        handlelength=1.2,
        borderaxespad=0,
    )


def _treatment_legend(figure: "Figure", trend: Trend) -> None:
    """List the treatments below the picture, one a line: on a phone there is no room beside."""
    from matplotlib.lines import Line2D

    if not trend.treatments:
        return
    words = [treatment_caption(n, t) for n, t in enumerate(trend.treatments, start=1)]
    figure.legend(
        handles=[
            Line2D([], [], color=_INK, linestyle=_STARTS, linewidth=0.9, label=text)
            for text in words
        ],
        loc="outside lower left",
        ncols=1,
        frameon=False,
        fontsize=8,
        labelcolor=_QUIET,
        labelspacing=0.3,
        handlelength=1.8,
        borderaxespad=0.8,
        borderpad=0,
    )


def _with_description(svg: bytes, trend: Trend, tz: ZoneInfo) -> bytes:
    """Return the SVG with a role, a title and a description."""
    name = f"trend-{trend.analyte.key}"
    head, mark, rest = svg.partition(b"<svg ")
    opening, end, body = rest.partition(b">")
    role = f'role="img" aria-labelledby="{name}-title {name}-text" '
    spoken = (
        f'<title id="{name}-title">{escape(trend.analyte.plain_name)}</title>'
        f'<desc id="{name}-text">{escape(describe(trend, tz))}</desc>'
    )
    return head + mark + role.encode() + opening + end + spoken.encode() + body
