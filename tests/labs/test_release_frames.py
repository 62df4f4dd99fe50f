"""What she sees of an order while some of its results are kept: as if they had not come."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from core.clock import utc_now
from core.db import identity, system
from labs.models import DiagnosticReport, ReportVersion
from labs.services import releasing
from tests.cast import Cast
from tests.labs.conftest import LABS
from tests.labs.messages import Obr, Obx, laboratory, oru, send
from tests.labs.releasing import (
    MARKER,
    deliver,
    feed_lines,
    filed_events,
    lift,
    place,
    rule_for_markers,
    the_report,
    the_result,
)
from tests.labs.reviewing import comment, review
from tests.tokens import Api, api_of

# Row security goes by the time of the transaction: what is released here needs real ones.
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
PATHS = ("reports", "reports?new=true", "results", "analytes", "analytes/alt/trend")
EARLY = "20261118081500+0100"
LATE = "20261119101500+0100"
LINE = "not_released"


@pytest.fixture(autouse=True)
def lab(cast: Cast) -> None:
    laboratory(cast.clinic)


@pytest.fixture
def anna(cast: Cast) -> Api:
    return api_of(cast.anna_user, LABS)


def everything(api: Api) -> dict[str, tuple[str, bytes]]:
    """Return every answer about her results, without the moment of asking."""
    reports = api.get("patients/me/reports").json()["items"]
    paths = [*PATHS, *(f"reports/{report['id']}" for report in reports)]
    found = {}
    for path in paths:
        answer = api.get(f"patients/me/{path}")
        assert answer.status_code == 200
        body = answer.json()
        body.pop("as_of")
        found[path] = (answer.headers["ETag"], json.dumps(body).encode())
    return found


def order(status: str, now: datetime, *lines: Obx, **more: Any) -> None:
    send(oru(Obr(lines, status=status, **{"collected": EARLY, "resulted": "", **more})), now)


HELD_JOINS = [
    {"resulted": "20261121081500+0100"},
    {"status": "C"},
    {"status": ""},
    {"collected": LATE},
    {"collected": "", "resulted": "20261121081500+0100"},
]


@pytest.mark.parametrize("change", HELD_JOINS, ids=str)
def test_a_held_result_that_joins_a_shown_report_moves_nothing_of_it(
    cast: Cast, anna: Api, change: dict[str, str]
) -> None:
    rule_for_markers(cast)
    now = utc_now()
    order("F", now, Obx("31"))
    review(the_report(), cast.clinician, now)
    before, lines, events = everything(anna), feed_lines(), filed_events()
    more = {"collected": EARLY, "resulted": "", "status": "F"} | change
    order(more.pop("status"), now + SECOND, Obx("28", **MARKER), **more)
    assert the_report().version == 2
    assert everything(anna) == before
    assert (feed_lines(), filed_events()) == (lines, events)
    # Sent once more, it is no third version.
    again = {"collected": EARLY, "resulted": "", "status": "F"} | change
    order(again.pop("status"), now + 2 * SECOND, Obx("28", **MARKER), **again)
    assert the_report().version == 2


def test_released_the_report_says_what_the_laboratory_said_last(cast: Cast, anna: Api) -> None:
    rule_for_markers(cast, amount=0)
    now = utc_now()
    order("P", now, Obx("31"))
    place(cast, the_report(), now, identity_key="", backstop_at=now + 2 * SECOND)
    order("F", now + SECOND, Obx("28", **MARKER), resulted="20261121081500+0100")
    assert the_report().status == "final"
    releasing.announce_due(now=now + 3 * SECOND)
    head = the_report()
    assert (head.status, head.shown_version) == ("final", None)
    assert head.resulted_at is not None


def test_a_hold_on_what_came_last_puts_the_report_back(cast: Cast, anna: Api) -> None:
    now = utc_now()
    order("P", now - DAY, Obx("31"))
    before = everything(anna)
    order("F", now, Obx("28", **MARKER), resulted="20261121081500+0100")
    assert everything(anna) != before
    marker = the_result("6875-9")
    placed = place(cast, the_report(), utc_now(), identity_key=marker.identity_key)
    assert everything(anna) == before
    lift(cast, placed, utc_now())
    assert the_report().status == "final"


@pytest.mark.parametrize("sent", ["O", "I", "S"])
@pytest.mark.parametrize("status", ["F", "P"])
def test_an_order_seen_as_pending_stays_so_while_its_result_is_kept(
    cast: Cast, anna: Api, sent: str, status: str
) -> None:
    """P: the laboratory's early result, which this site does not show."""
    rule_for_markers(cast)
    now = utc_now()
    order(sent, now)
    before, lines = everything(anna), feed_lines()
    assert len(json.loads(before["reports"][1])["items"]) == 1
    comment(the_report(), cast.clinician, now, "It takes a week.")
    review(the_report(), cast.clinician, now)
    before, lines = everything(anna), feed_lines()
    order("F", now + SECOND, Obx("28", status=status, **MARKER), resulted="20261121081500+0100")
    assert everything(anna) == before
    assert feed_lines() == lines
    assert the_report().shown_version == 1


