"""When she is told: her wish moves the notice, never what is visible, never staff work."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from core.db import identity, system
from core.events.registry import Delivered
from labs.models import TellingWish
from labs.notices import recheck_result_notice
from labs.release_rules import ResultClass
from labs.services import result_notices, telling
from labs.telling_rules import When, Wish
from notifications.models import ChannelPreference, Notification
from notifications.rechecks import Skip, Wait
from patients.models import CaregiverGrant
from tests.cast import Cast
from tests.labs.conftest import LABS
from tests.labs.messages import CALCIUM, Obx, laboratory
from tests.labs.releasing import (
    MARKER,
    deliver,
    place,
    rule_for_markers,
    seen,
    the_report,
    the_result,
)
from tests.labs.reviewing import review
from tests.notifications.conftest import count, row_of
from tests.tokens import api_of, viewer_of
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

WEEK = timedelta(days=7)
SECOND = timedelta(seconds=1)
MORNING = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
NIGHT = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def lab(cast: Cast) -> None:
    laboratory(cast.clinic)
    with identity(system("registration")):
        CaregiverGrant.objects.update(valid_from=MORNING - WEEK)


def filed(cast: Cast, at: datetime, *, version: int = 1, corrected: bool = False) -> Delivered:
    """The event of Anna's one report."""
    return Delivered(
        event_id=uuid4(),
        type="labs.result.filed",
        version=1,
        subject_id=the_report().id,
        patient_id=cast.anna.id,
        payload={"report_version": version, "loincs": [], "states": [], "corrected": corrected},
        occurred_at=at,
        now=at,
    )


def wishes(cast: Cast, wish: Wish, at: datetime, *classes: ResultClass) -> None:
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity):
        telling.choose(viewer=viewer, wishes=dict.fromkeys(classes or ResultClass, wish), now=at)


def mail(who: str = "anna@example.org", **terms: Any) -> Notification:
    return row_of(**{"purpose": "result", "channel": "email", "recipient__email": who} | terms)


def recheck(row: Notification, at: datetime) -> Any:
    with identity(system("notifications")):
        return recheck_result_notice(row, at)


def reviewed(cast: Cast, at: datetime) -> None:
    """Let her clinician review the one report, and whoever waits for that be told."""
    review(the_report(), cast.clinician, at)
    result_notices.on_report_reviewed(replace(filed(cast, at), type="labs.report.reviewed"))


AFTER = Wish(When.AFTER_COMMENT)
NEVER = Wish(When.NEVER, backstop_days=None)


def test_results_are_told_once_a_version_in_the_inbox_and_by_mail(cast: Cast) -> None:
    deliver(MORNING, Obx("31"))
    for _ in range(2):
        result_notices.on_results_filed(filed(cast, MORNING))
    occurrence = f"result:{the_report().id}:1"
    assert count(occurrence=occurrence, purpose="result", recipient=cast.anna_user) == 2
    row = mail(occurrence=occurrence)
    assert (row.recipient_id, row.expires_at) == (cast.anna_user.pk, MORNING + WEEK)
    result_notices.on_results_filed(filed(cast, MORNING, version=2, corrected=True))
    assert mail(purpose="result-corrected").must_reach
    assert not mail("dora@example.org", purpose="result-corrected").must_reach


def test_who_chose_nothing_is_told_in_the_morning_of_what_came_at_night(cast: Cast) -> None:
    deliver(NIGHT, Obx("31"))
    result_notices.on_results_filed(filed(cast, NIGHT))
    assert mail().send_after == datetime(2026, 11, 21, 7, 0, tzinfo=UTC)
    assert not mail().bypasses_quiet_hours


def test_who_turned_mail_off_gets_the_inbox_only(cast: Cast) -> None:
    ChannelPreference.objects.create(
        user=cast.anna_user, purpose="result", channel="email", enabled=False
    )
    deliver(MORNING, Obx("31"))
    result_notices.on_results_filed(filed(cast, MORNING))
    assert row_of(purpose="result", recipient=cast.anna_user).channel == "inbox"


def test_a_patient_without_a_sign_in_is_told_nothing(cast: Cast) -> None:
    her_own = cast.anna_user
    with identity(system("registration")):
        cast.anna.user = None
        cast.anna.save()
    deliver(MORNING, Obx("31"))
    result_notices.on_results_filed(filed(cast, MORNING))
    assert count(recipient=her_own) == 0
    assert count(recipient=cast.dora) > 0


def test_her_own_now_is_now_even_at_night(cast: Cast) -> None:
    wishes(cast, Wish(When.NOW), NIGHT)
    deliver(NIGHT, Obx("31"))
    result_notices.on_results_filed(filed(cast, NIGHT))
    assert (mail().send_after, mail().bypasses_quiet_hours) == (NIGHT, True)
    assert recheck(mail(), NIGHT) is None


