"""The waitlist's rules: what fits whom, who comes first, and how long she has to answer.

Pure: facts in, offers out. Whether a time is still free is decided when it is kept.

Rules.

A wish is any of its windows (none: any time), at any of its locations (none: anywhere), not
sooner than her notice, and earlier than the visit that she has. Windows are read on the wall
clock of the location; a visit fits when it starts in the window.

People are asked in the order of the visit type, one for each opening, and each about one opening
at a time: the first in line gets the earliest opening that fits, the next the earliest of the
rest. What she declined or did not answer is not offered to her again.

The time to answer runs only while she may be disturbed. It ends when the visit would come
sooner than her notice or the clinic's lead time, or when she could no longer change the visit
that she has. Whoever would be left with less than half an hour is not asked.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from appointments.slots import Opening, Taken
from notifications.quiet_hours import Quiet

DECENT = timedelta(minutes=30)
SILENT_AT_MOST = 3
RESTS_FOR = timedelta(hours=24)
"""After so many offers in a row without an answer she is not asked for so long."""

Order = Literal["urgency", "waiting", "without-visit"]
PARTS_OF_DAY: dict[str, tuple[time | None, time | None]] = {
    "morning": (None, time(12)),
    "afternoon": (time(12), time(17)),
    "evening": (time(17), None),
}


@dataclass(frozen=True, slots=True)
class Window:
    """Local dates (both included), ISO weekdays (none: all) and starts from, before a time."""

    first_on: date | None = None
    last_on: date | None = None
    iso_weekdays: frozenset[int] = frozenset()
    time_from: time | None = None
    time_until: time | None = None

    def holds(self, local: datetime) -> bool:
        """Return whether a visit that starts at this wall-clock time lies in the window."""
        on, at = local.date(), local.time()
        return (
            (self.first_on is None or self.first_on <= on)
            and (self.last_on is None or on <= self.last_on)
            and (not self.iso_weekdays or on.isoweekday() in self.iso_weekdays)
            and (self.time_from is None or self.time_from <= at)
            and (self.time_until is None or at < self.time_until)
        )


@dataclass(frozen=True, slots=True)
class Wish:
    """What she waits for. `before` is the start of the visit that she has already."""

    windows: tuple[Window, ...] = ()
    locations: frozenset[UUID] = frozenset()
    notice: timedelta = timedelta(0)
    before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Free:
    """An opening with where it is and what the clock shows there."""

    opening: Opening
    location_id: UUID
    local: datetime

    @classmethod
    def at(cls, opening: Opening, *, location_id: UUID, zone: str) -> "Free":
        return cls(opening, location_id, opening.starts_at.astimezone(ZoneInfo(zone)))

    @property
    def key(self) -> tuple[UUID, datetime]:
        return self.opening.schedule_id, self.opening.starts_at


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """Somebody in line.

    `refusal` is why she is not asked about anything now. `changeable_until` is how long the
    visit that she has may be changed; `not_again` the openings that she was offered before.
    """

    entry_id: UUID
    urgency: str
    since: datetime
    wish: Wish
    quiet: Quiet | None
    has_visit: bool = False
    refusal: str = ""
    changeable_until: datetime | None = None
    busy: Taken = field(default_factory=Taken)
    not_again: frozenset[tuple[UUID, datetime]] = frozenset()


@dataclass(frozen=True, slots=True)
class Choice:
    """An offer to make, and why: `rank` among those it fits, who was passed over and why."""

    entry_id: UUID
    free: Free
    answer_until: datetime
    rank: int
    others: int
    passed_over: dict[str, int]


def fits(wish: Wish, free: Free, *, now: datetime) -> bool:
    """Return whether an opening is what she waits for."""
    starts_at = free.opening.starts_at
    return (
        (wish.before is None or starts_at < wish.before)
        and starts_at >= now + wish.notice
        and (not wish.locations or free.location_id in wish.locations)
        and (not wish.windows or any(window.holds(free.local) for window in wish.windows))
    )


def ranked(waiting: Iterable[Waiting], order: Order) -> list[Waiting]:
    """Return the line: by `order`, then who waits longest."""

    def place(who: Waiting) -> tuple[bool, bool, datetime, int]:
        return (
            order != "waiting" and who.urgency != "urgent",
            order == "without-visit" and who.has_visit,
            who.since,
            who.entry_id.int,
        )

    return sorted(waiting, key=place)


def awake_after(quiet: Quiet, at: datetime, span: timedelta) -> datetime:
    """Return when `span` of time in which she may be disturbed has passed since `at`."""
    at = quiet.first_allowed(at)
    while at + span > (evening := quiet.next_start(at)):
        span -= evening - at
        at = quiet.first_allowed(evening)
    return at + span


def answer_until(
    *, now: datetime, quiet: Quiet, answer: timedelta, latest: datetime
) -> datetime | None:
    """Return when an offer made at `now` ends; None when it would leave her too little time."""
    if awake_after(quiet, now, min(answer, DECENT)) > latest:
        return None
    return min(awake_after(quiet, now, answer), latest)


def rests_until(endings: Sequence[tuple[str, datetime]]) -> datetime | None:
    """Return until when she is left in peace after offers without an answer, newest first.

    Each ending is what became of an offer and when.
    """
    silent = 0
    for state, _ in endings:
        if state != "expired":
            break
        silent += 1
    if not silent or silent % SILENT_AT_MOST:
        return None
    return endings[0][1] + RESTS_FOR


def choose(
    waiting: Iterable[Waiting],
    free: Sequence[Free],
    *,
    order: Order,
    answer: timedelta,
    lead_time: timedelta,
    now: datetime,
) -> tuple[list[Choice], dict[UUID, str]]:
    """Return whom to offer what, and why others whom something fits are offered nothing.

    `free` is in the order of time.
    """
    line = ranked(waiting, order)
    open_still = list(free)
    choices: list[Choice] = []
    why_not: dict[UUID, str] = {}
    for who in line:
        for each in open_still:
            if not fits(who.wish, each, now=now):
                continue
            until, why = _asked(who, each, answer=answer, lead_time=lead_time, now=now)
            if until is None:
                why_not.setdefault(who.entry_id, why)
                continue
            why_not.pop(who.entry_id, None)
            choices.append(
                _choice(who, each, until, line, answer=answer, lead_time=lead_time, now=now)
            )
            open_still = [other for other in open_still if not _overlap(other, each)]
            break
    return choices, why_not


def _asked(
    who: Waiting, each: Free, *, answer: timedelta, lead_time: timedelta, now: datetime
) -> tuple[datetime | None, str]:
    """Return until when she may answer; or None and why she is not asked about this opening."""
    starts_at, ends_at = each.opening.starts_at, each.opening.ends_at
    if who.refusal or who.quiet is None:
        return None, who.refusal or "nobody-to-ask"
    if each.key in who.not_again:
        return None, "asked-before"
    if not who.busy.leaves_free(int(starts_at.timestamp()), int(ends_at.timestamp())):
        return None, "other-visit"
    latest = starts_at - max(who.wish.notice, lead_time)
    if who.changeable_until is not None:
        latest = min(latest, who.changeable_until)
    until = answer_until(now=now, quiet=who.quiet, answer=answer, latest=latest)
    return until, "too-near"


def _choice(
    who: Waiting,
    each: Free,
    until: datetime,
    line: Sequence[Waiting],
    *,
    answer: timedelta,
    lead_time: timedelta,
    now: datetime,
) -> Choice:
    wanted_by = [other for other in line if fits(other.wish, each, now=now)]
    before = wanted_by[: wanted_by.index(who)]
    passed_over: Counter[str] = Counter()
    for other in before:
        other_until, why = _asked(other, each, answer=answer, lead_time=lead_time, now=now)
        passed_over["asked-about-another-time" if other_until else why] += 1
    return Choice(
        entry_id=who.entry_id,
        free=each,
        answer_until=until,
        rank=len(before) + 1,
        others=len(wanted_by) - 1,
        passed_over=dict(sorted(passed_over.items())),
    )


def _overlap(one: Free, other: Free) -> bool:
    """Two openings of one schedule that cannot both be given away."""
    return (
        one.opening.schedule_id == other.opening.schedule_id
        and one.opening.starts_at < other.opening.ends_at
        and other.opening.starts_at < one.opening.ends_at
    )
