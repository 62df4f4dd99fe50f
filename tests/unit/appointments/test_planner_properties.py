"""Whatever is free: a proposal breaks no rule, and one is found if there is one."""

from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise, product
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from appointments.planner import Cell, SeriesRule, StepRule, Time, broken, propose
from tests.unit.appointments.test_planner import ZONES

FIRST = date(2026, 10, 20)
DAY = timedelta(days=1)


@st.composite
def series(draw: st.DrawFn, *, cycles: int, steps: int) -> SeriesRule:
    rows = []
    least_at_least = 0
    for _ in range(draw(st.integers(0, steps - 1))):
        # Laid down from the main visit backwards, so that the order can be met.
        least = draw(st.integers(least_at_least, 2))
        rows.append(StepRule(UUID(int=1), least, draw(st.integers(least, 3)), _gap(draw)))
        least_at_least = least
    tolerance = draw(st.integers(0, 2))
    return SeriesRule(
        FIRST,
        draw(st.integers(4 + tolerance, 9)),
        draw(st.integers(1, cycles)),
        tolerance,
        (*reversed(rows), StepRule(UUID(int=1), gap=_gap(draw))),
    )


def _gap(draw: st.DrawFn) -> timedelta:
    return timedelta(minutes=draw(st.sampled_from([0, 15, 90, 600])))


def openings_of(
    draw: st.DrawFn, rule: SeriesRule, zone: str, *, days: int, hours: list[int], most: int
) -> dict[tuple[int, date], list[Time]]:
    free = defaultdict(list)
    for step in range(len(rule.steps)):
        for _ in range(draw(st.integers(0, most))):
            on = FIRST + draw(st.integers(-3, days)) * DAY
            starts = datetime.combine(
                on, time(draw(st.sampled_from(hours)), draw(st.sampled_from([0, 30])))
            )
            starts_at = starts.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
            length = timedelta(minutes=draw(st.sampled_from([30, 120])))
            free[(step, starts_at.astimezone(ZoneInfo(zone)).date())].append(
                Time(starts_at, starts_at + length, zone, UUID(int=draw(st.integers(1, 2))))
            )
    return free


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_proposal_breaks_no_rule(data: st.DataObject) -> None:
    rule = data.draw(series(cycles=4, steps=3))
    zone = data.draw(st.sampled_from(ZONES))
    hours = list(range(24))
    free = openings_of(data.draw, rule, zone, days=45, hours=hours, most=40)
    hers = [
        found
        for (_, _), times in openings_of(
            data.draw, rule, zone, days=45, hours=hours, most=4
        ).items()
        for found in times
    ]
    found = propose(
        rule, openings=lambda step, on: free.get((step, on), ()), today=FIRST, hers=hers
    )
    offered = {(step, time) for (step, _), times in free.items() for time in times}
    chosen = sorted(found.times.values(), key=lambda time: time.starts_at)
    assert all((step, time) in offered for (_, step), time in found.times.items())
    assert not any(time.overlaps(visit) for time in chosen for visit in hers)
    assert not any(a.overlaps(b) for a, b in pairwise(chosen))
    assert broken(rule, found.times) == []
    if found.unmet:
        assert len(found.times) < len(list(rule.cells()))
        assert all(unmet.cycle <= rule.cycles for unmet in found.unmet)
    else:
        assert set(found.times) == set(rule.cells())
        order = [found.times[cell].starts_at for cell in rule.cells()]
        assert order == sorted(order)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_what_can_be_met_is_met(data: st.DataObject) -> None:
    """Against every combination there is."""
    rule = data.draw(series(cycles=2, steps=2))
    free = openings_of(data.draw, rule, "Europe/Berlin", days=14, hours=[8, 10, 14], most=5)
    found = propose(rule, openings=lambda step, on: free.get((step, on), ()), today=FIRST)
    cells: list[Cell] = list(rule.cells())
    by_step = [
        [time for (step, _), times in free.items() if step == wanted for time in times]
        for wanted in range(len(rule.steps))
    ]
    possible = any(
        broken(rule, dict(zip(cells, times, strict=True))) == []
        for times in product(*(by_step[step] for _, step in cells))
    )
    assert (found.unmet == ()) is possible


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_what_stands_stays(data: st.DataObject) -> None:
    rule = data.draw(series(cycles=3, steps=3))
    free = openings_of(
        data.draw, rule, "Australia/Lord_Howe", days=40, hours=[8, 9, 10, 14], most=60
    )

    def openings(step: int, on: date) -> list[Time]:
        return free.get((step, on), [])

    whole = propose(rule, openings=openings, today=FIRST)
    kept = {
        cell: time
        for cell, time in whole.times.items()
        if data.draw(st.booleans(), label=str(cell))
    }
    again = propose(rule, openings=openings, today=FIRST, fixed=kept)
    assert all(again.times.get(cell, time) == time for cell, time in kept.items())
    if not whole.unmet:
        assert again.unmet == ()
    assert broken(rule, again.times, fixed=kept) == []
