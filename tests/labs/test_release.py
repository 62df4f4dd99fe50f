"""Rules and holds in the record: what is visible when, what the tick tells, and once."""

import contextlib
from datetime import datetime, timedelta
from typing import Any

import pytest
from celery import current_app

from core.db import identity, system
from core.models import AuditEvent
from labs.models import Observation, ReleaseHold
from labs.services import filing, holding, releasing
from labs.services.intake import sweep
from notifications.models import Notification
from patients.viewer import staff_viewer
from tests.cast import Cast
from tests.labs.messages import ALBUMIN, CALCIUM, Obr, Obx, laboratory, oru, send
from tests.labs.releasing import (
    MARKER,
    WEEK,
    approved_rule,
    deliver,
    feed_lines,
    filed_events,
    lift,
    place,
    rule_for_markers,
    seen,
    the_report,
    the_result,
)
from tests.tokens import viewer_of
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
H72 = timedelta(hours=72)
ANNAS = "6875-9"


@pytest.fixture(autouse=True)
def lab(cast: Cast) -> Any:
    return laboratory(cast.clinic)


# --- rules --------------------------------------------------------------------------------------


def test_without_a_rule_everything_is_visible_and_told_at_once(cast: Cast, now: datetime) -> None:
    deliver(now, Obx("31"), Obx("28", **MARKER))
    for row in (the_result(), the_result(ANNAS)):
        assert (row.visible_from, row.announced_at) == (now, now)
        assert (row.release_basis, row.release_rule_version) == ("rule", "immediate-1")
    assert len(filed_events()) == 1
    assert releasing.announce_due(now=now) == 0


def test_a_rule_delays_its_class_to_the_second_and_reading_needs_no_tick(
    cast: Cast, now: datetime
) -> None:
    rule_for_markers(cast)
    deliver(now, Obx("31"), Obx("28", **MARKER))
    held = the_result(ANNAS)
    assert held.visible_from == now + H72
    assert (held.release_basis, held.release_rule_version) == ("rule", "markers-1")
    assert held.announced_at is None
    assert the_result().visible_from == now
    assert seen(cast, now + H72 - SECOND) == ["31"]
    assert seen(cast, now + H72) == ["28", "31"]
    assert seen(cast, now + H72 + SECOND) == ["28", "31"]


@pytest.mark.parametrize(
    "changes",
    [
        {"approved_by": None, "approved_at": None},
        {"result_class": "labs"},
        {"valid_until": datetime(2026, 6, 1).date()},
        {"result_class": "", "analyte_key": "cea"},
    ],
    ids=["a draft", "another class", "ended", "another test"],
)
def test_a_rule_that_does_not_apply_delays_nothing(
    cast: Cast, now: datetime, changes: dict[str, Any]
) -> None:
    rule_for_markers(cast, **changes)
    deliver(now, Obx("28", **MARKER))
    assert the_result(ANNAS).visible_from == now


def test_a_rule_of_another_clinic_or_laboratory_delays_nothing(cast: Cast, now: datetime) -> None:
    other = laboratory(cast.other_clinic, key="harborlab")
    approved_rule(cast.other_clinic, cast.clinician, cast.nurse)
    second = laboratory(cast.clinic, key="secondlab")
    rule_for_markers(cast, name="second-only", laboratory=second)
    deliver(now, Obx("28", **MARKER))
    assert the_result(ANNAS).visible_from == now
    send(oru(Obr([Obx("29", **MARKER)], resulted=""), facility="SECONDLAB"), now)
    assert the_result(ANNAS, laboratory=second).visible_from == now + H72
    assert other.pk != second.pk