def test_a_pending_order_shows_its_result_when_it_is_released(cast: Cast, anna: Api) -> None:
    rule_for_markers(cast)
    now = utc_now()
    order("I", now)
    pending = everything(anna)
    order("F", now + SECOND, Obx("28", **MARKER))
    held = the_result("6875-9")
    assert held.visible_from is not None
    assert everything(anna) == pending
    with identity(system("release")):
        versions = ReportVersion.objects.order_by("version").values_list("status", flat=True)
        assert list(versions) == ["registered", "final"]
    due = held.visible_from
    assert releasing.announce_due(now=due) == 1
    head = the_report()
    assert (head.status, head.visible_from, head.shown_version) == ("final", due, None)


def test_a_pending_order_comes_back_when_its_result_is_held_by_a_person(
    cast: Cast, anna: Api
) -> None:
    now = utc_now()
    order("I", now - DAY)
    pending = everything(anna)
    order("F", now, Obx("31"))
    place(cast, the_report(), utc_now())
    assert everything(anna) == pending
    assert feed_lines()[-2:] == [("Observation", "gone"), ("DiagnosticReport", "upsert")]


def test_an_order_whose_results_were_all_wrong_does_not_come_back(cast: Cast, anna: Api) -> None:
    now = utc_now()
    order("I", now)
    order("F", now + SECOND, Obx("31"))
    order("F", now + 2 * SECOND, Obx("", status="W"))
    assert json.loads(everything(anna)["reports"][1])["items"] == []


# --- the one permitted trace ----------------------------------------------------------------------


def said(api: Api) -> list[Any]:
    return [report[LINE] for report in api.get("patients/me/reports").json()["items"]]


def test_nothing_is_said_of_what_waits_unless_the_rule_says_so(cast: Cast, anna: Api) -> None:
    rule_for_markers(cast)
    deliver(utc_now(), Obx("31"), Obx("28", **MARKER))
    assert said(anna) == [None]
    place(cast, the_report(), utc_now(), identity_key=the_result().identity_key)
    assert said(anna) == []


def test_the_line_names_the_last_day_and_nothing_else(cast: Cast, anna: Api) -> None:
    rule_for_markers(cast, tells_of_delay=True)
    deliver(utc_now(), Obx("31"), Obx("28", **MARKER))
    due = the_result("6875-9").visible_from
    assert due is not None
    (line,) = said(anna)
    day = f"{due:%Y-%m-%d}"
    assert line["latest"] in (day, f"{due + DAY:%Y-%m-%d}")  # her zone is ahead of UTC
    assert line["text"].startswith("Some tests of this visit are not released yet; latest ")
    assert str(due.year) in line["text"]
    detail = anna.get(f"patients/me/reports/{the_report().id}").json()
    assert detail[LINE] == line


def test_the_line_is_the_same_whatever_is_held(cast: Cast, anna: Api) -> None:
    now = utc_now()
    words = set()
    for number, held in enumerate((Obx("28", **MARKER), Obx("9.0", code="17861-6"))):
        deliver(now, Obx("31"), held, filler=f"FL{number}", collected=f"2026112{number}081500+0100")
        report = the_report(filler_key__contains=f"FL{number}")
        row = the_result(held.code, report=report)
        end = (now + 3 * DAY).replace(hour=12)
        place(
            cast, report, now, identity_key=row.identity_key, tells_of_delay=True, backstop_at=end
        )
        words.add(str(said(anna)[0]))
    assert len(words) == 1


def test_it_stands_at_every_order_of_the_visit_and_at_no_other(cast: Cast, anna: Api) -> None:
    now = utc_now()
    rule_for_markers(cast, tells_of_delay=True)
    deliver(now, Obx("28", **MARKER), filler="FL0")
    deliver(now, Obx("31"), filler="FL1")
    deliver(now, Obx("32"), filler="FL2", collected="20261121081500+0100")
    assert [line is not None for line in said(anna)] == [False, True]


def test_a_hold_that_says_nothing_silences_a_rule_that_does(cast: Cast, anna: Api) -> None:
    rule_for_markers(cast, tells_of_delay=True)
    now = utc_now()
    deliver(now, Obx("31"), Obx("28", **MARKER))
    key = the_result("6875-9").identity_key
    quiet = place(cast, the_report(), now, identity_key=key, backstop_at=now + timedelta(hours=1))
    assert said(anna) == [None]
    place(cast, the_report(), now, identity_key=key, tells_of_delay=True)
    assert said(anna) == [None]
    lift(cast, quiet, utc_now())
    assert said(anna) != [None]


def test_the_line_ends_with_the_wait_without_a_tick(cast: Cast, anna: Api) -> None:
    rule_for_markers(cast, tells_of_delay=True)
    deliver(utc_now(), Obx("31"), Obx("28", **MARKER))
    assert said(anna) != [None]
    with identity(system("release")):
        DiagnosticReport.objects.update(not_released_until=utc_now())
    assert said(anna) == [None]
