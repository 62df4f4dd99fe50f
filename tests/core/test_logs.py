"""Log lines hold listed keys, and never the text of an error."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from core.logs import ALLOWED_KEYS, drop_unlisted_keys, without_exception_values
from tests.cast import Cast
from tests.tokens import api_of

CANARY = "canary-Testmann-900001"


def test_keys_that_are_not_listed_are_dropped_and_counted() -> None:
    kept = drop_unlisted_keys(None, "info", {"event": "x", "patient": CANARY, "name_of": CANARY})
    assert kept == {"event": "x", "count": 2}


@pytest.mark.parametrize(
    "key", ["patient", "patient_id", "user", "email", "path", "query", "body", "token", "value"]
)
def test_what_names_a_person_is_not_on_the_list(key: str) -> None:
    assert key not in ALLOWED_KEYS


def test_an_error_is_logged_by_type_and_place_alone() -> None:
    try:
        raise ValueError(CANARY)
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    kept: Any = without_exception_values(None, "error", {"event": "x", "exc_info": info})
    assert kept["error_type"] == "ValueError"
    assert "test_logs.py:" in kept["where"]
    assert CANARY not in str(kept)


def test_a_library_that_logs_an_exception_leaks_nothing(logged: Callable[[], str]) -> None:
    logger = logging.getLogger("some.library")
    try:
        raise LookupError(f"no row with mrn={CANARY}")
    except LookupError:
        logger.exception("it broke")
    shown = logged()
    assert "LookupError" in shown
    assert CANARY not in shown


def test_our_own_line_with_a_stray_value_loses_it(logged: Callable[[], str]) -> None:
    structlog.get_logger("ours").warning("filed", patient=CANARY, outcome="filed")
    shown = logged()
    assert "outcome" in shown
    assert CANARY not in shown


def test_our_own_line_is_json_with_its_level_logger_and_time(logged: Callable[[], str]) -> None:
    structlog.get_logger("ours").warning("filed", outcome="filed")
    line = json.loads(logged())
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "filed", "outcome": "filed", "level": "warning", "logger": "ours"}


def test_our_own_error_line_loses_the_text_of_the_error(logged: Callable[[], str]) -> None:
    try:
        raise LookupError(f"no row with mrn={CANARY}")
    except LookupError:
        structlog.get_logger("ours").exception("it broke")
    shown = logged()
    assert json.loads(shown)["event"] == "it broke"
    assert CANARY not in shown


def test_a_library_that_logs_a_dict_is_still_shown_with_its_level(
    logged: Callable[[], str],
) -> None:
    logging.getLogger("some.library").warning({"tries": 3})
    line = json.loads(logged())
    assert (line["level"], line["logger"], line["event"]) == (
        "warning",
        "some.library",
        "{'tries': 3}",
    )


@pytest.mark.django_db
def test_a_request_is_logged_by_route_and_never_by_path(
    cast: Cast, logged: Callable[[], str]
) -> None:
    api_of(cast.anna_user).get(f"patients/{cast.anna.pk}", {"cursor": CANARY})
    line = logged()
    assert "api/v1/patients/<str:patient_ref>" in line
    assert str(cast.anna.pk) not in line
    assert CANARY not in line