def test_a_correction_follows_what_it_corrects(cast: Cast, now: datetime) -> None:
    rule_for_markers(cast)
    deliver(now, Obx("28", **MARKER))
    deliver(now + SECOND, Obx("82", status="C", **MARKER))
    waiting = the_result(ANNAS)
    assert (waiting.value_text, waiting.version, waiting.visible_from) == ("82", 2, now + H72)
    assert feed_lines() == []
    later = now + H72 + SECOND
    deliver(later, Obx("29", status="C", **MARKER))
    shown = the_result(ANNAS)
    assert (shown.value_text, shown.visible_from) == ("29", later)
    assert (shown.release_rule_version, shown.announced_at) == ("markers-1", later)


# --- the tick -----------------------------------------------------------------------------------


def test_the_tick_tells_once_and_only_what_came_due(cast: Cast, now: datetime) -> None:
    rule_for_markers(cast)
    deliver(now, Obx("31"), Obx("28", **MARKER))
    before, told_at_filing = feed_lines(), filed_events()
    assert releasing.announce_due(now=now + H72 - SECOND) == 0
    assert feed_lines() == before
    due = now + H72
    assert [releasing.announce_due(now=due + n * SECOND) for n in range(3)] == [1, 0, 0]
    assert the_result(ANNAS).announced_at == due
    assert feed_lines()[len(before) :] == [
        ("Observation", "upsert"),
        ("DiagnosticReport", "upsert"),
    ]
    (event,) = filed_events()[len(told_at_filing) :]
    assert (event["loincs"], event["release"]) == ([ANNAS], f"{due.timestamp():.0f}")
    with identity(system("housekeeping")):
        audited = AuditEvent.objects.get(operation="labs.release.due")
    assert (audited.actor_kind, audited.purpose) == ("system", "release")
    assert audited.patient_id == cast.anna.id


def test_the_head_of_a_report_that_waits_is_not_a_trace(cast: Cast, now: datetime) -> None:
    rule_for_markers(cast)
    deliver(now, Obx("28", **MARKER))
    assert the_report().visible_from == now + H72
    assert feed_lines() == []
    assert filed_events() == []
    with identity(system("housekeeping")):
        filed = AuditEvent.objects.get(operation__contains="labs.results.file")
    assert filed.operation == "staff-only.labs.results.file"


