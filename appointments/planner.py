"""Times for a series of visits. Pure: rules and openings in, a proposal out.

Rules.

A cycle is a row of steps, one visit each, in order; the last step is the main one. The main
visit of the first cycle is on `first_on` or up to `tolerance_days` later, that of each further
cycle `every_days` after the one before, `tolerance_days` sooner or later. Another step is from
`least` to `most` days before the main visit of its cycle, and starts at least `gap` after the
step before it ends. Days are dates at the place of the visit, so a change of clocks moves
none; gaps are real time. A cycle is over before the next one begins. No visit overlaps another
of hers.

What is chosen. The main visit is on the day nearest to its own, the earlier of two that are
equally near, and of that day at the time nearest to `near` where that is given (a series that
moves keeps its hour), else at the first that leaves room for what comes before. What comes
before is as close to it as can be: the fewest ways for her, the freshest blood. When a later
cycle cannot be met, earlier ones give way within their tolerance. The same facts give the same
proposal.

A visit that stands already is `fixed`: it is planned around. Two fixed visits are not held
against each other; somebody meant them so.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)
_NO_TIME = timedelta(0)

Cell = tuple[int, int]
"""Cycle (from 1) and step (from 0)."""


@dataclass(frozen=True, slots=True)
class StepRule:
    """One visit of a cycle: `least` to `most` days before the main one, `gap` after the last."""

    visit_type_id: UUID
    least: int = 0
    most: int = 0
    gap: timedelta = _NO_TIME


@dataclass(frozen=True, slots=True)
class SeriesRule:
    """The whole series. Raises: ValueError for one that contradicts itself."""

    first_on: date
    every_days: int
    cycles: int
    tolerance_days: int
    steps: tuple[StepRule, ...]

    def __post_init__(self) -> None:
        if not self.steps or self.cycles < 1 or self.tolerance_days < 0:
            raise ValueError("a series has steps and cycles")
        if self.steps[-1].least or self.steps[-1].most:
            raise ValueError("the last step is the main one, on its own day")
        if any(not 0 <= step.least <= step.most for step in self.steps):
            raise ValueError("days before run from least to most")
        if any(later.least > earlier.most for earlier, later in pairwise(self.steps)):
            raise ValueError("a step cannot be days before the one that it follows")
        most = max(step.most for step in self.steps)
        if self.cycles > 1 and self.every_days - self.tolerance_days <= most:
            raise ValueError("a cycle would begin before the last one is over")

    @property
    def main(self) -> int:
        return len(self.steps) - 1

    def cells(self) -> Iterator[Cell]:
        return (
            (cycle, step) for cycle in range(1, self.cycles + 1) for step in range(len(self.steps))
        )


@dataclass(frozen=True, slots=True)
class Time:
    """A visit's time: aware, in UTC. `zone` is that of the place."""

    starts_at: datetime
    ends_at: datetime
    zone: str
    schedule_id: UUID

    @property
    def on(self) -> date:
        return self.starts_at.astimezone(ZoneInfo(self.zone)).date()

    @property
    def clock(self) -> time:
        return self.starts_at.astimezone(ZoneInfo(self.zone)).time()

    def overlaps(self, other: "Time") -> bool:
        return self.starts_at < other.ends_at and other.starts_at < self.ends_at


Reason = Literal["past", "no-opening", "own-visit", "order"]


@dataclass(frozen=True, slots=True)
class Unmet:
    """A step that cannot be met, and why.

    past: its days are over. no-opening: nothing is free on them. own-visit: only while she has
    another visit. order: not together with the steps around it.
    """

    cycle: int
    step: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Proposal:
    """`times` of every cell, fixed ones too, when `unmet` is empty; else as far as it went."""

    times: Mapping[Cell, Time]
    unmet: tuple[Unmet, ...] = ()


# What is free for a step on a date at the place, in any order.
Openings = Callable[[int, date], Iterable[Time]]


