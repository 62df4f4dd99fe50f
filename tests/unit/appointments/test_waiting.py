"""The waitlist's rules: what fits, who comes first, how long she has to answer."""

from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appointments.slots import Opening, Taken
from appointments.waiting import (
    DECENT,
    RESTS_FOR,
    Free,
    Waiting,
    Window,
    Wish,
    answer_until,
    awake_after,
    choose,
    fits,
    ranked,
    rests_until,
)
from notifications.quiet_hours import Quiet

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
HOUR, MINUTE, DAY = timedelta(hours=1), timedelta(minutes=1), timedelta(days=1)
A_MOMENT = timedelta(microseconds=1)
KIND = UUID(int=900)
ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "America/Phoenix",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
]
# The days on which the clocks of these zones change in 2026.
CHANGES = [
    date(2026, 3, 8),
    date(2026, 3, 29),
    date(2026, 4, 5),
    date(2026, 10, 4),
    date(2026, 10, 25),
    date(2026, 11, 1),
]


def free(starts_at: datetime, *, schedule: int = 1, location: int = 1, zone: str = "UTC") -> Free:
    return Free.at(
        Opening(UUID(int=schedule), KIND, starts_at, starts_at + 30 * MINUTE),
        location_id=UUID(int=location),
        zone=zone,
    )


def waiting(number: int, **facts: object) -> Waiting:
    return Waiting(
        **{  # type: ignore[arg-type]
            "entry_id": UUID(int=number),
            "urgency": "routine",
            "since": NOW - DAY,
            "wish": Wish(),
            "quiet": Quiet("UTC"),
            **facts,
        }
    )


def offered(
    people: list[Waiting], openings: list[Free], *, order: str = "urgency", **rules: timedelta
) -> dict[int, datetime]:
    choices, _ = choose(
        people,
        openings,
        order=order,  # type: ignore[arg-type]
        now=NOW,
        **{"answer": 2 * HOUR, "lead_time": timedelta(0), **rules},
    )
    return {each.entry_id.int: each.free.opening.starts_at for each in choices}


# --- what fits --------------------------------------------------------------------------------


def test_without_windows_any_time_and_any_place_fits() -> None:
    assert fits(Wish(), free(NOW), now=NOW)


@pytest.mark.parametrize(("minutes", "fitting"), [(59, False), (60, True), (61, True)])
def test_her_notice_is_kept_to_the_minute(minutes: int, fitting: bool) -> None:
    assert fits(Wish(notice=HOUR), free(NOW + minutes * MINUTE), now=NOW) is fitting


@pytest.mark.parametrize(
    ("after", "fitting"), [(-MINUTE, True), (timedelta(0), False), (MINUTE, False)]
)
def test_only_what_is_earlier_than_her_visit_fits(after: timedelta, fitting: bool) -> None:
    hers = NOW + DAY
    assert fits(Wish(before=hers), free(hers + after), now=NOW) is fitting


def test_only_her_places_fit() -> None:
    wish = Wish(locations=frozenset({UUID(int=1), UUID(int=2)}))
    assert [fits(wish, free(NOW, location=n), now=NOW) for n in (1, 2, 3)] == [True, True, False]


@pytest.mark.parametrize(
    ("on", "fitting"),
    [
        (date(2026, 11, 23), False),
        (date(2026, 11, 24), True),
        (date(2026, 11, 26), True),
        (date(2026, 11, 27), False),
    ],
)
def test_both_dates_of_a_window_are_in_it(on: date, fitting: bool) -> None:
    window = Window(first_on=date(2026, 11, 24), last_on=date(2026, 11, 26))
    at = datetime.combine(on, time(12), UTC)
    assert fits(Wish(windows=(window,)), free(at), now=NOW - DAY) is fitting


@pytest.mark.parametrize(
    ("at", "fitting"),
    [(time(8, 59), False), (time(9), True), (time(11, 59), True), (time(12), False)],
)
def test_a_visit_starts_in_the_window(at: time, fitting: bool) -> None:
    window = Window(time_from=time(9), time_until=time(12))
    on = datetime.combine(date(2026, 11, 24), at, UTC)
    assert fits(Wish(windows=(window,)), free(on), now=NOW) is fitting


