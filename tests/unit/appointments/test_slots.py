"""Free time on ordinary days: hours, exceptions, lead time, horizon, buffers, claims."""

from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from appointments.slots import (
    DayException,
    Hours,
    Opening,
    Pool,
    Taken,
    VisitRule,
    WeeklyHours,
    is_offered,
    openings,
)

SCHEDULE, VISIT = UUID(int=1), UUID(int=2)
BERLIN = "Europe/Berlin"
MONDAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
MORNING = WeeklyHours(1, time(9), time(12), 30, date(2026, 1, 1))
HALF_HOUR = VisitRule(duration=timedelta(minutes=30))


def local(hour: int, minute: int = 0, on: date = MONDAY, zone: str = BERLIN) -> datetime:
    return datetime.combine(on, time(hour, minute), ZoneInfo(zone))


def span(start: datetime, end: datetime) -> tuple[int, int]:
    return int(start.timestamp()), int(end.timestamp())


def found(
    *weekly: WeeklyHours,
    visit: VisitRule = HALF_HOUR,
    needs: tuple[Pool, ...] = ((Taken(),),),
    hers: Taken | None = None,
    first: date | None = MONDAY,
    last: date = MONDAY,
    now: datetime = NOW,
    zone: str = BERLIN,
    exceptions: tuple[DayException, ...] = (),
    holidays: frozenset[date] = frozenset(),
) -> list[Opening]:
    hours = Hours(zone, weekly or (MORNING,), exceptions, holidays)
    return list(
        openings(
            schedule_id=SCHEDULE,
            visit_type_id=VISIT,
            hours=hours,
            visit=visit,
            needs=needs,
            hers=hers or Taken(),
            first=first,
            last=last,
            now=now,
        )
    )


def clock(items: list[Opening], zone: str = BERLIN) -> list[str]:
    return [f"{item.starts_at.astimezone(ZoneInfo(zone)):%H:%M}" for item in items]


def test_a_morning_is_cut_by_its_step() -> None:
    assert clock(found()) == ["09:00", "09:30", "10:00", "10:30", "11:00", "11:30"]


def test_an_opening_says_what_it_is() -> None:
    assert found()[0] == Opening(SCHEDULE, VISIT, local(9), local(9, 30))


def test_a_visit_must_end_within_the_hours() -> None:
    assert clock(found(visit=VisitRule(timedelta(minutes=60))))[-1] == "11:00"
    assert clock(found(visit=VisitRule(timedelta(minutes=61))))[-1] == "10:30"


def test_a_visit_as_long_as_the_hours_fits_once() -> None:
    assert clock(found(visit=VisitRule(timedelta(hours=3)))) == ["09:00"]
    assert found(visit=VisitRule(timedelta(hours=3, minutes=1))) == []


def test_another_weekday_has_no_openings() -> None:
    tuesday = MONDAY + timedelta(days=1)
    assert found(first=tuesday, last=tuesday) == []


def test_effective_dates_include_both_ends() -> None:
    for starts, ends, count in (
        (MONDAY, MONDAY, 6),
        (MONDAY + timedelta(days=1), None, 0),
        (date(2026, 1, 1), MONDAY - timedelta(days=1), 0),
    ):
        assert len(found(WeeklyHours(1, time(9), time(12), 30, starts, ends))) == count


def test_a_closed_day_has_none() -> None:
    assert found(exceptions=(DayException(MONDAY, "closed"),)) == []


def test_closed_hours_take_every_visit_that_reaches_into_them() -> None:
    closed = DayException(MONDAY, "closed", time(10), time(10, 30))
    hour = VisitRule(timedelta(minutes=60))
    assert clock(found(exceptions=(closed,), visit=hour)) == ["09:00", "10:30", "11:00"]


def test_extra_hours_are_added_once() -> None:
    extra = DayException(MONDAY, "extra", time(11), time(13), 30)
    assert clock(found(exceptions=(extra,)))[-4:] == ["11:00", "11:30", "12:00", "12:30"]


def test_a_holiday_closes_the_week_but_not_extra_hours() -> None:
    holidays = frozenset({MONDAY})
    extra = DayException(MONDAY, "extra", time(15), time(16), 30)
    assert found(holidays=holidays) == []
    assert clock(found(holidays=holidays, exceptions=(extra,))) == ["15:00", "15:30"]