@pytest.mark.parametrize("wish", [AFTER, NEVER, Wish(When.ON_DATE, days_after=5)], ids=str)
def test_a_wish_never_moves_what_is_visible(cast: Cast, wish: Wish) -> None:
    wishes(cast, wish, MORNING)
    deliver(MORNING, Obx("31"), Obx("14.9", flag="HH", **CALCIUM))
    assert seen(cast, MORNING) == ["14.9", "31"]
    with identity(system("worklist")):
        assert WorkItem.objects.get(concern="calcium").raised_at == MORNING


def test_after_a_comment_she_is_told_then(cast: Cast) -> None:
    wishes(cast, AFTER, MORNING)
    deliver(MORNING, Obx("31"))
    result_notices.on_results_filed(filed(cast, MORNING))
    assert (mail().send_after, mail().expires_at) == (MORNING + WEEK, MORNING + 2 * WEEK)
    commented = MORNING + timedelta(hours=3)
    reviewed(cast, commented)
    assert mail().send_after == commented
    assert recheck(mail(), commented) is None


def test_without_a_comment_she_is_told_at_the_backstop(cast: Cast) -> None:
    wishes(cast, Wish(When.AFTER_COMMENT, backstop_days=30), MORNING)
    deliver(MORNING, Obx("31"))
    result_notices.on_results_filed(filed(cast, MORNING))
    assert mail().send_after == MORNING + timedelta(days=30)
    assert recheck(mail(), mail().send_after) is None


def test_a_comment_on_an_earlier_version_does_not_count(cast: Cast) -> None:
    wishes(cast, AFTER, MORNING)
    deliver(MORNING, Obx("31"))
    reviewed(cast, MORNING)
    result_notices.on_results_filed(filed(cast, MORNING))
    assert mail().send_after == MORNING
    later = MORNING + timedelta(days=1)
    deliver(later, Obx("44", code="1920-8", name="AST"))
    result_notices.on_results_filed(filed(cast, later, version=2))
    waiting = mail(occurrence__endswith=":2")
    assert waiting.send_after == later + WEEK


def test_never_is_kept_as_not_sent_and_says_why(cast: Cast) -> None:
    wishes(cast, NEVER, MORNING)
    deliver(MORNING, Obx("31"))
    result_notices.on_results_filed(filed(cast, MORNING))
    assert (mail().state, mail().reason) == ("skipped", "not-wanted")


def test_a_correction_of_what_she_saw_is_told_whatever_she_wished(cast: Cast) -> None:
    wishes(cast, NEVER, MORNING)
    deliver(MORNING, Obx("31"))
    result_notices.on_results_filed(filed(cast, MORNING, corrected=True))
    row = mail(purpose="result-corrected")
    assert (row.state, row.send_after) == ("planned", MORNING)
    assert recheck(row, MORNING) is None


@pytest.mark.parametrize(
    ("each", "waits"),
    [
        (ResultClass.TUMOUR_MARKERS, True),
        (ResultClass.LABS, False),
        (ResultClass.PATHOLOGY_AND_SCANS, False),
    ],
)
def test_a_report_falls_under_its_strongest_class(
    cast: Cast, each: ResultClass, waits: bool
) -> None:
    wishes(cast, AFTER, MORNING, each)
    deliver(MORNING, Obx("31"), Obx("28", **MARKER))
    result_notices.on_results_filed(filed(cast, MORNING))
    assert mail().send_after == (MORNING + WEEK if waits else MORNING)


def test_a_held_marker_does_not_move_the_notice_of_what_she_sees(cast: Cast) -> None:
    """Otherwise the time of the notice would tell that the marker is there."""
    rule_for_markers(cast)
    wishes(cast, AFTER, MORNING, ResultClass.TUMOUR_MARKERS)
    deliver(MORNING, Obx("31"), Obx("28", **MARKER))
    result_notices.on_results_filed(filed(cast, MORNING))
    assert the_result("6875-9").visible_from > MORNING
    assert mail().send_after == MORNING


def test_a_changed_wish_moves_what_waits_and_keeps_its_history(cast: Cast) -> None:
    wishes(cast, AFTER, MORNING)
    deliver(MORNING, Obx("31"))
    result_notices.on_results_filed(filed(cast, MORNING))
    soon = MORNING + timedelta(hours=1)
    wishes(cast, Wish(When.NOW), soon)
    assert (mail().send_after, mail().bypasses_quiet_hours) == (soon, True)
    wishes(cast, Wish(When.NOW), soon + SECOND)  # the same again keeps its row
    wishes(cast, NEVER, soon + 2 * SECOND)
    assert (mail().state, mail().reason) == ("skipped", "not-wanted")
    with identity(system("notifications")):
        kept = TellingWish.objects.filter(result_class="labs").order_by("chosen_at")
        assert [(row.when, row.superseded_at is None) for row in kept] == [
            ("after_comment", False),
            ("now", False),
            ("never", True),
        ]


