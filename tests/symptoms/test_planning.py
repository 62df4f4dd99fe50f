"""The tick: each occurrence once, the right reminders, and silence that becomes a call."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, connections
from django.test.utils import CaptureQueriesContext

from core.db import Identity, identity, system
from core.errors import InvalidInput, NotFound
from core.models import Change
from notifications.models import Notification
from patients.models import ContactPause, Patient
from symptoms.models import CheckIn, CheckInPlan
from symptoms.services import (
    PlanExists,
    change_plan,
    pause_plan,
    plan_check_ins,
    recheck_notice,
    resume_plan,
    stop_plan,
)
from tests.cast import Cast, patient
from tests.symptoms.conftest import AT_TEN, MONDAY, Planned, check_ins
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db


def rows(**terms: Any) -> list[Notification]:
    with identity(system("notifications")):
        return list(Notification.objects.filter(**terms).order_by("send_after", "channel"))


def calls() -> list[WorkItem]:
    with identity(system("worklist")):
        return list(WorkItem.objects.filter(concern="check-in.silence"))


def test_nothing_is_asked_a_second_before_her_hour(plan_of: Planned) -> None:
    plan_of()
    assert plan_check_ins(now=AT_TEN - timedelta(seconds=1)).planned == 0
    assert plan_check_ins(now=AT_TEN).planned == 1


def test_a_check_in_comes_with_three_reminders_on_each_channel(plan_of: Planned) -> None:
    plan = plan_of()
    plan_check_ins(now=AT_TEN)
    found = rows(channel="email")
    day = timedelta(days=1)
    assert [(r.occurrence, r.send_after, r.expires_at) for r in found] == [
        (f"checkin:{plan.id}:2026-11-23:r{n}", AT_TEN + n * day, AT_TEN + (n + 1) * day)
        for n in range(3)
    ]
    assert len(rows(channel="inbox")) == 3
    assert {r.subject_id for r in found} == {check_ins()[0].id}


def test_a_second_tick_asks_nothing_more_and_the_next_week_asks_again(plan_of: Planned) -> None:
    plan_of()
    plan_check_ins(now=AT_TEN)
    assert plan_check_ins(now=AT_TEN + timedelta(minutes=1)).planned == 0
    assert plan_check_ins(now=AT_TEN + timedelta(days=7)).planned == 1
    assert [row.due_on for row in check_ins()] == [MONDAY, MONDAY + timedelta(days=7)]


def test_every_four_weeks_means_four(plan_of: Planned) -> None:
    plan_of(every_weeks=4)
    planned = [plan_check_ins(now=AT_TEN + timedelta(weeks=n)).planned for n in range(5)]
    assert planned == [1, 0, 0, 0, 1]


def test_her_hour_stays_when_clocks_change(plan_of: Planned) -> None:
    plan_of(starts_on=date(2026, 3, 23))
    for text in ("2026-03-23T09:00", "2026-03-30T08:00"):
        now = datetime.fromisoformat(text).replace(tzinfo=UTC)
        assert plan_check_ins(now=now - timedelta(seconds=1)).planned == 0
        assert plan_check_ins(now=now).planned == 1


def test_a_new_check_in_is_in_the_change_feed(check_in: CheckIn) -> None:
    with identity(system("check-ins")):
        change = Change.objects.get(resource="CheckIn")
    assert (change.resource_id, change.area) == (check_in.id, "symptoms")


def test_after_two_days_of_outage_stale_reminders_are_dropped_with_the_reason(
    plan_of: Planned,
) -> None:
    plan_of()
    plan_check_ins(now=AT_TEN + timedelta(hours=47))
    assert [(r.state, r.reason) for r in rows(channel="email")] == [
        ("skipped", "stale"),
        ("planned", ""),
        ("planned", ""),
    ]


def test_after_weeks_of_outage_only_the_current_week_is_asked(plan_of: Planned) -> None:
    plan_of()
    later = AT_TEN + timedelta(weeks=5, days=1)
    assert plan_check_ins(now=later).planned == 1
    assert [row.due_on for row in check_ins()] == [MONDAY + timedelta(weeks=5)]


@pytest.mark.parametrize(("days", "asked"), [(2, 1), (3, 0)])
def test_a_week_whose_days_for_answering_are_over_is_not_asked(
    plan_of: Planned, days: int, asked: int
) -> None:
    plan_of()
    assert plan_check_ins(now=AT_TEN + timedelta(days=days)).planned == asked


def test_a_plan_ends_after_its_last_day(plan_of: Planned) -> None:
    plan_of(stops_on=MONDAY)
    assert plan_check_ins(now=AT_TEN).planned == 1
    outcome = plan_check_ins(now=AT_TEN + timedelta(days=7))
    assert (outcome.planned, outcome.stopped) == (0, 1)


def test_a_patient_without_a_sign_in_is_asked_by_staff_only(plan_of: Planned, cast: Cast) -> None:
    with identity(system("registration")):
        cast.anna.user = None
        cast.anna.save()
    plan_of()
    assert plan_check_ins(now=AT_TEN).planned == 1
    assert rows() == []


# --- who is left alone ------------------------------------------------------------------------


def test_the_deceased_are_never_asked_and_their_plan_ends(plan_of: Planned, cast: Cast) -> None:
    plan = plan_of()
    with identity(system("registration")):
        Patient.objects.filter(id=cast.anna.id).update(deceased_at=AT_TEN)
    assert plan_check_ins(now=AT_TEN).planned == 0
    assert (check_ins(), rows()) == ([], [])
    with identity(system("check-ins")):
        plan.refresh_from_db()
    assert (plan.is_active, plan.stop_reason) == (False, "deceased")


def test_who_paused_contact_is_not_asked_and_can_see_why(plan_of: Planned, cast: Cast) -> None:
    plan_of()
    with identity(system("registration")):
        ContactPause.objects.create(
            patient=cast.anna,
            reason="in-hospital",
            starts_at=AT_TEN,
            ends_at=AT_TEN + timedelta(days=7),
        )
    outcome = plan_check_ins(now=AT_TEN)
    assert (outcome.planned, outcome.cancelled) == (0, 1)
    assert [(r.channel, r.state, r.reason) for r in rows()] == [
        ("email", "skipped", "paused"),
        ("inbox", "skipped", "paused"),
    ]
    assert plan_check_ins(now=AT_TEN + timedelta(days=7)).planned == 1


@pytest.mark.parametrize(
    ("paused_from", "resumes_on", "planned"),
    [
        ("2026-11-23", None, 0),
        ("2026-11-22", "2026-11-24", 0),
        ("2026-11-22", "2026-11-23", 1),
        ("2026-11-24", None, 1),
    ],
)
def test_a_paused_plan_asks_nothing_on_the_days_of_the_pause(
    plan_of: Planned, now: datetime, paused_from: str, resumes_on: str | None, planned: int
) -> None:
    plan = plan_of()
    with identity(system("check-ins")):
        pause_plan(
            plan_id=plan.id,
            reason="holiday",
            paused_from=date.fromisoformat(paused_from),
            resumes_on=date.fromisoformat(resumes_on) if resumes_on else None,
            now=now,
        )
    assert plan_check_ins(now=AT_TEN).planned == planned


def test_a_pause_that_begins_takes_the_open_check_in_and_its_reminders_along(
    check_in: CheckIn,
) -> None:
    with identity(system("check-ins")):
        pause_plan(
            plan_id=check_in.plan_id,
            reason="grief",
            paused_from=MONDAY,
            resumes_on=None,
            now=AT_TEN,
        )
    assert check_ins()[0].status == "cancelled"
    assert {(r.state, r.reason) for r in rows()} == {("skipped", "check-in-cancelled")}
    with identity(system("check-ins")):
        resume_plan(plan_id=check_in.plan_id, now=AT_TEN)
    assert plan_check_ins(now=AT_TEN + timedelta(days=7)).planned == 1


def test_a_stopped_plan_never_asks_again_and_cannot_be_changed(check_in: CheckIn) -> None:
    with identity(system("check-ins")):
        stop_plan(plan_id=check_in.plan_id, reason="hospice", now=AT_TEN)
        with pytest.raises(NotFound):
            resume_plan(plan_id=check_in.plan_id, now=AT_TEN)
    assert plan_check_ins(now=AT_TEN + timedelta(days=7)).planned == 0
    assert {r.state for r in rows()} == {"skipped"}


# --- silence ----------------------------------------------------------------------------------


def test_three_days_of_silence_become_one_call_in_staffed_time(check_in: CheckIn) -> None:
    quiet_until = AT_TEN + timedelta(days=3)
    assert plan_check_ins(now=quiet_until - timedelta(seconds=1)).silent == 0
    assert plan_check_ins(now=quiet_until).silent == 1
    assert plan_check_ins(now=quiet_until).silent == 0
    [item] = calls()
    # Thursday 10:00 in Berlin and eight staffed hours: seven until 17:00, one on Friday.
    assert item.due_at == datetime(2026, 11, 27, 8, 0, tzinfo=UTC)
    assert check_ins()[0].status == "missed"


def test_the_silence_of_somebody_who_died_or_paused_calls_nobody(
    check_in: CheckIn, cast: Cast
) -> None:
    with identity(system("registration")):
        Patient.objects.filter(id=cast.anna.id).update(deceased_at=AT_TEN)
    assert plan_check_ins(now=AT_TEN + timedelta(days=3)).silent == 0
    assert calls() == []
    assert (check_ins()[0].status, check_ins()[0].cancelled_reason) == ("cancelled", "deceased")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("open", None),
        ("answered", "already-answered"),
        ("cancelled", "check-in-cancelled"),
        ("missed", "no-longer-applies"),
    ],
)
def test_the_last_look_before_a_reminder(
    check_in: CheckIn, status: str, reason: str | None
) -> None:
    row = rows()[0]
    with identity(system("check-ins")):
        CheckIn.objects.update(
            status=status,
            settled_at=None if status == "open" else AT_TEN,
            cancelled_reason="paused" if status == "cancelled" else "",
        )
    with identity(system("notifications")):
        decision = recheck_notice(row, AT_TEN)
    assert (decision.reason if decision else None) == reason


# --- making plans -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"hour": 7}, "hour"),
        ({"hour": 21}, "hour"),
        ({"iso_weekday": 0}, "iso_weekday"),
        ({"every_weeks": 13}, "every_weeks"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"stops_on": MONDAY - timedelta(days=1)}, "stops_on"),
    ],
)
def test_terms_that_cannot_be_are_refused(
    plan_of: Planned, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        plan_of(**change)
    assert [error.field for error in refused.value.errors] == [field]


def test_hours_at_both_ends_of_the_day_are_accepted(plan_of: Planned, cast: Cast) -> None:
    assert plan_of(hour=8).hour == 8
    assert plan_of(cast.brigid, hour=20).hour == 20


def test_a_second_plan_for_the_same_questions_is_refused(plan_of: Planned) -> None:
    plan_of()
    with pytest.raises(PlanExists):
        plan_of()


def test_an_unknown_questionnaire_cannot_be_planned(plan_of: Planned) -> None:
    with pytest.raises(NotFound):
        plan_of(questionnaire_key="never-written")


def test_a_changed_plan_asks_at_the_new_hour_from_the_next_fitting_day(
    plan_of: Planned, now: datetime
) -> None:
    plan = plan_of()
    with identity(system("check-ins")):
        changed = change_plan(
            plan_id=plan.id,
            iso_weekday=3,
            hour=18,
            zone="America/New_York",
            every_weeks=2,
            now=now,
        )
    assert changed.next_opens_at == datetime(2026, 11, 25, 23, 0, tzinfo=UTC)


def test_the_database_refuses_an_hour_in_the_night(plan_of: Planned) -> None:
    plan = plan_of()
    with pytest.raises(IntegrityError, match="plan_hour"), identity(system("check-ins")):
        CheckInPlan.objects.filter(id=plan.id).update(hour=21)


def test_strangers_and_other_staff_see_no_plan_and_no_check_in(
    check_in: CheckIn, cast: Cast
) -> None:
    area = frozenset({"symptoms"})
    for who, count in [
        (Identity("patient", cast.anna_user.pk, cast.anna.id, area), 1),
        (Identity("staff", cast.nurse.pk, None, area), 1),
        (Identity("patient", cast.brigid.user_id, cast.brigid.id, area), 0),
        (Identity("patient", cast.brigid.user_id, cast.anna.id, area), 0),
        (Identity("proxy", cast.dora.pk, cast.anna.id, area), 0),
        (Identity("staff", cast.other_nurse.pk, None, area), 0),
        (Identity("staff", cast.desk.pk, None, area), 0),
    ]:
        with identity(who):
            assert (CheckInPlan.objects.count(), CheckIn.objects.count()) == (count, count)


def statements(now: datetime) -> int:
    with CaptureQueriesContext(connection) as captured:
        plan_check_ins(now=now)
    return len(captured)


def test_an_idle_tick_costs_the_same_however_many_plans_there_are(
    plan_of: Planned, cast: Cast
) -> None:
    plan_of()
    one = statements(AT_TEN - timedelta(hours=1))
    plan_of(cast.brigid)
    plan_of(cast.carla, organization_id=cast.other_clinic.id)
    assert statements(AT_TEN - timedelta(hours=1)) == one


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_ten_ticks_at_once_plan_each_occurrence_once(plan_of: Planned, cast: Cast) -> None:
    with identity(system("registration")):
        people = [
            patient(f"P{n}", f"Probe{n}", date(1960, 1, 1 + n), f"80{n}", cast.clinic)
            for n in range(12)
        ]
    for person in people:
        plan_of(person)
    barrier = threading.Barrier(10)

    def tick(_: int) -> int:
        barrier.wait(10)
        try:
            return plan_check_ins(now=AT_TEN).planned
        finally:
            connections.close_all()

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(tick, range(10))) == 12
    assert len(check_ins()) == 12
    assert len(rows()) == 12 * 3 * 2