def test_closed_wins_over_extra() -> None:
    extra = DayException(MONDAY, "extra", time(15), time(16), 30)
    assert found(exceptions=(extra, DayException(MONDAY, "closed"))) == []


def test_lead_time_includes_its_edge() -> None:
    rule = VisitRule(timedelta(minutes=30), lead_time=timedelta(hours=2))
    assert clock(found(visit=rule, now=local(8)))[0] == "10:00"
    assert clock(found(visit=rule, now=local(8) + timedelta(microseconds=1)))[0] == "10:30"


def test_the_past_is_not_offered() -> None:
    assert clock(found(now=local(10)))[0] == "10:00"
    assert clock(found(now=local(10, 1)))[0] == "10:30"
    assert found(now=local(11, 31)) == []


def test_horizon_includes_its_edge() -> None:
    rule = VisitRule(timedelta(minutes=30), horizon=timedelta(hours=24))
    sunday = MONDAY - timedelta(days=1)
    assert clock(found(visit=rule, now=local(10, on=sunday)))[-1] == "10:00"
    assert clock(found(visit=rule, now=local(9, 59, on=sunday)))[-1] == "09:30"


def test_no_first_day_means_today() -> None:
    assert clock(found(first=None, now=local(11))) == ["11:00", "11:30"]


def test_a_claim_takes_what_it_touches_and_no_more() -> None:
    taken = Taken([span(local(9, 30), local(10))])
    assert clock(found(needs=((taken,),)))[:2] == ["09:00", "10:00"]


def test_buffers_keep_a_distance_from_claims() -> None:
    taken = Taken([span(local(10), local(10, 30))])
    rule = VisitRule(
        timedelta(minutes=30),
        buffer_before=timedelta(minutes=10),
        buffer_after=timedelta(minutes=20),
    )
    assert clock(found(needs=((taken,),), visit=rule)) == ["09:00", "11:00", "11:30"]


def test_buffers_may_lie_outside_the_hours() -> None:
    rule = VisitRule(timedelta(hours=3), timedelta(minutes=15), timedelta(minutes=15))
    assert clock(found(visit=rule)) == ["09:00"]


def test_any_free_place_meets_a_need_and_every_need_must_be_met() -> None:
    early, late = Taken([span(local(9), local(10))]), Taken([span(local(10), local(12))])
    assert clock(found(needs=((early, late),))) == clock(found())
    assert found(needs=((early,), (late,))) == []


def test_a_need_without_a_place_is_never_met() -> None:
    assert found(needs=((Taken(),), ())) == []


def test_her_own_visits_are_kept_apart_without_buffers() -> None:
    rule = VisitRule(timedelta(minutes=30), buffer_before=timedelta(minutes=30))
    hers = Taken([span(local(9, 30), local(10))])
    assert clock(found(visit=rule, hers=hers))[:2] == ["09:00", "10:00"]


def test_a_range_of_ten_years_stops_at_the_horizon() -> None:
    items = found(last=MONDAY + timedelta(days=3650), visit=VisitRule(timedelta(minutes=30)))
    assert items[-1].starts_at <= NOW + timedelta(days=90)
    assert len(items) == 13 * 6


@pytest.mark.parametrize(
    ("starts_at", "answer"),
    [
        (local(9), "yes"),
        (local(11, 30), "yes"),
        (local(12), "no-such-time"),
        (local(9, 10), "no-such-time"),
        (local(9) + timedelta(microseconds=1), "no-such-time"),
        (local(8, 30), "no-such-time"),
        (NOW - timedelta(seconds=1), "past"),
        (NOW + timedelta(minutes=59), "too-soon"),
        (local(9) + timedelta(days=98), "too-far"),
    ],
)
def test_is_offered_says_why_not(starts_at: datetime, answer: str) -> None:
    rule = VisitRule(timedelta(minutes=30), lead_time=timedelta(hours=1))
    hours = Hours(BERLIN, (MORNING,))
    assert is_offered(hours=hours, visit=rule, starts_at=starts_at, now=NOW) == answer
