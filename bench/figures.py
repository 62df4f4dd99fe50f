"""From raw measurements to figures, and from figures to the table, the JSON and the document."""

import json
from collections.abc import Sequence
from math import ceil
from statistics import median
from typing import Any

from bench.free_time import curve_cells
from bench.traffic import Traffic

CLIENTS = (1, 8, 32)
_HEADINGS = (
    "work", "SQL", "bar", "CPU ms", "x Y", "bar", "req/s 1", "req/s 8", "req/s 32",
    "p50/p99 at 1", "at 8", "at 32", "x plain CPU", "x plain time", "in bar",
)  # fmt: skip


def percentile(values: Sequence[int], percent: float) -> int:
    """Return the nearest-rank percentile. Raises: ValueError for no values."""
    if not values:
        raise ValueError("no values, no percentile")
    ordered = sorted(values)
    return ordered[max(0, ceil(percent / 100 * len(ordered)) - 1)]


def level(runs: Sequence[Traffic]) -> dict[str, Any]:
    """Return what some runs at one number of clients show together; milliseconds."""
    latencies = [latency for run in runs for latency in run.latencies_us]
    return {
        "per_second": round(median(run.per_second for run in runs), 1),
        "p50_ms": round(percentile(latencies, 50) / 1000, 2),
        "p99_ms": round(percentile(latencies, 99) / 1000, 2),
        "answers": len(latencies),
        "statuses": _added(
            str(s) for run in runs for s, n in run.statuses.items() for _ in range(n)
        ),
    }


