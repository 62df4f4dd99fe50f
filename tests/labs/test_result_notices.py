"""Who is told of results and comments: once, only of what may be read."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.db import identity, system
from core.events.outbox import deliver_due
from labs.models import DiagnosticReport
from labs.services.turns import take_turn
from labs.telling_rules import When, Wish
from notifications import delivery
from notifications.models import ChannelPreference, Notification
from notifications.services import drain
from tests.cast import Cast
from tests.labs.messages import Obx, laboratory
from tests.labs.noticing import (
    AFTER,
    ANNA,
    DAY,
    DORA,
    HOUR,
    NOW,
    SECOND,
    START,
    grant,
    rows,
    sent_to,
    wish,
    work_off,
)
from tests.labs.releasing import MARKER, deliver, lift, place, the_report, the_result
from tests.labs.reviewing import comment, review
from tests.labs.reviewing import replace as replace_comment
from tests.labs.reviewing import withdraw as withdraw_comment
from tests.notifications.conftest import row_of
from tests.together import together

# Events and notices are handed over in transactions of their own.
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])


@pytest.fixture(autouse=True)
def lab(cast: Cast) -> None:
    laboratory(cast.clinic)
    grant(cast, valid_from=START - DAY)
    for user in (cast.anna_user, cast.dora):
        # The inbox is sent when it is marked: no mail server is asked here.
        ChannelPreference.objects.create(
            user=user, purpose="result", channel="email", enabled=False
        )


@pytest.fixture
def start() -> datetime:
    return START


# --- one notice for one report ------------------------------------------------------------------


def test_who_waits_for_a_comment_gets_one_notice_with_it(cast: Cast, start: datetime) -> None:
    wish(cast, AFTER, start)
    deliver(start, Obx("31"))
    work_off(start + SECOND)
    assert sent_to(ANNA) == 0
    comment(the_report(), cast.clinician, start + HOUR)
    work_off(start + HOUR + SECOND)
    work_off(start + 8 * DAY)
    assert sent_to(ANNA) == 1
    assert sent_to(DORA) == 1
    (other,) = rows(recipient=cast.anna_user, channel="inbox", occurrence__startswith="comment:")
    told = row_of(recipient=cast.anna_user, channel="inbox", state="sent")
    assert (other.state, other.reason) == ("skipped", f"merged:{told.id}")


def test_a_review_and_a_comment_together_are_one_notice(cast: Cast, start: datetime) -> None:
    wish(cast, AFTER, start)
    deliver(start, Obx("31"))
    work_off(start)
    review(the_report(), cast.clinician, start + HOUR)
    comment(the_report(), cast.clinician, start + HOUR)
    work_off(start + HOUR)
    work_off(start + 9 * DAY)
    assert sent_to(ANNA) == 1


def test_a_comment_is_delivered_before_the_result_and_is_still_one_notice(
    cast: Cast, start: datetime
) -> None:
    """Events come in no promised order; whichever waits, one notice leaves."""
    night = start + 12 * HOUR
    deliver(night, Obx("31"))
    first = _take_events()
    comment(the_report(), cast.clinician, night + SECOND)
    deliver_due(now=night + SECOND)
    _give_back(first)
    deliver_due(now=night + 2 * SECOND)
    work_off(night + 10 * HOUR)
    assert sent_to(ANNA) == 1


def test_a_result_told_of_by_a_comment_that_left_is_not_told_again(
    cast: Cast, start: datetime
) -> None:
    deliver(start, Obx("31"))
    first = _take_events()
    comment(the_report(), cast.clinician, start + SECOND)
    work_off(start + SECOND)
    _give_back(first)
    work_off(start + 2 * SECOND)
    assert sent_to(ANNA) == 1


def _take_events() -> list[Any]:
    from core.models import Delivery

    with identity(system("events")):
        taken = list(Delivery.objects.filter(state="pending"))
        Delivery.objects.filter(id__in=[one.id for one in taken]).update(
            due_at=datetime(2099, 1, 1, tzinfo=UTC)
        )
    return taken


def _give_back(taken: list[Any]) -> None:
    from core.models import Delivery

    with identity(system("events")):
        for one in taken:
            Delivery.objects.filter(id=one.id).update(due_at=one.due_at)


def test_a_comment_on_what_she_was_told_of_is_a_notice_of_its_own(
    cast: Cast, start: datetime
) -> None:
    deliver(start, Obx("31"))
    work_off(start)
    assert sent_to(ANNA) == 1
    comment(the_report(), cast.clinician, start + HOUR)
    work_off(start + HOUR)
    assert sent_to(ANNA) == 2


def test_a_comment_waits_for_the_day_she_chose(cast: Cast, start: datetime) -> None:
    wish(cast, Wish(When.ON_DATE, days_after=5), start)
    deliver(start, Obx("31"))
    work_off(start)
    comment(the_report(), cast.clinician, start + HOUR)
    work_off(start + HOUR)
    assert sent_to(ANNA) == 0
    work_off(start + 5 * DAY)
    assert sent_to(ANNA) == 1
    comment(the_report(), cast.clinician, start + 6 * DAY)
    work_off(start + 6 * DAY)
    assert sent_to(ANNA) == 2


# --- what a worker has taken already ------------------------------------------------------------


def taken_by_a_worker(at: datetime) -> list[Any]:
    return delivery.claim(now=at, limit=50)


def hand_over(mine: list[Any], at: datetime) -> None:
    """Let a worker go on with what it took."""
    with delivery.mailer() as post:
        for one in mine:
            outcome = delivery.DrainOutcome()
            delivery._deliver(one, post=post, clock=delivery._Clock(at), outcome=outcome)


@pytest.mark.parametrize("first", ["result", "comment"])
def test_a_result_and_a_comment_that_were_both_taken_are_one_notice(
    cast: Cast, start: datetime, first: str
) -> None:
    """A comment that is said while the result's notice is with a worker cannot be merged."""
    deliver(start, Obx("31"))
    while deliver_due(now=start):
        pass
    result = taken_by_a_worker(start)
    comment(the_report(), cast.clinician, start + SECOND)
    while deliver_due(now=start + SECOND):
        pass
    said = taken_by_a_worker(start + SECOND)
    assert (len(result), len(said)) == (2, 2)
    for mine in (result, said) if first == "result" else (said, result):
        hand_over(mine, start + SECOND)
    for at in (start + HOUR, start + DAY):
        work_off(at)
    assert (sent_to(ANNA), sent_to(DORA)) == (1, 1)
    sent = row_of(recipient=cast.anna_user, channel="inbox", state="sent")
    other = row_of(recipient=cast.anna_user, channel="inbox", state="skipped")
    assert other.reason == f"merged:{sent.id}"


