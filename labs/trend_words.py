"""A trend in words: the head of its picture, and the text for those who do not see it."""

from datetime import date, datetime
from decimal import Context, Decimal
from zoneinfo import ZoneInfo

from clinical.states import PortalState, direction_of, patient_label
from clinical.trend import BaselineBasis, Direction, Marker, PlottedPoint
from labs.trends import Band, Treatment, Trend

_SIGNS = {Marker.OPEN_BELOW: "<", Marker.OPEN_ABOVE: ">"}
_LONGEST = 6
_CAPTION = 52


def trend_name(trend: Trend) -> str:
    """Return what was measured, and in which unit."""
    unit = trend.unit_text or trend.unit
    return f"{trend.analyte.plain_name}, {unit}" if unit else trend.analyte.plain_name


def shown(number: Decimal) -> str:
    """Return a number without exponent; one that a conversion made long, with five digits."""
    if len(number.as_tuple().digits) > _LONGEST:
        number = Context(prec=5).plus(number)
    return format(number, "f")


def number_of(point: PlottedPoint) -> str:
    return f"{_SIGNS.get(point.marker, '')}{shown(point.number)}"


def day(instant: datetime, tz: ZoneInfo) -> str:
    return day_words(instant.astimezone(tz).date())


def day_words(local: date) -> str:
    return f"{local.day} {local:%B %Y}"


def treatment_words(number: int, treatment: Treatment) -> str:
    """Return a treatment with the number that its marks carry: "1: CDK4/6 drug, from ..."."""
    words = f"{number}: {treatment.name}, from {day_words(treatment.starts_on)}"
    return words if treatment.ends_on is None else f"{words} to {day_words(treatment.ends_on)}"


def treatment_caption(number: int, treatment: Treatment) -> str:
    """Return the same on one line of a phone; a long name is cut, the description has it whole."""
    days = f"from {_short_day(treatment.starts_on)}"
    if treatment.ends_on is not None:
        days += f" to {_short_day(treatment.ends_on)}"
    room = _CAPTION - len(f"{number}: , {days}")
    name = treatment.name
    if len(name) > room:
        name = f"{name[: room - 1]}…"
    return f"{number}: {name}, {days}"


def _short_day(local: date) -> str:
    return f"{local.day} {local:%b %Y}"


def range_words(band: Band) -> str:
    """Return the bounds of a range: "7 to 35", "up to 35", "from 60"."""
    if band.low is not None and band.high is not None:
        return f"{shown(band.low)} to {shown(band.high)}"
    if band.high is not None:
        return f"up to {shown(band.high)}"
    assert band.low is not None
    return f"from {shown(band.low)}"


def _range_of(trend: Trend, point: PlottedPoint) -> Band | None:
    return next((band for band in trend.bands if band.result_id == point.result_id), None)


def headline(trend: Trend, tz: ZoneInfo) -> str:
    """Return the newest result and its range in one short line; empty when nothing is drawn."""
    if not trend.points:
        return ""
    last = trend.points[-1]
    band = _range_of(trend, last)
    local = last.at.astimezone(tz)
    words = f"{number_of(last)} on {local.day} {local:%b %Y}"
    return f"{words} · lab's range {range_words(band)}" if band else f"{words} · no range"


def describe(trend: Trend, tz: ZoneInfo) -> str:
    """Return the picture in words: how many results, the highest, the lowest, the last."""
    if not trend.drawn:
        return "There is nothing to draw yet."
    sentences = [*_measured(trend, tz), *_entered(trend, tz), *_baseline(trend)]
    if trend.treatments:
        listed = [treatment_words(n, t) for n, t in enumerate(trend.treatments, start=1)]
        sentences.append(f"Treatments: {'; '.join(listed)}.")
    if trend.series.excluded:
        sentences.append(f"Not drawn: {len(trend.series.excluded)}.")
    return " ".join(sentences)


def _measured(trend: Trend, tz: ZoneInfo) -> list[str]:
    points = trend.points
    if not points:
        return []
    unit = trend.unit_text or trend.unit
    last = points[-1]
    sentences = [
        f"1 result, of {day(last.at, tz)}."
        if len(points) == 1
        else f"{len(points)} results from {day(points[0].at, tz)} to {day(last.at, tz)}."
    ]
    outside = sum(1 for point in points if direction_of(PortalState(point.state)) is not None)
    if len(points) > 1:
        highest = max(points, key=lambda point: point.number)
        lowest = min(points, key=lambda point: point.number)
        sentences.append(
            f"The highest is {number_of(highest)} {unit} ({day(highest.at, tz)}), "
            f"the lowest {number_of(lowest)} {unit} ({day(lowest.at, tz)})."
        )
        sentences.append(f"{outside} of them are outside the lab's range.")
    label = patient_label(PortalState(last.state))
    sentences.append(f"The last is {number_of(last)} {unit}: {label}.")
    band = _range_of(trend, last)
    sentences.append(
        f"The lab's range is {range_words(band)}." if band else "No range came with it."
    )
    return sentences


def _entered(trend: Trend, tz: ZoneInfo) -> list[str]:
    typed = trend.series.entered
    if not typed:
        return []
    count = "1 result was" if len(typed) == 1 else f"{len(typed)} results were"
    last, unit = typed[-1], trend.unit_text or trend.unit
    return [
        f"{count} typed in, not by the clinic; "
        f"the last is {number_of(last)} {unit} ({day(last.at, tz)})."
    ]


_AGAINST = {
    Direction.UP: "The last is above it.",
    Direction.DOWN: "The last is below it.",
    Direction.SAME: "The last is the same.",
}


def _baseline(trend: Trend) -> list[str]:
    baseline = trend.series.baseline
    if baseline is None:
        return []
    where = "set by the clinic" if baseline.basis is BaselineBasis.SET else "before treatment"
    value = f"{shown(baseline.number)} {trend.unit_text or trend.unit}"
    sentences = [f"The baseline is {value} ({where})."]
    if baseline.change is not None:
        sentences.append(_AGAINST[baseline.change.direction])
    return sentences