def test_a_tick_that_breaks_tells_it_the_next_time(
    cast: Cast, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule_for_markers(cast)
    deliver(now, Obx("28", **MARKER))
    due = now + H72

    def broken(**_: Any) -> None:
        raise RuntimeError("the machine stops here")

    with monkeypatch.context() as patch:
        patch.setattr(releasing, "announce_released", broken)
        with pytest.raises(RuntimeError):
            releasing.announce_due(now=due)
    assert the_result(ANNAS).announced_at is None
    assert feed_lines() == []
    assert seen(cast, due) == ["28"]
    assert releasing.announce_due(now=due + SECOND) == 1
    assert len(filed_events()) == 1


def test_a_version_that_was_replaced_while_it_waited_is_never_told(
    cast: Cast, now: datetime
) -> None:
    rule_for_markers(cast)
    deliver(now, Obx("28", **MARKER))
    deliver(now + SECOND, Obx("82", status="C", **MARKER))
    assert releasing.announce_due(now=now + H72) == 1
    with identity(system("lab-intake")):
        first = Observation.objects.get(loinc=ANNAS, version=1)
    assert first.announced_at is None


def test_what_was_withdrawn_while_it_waited_is_never_told(cast: Cast, now: datetime) -> None:
    rule_for_markers(cast)
    deliver(now, Obx("28", **MARKER))
    deliver(now + SECOND, Obx("28", status="W", **MARKER))
    told = (feed_lines(), filed_events())
    assert releasing.announce_due(now=now + H72 + SECOND) == 0
    assert (feed_lines(), filed_events()) == told


# --- holds --------------------------------------------------------------------------------------


def test_a_hold_hides_what_was_visible_until_its_backstop(cast: Cast, now: datetime) -> None:
    deliver(now, Obx("31"), Obx("28", **MARKER))
    before = feed_lines()
    placed = place(cast, the_report(), now + SECOND)
    end = placed.backstop_at
    assert seen(cast, now + SECOND) == []
    assert feed_lines()[len(before) :] == [
        ("Observation", "gone"),
        ("Observation", "gone"),
        ("DiagnosticReport", "gone"),
    ]
    row = the_result()
    assert (row.visible_from, row.announced_at) == (end, None)
    assert (row.release_basis, row.release_rule_version) == ("backstop", "hold-1")
    assert seen(cast, end - SECOND) == []
    assert seen(cast, end) == ["28", "31"]
    assert releasing.announce_due(now=end) == 2
    assert filed_events()[-1]["release"] == f"{end.timestamp():.0f}"


def test_one_result_may_be_held_alone(cast: Cast, now: datetime) -> None:
    deliver(now, Obx("31"), Obx("28", **MARKER))
    place(cast, the_report(), now, identity_key=the_result(ANNAS).identity_key)
    assert seen(cast, now) == ["31"]
    assert the_report().visible_from == now
    assert feed_lines()[-2:] == [("Observation", "gone"), ("DiagnosticReport", "upsert")]


def test_what_comes_under_a_held_report_is_held_and_a_correction_stays_held(
    cast: Cast, now: datetime
) -> None:
    deliver(now, Obx("31"))
    placed = place(cast, the_report(), now)
    lines, events = feed_lines(), filed_events()
    deliver(now + SECOND, Obx("32", status="C"), Obx("28", **MARKER))
    assert the_result().value_text == "32"
    for row in (the_result(), the_result(ANNAS)):
        assert (row.visible_from, row.release_basis) == (placed.backstop_at, "backstop")
    assert seen(cast, now + SECOND) == []
    assert (feed_lines(), filed_events()) == (lines, events)
    assert seen(cast, placed.backstop_at) == ["28", "32"]


def test_what_comes_under_two_holds_waits_for_the_later(cast: Cast, now: datetime) -> None:
    deliver(now, Obx("31"))
    place(cast, the_report(), now)
    place(cast, the_report(), now, backstop_at=now + timedelta(days=3))
    deliver(now + SECOND, Obx("32", status="C"), Obx("28", **MARKER))
    assert {the_result().visible_from, the_result(ANNAS).visible_from} == {now + WEEK}


def test_a_hold_never_shortens_what_a_rule_delays(cast: Cast, now: datetime) -> None:
    rule_for_markers(cast)
    deliver(now, Obx("28", **MARKER))
    place(cast, the_report(), now, backstop_at=now + timedelta(hours=1))
    assert the_result(ANNAS).visible_from == now + H72


def test_what_is_worked_out_from_a_held_result_is_held_with_it(cast: Cast, now: datetime) -> None:
    deliver(now, Obx("8.0", **CALCIUM), Obx("2.9", **ALBUMIN))
    derived = the_result("46099-8")
    assert derived.visible_from == now
    calcium = the_result("17861-6")
    placed = place(cast, the_report(), now, identity_key=calcium.identity_key)
    assert the_result("46099-8").visible_from == placed.backstop_at
    assert seen(cast, now) == ["2.9"]
    lift(cast, placed, now + SECOND)
    assert the_result("46099-8").visible_from == now + SECOND
    assert len(seen(cast, now + SECOND)) == 3
    # A held input keeps what is worked out anew held, too.
    again = place(cast, the_report(), now + 2 * SECOND, identity_key=calcium.identity_key)
    deliver(now + 3 * SECOND, Obx("8.1", status="C", **CALCIUM))
    anew = the_result("46099-8")
    assert (anew.version, anew.visible_from) == (2, again.backstop_at)


def test_lifting_shows_it_at_once_in_the_name_of_a_person(cast: Cast, now: datetime) -> None:
    deliver(now, Obx("31"))
    placed = place(cast, the_report(), now)
    later = now + timedelta(hours=3)
    lift(cast, placed, later)
    row = the_result()
    assert (row.visible_from, row.announced_at) == (later, later)
    assert (row.release_basis, row.released_by_id) == ("person", cast.clinician.pk)
    assert seen(cast, later) == ["31"]
    assert feed_lines()[-2:] == [("Observation", "upsert"), ("DiagnosticReport", "upsert")]
    assert releasing.announce_due(now=later) == 0
    with pytest.raises(holding.AlreadyLifted):
        lift(cast, placed, later)


def test_ending_a_hold_ends_no_rule(cast: Cast, now: datetime) -> None:
    """Neither a clinician who lifts nor a patient who takes back decides against a law."""
    rule_for_markers(cast)
    deliver(now, Obx("31"), Obx("28", **MARKER))
    for backstop in (timedelta(hours=1), timedelta(days=7)):
        placed = place(cast, the_report(), now, backstop_at=now + backstop)
        lift(cast, placed, now + SECOND)
        assert (the_result(ANNAS).visible_from, the_result(ANNAS).release_basis) == (
            now + H72,
            "rule",
        )
        assert seen(cast, now + SECOND) == ["31"]
    deliver(now + 2 * SECOND, Obx("29", status="C", **MARKER))
    viewer = viewer_of(cast.anna_user)
    report = the_report()
    with identity(viewer.identity):
        asked = ReleaseHold(
            patient_id=cast.anna.id,
            report=report,
            reason_code="patient_request",
            placed_by=cast.anna_user,
            placed_at=now,
            backstop_at=now + WEEK,
        )
        asked.save(force_insert=True)
    with identity(system("release")):
        Observation.objects.current().filter(loinc=ANNAS).update(
            visible_from=asked.backstop_at, release_basis="backstop", release_rule_version="hold-1"
        )
    later = now + 3 * SECOND
    with identity(viewer.identity):
        holding.take_back(viewer=viewer, hold_id=asked.id, now=later)
    assert the_result(ANNAS).visible_from == now + H72
    assert seen(cast, now + H72) == ["29", "31"]


def test_a_second_hold_keeps_what_the_first_lets_go(cast: Cast, now: datetime) -> None:
    deliver(now, Obx("31"))
    first = place(cast, the_report(), now)
    second = place(cast, the_report(), now, backstop_at=now + timedelta(days=3))
    assert the_result().visible_from == first.backstop_at
    lift(cast, first, now + SECOND)
    assert the_result().visible_from == second.backstop_at
    assert seen(cast, now + SECOND) == []


def test_a_hold_whose_time_is_over_cannot_be_lifted(cast: Cast, now: datetime) -> None:
    deliver(now, Obx("31"))
    placed = place(cast, the_report(), now)
    for at in (placed.backstop_at, placed.backstop_at + SECOND):
        with pytest.raises(holding.AlreadyLifted):
            lift(cast, placed, at)
    lift(cast, placed, placed.backstop_at - SECOND)


def test_a_person_releases_what_a_rule_or_a_hold_keeps(cast: Cast, now: datetime) -> None:
    rule_for_markers(cast)
    deliver(now, Obx("31"), Obx("28", **MARKER))
    place(cast, the_report(), now)
    later = now + timedelta(hours=1)

    def release(at: datetime) -> int:
        with identity(staff_viewer(user=cast.clinician, now=at).identity):
            return holding.release_now(
                report_id=the_report().id, actor=cast.clinician, reason="She was told.", now=at
            )

    assert release(later) == 2
    assert seen(cast, later) == ["28", "31"]
    assert the_result(ANNAS).released_by_id == cast.clinician.pk
    with identity(system("release")):
        assert ReleaseHold.objects.get().lift_reason == "She was told."
    with pytest.raises(holding.NothingToRelease):
        release(later + SECOND)


def test_early_and_withdrawn_results_are_not_released_by_a_hold_that_ends(
    cast: Cast, now: datetime
) -> None:
    deliver(now, Obx("31", status="P"), Obx("28", **MARKER))
    placed = place(cast, the_report(), now)
    lift(cast, placed, now + SECOND)
    assert the_result().visible_from is None
    assert seen(cast, placed.backstop_at) == ["28"]


# --- staff are told -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before_end", "told"),
    [
        (timedelta(hours=24) + SECOND, 0),
        (timedelta(hours=24), 1),
        (timedelta(hours=24) - SECOND, 1),
        (-SECOND, 1),
    ],
)
def test_staff_are_told_once_that_a_backstop_is_near(
    cast: Cast, now: datetime, before_end: timedelta, told: int
) -> None:
    deliver(now, Obx("31"))
    placed = place(cast, the_report(), now)
    at = placed.backstop_at - before_end
    assert [releasing.remind_of_backstops(now=at) for _ in range(2)] == [told, 0]
    with identity(system("worklist")):
        items = list(WorkItem.objects.filter(concern="result.hold-ends"))
    assert len(items) == told
    assert all(item.patient_id == cast.anna.id for item in items)


