"""Percentiles, the table, and what is written down."""

import json

import pytest

from bench.figures import (
    level,
    percentile,
    summary,
    table_cells,
    text_table,
    to_json,
    to_markdown,
    within,
)
from bench.traffic import Traffic


def traffic(*latencies_us: int, statuses: dict[int, int] | None = None, broken: int = 0) -> Traffic:
    return Traffic(
        elapsed_s=2.0,
        latencies_us=list(latencies_us),
        statuses=statuses or {200: len(latencies_us)},
        problems={},
        broken=broken,
    )


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(0, 1), (1, 1), (50, 50), (50.5, 51), (99, 99), (99.5, 100), (100, 100)],
)
def test_percentile_is_the_nearest_rank(percent: float, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == expected


def test_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7], 50) == percentile([7], 99) == 7


def test_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_level_pools_latencies_and_takes_the_median_rate() -> None:
    found = level([traffic(1000, 2000), traffic(3000, 4000), traffic(*[5000] * 8)])
    assert found["per_second"] == 1.0
    assert found["p50_ms"] == 5.0
    assert found["answers"] == 12
    assert found["statuses"] == {"200": 12}


@pytest.mark.parametrize(
    ("value", "bar", "kept"), [(8.0, 8, True), (8.01, 8, False), (5, None, None), (None, 8, None)]
)
def test_within_includes_the_bar_itself(
    value: float | None, bar: float | None, kept: bool | None
) -> None:
    assert within(value, bar) is kept


def figures(*, statements: int = 6, y: float = 7.5, wrong: tuple[str, ...] = ()) -> dict:
    one = {
        "per_second": 400.0,
        "p50_ms": 2.5,
        "p99_ms": 9.0,
        "answers": 10,
        "statuses": {"200": 10},
    }
    return {
        "date": "2026-11-22 09:00 UTC",
        "quick": False,
        "seconds": 400.0,
        "cores": 2,
        "load_before": 0.5,
        "versions": {"Python": "3.11.7"},
        "web": {"workers": 2, "threads": 4},
        "data": {
            "patients": 3000,
            "results": 1_000_000,
            "practitioners": 200,
            "days": 90,
            "bookings": 69_000,
            "rows": 1_400_000,
            "seconds": 46.0,
            "rows_per_second": 30_434,
        },
        "yardstick": {"y_ms": 0.2, "lowest_ms": 0.19, "highest_ms": 0.25, "runs": 6},
        "yardstick_same_server": {"y_ms": 0.12, "lowest_ms": 0.11, "highest_ms": 0.13, "runs": 3},
        "rows": [
            {
                "key": "results-20",
                "title": "latest results",
                "bar": {"statements": 6, "y": 8},
                "statements": statements,
                "cpu_ms": 1.5,
                "y": y,
                "levels": {"1": one, "8": one, "32": one},
                "plain": {"cpu_ratio": 4.0, "time_ratio": 3.0},
                "within_bar": {"statements": within(statements, 6), "y": within(y, 8)},
            }
        ],
        "booking": [{"title": "one practitioner", "asked": 400, "booked": 399, "refused": 1}],
        "race": {"clients": 200, "rounds": 20, "rounds_with_one_winner": 20, "server_errors": 0},
        "intake": {
            "results_a_message": 5,
            "rows": [
                {
                    "door": "HL7 v2 over MLLP",
                    "senders": 8,
                    "per_second": 41.4,
                    "p50_ms": 190.0,
                    "p99_ms": 300.0,
                    "cpu_ms": 20.0,
                }
            ],
            "memory": {"messages": 20_000, "resident_mb_by_quarter": [80.0, 81.0, 81.0, 81.0]},
            "alone": {
                "reading_hl7_per_second": 760.0,
                "reading_fhir_per_second": 330.0,
                "inserting_per_second": 94.0,
            },
        },
        "wrong": list(wrong),
    }


def test_table_has_one_cell_for_each_heading() -> None:
    head, row = table_cells(figures())
    assert len(head) == len(row)
    assert row[head.index("SQL")] == "6"
    assert row[head.index("x Y")] == "7.5"
    assert row[head.index("in bar")] == "yes"


@pytest.mark.parametrize(("statements", "y"), [(7, 7.5), (6, 8.1)])
def test_table_says_no_when_either_bar_is_missed(statements: int, y: float) -> None:
    assert table_cells(figures(statements=statements, y=y))[1][-1] == "no"


def test_text_table_columns_line_up() -> None:
    lines = text_table([["work", "SQL"], ["a longer title", "6"]]).splitlines()
    assert lines == ["work            SQL", "a longer title    6"]


def test_summary_names_refusals_and_faults() -> None:
    words = summary(figures(wrong=("race round 3: 2 won, 2 claims",)))
    assert "400 different openings, 399 booked, 1 refused" in words
    assert "WRONG: race round 3: 2 won, 2 claims" in words


def test_summary_sets_intake_beside_what_bounds_it() -> None:
    words = summary(figures())
    assert "HL7 v2 over MLLP, 8 sender(s), 5 results a message, end to end: 41 messages/s" in words
    assert "inserting the same rows 94 messages/s" in words
    assert "80, 81, 81, 81 MB" in words
    assert "Intake" not in summary({**figures(), "intake": None})


def test_json_round_trips() -> None:
    assert json.loads(to_json(figures())) == figures()


def test_markdown_has_the_table_and_says_when_counts_were_reduced() -> None:
    full = to_markdown(figures())
    assert "| latest results | 6 | <= 6 |" in full
    assert "Reduced counts" not in full
    assert "Reduced counts" in to_markdown({**figures(), "quick": True})