def test_any_one_window_is_enough() -> None:
    windows = (Window(iso_weekdays=frozenset({1})), Window(iso_weekdays=frozenset({4})))
    week = [free(NOW + n * DAY) for n in range(7)]
    assert [fits(Wish(windows=windows), each, now=NOW) for each in week] == [
        True, False, False, True, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("on", [*CHANGES, date(2026, 7, 1)])
def test_windows_are_read_on_the_clock_of_the_clinic(zone: str, on: date) -> None:
    """On the days on which clocks change, and an ordinary one."""
    window = Window(on, on, frozenset({on.isoweekday()}), time(9), time(10))
    wish = Wish(windows=(window,))
    nine = datetime.combine(on, time(9), ZoneInfo(zone)).astimezone(UTC)
    early = nine - 30 * DAY
    assert fits(wish, free(nine, zone=zone), now=early)
    assert fits(wish, free(nine + 59 * MINUTE, zone=zone), now=early)
    assert not fits(wish, free(nine - MINUTE, zone=zone), now=early)
    assert not fits(wish, free(nine + HOUR, zone=zone), now=early)


# --- who comes first --------------------------------------------------------------------------

LINE = [
    waiting(1, since=NOW - 9 * DAY, has_visit=True),
    waiting(2, since=NOW - 5 * DAY),
    waiting(3, since=NOW - 1 * DAY, urgency="urgent", has_visit=True),
    waiting(4, since=NOW - 3 * DAY, urgency="urgent"),
]


@pytest.mark.parametrize(
    ("order", "line"),
    [("urgency", [4, 3, 1, 2]), ("waiting", [1, 2, 4, 3]), ("without-visit", [4, 3, 2, 1])],
)
def test_the_order_is_the_clinics(order: str, line: list[int]) -> None:
    assert [who.entry_id.int for who in ranked(LINE, order)] == line  # type: ignore[arg-type]


def test_one_opening_goes_to_the_first_and_says_why() -> None:
    choices, why_not = choose(
        LINE, [free(NOW + DAY)], order="urgency", answer=HOUR, lead_time=0 * HOUR, now=NOW
    )
    (choice,) = choices
    assert (choice.entry_id.int, choice.rank, choice.others) == (4, 1, 3)
    assert (choice.passed_over, why_not) == ({}, {})


def test_the_first_gets_the_earliest_that_fits_the_next_the_rest() -> None:
    openings = [free(NOW + DAY), free(NOW + 2 * DAY)]
    assert offered([waiting(1, since=NOW - 2 * DAY), waiting(2)], openings) == {
        1: NOW + DAY,
        2: NOW + 2 * DAY,
    }


def test_times_of_one_schedule_that_overlap_go_to_one_person() -> None:
    openings = [free(NOW + DAY), free(NOW + DAY + 15 * MINUTE), free(NOW + DAY, schedule=2)]
    found = offered([waiting(1), waiting(2), waiting(3)], openings)
    assert found == {1: NOW + DAY, 2: NOW + DAY}


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"refusal": "paused"}, "paused"),
        ({"quiet": None}, "nobody-to-ask"),
        ({"not_again": frozenset({(UUID(int=1), NOW + DAY)})}, "asked-before"),
        (
            {"busy": Taken([(int((NOW + DAY).timestamp()), int((NOW + DAY + HOUR).timestamp()))])},
            "other-visit",
        ),
        ({"changeable_until": NOW + 29 * MINUTE}, "too-near"),
    ],
)
def test_who_cannot_be_asked_is_passed_over_with_the_reason(
    facts: dict[str, object], why: str
) -> None:
    choices, why_not = choose(
        [waiting(1, since=NOW - 2 * DAY, **facts), waiting(2)],
        [free(NOW + DAY)],
        order="urgency",
        answer=HOUR,
        lead_time=timedelta(0),
        now=NOW,
    )
    assert [(each.entry_id.int, each.rank) for each in choices] == [(2, 2)]
    assert choices[0].passed_over == {why: 1}
    assert why_not == {UUID(int=1): why}


def test_passed_over_for_one_time_she_gets_the_next() -> None:
    who = waiting(1, not_again=frozenset({(UUID(int=1), NOW + DAY)}))
    choices, why_not = choose(
        [who],
        [free(NOW + DAY), free(NOW + 2 * DAY)],
        order="urgency",
        answer=HOUR,
        lead_time=timedelta(0),
        now=NOW,
    )
    assert choices[0].free.opening.starts_at == NOW + 2 * DAY
    assert why_not == {}


# --- how long she has -------------------------------------------------------------------------


def berlin(hour: int, minute: int = 0, *, day: int = 23) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=ZoneInfo("Europe/Berlin"))