def test_a_lifted_hold_asks_for_nobody(cast: Cast, now: datetime) -> None:
    deliver(now, Obx("31"))
    placed = place(cast, the_report(), now)
    lift(cast, placed, now + SECOND)
    assert releasing.remind_of_backstops(now=placed.backstop_at) == 0


def test_a_critical_value_reaches_staff_although_it_is_held(cast: Cast, now: datetime) -> None:
    deliver(now, Obx("9.0", **CALCIUM))
    place(cast, the_report(), now)
    deliver(now + SECOND, Obx("14.9", status="C", flag="HH", **CALCIUM))
    assert seen(cast, now + SECOND) == []
    with identity(system("worklist")):
        item = WorkItem.objects.get(concern="calcium")
    assert item.raised_at == now + SECOND
    assert sweep(now=now + SECOND) == 0


def test_a_hold_takes_back_the_notice_that_waits(cast: Cast, now: datetime) -> None:
    deliver(now, Obx("31"))
    report = the_report()
    with identity(system("notifications")):
        Notification.objects.create(
            recipient=cast.anna_user,
            patient_id=cast.anna.id,
            purpose="result",
            occurrence="x",
            channel="inbox",
            template="something_new",
            subject_id=report.id,
            send_after=now,
            expires_at=now + WEEK,
            planned_at=now,
        )
    place(cast, report, now)
    with identity(system("notifications")):
        row = Notification.objects.get()
    assert (row.state, row.reason) == ("skipped", "no-longer-applies")


