"""Her results as a table that a spreadsheet opens: what the API shows, a row each."""

import csv
import io
from collections.abc import Iterable
from re import compile as pattern
from typing import Any

COLUMNS = (
    "test",
    "in plain words",
    "loinc",
    "value",
    "unit",
    "range",
    "flag",
    "state",
    "collected",
    "collected (UTC)",
    "resulted (UTC)",
    "released (UTC)",
    "status",
    "was",
    "entered by",
    "laboratory comment",
    "in trend",
    "trend number",
    "trend unit",
)
_NUMBER = pattern(r"[+-]?[0-9]+(\.[0-9]+)?")
# A spreadsheet takes a cell that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def harmless(text: str) -> str:
    """Return `text` so that no spreadsheet runs it; numbers stay numbers."""
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


def table_of(results: Iterable[dict[str, Any]], trends: Iterable[dict[str, Any]]) -> bytes:
    """Return a CSV of results and the trends they are in, both as the API shows them.

    UTF-8 with a byte order mark, which spreadsheets want; RFC 4180 otherwise.
    """
    drawn = _places(trends)
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for result in results:
        writer.writerow(harmless(cell) for cell in _row(result, drawn))
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _places(trends: Iterable[dict[str, Any]]) -> dict[str, tuple[str, str, str]]:
    """Return for each result how its trend takes it: how, the number, the unit."""
    places: dict[str, tuple[str, str, str]] = {}
    for trend in trends:
        for item in trend["excluded"]:
            places[item["result_id"]] = (f"no: {item['reason']}", "", "")
        for line in [*trend["lines"], {"points": trend["entered"]}]:
            for point in line["points"]:
                places[point["result_id"]] = (
                    point["marker"],
                    point["number"] or "",
                    trend["unit"],
                )
    return places


def _row(result: dict[str, Any], drawn: dict[str, tuple[str, str, str]]) -> list[str]:
    was, entered, collected = result["was"], result["entered"], result["collected"]
    return [
        result["name"],
        result["plain_name"],
        result["loinc"] or "",
        result["value"]["text"],
        result["value"]["unit"] or "",
        "" if result["range"] is None else result["range"]["text"],
        result["label"],
        result["state"],
        "" if collected is None else f"{collected['local']} {collected['zone']}",
        *(_instant(result[name]) for name in ("collected", "resulted", "released")),
        result["status"],
        "" if was is None else f"{was['text']} {was['unit'] or ''}".strip(),
        "" if entered is None else entered["by"],
        result["lab_comment"],
        *drawn.get(str(result["id"]), ("", "", "")),
    ]


def _instant(time: dict[str, Any] | None) -> str:
    return "" if time is None else str(time["instant"])