FAR = berlin(9, day=30)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        (berlin(10), berlin(12)),
        (berlin(19), berlin(21)),
        (berlin(20, 30), berlin(9, 30, day=24)),
        (berlin(21), berlin(10, day=24)),
        (berlin(3), berlin(10)),
        (berlin(7, 59), berlin(10)),
        (berlin(8), berlin(10)),
    ],
)
def test_time_to_answer_runs_while_she_may_be_disturbed(now: datetime, until: datetime) -> None:
    quiet = Quiet("Europe/Berlin")
    assert answer_until(now=now, quiet=quiet, answer=2 * HOUR, latest=FAR) == until


def test_her_own_wider_quiet_hours_count() -> None:
    quiet = Quiet("Europe/Berlin", starts=time(20), ends=time(10))
    found = answer_until(now=berlin(19), quiet=quiet, answer=2 * HOUR, latest=FAR)
    assert found == berlin(11, day=24)


def test_it_is_her_zone_that_counts() -> None:
    """Nine in Berlin is three in the morning for her."""
    quiet = Quiet("America/New_York")
    found = answer_until(now=berlin(9), quiet=quiet, answer=2 * HOUR, latest=FAR)
    assert found == berlin(16)


@pytest.mark.parametrize(
    ("latest", "until"),
    [
        (berlin(10, 29), None),
        (berlin(10, 30), berlin(10, 30)),
        (berlin(11, 59), berlin(11, 59)),
        (berlin(12, 1), berlin(12)),
    ],
)
def test_half_an_hour_is_the_least(latest: datetime, until: datetime | None) -> None:
    quiet = Quiet("Europe/Berlin")
    found = answer_until(now=berlin(10), quiet=quiet, answer=2 * HOUR, latest=latest)
    assert found == until


@pytest.mark.parametrize(("minute", "asked"), [(29, False), (30, True)])
def test_at_night_she_is_asked_only_when_the_morning_leaves_her_time(
    minute: int, asked: bool
) -> None:
    found = answer_until(
        now=berlin(2),
        quiet=Quiet("Europe/Berlin"),
        answer=2 * HOUR,
        latest=berlin(8, minute),
    )
    assert (found is not None) is asked


def test_the_clinics_lead_time_and_her_notice_end_the_offer_early() -> None:
    at = NOW + 3 * HOUR
    for facts, rules in (({"wish": Wish(notice=2 * HOUR)}, {}), ({}, {"lead_time": 2 * HOUR})):
        choices, _ = choose(
            [waiting(1, **facts)],
            [free(at)],
            order="urgency",
            answer=2 * HOUR,
            now=NOW,
            **{"lead_time": timedelta(0), **rules},  # type: ignore[arg-type]
        )
        assert choices[0].answer_until == at - 2 * HOUR


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("morning", CHANGES)
def test_the_night_of_a_clock_change_takes_nothing_from_her(zone: str, morning: date) -> None:
    local = ZoneInfo(zone)
    now = datetime.combine(morning - DAY, time(20), local)
    found = answer_until(now=now, quiet=Quiet(zone), answer=2 * HOUR, latest=now + 9 * DAY)
    assert found == datetime.combine(morning, time(9), local)


INSTANTS = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))
QUIETS = st.builds(
    Quiet,
    st.sampled_from(ZONES),
    st.sampled_from([time(19), time(20, 30), time(21)]),
    st.sampled_from([time(8), time(9, 15), time(11)]),
)


@given(INSTANTS, QUIETS, st.integers(1, 2880))
def test_waking_time_is_counted_exactly(now: datetime, quiet: Quiet, minutes: int) -> None:
    """Minute by minute, counted the slow way."""
    now = now.replace(second=0, microsecond=0)
    end = awake_after(quiet, now, minutes * MINUTE)
    at, awake = now, 0
    while at < end:
        awake += not quiet.covers(at)
        at += MINUTE
    assert awake == minutes
    assert not quiet.covers(end - MINUTE)


@given(INSTANTS, QUIETS, st.integers(15, 600), st.integers(0, 4000))
def test_an_offer_leaves_time_and_ends_in_time(
    now: datetime, quiet: Quiet, answer: int, latest: int
) -> None:
    end = answer_until(now=now, quiet=quiet, answer=answer * MINUTE, latest=now + latest * MINUTE)
    least = awake_after(quiet, now, min(answer * MINUTE, DECENT))
    if end is None:
        assert least > now + latest * MINUTE
    else:
        assert least <= end <= now + latest * MINUTE
        assert end <= awake_after(quiet, now, answer * MINUTE)


# --- rest after silence -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endings", "rests"),
    [
        ([], False),
        (["expired"] * 2, False),
        (["expired"] * 3, True),
        (["expired"] * 4, False),
        (["expired"] * 6, True),
        (["expired", "expired", "declined", "expired"], False),
        (["declined", "expired", "expired", "expired"], False),
    ],
)
def test_three_silences_in_a_row_give_her_a_day_of_rest(endings: list[str], rests: bool) -> None:
    found = rests_until([(state, NOW - n * HOUR) for n, state in enumerate(endings)])
    assert found == (NOW + RESTS_FOR if rests else None)