def test_the_last_look_keeps_to_her_hours_and_to_never(cast: Cast) -> None:
    deliver(MORNING, Obx("31"))
    result_notices.on_results_filed(filed(cast, MORNING))
    row = mail()
    assert recheck(row, NIGHT) == Wait(datetime(2026, 11, 21, 7, tzinfo=UTC))
    with identity(system("notifications")):
        Notification.objects.update(state="claimed", lease_until=NIGHT)
    wishes(cast, NEVER, MORNING)
    assert recheck(row, MORNING) == Skip("not-wanted")


def test_a_caregiver_is_not_told_before_the_patient_wants_to_be(cast: Cast) -> None:
    wishes(cast, AFTER, MORNING)
    deliver(MORNING, Obx("31"))
    with identity(system("notifications")):
        row = Notification.objects.create(
            recipient=cast.dora,
            patient_id=cast.anna.id,
            purpose="result",
            occurrence="x",
            channel="inbox",
            template="something_new",
            subject_id=the_report().id,
            send_after=MORNING,
            expires_at=MORNING + WEEK,
            planned_at=MORNING,
        )
    telling.replan(patient_id=cast.anna.id, now=MORNING)
    assert row_of(id=row.id).send_after == MORNING + WEEK


def test_a_later_release_of_the_same_version_is_a_notice_of_its_own(cast: Cast) -> None:
    deliver(MORNING, Obx("31"))
    first = filed(cast, MORNING)
    result_notices.on_results_filed(first)
    first.payload["release"] = f"{MORNING.timestamp():.0f}"
    for _ in range(2):
        result_notices.on_results_filed(first)
    assert count(purpose="result", channel="email", recipient=cast.anna_user) == 2


def test_a_hold_and_a_wish_are_two_things(cast: Cast) -> None:
    deliver(MORNING, Obx("31"))
    result_notices.on_results_filed(filed(cast, MORNING))
    place(cast, the_report(), MORNING)
    wishes(cast, Wish(When.NOW), MORNING + SECOND)
    assert (mail().state, mail().reason) == ("skipped", "no-longer-applies")


# --- the API ------------------------------------------------------------------------------------

ITEM = {"when": "in_my_hours"}


def body(**changes: Any) -> dict[str, Any]:
    return {"items": [{"result_class": each.value, **ITEM, **changes} for each in ResultClass]}


def put(cast: Cast, sent: Any, who: str = "me") -> Any:
    api = api_of(cast.dora if who != "me" else cast.anna_user, LABS)
    return api._client.put(
        f"/api/v1/patients/{who}/telling",
        sent,
        content_type="application/json",
        headers=api._headers,
    )


def test_she_reads_and_chooses_for_every_class(cast: Cast) -> None:
    api = api_of(cast.anna_user, LABS)
    usual = api.get("patients/me/telling").json()["items"]
    assert [(item["when"], item["chosen_at"]) for item in usual] == [("in_my_hours", None)] * 3
    answer = put(cast, body(when="after_comment", backstop_days=10))
    assert answer.status_code == 200, answer.content
    again = api.get("patients/me/telling").json()["items"]
    assert {(item["when"], item["backstop_days"]) for item in again} == {("after_comment", 10)}
    assert all(item["chosen_at"] for item in again)


@pytest.mark.parametrize(
    "sent",
    [
        {"items": []},
        {"items": [{"result_class": "labs", "when": "now"}]},
        body(when="sometimes"),
        body(when="on_date"),
        body(when="on_date", on_date="2026-12-01", days_after=3),
        body(when="now", days_after=3),
        body(when="never", backstop_days=3),
        body(backstop_days=0),
        body(backstop_days=31),
        body(when="on_date", days_after=31),
        body(hours_from="18:00", hours_until="18:00"),
        body(hours_from="25:00"),
        body(on_date="\u0000"),
    ],
    ids=str,
)
def test_a_choice_without_meaning_is_refused_whole(cast: Cast, sent: Any) -> None:
    answer = put(cast, sent)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    with identity(system("notifications")):
        assert not TellingWish.objects.exists()


def test_it_is_hers_alone(cast: Cast) -> None:
    dora = api_of(cast.dora, LABS)
    assert dora.get(f"patients/{cast.anna.id}/telling").status_code == 404
    assert put(cast, body(), str(cast.anna.id)).status_code == 404
    assert api_of(cast.brigid.user, LABS).get(f"patients/{cast.anna.id}/telling").status_code == 404
    assert api_of(cast.anna_user, "symptoms.read").get("patients/me/telling").status_code == 403