def _added(words: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return counts


def within(value: float | None, bar: float | None) -> bool | None:
    """Whether `value` keeps to `bar`; None when there is nothing to compare."""
    return None if value is None or bar is None else value <= bar


def table_cells(results: dict[str, Any]) -> list[list[str]]:
    """Return the table's cells, headings first."""
    return [list(_HEADINGS), *(_cells(row) for row in results["rows"])]


def _cells(row: dict[str, Any]) -> list[str]:
    levels = [row["levels"][str(clients)] for clients in CLIENTS]
    kept = [kept for kept in row["within_bar"].values() if kept is not None]
    return [
        row["title"],
        str(row["statements"]),
        _at_most(row["bar"]["statements"]),
        f"{row['cpu_ms']:.2f}",
        f"{row['y']:.1f}",
        _at_most(row["bar"]["y"]),
        *(f"{one['per_second']:.0f}" for one in levels),
        *(f"{one['p50_ms']:.1f}/{one['p99_ms']:.1f}" for one in levels),
        f"{row['plain']['cpu_ratio']:.1f}",
        f"{row['plain']['time_ratio']:.1f}",
        "-" if not kept else "yes" if all(kept) else "no",
    ]


def _at_most(bar: float | None) -> str:
    return "-" if bar is None else f"<= {bar:g}"


def text_table(cells: Sequence[Sequence[str]]) -> str:
    """Return cells as aligned text, the first column to the left."""
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(
            word.ljust(width) if column == 0 else word.rjust(width)
            for column, (word, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )


def summary(results: dict[str, Any]) -> str:
    """Return what the table does not say: data, yardstick, booking, race, and what is wrong."""
    data, yardstick, race = results["data"], results["yardstick"], results["race"]
    lines = [
        f"Data: {data['rows']:,} rows in {data['seconds']:.0f} s "
        f"({data['rows_per_second']:,} rows/s): {data['patients']:,} patients, "
        f"{data['results']:,} results, {data['practitioners']} practitioners x {data['days']} "
        f"days, {data['bookings']:,} visits booked.",
        f"Y = {yardstick['y_ms']:.3f} ms of processor time for a bare Django + DRF hello under "
        f"gunicorn ({yardstick['lowest_ms']:.3f} to {yardstick['highest_ms']:.3f} in "
        f"{yardstick['runs']} runs); under granian, which serves the product, the same hello "
        f"costs {results['yardstick_same_server']['y_ms']:.3f} ms.",
    ]
    for booked in results["booking"]:
        lines.append(
            f"Booking, {booked['title']}: {booked['asked']} different openings, "
            f"{booked['booked']} booked, {booked['refused']} refused."
        )
    if race:
        lines.append(
            f"Race: {race['clients']} clients for one opening, {race['rounds']} rounds: exactly "
            f"one booked in {race['rounds_with_one_winner']} of them, "
            f"{race['server_errors']} server errors."
        )
    lines += _intake_lines(results["intake"]) if results["intake"] else []
    lines.append(
        f"Machine: {results['cores']} cores, load {results['load_before']:.1f} before. "
        f"The run took {results['seconds']:.0f} s."
    )
    lines += [f"WRONG: {fault}" for fault in results["wrong"]]
    return "\n".join(lines)


def _intake_lines(intake: dict[str, Any]) -> list[str]:
    """Return what laboratories get: by door and senders, and what bounds it."""
    alone = intake["alone"]
    lines = [
        f"Intake, {row['door']}, {row['senders']} sender(s), {intake['results_a_message']} results "
        f"a message, end to end: {row['per_second']:.0f} messages/s, p50/p99 "
        f"{row['p50_ms']:.1f}/{row['p99_ms']:.1f} ms, {row['cpu_ms']:.1f} ms of processor time."
        for row in intake["rows"]
    ]
    lines.append(
        f"Alone: reading {alone['reading_hl7_per_second']:.0f} HL7 messages/s or "
        f"{alone['reading_fhir_per_second']:.0f} FHIR bodies/s, inserting the same rows "
        f"{alone['inserting_per_second']:.0f} messages/s, one process each."
    )
    if intake["memory"]:
        steps = ", ".join(f"{mb:.0f}" for mb in intake["memory"]["resident_mb_by_quarter"])
        lines.append(
            f"Memory of the listener over {intake['memory']['messages']:,} messages, after each "
            f"quarter of them: {steps} MB."
        )
    return lines


def to_json(results: dict[str, Any]) -> str:
    return json.dumps(results, indent=2, ensure_ascii=False) + "\n"


def _curve_table(results: dict[str, Any]) -> list[str]:
    """Return what free time costs as practitioners and days grow; nothing if not measured."""
    curve = results.get("free_time")
    if not curve:
        return []
    head, *rows = curve_cells(curve)
    table = [head, ["---:"] * len(head), *rows]
    return [
        "Free time alone, without a database: time to list every opening of so many practitioners "
        "over so many days, a third booked (openings found).",
        "",
        *("| " + " | ".join(cells) + " |" for cells in table),
        "",
    ]


def to_markdown(results: dict[str, Any]) -> str:
    """Return docs/figures.md."""
    head, *rows = table_cells(results)
    table = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    return "\n".join(
        [
            "# Figures",
            "",
            "Written by `python -m bench --write-docs` from `bench/results.json`; run `make bench` "
            "to measure again.",
            "",
            f"Measured on {results['date']}, {results['cores']} cores, "
            f"{results['web']['workers']} web workers x {results['web']['threads']} threads, "
            f"PostgreSQL with fsync on the same machine, {versions}."
            + (" Reduced counts (`--quick`)." if results["quick"] else ""),
            "",
            *("| " + " | ".join(cells) + " |" for cells in table),
            "",
            *(f"- {line}" for line in summary(results).splitlines()),
            "",
            *_curve_table(results),
            "SQL: statements that the run-time role sends for one request, read on the wire, "
            "without BEGIN, COMMIT and SAVEPOINT; the token check, the identity for row security "
            "and the audit event are among them. CPU ms: processor time of all web workers for "
            "one request at 8 clients; Y is the same for a bare Django + DRF hello in the same "
            "run, under gunicorn (gthread, as many workers and threads), which is how the bars "
            "were set. Before its rounds a row is asked for by 32 clients, so that no slice opens "
            "a connection. x Y is the median of the rounds, each slice held against the hellos "
            "just before and after it, for the machine's speed drifts. Plain: one SQL statement "
            "builds the same rows and a bare WSGI application returns them, with no sign-in, no "
            "row security and no audit; time is compared at one client.",
            "",
        ]
    )
