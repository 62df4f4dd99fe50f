from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.hl7.timestamps import Precision, Timestamp, read_date, read_timestamp

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("raw", "instant", "precision"),
    [
        ("2026", "2025-12-31T23:00:00", Precision.YEAR),
        ("202601", "2025-12-31T23:00:00", Precision.MONTH),
        ("20260105", "2026-01-04T23:00:00", Precision.DAY),
        ("2026010508", "2026-01-05T07:00:00", Precision.HOUR),
        ("202607050815", "2026-07-05T06:15:00", Precision.MINUTE),
        ("20260105081530", "2026-01-05T07:15:30", Precision.SECOND),
        ("20260105081530.1234", "2026-01-05T07:15:30.123400", Precision.FRACTION),
    ],
)
def test_zoneless_time_belongs_to_the_sender(raw: str, instant: str, precision: Precision) -> None:
    found = read_timestamp(raw, BERLIN, now=None)
    assert found.instant == datetime.fromisoformat(instant).replace(tzinfo=UTC)
    assert found.precision is precision
    assert not found.had_zone
    assert found.faults == ()


@pytest.mark.parametrize(
    ("raw", "instant"),
    [
        ("20260105081500-0500", "2026-01-05T13:15:00"),
        ("20260105081500+0545", "2026-01-05T02:30:00"),
        ("200507141117-500", "2005-07-14T16:17:00"),
        ("20260105+1400", "2026-01-04T10:00:00"),
        ("20260105081500+0000", "2026-01-05T08:15:00"),
    ],
)
def test_offset_wins_over_the_sender_zone(raw: str, instant: str) -> None:
    found = read_timestamp(raw, BERLIN)
    assert found.instant == datetime.fromisoformat(instant).replace(tzinfo=UTC)
    assert found.had_zone


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        ("Aug 15, 1942", "time-format"),
        ("196203520", "time-format"),
        ("2026-01-05", "time-format"),
        ("2026010508153", "time-format"),
        ("٢٠٢٦", "time-format"),
        ("00010101", "time-year"),
        ("18991231", "time-year"),
        ("99990101", "time-year"),
        ("20260005", "time-month"),
        ("20261305", "time-month"),
        ("20260229", "time-day"),
        ("20260100", "time-day"),
        ("2026010524", "time-clock"),
        ("202601052360", "time-clock"),
        ("20260105235960", "time-clock"),
        ("20260105081500+1401", "time-zone"),
        ("20260105081500+0160", "time-zone"),
    ],
)
def test_impossible_time_is_no_instant_and_says_why(raw: str, fault: str) -> None:
    found = read_timestamp(raw, BERLIN, now=NOW)
    assert found.instant is None
    assert found.faults == (fault,)
    assert found.raw == raw


@pytest.mark.parametrize("raw", ["", "  ", '""'])
def test_nothing_sent_is_no_fault(raw: str) -> None:
    assert read_timestamp(raw, BERLIN) == Timestamp(raw)


def test_first_supported_year_is_read_and_leap_day_is_a_day() -> None:
    assert read_timestamp("19000101", BERLIN).instant is not None
    assert read_timestamp("20240229", BERLIN).instant is not None


def test_future_is_marked_only_beyond_a_day() -> None:
    edge = read_timestamp("20260106120000+0000", BERLIN, now=NOW)
    beyond = read_timestamp("20260106120001+0000", BERLIN, now=NOW)
    assert edge.faults == ()
    assert beyond.faults == ("time-future",)
    assert beyond.instant == NOW + timedelta(hours=24, seconds=1)
    assert read_timestamp("20990101", BERLIN).faults == ()


def test_skipped_local_time_moves_forward_by_the_gap() -> None:
    found = read_timestamp("20260329023000", BERLIN)
    assert found.faults == ("time-skipped",)
    assert found.instant == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert found.instant.astimezone(BERLIN).hour == 3
    assert read_timestamp("20260329015959", BERLIN).faults == ()
    assert read_timestamp("20260329030000", BERLIN).faults == ()


def test_repeated_local_time_is_the_earlier_instant() -> None:
    found = read_timestamp("20261025023000", BERLIN)
    assert found.faults == ("time-repeated",)
    assert found.instant == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert read_timestamp("20261025015959", BERLIN).faults == ()
    assert read_timestamp("20261025030000", BERLIN).faults == ()


def test_clock_change_matters_only_without_an_offset() -> None:
    assert read_timestamp("20260329023000+0100", BERLIN).faults == ()
    assert read_timestamp("20261025023000+0100", BERLIN).faults == ()


@pytest.mark.parametrize(
    ("raw", "day"),
    [
        ("19700101", date(1970, 1, 1)),
        ("19700101000000", date(1970, 1, 1)),
        ("19700101235959-0500", date(1970, 1, 1)),
        ("1970", None),
        ("197001", None),
        ("19701301", None),
        ("Aug 15, 1942", None),
        ("", None),
        ('""', None),
    ],
)
def test_birth_date_is_the_day_as_written(raw: str, day: date | None) -> None:
    assert read_date(raw) == day


@given(st.datetimes(datetime(1900, 1, 2), datetime(2090, 1, 1)), st.integers(-840, 840))
def test_written_instants_are_read_back(local: datetime, minutes: int) -> None:
    sign, size = ("-" if minutes < 0 else "+"), abs(minutes)
    raw = f"{local:%Y%m%d%H%M%S}.{local.microsecond:06d}{sign}{size // 60:02d}{size % 60:02d}"
    expected = local.replace(tzinfo=UTC) - timedelta(minutes=minutes)
    assert read_timestamp(raw, BERLIN).instant == expected


@given(st.text(max_size=30) | st.from_regex(r"\A\d{0,16}(\.\d{0,9})?([+-]\d{0,5})?\Z"))
def test_no_text_crashes_the_clock(raw: str) -> None:
    for zone in (BERLIN, ZoneInfo("Pacific/Apia"), ZoneInfo("America/Sao_Paulo")):
        found = read_timestamp(raw, zone, now=NOW)
        assert found.instant is not None or found.faults or raw.strip() in {"", '""'}
    read_date(raw)
