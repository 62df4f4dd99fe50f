"""Reviews and comments as the API shows them, from the JSON of `labs/reviews.py`."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from clinical.calcium import OBSTACLE_TEXT, Obstacle
from clinical.patient_text import NOT_REVIEWED, reviewed_before_text, reviewed_text

if TYPE_CHECKING:
    from labs.api.presentation import Page

_NOT_WORKED_OUT = "This number was not corrected for albumin."
_NOBODY = {"reviewed": None, "reviewed_before_correction": False, "review_text": NOT_REVIEWED}


def review_of_result_json(row: dict[str, Any], page: "Page") -> dict[str, Any]:
    """Return who reviewed this version of a result, or that it was a version before."""
    if not row["review"]:
        return _NOBODY
    said = orjson.loads(row["review"])
    return _review_json(said, missed=said["version"] != row["version"], corrected=True, page=page)


def review_of_report_json(row: dict[str, Any], page: "Page") -> dict[str, Any]:
    """Return who reviewed a report with everything that the reader sees of it."""
    if not row["review"]:
        return _NOBODY
    said = orjson.loads(row["review"])
    missed = said["missed"] or (said["bare"] and said["version"] != said["now"])
    return _review_json(said, missed=missed, corrected=said["corrected"], page=page)


def _review_json(
    said: dict[str, Any], *, missed: bool, corrected: bool, page: "Page"
) -> dict[str, Any]:
    if missed and not corrected:
        return _NOBODY
    at = page.time(datetime.fromisoformat(said["at"]))
    assert at is not None
    words = reviewed_before_text if missed else reviewed_text
    return {
        "reviewed": None if missed else {"by_role": said["role"], "at": at},
        "reviewed_before_correction": missed,
        "review_text": words(role=said["role"], time_text=at["text"]),
    }


def comments_json(row: dict[str, Any], page: "Page") -> list[dict[str, Any]]:
    """Return comments as plain text, oldest first."""
    if not row["comments"]:
        return []
    return [_comment_json(orjson.loads(said), row, page) for said in row["comments"]]


def _comment_json(said: dict[str, Any], row: dict[str, Any], page: "Page") -> dict[str, Any]:
    corrected = said["corrected"] if "corrected" in said else said["version"] != row["version"]
    return {
        "text": said["text"],
        "language": said["language"],
        "author_role": said["role"],
        "author_name": f"{said['given']} {said['family']}".strip() or None,
        "at": page.time(datetime.fromisoformat(said["at"])),
        "before_correction": corrected,
    }


def not_worked_out_json(row: dict[str, Any]) -> dict[str, Any] | None:
    """Return why no corrected calcium stands beside a total calcium, in one sentence each."""
    if not row["obstacle"]:
        return None
    reasons = [
        Obstacle(code)
        for code in orjson.loads(row["obstacle"])["obstacles"]
        if code in OBSTACLE_TEXT
    ]
    if not reasons:
        return None
    return {
        "reasons": [str(reason) for reason in reasons],
        "words": f"{_NOT_WORKED_OUT} {OBSTACLE_TEXT[reasons[0]]}",
    }