def test_a_comment_waits_for_the_fate_of_what_is_being_handed_over(
    cast: Cast, start: datetime
) -> None:
    """Handed over and not answered: sent or not. If it failed, the comment's notice leaves."""
    deliver(start, Obx("31"))
    while deliver_due(now=start):
        pass
    [result] = [one for one in taken_by_a_worker(start) if is_annas(one, cast)]
    with identity(system("notifications")):
        Notification.objects.filter(id=result.id).update(provider_reference="<x@example.org>")
    comment(the_report(), cast.clinician, start + SECOND)
    work_off(start + SECOND)
    assert sent_to(ANNA) == 0
    waiting = row_of(recipient=cast.anna_user, channel="inbox", state="planned")
    assert waiting.send_after - start < 2 * delivery.LEASE
    with identity(system("notifications")):
        Notification.objects.filter(id=result.id).update(
            state="failed", reason="refused", lease_until=None, settled_at=start + 2 * SECOND
        )
    work_off(waiting.send_after)
    assert sent_to(ANNA) == 1


def is_annas(mine: Any, cast: Cast) -> bool:
    return row_of(id=mine.id).recipient_id == cast.anna_user.pk


def test_a_result_and_a_comment_handed_over_at_once_are_one_notice(
    cast: Cast, start: datetime
) -> None:
    for number in range(3):
        filler = f"FL{number}"
        at = start + number * HOUR
        deliver(at, Obx("31"), filler=filler)
        while deliver_due(now=at):
            pass
        result = taken_by_a_worker(at)
        comment(the_report(filler_key__contains=filler), cast.clinician, at + SECOND)
        while deliver_due(now=at + SECOND):
            pass
        said = taken_by_a_worker(at + SECOND)
        together([handing(one, at + SECOND) for one in (result, said)])
        work_off(at + 5 * 60 * SECOND)
        assert (sent_to(ANNA), sent_to(DORA)) == (number + 1, number + 1)


