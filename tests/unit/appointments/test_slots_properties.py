"""Free time held to its rules on arbitrary hours, claims and clocks."""

from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from appointments.slots import (
    DayException,
    Hours,
    Opening,
    Taken,
    VisitRule,
    WeeklyHours,
    is_offered,
    openings,
)

ZONES = st.sampled_from(
    [
        "Europe/Berlin",
        "America/New_York",
        "America/Phoenix",
        "Australia/Lord_Howe",
        "Asia/Kolkata",
        "America/Santiago",
    ]
)
# Around the changes of 2026 in those zones, and ordinary days between.
DATES = st.dates(date(2026, 3, 1), date(2026, 11, 10))
TIMES = st.integers(0, 95).map(lambda quarter: time(quarter // 4, quarter % 4 * 15))
MINUTES = st.integers(0, 40).map(lambda n: timedelta(minutes=n))


@st.composite
def hours(draw: st.DrawFn, around: date) -> Hours:
    def pair() -> tuple[time, time]:
        first, second = sorted(draw(st.lists(TIMES, min_size=2, max_size=2, unique=True)))
        return first, second

    weekly = tuple(
        WeeklyHours(
            draw(st.integers(1, 7)),
            *pair(),
            draw(st.sampled_from([5, 10, 15, 20, 30, 45, 60])),
            date(2026, 1, 1),
        )
        for _ in range(draw(st.integers(1, 5)))
    )
    exceptions = []
    for _ in range(draw(st.integers(0, 3))):
        on = around + timedelta(days=draw(st.integers(0, 6)))
        kind = draw(st.sampled_from(["closed", "extra"]))
        exceptions.append(DayException(on, kind, *pair(), 30 if kind == "extra" else None))
    holidays = draw(st.frozensets(st.just(around + timedelta(days=2)), max_size=1))
    return Hours(draw(ZONES), weekly, tuple(exceptions), holidays)


@st.composite
def cases(draw: st.DrawFn) -> dict[str, object]:
    first = draw(DATES)
    now = datetime.combine(first, time(0), UTC) + timedelta(minutes=draw(st.integers(-2880, 2880)))
    base = int(datetime.combine(first, time(0), UTC).timestamp())
    spans = [
        (base + start * 300, base + (start + length) * 300)
        for start, length in draw(
            st.lists(st.tuples(st.integers(-300, 2200), st.integers(1, 60)), max_size=12)
        )
    ]
    return {
        "hours": draw(hours(first)),
        "visit": VisitRule(
            duration=timedelta(minutes=draw(st.integers(5, 120))),
            buffer_before=draw(MINUTES),
            buffer_after=draw(MINUTES),
            lead_time=timedelta(hours=draw(st.integers(0, 72))),
            horizon=timedelta(days=draw(st.integers(4, 30))),
        ),
        "first": first,
        "last": first + timedelta(days=6),
        "now": now,
        "spans": spans,
    }


def run(case: dict, spans: list[tuple[int, int]]) -> list[Opening]:  # type: ignore[type-arg]
    return list(
        openings(
            schedule_id=UUID(int=1),
            visit_type_id=UUID(int=2),
            hours=case["hours"],
            visit=case["visit"],
            needs=((Taken(spans),),),
            hers=Taken(),
            first=case["first"],
            last=case["last"],
            now=case["now"],
        )
    )


@settings(max_examples=150, deadline=None)
@given(cases())
def test_no_opening_with_its_buffers_meets_a_claim(case: dict) -> None:  # type: ignore[type-arg]
    visit = case["visit"]
    for item in run(case, case["spans"]):
        start = (item.starts_at - visit.buffer_before).timestamp()
        end = (item.ends_at + visit.buffer_after).timestamp()
        assert all(end <= taken[0] or taken[1] <= start for taken in case["spans"])


@settings(max_examples=150, deadline=None)
@given(cases())
def test_claims_only_take_openings_that_they_meet(case: dict) -> None:  # type: ignore[type-arg]
    visit = case["visit"]
    left = run(case, case["spans"])
    for item in run(case, []):
        start = (item.starts_at - visit.buffer_before).timestamp()
        end = (item.ends_at + visit.buffer_after).timestamp()
        met = any(start < taken[1] and taken[0] < end for taken in case["spans"])
        assert (item in left) is not met


@settings(max_examples=150, deadline=None)
@given(cases())
def test_every_opening_keeps_time_and_hours(case: dict) -> None:  # type: ignore[type-arg]
    visit, facts, now = case["visit"], case["hours"], case["now"]
    zone = ZoneInfo(facts.zone)
    items = run(case, [])
    starts = [item.starts_at for item in items]
    assert starts == sorted(set(starts))
    shown = [start.astimezone(zone).replace(tzinfo=None) for start in starts]
    assert len(set(shown)) == len(shown), "no wall-clock time is offered twice"
    for item, wall in zip(items, shown, strict=True):
        assert now + visit.lead_time <= item.starts_at <= now + visit.horizon
        assert item.ends_at - item.starts_at == visit.duration
        assert case["first"] <= wall.date() <= case["last"]
        # It exists and is the first occurrence.
        assert wall.replace(tzinfo=zone).astimezone(UTC) == item.starts_at
        sessions = [
            (weekly.starts, weekly.ends, weekly.step_minutes)
            for weekly in facts.weekly
            if weekly.iso_weekday == wall.isoweekday() and wall.date() not in facts.holidays
        ] + [
            (change.starts, change.ends, change.step_minutes)
            for change in facts.exceptions
            if change.kind == "extra" and change.on == wall.date()
        ]
        assert any(
            opens <= wall.time() < closes
            and (wall - datetime.combine(wall.date(), opens)) % timedelta(minutes=step)
            == timedelta(0)
            for opens, closes, step in sessions
        )
        assert is_offered(hours=facts, visit=visit, starts_at=item.starts_at, now=now) == "yes", (
            "what is listed can be booked"
        )


@settings(max_examples=60, deadline=None)
@given(cases())
def test_a_day_at_a_time_is_the_whole_week(case: dict) -> None:  # type: ignore[type-arg]
    days = [case["first"] + timedelta(days=n) for n in range(7)]
    single = [item for day in days for item in run({**case, "first": day, "last": day}, [])]
    assert single == run(case, [])


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 30)), max_size=20),
    st.integers(0, 230),
    st.integers(1, 30),
)
def test_taken_answers_as_looking_at_every_span_does(
    raw: list[tuple[int, int]], start: int, length: int
) -> None:
    spans = [(first, first + size) for first, size in raw]
    expected = all(start + length <= taken[0] or taken[1] <= start for taken in spans)
    assert Taken(spans).leaves_free(start, start + length) is expected