class _Planner:
    def __init__(
        self,
        rule: SeriesRule,
        openings: Openings,
        hers: Sequence[Time],
        fixed: Mapping[Cell, Time],
        near: Mapping[Cell, time],
        today: date,
    ) -> None:
        self.rule, self.fixed, self.near = rule, fixed, near
        self.hers = [*hers, *fixed.values()]
        self.today = today
        self._openings = openings
        self._free: dict[tuple[int, date], list[Time]] = {}
        self._dead: set[tuple[int, Time | None]] = set()
        self.deepest: dict[Cell, Time] = {}
        self.reached = 1
        self.before: Time | None = None

    def free(self, step: int, on: date) -> list[Time]:
        """Return what is free for a step on a date and not during a visit of hers."""
        key = (step, on)
        if key not in self._free:
            self._free[key] = sorted(
                (
                    opening
                    for opening in self._openings(step, on)
                    if not any(opening.overlaps(visit) for visit in self.hers)
                ),
                key=lambda opening: (opening.starts_at, opening.schedule_id),
            )
        return self._free[key]

    # --- one cycle --------------------------------------------------------------------------------

    def days(self, cycle: int, before: Time | None) -> list[date]:
        """Return the days the main visit may be on, the best first."""
        rule = self.rule
        around = range(-rule.tolerance_days, rule.tolerance_days + 1)
        if before is None:
            target, offsets = rule.first_on, [offset for offset in around if offset >= 0]
        else:
            target = before.on + rule.every_days * _DAY
            offsets = sorted(around, key=lambda offset: (abs(offset), offset))
        following = self.fixed.get((cycle + 1, rule.main))
        return [
            target + offset * _DAY
            for offset in offsets
            if following is None
            or abs((following.on - target).days - offset - rule.every_days) <= rule.tolerance_days
        ]

    def mains(self, cycle: int, before: Time | None) -> Iterator[Time]:
        """Yield the times for the main visit, the best first."""
        standing = self.fixed.get((cycle, self.rule.main))
        if standing is not None:
            yield standing
            return
        wanted = self.near.get((cycle, self.rule.main))
        for on in self.days(cycle, before):
            found = self.free(self.rule.main, on)
            if wanted is not None:
                found = sorted(found, key=lambda time: _apart(time.clock, wanted))
            yield from found

    def candidates(self, cycle: int, step: int, main: Time) -> Iterator[Time]:
        """Yield the times for a step before `main`, the latest first."""
        standing = self.fixed.get((cycle, step))
        if standing is not None:
            if (cycle, self.rule.main) in self.fixed or self._days_right(step, standing, main):
                yield standing
            return
        wanted = self.rule.steps[step]
        for days in range(wanted.least, wanted.most + 1):
            found = self.free(step, main.on - days * _DAY)
            # Latest start first; of equal ones the first schedule.
            yield from sorted(found, key=lambda time: time.starts_at, reverse=True)

    def _days_right(self, step: int, time: Time, main: Time) -> bool:
        wanted = self.rule.steps[step]
        return wanted.least <= (main.on - time.on).days <= wanted.most

    def chain(self, cycle: int, main: Time, before: Time | None) -> dict[Cell, Time] | int:
        """Return the visits of a cycle that ends with `main`, or the step that does not fit.

        Each step takes the latest time that the next one leaves, so if any fits, one is found.
        """
        found = {(cycle, self.rule.main): main}
        following, step = main, self.rule.main
        while step > 0:
            gap = self.rule.steps[step].gap
            step -= 1
            earlier = next(
                (
                    time
                    for time in self.candidates(cycle, step, main)
                    if time.ends_at + gap <= following.starts_at
                    or {(cycle, step), (cycle, step + 1)} <= self.fixed.keys()
                ),
                None,
            )
            if earlier is None:
                return step
            found[(cycle, step)] = following = earlier
        both = {(cycle, 0), (cycle - 1, self.rule.main)} <= self.fixed.keys()
        if before is not None and following.starts_at < before.ends_at and not both:
            return 0
        return found

    # --- all cycles -------------------------------------------------------------------------------

    def plan(self, cycle: int, before: Time | None) -> dict[Cell, Time] | None:
        """Return the visits from `cycle` on, given the main visit `before` it; None: none fit."""
        if cycle > self.rule.cycles:
            return {}
        if (cycle, before) in self._dead:
            return None
        tried: set[date] = set()
        for main in self.mains(cycle, before):
            # A later time of the same day serves what follows no better.
            if main.on in tried:
                continue
            visits = self.chain(cycle, main, before)
            if isinstance(visits, int):
                continue
            tried.add(main.on)
            self._walk.update(visits)
            if cycle + 1 > self.reached:
                self.reached, self.before = cycle + 1, main
                self.deepest = dict(self._walk)
            rest = self.plan(cycle + 1, main)
            if rest is not None:
                return visits | rest
            for cell in visits:
                del self._walk[cell]
        self._dead.add((cycle, before))
        return None

    def proposal(self) -> Proposal:
        self._walk: dict[Cell, Time] = {}
        found = self.plan(1, None)
        if found is not None:
            return Proposal(found)
        return Proposal(self.deepest, self.why(self.reached, self.before))

    # --- why not ----------------------------------------------------------------------------------

    def why(self, cycle: int, before: Time | None) -> tuple[Unmet, ...]:
        """Return which steps of a cycle cannot be met after `before`, the first reason of each."""
        rule = self.rule
        standing = self.fixed.get((cycle, rule.main))
        days = [standing.on] if standing is not None else self.days(cycle, before)
        found = []
        for step, wanted in enumerate(rule.steps):
            if (cycle, step) in self.fixed:
                continue
            dates = sorted(
                {on - n * _DAY for on in days for n in range(wanted.least, wanted.most + 1)}
            )
            if not dates or dates[-1] < self.today:
                found.append(Unmet(cycle, step, "past" if dates else "order"))
            elif not any(self.free(step, on) for on in dates):
                taken = any(True for on in dates for _ in self._openings(step, on))
                found.append(Unmet(cycle, step, "own-visit" if taken else "no-opening"))
        if found:
            return tuple(found)
        failed = [self.chain(cycle, main, before) for main in self.mains(cycle, before)]
        steps = sorted({step for step in failed if isinstance(step, int)})
        return (Unmet(cycle, steps[0] if steps else rule.main, "order"),)