def handing(mine: list[Any], at: datetime) -> Any:
    def go() -> str:
        hand_over(mine, at)
        return "done"

    return go


def test_a_notice_passes_over_a_record_whose_turn_is_taken(cast: Cast, start: datetime) -> None:
    """It holds its row already: to wait for the turn could be to wait for itself."""
    deliver(start, Obx("31"))
    while deliver_due(now=start):
        pass

    def drained() -> str:
        drain(now=start)
        return "drained"

    with identity(system("lab-intake")):
        take_turn(cast.anna.id)
        together([drained])
    assert sent_to(ANNA) == 0
    work_off(start + 60 * SECOND)
    assert (sent_to(ANNA), sent_to(DORA)) == (1, 1)


# --- what is not there any more is not announced ------------------------------------------------


def hold_it(cast: Cast, at: datetime) -> None:
    place(cast, the_report(), at)


def entered_in_error(cast: Cast, at: datetime) -> None:
    deliver(at, Obx("", status="D"))


def wrong_patient(cast: Cast, at: datetime) -> None:
    deliver(at, Obx("", status="W"))


@pytest.mark.parametrize("goes", [hold_it, entered_in_error, wrong_patient])
def test_a_waiting_notice_dies_with_its_result(cast: Cast, start: datetime, goes: Any) -> None:
    wish(cast, Wish(When.ON_DATE, days_after=3), start)
    deliver(start, Obx("31"))
    work_off(start)
    goes(cast, start + HOUR)
    work_off(start + HOUR)
    for days in range(1, 7):
        work_off(start + days * DAY)
    assert not rows(purpose="result", state="sent")
    waiting = rows(purpose="result", occurrence__endswith=":1")
    assert {(row.state, row.reason) for row in waiting} <= {
        ("skipped", "no-longer-applies"),
        ("planned", ""),
    }


@pytest.mark.parametrize("goes", [hold_it, entered_in_error])
def test_an_event_that_comes_after_the_hold_plans_nothing(
    cast: Cast, start: datetime, goes: Any
) -> None:
    """A planned row in her list of notices would tell of it."""
    deliver(start, Obx("31"))
    taken = _take_events()
    goes(cast, start + SECOND)
    _give_back(taken)
    deliver_due(now=start + 2 * SECOND)
    assert rows(purpose="result") == []


def test_a_notice_of_one_result_that_was_held_leaves_the_others_alone(
    cast: Cast, start: datetime
) -> None:
    wish(cast, Wish(When.ON_DATE, days_after=2), start)
    deliver(start, Obx("31"))
    work_off(start)
    deliver(start + HOUR, Obx("28", **MARKER))
    work_off(start + HOUR)
    marker = the_result("6875-9")
    place(cast, the_report(), start + 2 * HOUR, identity_key=marker.identity_key)
    work_off(start + 3 * DAY)
    told = rows(recipient=cast.anna_user, channel="inbox")
    assert [(row.occurrence[-1], row.state) for row in told] == [("1", "sent"), ("2", "skipped")]


def test_a_held_result_is_told_of_once_when_it_is_released(cast: Cast, start: datetime) -> None:
    wish(cast, NOW, start)
    deliver(start, Obx("31"))
    deliver_due(now=start)
    with identity(system("notifications")):
        mine = delivery.claim(now=start, limit=50)
    assert len(mine) == 2
    placed = place(cast, the_report(), start + SECOND)
    drain(now=start + 3 * delivery.LEASE)
    assert sent_to(ANNA) == 0
    lift(cast, placed, start + HOUR)
    work_off(start + HOUR)
    work_off(start + 8 * DAY)
    assert sent_to(ANNA) == 1


def test_a_release_within_a_second_is_told(cast: Cast, start: datetime) -> None:
    """The occurrence names whole seconds, rounded up here."""
    deliver(start, Obx("31"))
    placed = place(cast, the_report(), start)
    work_off(start)
    assert sent_to(ANNA) == 0
    at = start + HOUR + timedelta(milliseconds=700)
    lift(cast, placed, at)
    work_off(at)
    assert sent_to(ANNA) == 1