# --- the line as a whole ----------------------------------------------------------------------

TIMES = st.integers(1, 60).map(lambda n: NOW + n * HOUR)
WINDOWS = st.builds(
    Window,
    first_on=st.one_of(st.none(), st.just(date(2026, 11, 24))),
    last_on=st.one_of(st.none(), st.just(date(2026, 11, 24))),
    iso_weekdays=st.frozensets(st.integers(1, 3)),
    time_from=st.one_of(st.none(), st.sampled_from([time(9), time(14)])),
)
WISHES = st.builds(
    Wish,
    windows=st.lists(WINDOWS, max_size=2).map(tuple),
    locations=st.frozensets(st.integers(1, 2).map(lambda n: UUID(int=n))),
    notice=st.sampled_from([timedelta(0), 5 * HOUR]),
    before=st.one_of(st.none(), TIMES),
)


@st.composite
def lines(draw: st.DrawFn) -> list[Waiting]:
    return [
        waiting(
            number,
            urgency=draw(st.sampled_from(["routine", "urgent"])),
            since=NOW - draw(st.integers(0, 5)) * DAY,
            wish=draw(WISHES),
            has_visit=draw(st.booleans()),
            refusal=draw(st.sampled_from(["", "", "", "paused"])),
            not_again=draw(st.frozensets(st.tuples(st.just(UUID(int=1)), TIMES), max_size=5)),
        )
        for number in range(1, draw(st.integers(1, 8)) + 1)
    ]


@st.composite
def times(draw: st.DrawFn) -> list[Free]:
    keys = draw(st.sets(st.tuples(TIMES, st.integers(1, 2), st.integers(1, 2)), max_size=10))
    return [free(at, schedule=s, location=place) for at, s, place in sorted(keys)]


ORDERS = st.sampled_from(["urgency", "waiting", "without-visit"])


@given(lines(), times(), ORDERS)
def test_nobody_is_passed_by_somebody_behind_her(
    people: list[Waiting], openings: list[Free], order: str
) -> None:
    choices, why_not = choose(
        people,
        openings,
        order=order,  # type: ignore[arg-type]
        answer=2 * HOUR,
        lead_time=timedelta(0),
        now=NOW,
    )
    by_id = {who.entry_id: who for who in people}
    assert len({each.entry_id for each in choices}) == len(choices)
    for number, each in enumerate(choices):
        who = by_id[each.entry_id]
        assert fits(who.wish, each.free, now=NOW)
        assert not who.refusal
        assert each.free.key not in who.not_again
        assert NOW < each.answer_until <= each.free.opening.starts_at - who.wish.notice
        for other in choices[:number]:
            assert other.free.key != each.free.key
    place = {who.entry_id: n for n, who in enumerate(ranked(people, order))}  # type: ignore[arg-type]
    for each in choices:
        assert sum(each.passed_over.values()) == each.rank - 1 <= each.others
        for who in people:
            if place[who.entry_id] >= place[each.entry_id] or who.refusal:
                continue
            # Somebody ahead got what was offered here, something earlier, or cannot be asked.
            hers = [c for c in choices if c.entry_id == who.entry_id]
            if fits(who.wish, each.free, now=NOW) and each.free.key not in who.not_again:
                assert hers or who.entry_id in why_not
                latest = each.free.opening.starts_at - who.wish.notice
                if hers and awake_after(who.quiet, NOW, DECENT) <= latest:  # type: ignore[arg-type]
                    assert hers[0].free.opening.starts_at <= each.free.opening.starts_at


@given(lines(), times(), ORDERS)
def test_what_is_left_fits_nobody_who_was_asked_nothing(
    people: list[Waiting], openings: list[Free], order: str
) -> None:
    choices, why_not = choose(
        people,
        openings,
        order=order,  # type: ignore[arg-type]
        answer=2 * HOUR,
        lead_time=timedelta(0),
        now=NOW,
    )
    given_away = [each.free for each in choices]
    asked = {each.entry_id for each in choices}
    for who in people:
        if who.entry_id in asked or who.entry_id in why_not:
            continue
        for each in openings:
            overlaps = any(
                other.opening.schedule_id == each.opening.schedule_id
                and abs(other.opening.starts_at - each.opening.starts_at) < 30 * MINUTE
                for other in given_away
            )
            assert overlaps or not fits(who.wish, each, now=NOW)
