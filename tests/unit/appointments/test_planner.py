"""A series of visits: order, gaps, tolerance, clock changes, and what cannot be met."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from appointments.planner import (
    Cell,
    Proposal,
    SeriesRule,
    StepRule,
    Time,
    Unmet,
    broken,
    propose,
)

LABS, CLINIC, INFUSION = UUID(int=1), UUID(int=2), UUID(int=3)
ROOM = UUID(int=9)
DAY = timedelta(days=1)
MINUTES = {LABS: 15, CLINIC: 30, INFUSION: 120}
MONDAY = date(2026, 11, 30)
BERLIN = "Europe/Berlin"
ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "America/Phoenix",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
]


def rule(
    *,
    first_on: date = MONDAY + DAY,
    every: int = 21,
    cycles: int = 6,
    tolerance: int = 2,
    steps: tuple[StepRule, ...] | None = None,
) -> SeriesRule:
    return SeriesRule(
        first_on,
        every,
        cycles,
        tolerance,
        steps
        or (
            StepRule(LABS, 1, 2),
            StepRule(CLINIC, 0, 1),
            StepRule(INFUSION, gap=timedelta(minutes=30)),
        ),
    )


ONE = (StepRule(INFUSION),)


class Diary:
    """Hourly openings from eight to four by the clock of a place, on working days."""

    def __init__(
        self,
        series: SeriesRule,
        zone: str = BERLIN,
        *,
        hours: Iterable[int] = range(8, 16),
        closed: Iterable[date] = (),
        only: Mapping[tuple[int, date], Iterable[int]] | None = None,
        weekend: bool = False,
    ) -> None:
        self.series, self.zone, self.hours = series, zone, list(hours)
        self.closed, self.only, self.weekend = set(closed), only or {}, weekend

    def time(self, step: int, on: date, hour: int) -> Time:
        starts_at = datetime.combine(on, time(hour), ZoneInfo(self.zone)).astimezone(UTC)
        length = timedelta(minutes=MINUTES[self.series.steps[step].visit_type_id])
        return Time(starts_at, starts_at + length, self.zone, ROOM)

    def __call__(self, step: int, on: date) -> list[Time]:
        if on in self.closed or (on.isoweekday() > 5 and not self.weekend):
            return []
        return [self.time(step, on, hour) for hour in self.only.get((step, on), self.hours)]


def planned(
    series: SeriesRule, diary: Diary | None = None, today: date = MONDAY, **more: object
) -> Proposal:
    return propose(series, openings=diary or Diary(series), today=today, **more)  # type: ignore[arg-type]


def on(proposal: Proposal, cell: Cell) -> str:
    found = proposal.times[cell]
    return f"{found.on} {found.clock:%H:%M}"


def test_six_cycles_keep_their_distance_and_order() -> None:
    series = rule()
    found = planned(series)
    assert found.unmet == ()
    assert set(found.times) == set(series.cells())
    assert [found.times[(cycle, 2)].on for cycle in range(1, 7)] == [
        MONDAY + DAY + 21 * n * DAY for n in range(6)
    ]
    assert (on(found, (1, 0)), on(found, (1, 1)), on(found, (1, 2))) == (
        "2026-11-30 14:00",
        "2026-11-30 15:00",
        "2026-12-01 08:00",
    )
    assert broken(series, found.times) == []


def test_the_same_facts_give_the_same_proposal() -> None:
    assert planned(rule()) == planned(rule())


def test_a_holiday_moves_a_main_visit_to_the_nearest_day() -> None:
    series = rule(steps=ONE)
    christmas = date(2026, 12, 22)
    found = planned(series, Diary(series, closed=[christmas]))
    assert [found.times[(cycle, 0)].on for cycle in (1, 2, 3)] == [
        MONDAY + DAY,
        christmas - DAY,
        christmas - DAY + 21 * DAY,
    ]


def test_a_main_visit_on_a_saturday_takes_friday_before_monday() -> None:
    saturday = date(2026, 12, 5)
    series = rule(first_on=saturday, cycles=2, steps=ONE)
    found = planned(series)
    # The first is never before its day; the second may be a day early.
    assert found.times[(1, 0)].on == saturday + 2 * DAY
    series = rule(first_on=saturday - DAY, every=22, cycles=2, steps=ONE)
    assert planned(series).times[(2, 0)].on == date(2026, 12, 25)
    series = rule(first_on=saturday - DAY, every=15, cycles=2, steps=ONE)
    assert planned(series).times[(2, 0)].on == date(2026, 12, 18)


def test_labs_before_a_monday_cannot_be_on_a_weekend() -> None:
    """Two days before Monday is Saturday: the infusion goes to Tuesday."""
    series = rule(first_on=MONDAY, cycles=1)
    assert planned(series, today=MONDAY - DAY).times[(1, 2)].on == MONDAY + DAY
    strict = rule(first_on=MONDAY, cycles=1, tolerance=0)
    assert planned(strict, today=MONDAY - DAY).unmet == (Unmet(1, 0, "no-opening"),)


def test_an_earlier_cycle_gives_way_for_a_later_one() -> None:
    """With the first on its day the second would fall on two closed weeks."""
    series = rule(cycles=2, tolerance=1, steps=ONE, first_on=MONDAY + DAY)
    target = MONDAY + 22 * DAY
    found = planned(series, Diary(series, closed=[target - DAY, target, target + DAY]))
    assert found.unmet == ()
    assert (found.times[(1, 0)].on, found.times[(2, 0)].on) == (
        MONDAY + 2 * DAY,
        target + 2 * DAY,
    )


@pytest.mark.parametrize(("gap", "hour"), [(0, 9), (30, 9), (31, 8), (60, 8)])
def test_the_gap_is_kept_to_the_minute(gap: int, hour: int) -> None:
    """A clinic visit at eight or nine is over at half past; the infusion is at ten."""
    steps = (StepRule(CLINIC, 0, 0), StepRule(INFUSION, gap=timedelta(minutes=gap)))
    series = rule(cycles=1, steps=steps)
    day = MONDAY + DAY
    diary = Diary(series, only={(0, day): [8, 9], (1, day): [10]})
    found = planned(series, diary)
    assert on(found, (1, 0)).endswith(f"{hour:02}:00")
    late = Diary(series, only={(0, day): [8], (1, day): [8]})
    assert planned(rule(cycles=1, steps=steps, tolerance=0), late).unmet == (Unmet(1, 0, "order"),)


def test_her_own_visits_are_kept_free() -> None:
    series = rule(cycles=1, tolerance=0, steps=ONE)
    diary = Diary(series)
    day = MONDAY + DAY
    hers = [diary.time(0, day, hour) for hour in (8, 9)]
    assert on(planned(series, hers=hers), (1, 0)) == f"{day} 11:00"
    all_day = [diary.time(0, day, hour) for hour in range(8, 17)]
    assert planned(series, hers=all_day).unmet == (Unmet(1, 0, "own-visit"),)


def test_what_is_over_is_said_to_be_over() -> None:
    series = rule(cycles=1, steps=ONE)
    last = series.first_on + 2 * DAY
    assert planned(series, Diary(series, hours=[]), today=last).unmet[0].reason == "no-opening"
    assert planned(series, Diary(series, hours=[]), today=last + DAY).unmet[0].reason == "past"


def test_how_far_it_went_and_where_it_stopped() -> None:
    series = rule(steps=ONE, tolerance=0)
    third = series.first_on + 42 * DAY
    found = planned(series, Diary(series, closed=[third]))
    assert sorted(found.times) == [(1, 0), (2, 0)]
    assert found.unmet == (Unmet(3, 0, "no-opening"),)


def test_what_stands_is_planned_around() -> None:
    series = rule(cycles=3)
    diary = Diary(series)
    stands = {(1, 2): diary.time(2, MONDAY + 3 * DAY, 10), (1, 0): diary.time(0, MONDAY + DAY, 8)}
    found = planned(series, fixed=stands)
    assert found.unmet == ()
    assert {cell: found.times[cell] for cell in stands} == stands
    assert found.times[(2, 2)].on == MONDAY + 24 * DAY
    assert broken(series, found.times, fixed=stands) == []


def test_two_visits_that_stand_are_not_held_against_each_other() -> None:
    series = rule(cycles=1)
    diary = Diary(series)
    stands = {(1, 0): diary.time(0, MONDAY + 9 * DAY, 8), (1, 2): diary.time(2, MONDAY, 10)}
    assert broken(series, stands, fixed=stands) == []
    assert broken(series, stands) == [(1, 0), (1, 2)]


def test_a_series_that_moves_keeps_its_hour() -> None:
    series = rule(cycles=2, steps=ONE)
    found = planned(series, near={(2, 0): time(13)})
    assert (on(found, (1, 0))[-5:], on(found, (2, 0))[-5:]) == ("08:00", "13:00")


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    "first_on",
    [date(2026, 3, 3), date(2026, 9, 15), date(2026, 10, 13), date(2027, 3, 2)],
)
def test_days_and_hours_hold_across_changes_of_clocks(zone: str, first_on: date) -> None:
    series = rule(first_on=first_on, every=7, cycles=6, tolerance=0)
    found = planned(series, Diary(series, zone), today=first_on)
    assert found.unmet == ()
    for cycle in range(1, 7):
        assert found.times[(cycle, 2)].on == first_on + 7 * (cycle - 1) * DAY
        assert on(found, (cycle, 2))[-5:] == "08:00"
    assert broken(series, found.times) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"cycles": 0},
        {"tolerance": -1},
        {"steps": (StepRule(INFUSION, 0, 1),)},
        {"steps": (StepRule(LABS, 2, 1), StepRule(INFUSION))},
        {"steps": (StepRule(LABS, 0, 1), StepRule(CLINIC, 2, 3), StepRule(INFUSION))},
        {"every": 4, "tolerance": 2},
    ],
)
def test_a_series_that_contradicts_itself(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"series|step|days|cycle"):
        rule(**wrong)  # type: ignore[arg-type]


def test_a_series_without_steps_is_none() -> None:
    with pytest.raises(ValueError, match="steps"):
        SeriesRule(MONDAY, 21, 6, 2, ())


def test_a_cycle_may_begin_the_day_after_the_last_one_ends() -> None:
    series = rule(every=5, tolerance=2, cycles=2)
    assert planned(series, Diary(series, weekend=True)).unmet == ()


@pytest.mark.parametrize(("days", "bad"), [(18, True), (19, False), (23, False), (24, True)])
def test_tolerance_is_judged_to_the_day(days: int, bad: bool) -> None:
    series = rule(cycles=2, steps=ONE)
    diary = Diary(series)
    times = {
        (1, 0): diary.time(0, series.first_on, 8),
        (2, 0): diary.time(0, series.first_on + days * DAY, 8),
    }
    assert bool(broken(series, times)) is bad


@pytest.mark.parametrize(("days", "bad"), [(-1, True), (0, False), (2, False), (3, True)])
def test_the_first_is_on_its_day_or_a_little_later(days: int, bad: bool) -> None:
    series = rule(cycles=1, steps=ONE)
    times = {(1, 0): Diary(series).time(0, series.first_on + days * DAY, 8)}
    assert bool(broken(series, times)) is bad
