"""The curve of free time, and its place among the figures."""

from bench.figures import to_markdown
from bench.free_time import curve_cells, measure_free_time
from tests.bench.test_figures import figures


def test_the_curve_counts_what_is_free() -> None:
    curve = measure_free_time(practitioners=(1, 3), days=(1, 7))
    assert [(one["practitioners"], one["days"]) for one in curve] == [
        (1, 1), (1, 7), (3, 1), (3, 7)
    ]  # fmt: skip
    by_size = {(one["practitioners"], one["days"]): one["openings"] for one in curve}
    # Five working days of sixteen half hours, about a third of them booked.
    assert 40 <= by_size[1, 7] <= 70
    assert by_size[1, 1] <= 16
    assert by_size[3, 7] > 2 * by_size[1, 7]
    assert all(one["ms"] > 0 for one in curve)


def test_the_curve_is_a_table_in_the_document_when_it_was_measured() -> None:
    curve = [
        {"practitioners": many, "days": days, "openings": 1_000 * days, "ms": 1.25 * many}
        for many in (1, 10)
        for days in (1, 30)
    ]
    assert curve_cells(curve) == [
        ["practitioners", "1 day", "30 days"],
        ["1", "1.2 ms (1,000)", "1.2 ms (30,000)"],
        ["10", "12.5 ms (1,000)", "12.5 ms (30,000)"],
    ]
    assert "| 10 | 12.5 ms (1,000) |" in to_markdown(figures() | {"free_time": curve})
    assert "Free time alone" not in to_markdown(figures())
