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
    "range low",
    "range high",
    "flag",
    "state",
    "what it means",
    "what to do",
    "since last time",
    "collected",
    "collected (UTC)",
    "resulted (UTC)",
    "released (UTC)",
    "status",
    "was",
    "entered by",
    "laboratory comment",
    "clinic's comments",
    "reviewed",
    "in trend",
    "trend number",
    "trend unit",
)
_NUMBER = pattern(r"[+-]?[0-9]+(\.[0-9]+)?")
# A spreadsheet takes a cell that begins so for a formula; some read the wide signs too.
_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20"
_BEGINS = pattern(rf"^( *)(?=[{_SIGNS}\t\r\n])")
# Behind another separator, where a program that splits there begins a cell.
_INSIDE = pattern(rf"([;,|\"\t\r\n] *)(?=[{_SIGNS}])")


def harmless(text: str) -> str:
    """Return `text` so that no spreadsheet runs any part of it; numbers stay numbers.

    Source: CWE-1236; OWASP, "CSV Injection" (separators and quotes inside a cell count too).
    """
    if _NUMBER.fullmatch(text):
        return text
    return _BEGINS.sub(r"\1'", _INSIDE.sub(r"\1'", text))


def table_of(results: Iterable[dict[str, Any]], trends: Iterable[dict[str, Any]]) -> bytes:
    """Return a CSV of results and the trends they are in, both as the API shows them.

    UTF-8 with a byte order mark, which spreadsheets want; RFC 4180 otherwise.
    """
    drawn = _places(trends)
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
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
    sent = result["range"] or {"text": "", "low": None, "high": None}
    return [
        result["name"],
        result["plain_name"],
        result["loinc"] or "",
        result["value"]["text"],
        result["value"]["unit"] or "",
        sent["text"],
        sent["low"] or "",
        sent["high"] or "",
        result["label"],
        result["state"],
        result["meaning"],
        result["what_to_do"],
        _since(result["change"]),
        "" if collected is None else f"{collected['local']} {collected['zone']}",
        *(_instant(result[name]) for name in ("collected", "resulted", "released")),
        result["status"],
        "" if was is None else f"{was['text']} {was['unit'] or ''}".strip(),
        "" if entered is None else entered["by"],
        result["lab_comment"],
        "\n".join(_comment(said) for said in result["comments"]),
        result["review_text"],
        *drawn.get(str(result["id"]), ("", "", "")),
    ]


def _instant(time: dict[str, Any] | None) -> str:
    return "" if time is None else str(time["instant"])


def _since(change: dict[str, Any] | None) -> str:
    if change is None:
        return ""
    return f"{change['direction']} from {change['from']} {change['unit'] or ''}".strip()


def _comment(said: dict[str, Any]) -> str:
    corrected = " (before it was corrected)" if said["before_correction"] else ""
    return f"{said['author_role']}, {said['at']['text']}{corrected}: {said['text']}"