def test_an_order_that_is_pending_is_told(cast: Cast, start: datetime) -> None:
    """It brought no result, and is news all the same."""
    deliver(start, status="I")
    work_off(start)
    assert sent_to(ANNA) == 1


def test_a_hold_that_commits_just_before_the_claim_wins(cast: Cast, start: datetime) -> None:
    wish(cast, NOW, start)
    deliver(start, Obx("31"))
    deliver_due(now=start)

    def hold() -> str:
        hold_it(cast, start + SECOND)
        drain(now=start + SECOND)
        return "held"

    together([hold, hold_waiter(start)])
    drain(now=start + 3 * delivery.LEASE)
    with identity(system("lab-intake")):
        assert DiagnosticReport.objects.get().visible_from == start + SECOND + 7 * DAY
    states = {(row.state, row.reason) for row in rows(recipient=cast.anna_user, channel="inbox")}
    assert states in ({("sent", "")}, {("skipped", "no-longer-applies")})


def hold_waiter(start: datetime) -> Any:
    def claim() -> str:
        drain(now=start + SECOND)
        return "drained"

    return claim


def test_a_comment_taken_back_before_its_notice_left_is_not_told(
    cast: Cast, start: datetime
) -> None:
    deliver(start, Obx("31"))
    work_off(start)
    night = start + 12 * HOUR
    said = comment(the_report(), cast.clinician, night)
    work_off(night)
    withdraw_comment(said, cast.clinician, night + SECOND)
    work_off(night + 10 * HOUR)
    assert sent_to(ANNA) == 1  # the result, before
    (row,) = rows(recipient=cast.anna_user, channel="inbox", occurrence=f"comment:{said.id}")
    assert (row.state, row.reason) == ("skipped", "no-longer-applies")


def test_who_waits_for_a_comment_waits_on_when_it_is_taken_back(
    cast: Cast, start: datetime
) -> None:
    wish(cast, Wish(When.AFTER_COMMENT, backstop_days=20), start)
    night = start + 12 * HOUR
    deliver(start, Obx("31"))
    work_off(start)
    said = comment(the_report(), cast.clinician, night)
    deliver_due(now=night)
    # "After a comment" keeps to the quiet hours: it would have left in the morning.
    withdraw_comment(said, cast.clinician, night + SECOND)
    work_off(start + DAY)
    assert sent_to(ANNA) == 0
    work_off(start + 20 * DAY - SECOND)
    assert sent_to(ANNA) == 0
    work_off(start + 20 * DAY + HOUR)
    assert sent_to(ANNA) == 1


def test_a_comment_that_was_replaced_is_told_once(cast: Cast, start: datetime) -> None:
    deliver(start, Obx("31"))
    work_off(start)
    night = start + 12 * HOUR
    said = comment(the_report(), cast.clinician, night)
    work_off(night)
    replace_comment(said, cast.clinician, night + SECOND, "Better words.")
    work_off(night + SECOND)
    work_off(night + 10 * HOUR)
    assert sent_to(ANNA) == 2


def test_a_comment_over_a_held_result_moves_no_notice(cast: Cast, start: datetime) -> None:
    """Else the time of the notice would tell of it."""
    wish(cast, AFTER, start)
    deliver(start, Obx("31"), Obx("28", **MARKER))
    marker = the_result("6875-9")
    place(cast, the_report(), start, identity_key=marker.identity_key)
    work_off(start + SECOND)
    comment(the_report(), cast.clinician, start + HOUR, identity_key=marker.identity_key)
    wish(cast, Wish(When.AFTER_COMMENT, backstop_days=6), start + 2 * HOUR)
    work_off(start + 2 * HOUR)
    assert sent_to(ANNA) == 0
    deliver(start + 3 * HOUR, Obx("29", status="C", **MARKER))
    comment(the_report(), cast.clinician, start + 4 * HOUR, identity_key=the_result().identity_key)
    work_off(start + 4 * HOUR)
    assert sent_to(ANNA) == 1