def test_a_critical_value_reaches_staff_with_the_broker_gone(
    cast: Cast, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REL-5: no task is sent, no tick runs; the work item commits with the result or not at all."""
    monkeypatch.setattr(current_app.conf, "broker_url", "redis://127.0.0.1:1/0")

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a task was sent")

    monkeypatch.setattr(current_app, "send_task", refuse)
    monkeypatch.setattr("celery.app.task.Task.apply_async", refuse)
    rule_for_markers(cast, result_class="labs", amount=720)
    deliver(now, Obx("14.9", flag="HH", **CALCIUM))
    assert seen(cast, now) == []
    with identity(system("worklist")):
        item = WorkItem.objects.get(concern="calcium")
    assert (item.raised_at, item.patient_id) == (now, cast.anna.id)


def test_a_filing_that_breaks_after_the_alarm_leaves_neither(
    cast: Cast, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: Any) -> None:
        raise RuntimeError("the machine stops here")

    with monkeypatch.context() as patch:
        patch.setattr(filing, "announce", broken)
        with contextlib.suppress(RuntimeError):
            deliver(now, Obx("14.9", flag="HH", **CALCIUM))
    with identity(system("lab-intake")):
        assert not Observation.objects.exists()
    with identity(system("worklist")):
        assert not WorkItem.objects.filter(concern="calcium").exists()