def _apart(clock: time, wanted: time) -> int:
    return abs((clock.hour - wanted.hour) * 60 + clock.minute - wanted.minute)


def propose(
    rule: SeriesRule,
    *,
    openings: Openings,
    today: date,
    hers: Sequence[Time] = (),
    fixed: Mapping[Cell, Time] | None = None,
    near: Mapping[Cell, time] | None = None,
) -> Proposal:
    """Return times for every visit of a series, or which step cannot be met and why.

    `hers` are her other visits, without those in `fixed`. `near` are hours of the day to keep
    to. `today` is only for saying that days are over; what is past is no opening.
    """
    return _Planner(rule, openings, hers, fixed or {}, near or {}, today).proposal()


def broken(
    rule: SeriesRule, times: Mapping[Cell, Time], *, fixed: Iterable[Cell] = ()
) -> list[Cell]:
    """Return the visits that break a rule, given times for all or some cells.

    Two `fixed` visits are not held against each other.
    """
    standing = set(fixed)
    found = []

    def judged(*cells: Cell) -> bool:
        return all(cell in times for cell in cells) and not standing.issuperset(cells)

    for cycle, step in sorted(times):
        here, main = (cycle, step), (cycle, rule.main)
        mine, wanted = times[here], rule.steps[step]
        right = True
        if judged(here, main):
            right = wanted.least <= (times[main].on - mine.on).days <= wanted.most
        earlier = (cycle, step - 1) if step else (cycle - 1, rule.main)
        if judged(here, earlier):
            gap = wanted.gap if step else _NO_TIME
            right = right and times[earlier].ends_at + gap <= mine.starts_at
        if step == rule.main and judged(here, (cycle - 1, step)):
            apart = (mine.on - times[(cycle - 1, step)].on).days - rule.every_days
            right = right and abs(apart) <= rule.tolerance_days
        if here == (1, rule.main) and here not in standing:
            right = right and 0 <= (mine.on - rule.first_on).days <= rule.tolerance_days
        if not right:
            found.append(here)
    return found


def out_of_order(rule: SeriesRule, times: Mapping[Cell, Time]) -> list[tuple[Cell, Cell]]:
    """Return visits that begin before the one before them is over, its gap included, with that.

    Distances in days are left aside: when the clinic has to move a visit they may not be kept.
    """
    found = []
    for cycle, step in sorted(times):
        earlier = (cycle, step - 1) if step else (cycle - 1, rule.main)
        gap = rule.steps[step].gap if step else _NO_TIME
        if earlier in times and times[earlier].ends_at + gap > times[(cycle, step)].starts_at:
            found.append(((cycle, step), earlier))
    return found
