"""When a rule lets a result be seen: at its second, in its zone, across changes of clocks."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.release_rules import (
    IMMEDIATE,
    Finished,
    ResultClass,
    Rule,
    Timing,
    decide,
    result_class,
)

SECOND = timedelta(seconds=1)
FINAL = datetime(2026, 11, 20, 9, 25, tzinfo=UTC)
MARKERS = ResultClass.TUMOUR_MARKERS


def rule(**changes: Any) -> Rule:
    known: dict[str, Any] = {
        "name": "markers-72h",
        "version": 1,
        "timing": Timing.ELAPSED_HOURS,
        "amount": 72,
        "zone": "America/Kentucky/Louisville",
        "valid_from": date(2026, 1, 1),
        "result_class": MARKERS,
    }
    return Rule(**{**known, **changes})


def finished(issued_at: datetime | None = FINAL, **changes: Any) -> Finished:
    known: dict[str, Any] = {
        "result_class": MARKERS,
        "analyte_key": "ca_15_3",
        "loinc": "6875-9",
        "issued_at": issued_at,
    }
    return Finished(**{**known, **changes})


def test_without_a_rule_a_result_is_visible_at_once() -> None:
    decision = decide([], finished(), now=FINAL)
    assert (decision.visible_from, decision.rule_version) == (FINAL, IMMEDIATE)


@pytest.mark.parametrize(
    "other", [{"result_class": ResultClass.LABS}, {"result_class": "", "analyte_key": "cea"}]
)
def test_a_rule_about_something_else_does_not_count(other: dict[str, Any]) -> None:
    assert decide([rule(**other)], finished(), now=FINAL).rule_version == IMMEDIATE


@pytest.mark.parametrize(
    ("now", "waits"),
    [
        (FINAL + timedelta(hours=72) - SECOND, SECOND),
        (FINAL + timedelta(hours=72), timedelta()),
        (FINAL + timedelta(hours=72) + SECOND, timedelta()),
    ],
)
def test_elapsed_hours_run_from_when_it_was_final(now: datetime, waits: timedelta) -> None:
    decision = decide([rule()], finished(), now=now)
    assert decision.visible_from - now == waits
    assert decision.rule_version == "markers-72h-1"


@pytest.mark.parametrize("issued", [None, FINAL + timedelta(days=3)])
def test_an_unknown_or_future_time_of_issue_counts_as_now(issued: datetime | None) -> None:
    decision = decide([rule()], finished(issued), now=FINAL)
    assert decision.visible_from == FINAL + timedelta(hours=72)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Chicago", "Asia/Kathmandu"])
def test_elapsed_hours_do_not_care_for_clocks(zone: str) -> None:
    before_change = datetime(2026, 10, 24, 12, tzinfo=UTC)
    decision = decide([rule(zone=zone)], finished(before_change), now=before_change)
    assert decision.visible_from == before_change + timedelta(hours=72)


@pytest.mark.parametrize(
    ("zone", "final", "due"),
    [
        # Texas: not before the third day after; 23:30 local is still that day.
        (
            "America/Chicago",
            datetime(2026, 11, 21, 5, 30, tzinfo=UTC),
            datetime(2026, 11, 23, 6, tzinfo=UTC),
        ),
        # Half an hour later it is the next day.
        (
            "America/Chicago",
            datetime(2026, 11, 21, 6, 0, tzinfo=UTC),
            datetime(2026, 11, 24, 6, tzinfo=UTC),
        ),
        # Clocks go back on 25 October: local midnight is at +01:00 then.
        (
            "Europe/Berlin",
            datetime(2026, 10, 23, 10, tzinfo=UTC),
            datetime(2026, 10, 25, 23, tzinfo=UTC),
        ),
        # Clocks go forward on 29 March.
        (
            "Europe/Berlin",
            datetime(2026, 3, 27, 10, tzinfo=UTC),
            datetime(2026, 3, 29, 22, tzinfo=UTC),
        ),
    ],
)
def test_a_local_day_begins_at_local_midnight(zone: str, final: datetime, due: datetime) -> None:
    by_day = rule(timing=Timing.LOCAL_DAY, amount=3, zone=zone)
    assert decide([by_day], finished(final), now=final).visible_from == due
    for now in (due - SECOND, due, due + SECOND):
        assert decide([by_day], finished(final), now=now).visible_from == max(now, due)


@pytest.mark.parametrize(
    ("at", "due"),
    [
        # 02:30 does not exist on that day: 03:30, after the gap and not before it.
        (time(2, 30), datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        (time(8), datetime(2026, 3, 29, 6, tzinfo=UTC)),
    ],
)
def test_a_local_hour_on_the_day_of_a_gap(at: time, due: datetime) -> None:
    by_day = rule(timing=Timing.LOCAL_DAY, amount=1, zone="Europe/Berlin", at=at)
    final = datetime(2026, 3, 28, 12, tzinfo=UTC)
    assert decide([by_day], finished(final), now=final).visible_from == due


@pytest.mark.parametrize(
    ("now", "holds"),
    [
        (datetime(2026, 2, 28, 22, 59, 59, tzinfo=UTC), False),
        (datetime(2026, 2, 28, 23, 0, tzinfo=UTC), True),
        (datetime(2026, 4, 30, 21, 59, 59, tzinfo=UTC), True),
        (datetime(2026, 4, 30, 22, 0, tzinfo=UTC), False),
    ],
)
def test_a_rule_holds_on_its_local_days(now: datetime, holds: bool) -> None:
    dated = rule(zone="Europe/Berlin", valid_from=date(2026, 3, 1), valid_until=date(2026, 5, 1))
    assert (decide([dated], finished(None), now=now).rule_version != IMMEDIATE) is holds


def test_the_most_specific_rule_wins_whatever_the_order() -> None:
    by_class = rule()
    newer = rule(version=2, amount=48)
    one_lab = rule(name="one-lab", amount=24, one_laboratory=True)
    by_analyte = rule(name="by-analyte", result_class="", analyte_key="ca_15_3", amount=12)
    by_code = rule(name="by-code", result_class="", loinc="6875-9", amount=0)
    ranked = [by_class, newer, one_lab, by_analyte, by_code]
    for end in range(1, len(ranked) + 1):
        for order in (ranked[:end], ranked[:end][::-1]):
            assert decide(order, finished(), now=FINAL).rule_version == ranked[end - 1].label
    at_once = decide(ranked, finished(), now=FINAL)
    assert at_once.visible_from == FINAL


ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/Havana", "Asia/Beirut", "Pacific/Apia"])
INSTANTS = st.datetimes(
    min_value=datetime(2025, 1, 1), max_value=datetime(2028, 1, 1), timezones=st.just(UTC)
)


@given(
    zone=ZONES,
    final=INSTANTS,
    late=st.timedeltas(timedelta(), timedelta(days=40)),
    amount=st.integers(0, 30),
    timing=st.sampled_from(Timing),
)
def test_never_before_now_never_before_the_rule_and_never_forgotten(
    zone: str, final: datetime, late: timedelta, amount: int, timing: Timing
) -> None:
    one = rule(zone=zone, amount=amount, timing=timing, valid_from=date(2024, 1, 1))
    now = final + late
    seen = decide([one], finished(final), now=now).visible_from
    assert seen >= now
    assert seen - now <= timedelta(days=31)
    if timing is Timing.ELAPSED_HOURS:
        assert seen == max(now, final + timedelta(hours=amount))
    else:
        there = ZoneInfo(zone)
        days = (seen.astimezone(there).date() - final.astimezone(there).date()).days
        assert days >= amount
    again = decide([one], finished(final), now=seen)
    assert again.visible_from == seen


@given(final=INSTANTS, later=st.timedeltas(timedelta(), timedelta(days=9)), zone=ZONES)
def test_what_was_final_later_is_not_seen_earlier(
    final: datetime, later: timedelta, zone: str
) -> None:
    one = rule(zone=zone, timing=Timing.LOCAL_DAY, amount=3, valid_from=date(2024, 1, 1))
    assert one.due(final) <= one.due(final + later)


@pytest.mark.parametrize(
    ("category", "code", "analyte", "expected"),
    [
        ("CH", "", "alt", ResultClass.LABS),
        ("", "", "", ResultClass.LABS),
        ("LAB", "", "cea", ResultClass.TUMOUR_MARKERS),
        ("", "", "ca_15_3", ResultClass.TUMOUR_MARKERS),
        ("", "", "ca_27_29", ResultClass.TUMOUR_MARKERS),
        ("SP", "", "", ResultClass.PATHOLOGY_AND_SCANS),
        ("LAB", "11526-1", "", ResultClass.PATHOLOGY_AND_SCANS),
        ("GE", "", "", ResultClass.PATHOLOGY_AND_SCANS),
        ("RAD", "", "cea", ResultClass.PATHOLOGY_AND_SCANS),
        ("CH", "", "unheard-of", ResultClass.LABS),
    ],
)
def test_the_class_of_a_result(
    category: str, code: str, analyte: str, expected: ResultClass
) -> None:
    found = result_class(category=category, report_loinc=code, analyte_key=analyte)
    assert found is expected


# --- the table of REL-1: each rule at T-1 s, T and T+1 s, in each zone, across clock changes

TABLE = {
    "elapsed 72 h": {"timing": Timing.ELAPSED_HOURS, "amount": 72},
    "third day": {"timing": Timing.LOCAL_DAY, "amount": 3},
    "next morning": {"timing": Timing.LOCAL_DAY, "amount": 1, "at": time(8)},
    "next night": {"timing": Timing.LOCAL_DAY, "amount": 1, "at": time(2, 30)},
}
# zone: days (local) on which its clocks change in 2026; none where they never do
CHANGES = {
    "America/New_York": (date(2026, 3, 8), date(2026, 11, 1)),
    "Europe/Berlin": (date(2026, 3, 29), date(2026, 10, 25)),
    "Australia/Lord_Howe": (date(2026, 4, 5), date(2026, 10, 4)),
    "America/Phoenix": (date(2026, 3, 8), date(2026, 11, 1)),
    "Asia/Kolkata": (date(2026, 3, 29), date(2026, 10, 25)),
}
# zone: (hours of the day of each change)
LENGTHS = {
    "America/New_York": (23, 25),
    "Europe/Berlin": (23, 25),
    "Australia/Lord_Howe": (24.5, 23.5),
    "America/Phoenix": (24, 24),
    "Asia/Kolkata": (24, 24),
}


@pytest.mark.parametrize("zone", CHANGES)
def test_the_days_of_the_table_are_as_long_as_they_are(zone: str) -> None:
    """Otherwise the table would not cross a change of clocks at all."""
    there = ZoneInfo(zone)
    found = []
    for day in CHANGES[zone]:
        start = datetime.combine(day, time(0), there).astimezone(UTC)
        end = datetime.combine(day + timedelta(days=1), time(0), there).astimezone(UTC)
        found.append((end - start) / timedelta(hours=1))
    assert tuple(found) == LENGTHS[zone]


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize(
    ("zone", "day"), [(zone, day) for zone, days in CHANGES.items() for day in days]
)
@given(before=st.integers(0, 3), second=st.integers(0, 24 * 3600 - 1))
def test_a_rule_opens_at_its_second_in_every_zone(
    name: str, zone: str, day: date, before: int, second: int
) -> None:
    """One second before it is closed, at it and after it is open: said twice, by two ways."""
    one = rule(zone=zone, **TABLE[name])
    there = ZoneInfo(zone)
    start = datetime.combine(day - timedelta(days=before), time(0), there).astimezone(UTC)
    final = start + timedelta(seconds=second)
    due = one.due(final)
    for at in (due - SECOND, due, due + SECOND):
        seen = decide([one], finished(final), now=at).visible_from
        assert (seen <= at) is (at >= due)
        assert seen == max(at, due)
    if one.timing is Timing.ELAPSED_HOURS:
        assert due - final == timedelta(hours=72)
        return
    wanted = final.astimezone(there).date() + timedelta(days=one.amount)
    local = due.astimezone(there)
    assert local.date() == wanted
    # The clock says the wanted hour, or later by what the change skipped.
    gap = datetime.combine(wanted, local.time()) - datetime.combine(wanted, one.at)
    assert timedelta() <= gap <= timedelta(hours=1)


@pytest.mark.parametrize(
    ("zone", "final", "due"),
    [
        # A day of 23 and one of 25 hours; half an hour in Lord Howe; none where clocks stay.
        ("America/New_York", "2026-03-07T17:00Z", "2026-03-08T12:00Z"),
        ("America/New_York", "2026-10-31T16:00Z", "2026-11-01T13:00Z"),
        ("Europe/Berlin", "2026-03-28T11:00Z", "2026-03-29T06:00Z"),
        ("Europe/Berlin", "2026-10-24T10:00Z", "2026-10-25T07:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T01:00Z", "2026-04-04T21:30Z"),
        ("Australia/Lord_Howe", "2026-10-03T01:30Z", "2026-10-03T21:00Z"),
        ("America/Phoenix", "2026-03-07T19:00Z", "2026-03-08T15:00Z"),
        ("Asia/Kolkata", "2026-03-28T06:30Z", "2026-03-29T02:30Z"),
    ],
)
def test_eight_in_the_morning_after_by_hand(zone: str, final: str, due: str) -> None:
    one = rule(zone=zone, **TABLE["next morning"])
    assert one.due(datetime.fromisoformat(final)) == datetime.fromisoformat(due)
