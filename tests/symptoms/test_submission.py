"""Her answers: kept once, judged, raised to staff, and answered honestly."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError

from core.db import Identity, identity, system
from core.errors import NotFound
from core.models import Change, Event
from notifications.models import Notification
from patients.viewer import Viewer
from symptoms.models import Answer, CheckIn, Composite, QuestionnaireResponse, SymptomAlert
from symptoms.services import (
    AlreadyAnswered,
    ClientIdReused,
    QuestionnaireChanged,
    Submission,
    look_at_answers,
    plan_check_ins,
    submit_check_in,
)
from tests.cast import Cast
from tests.symptoms.conftest import AT_TEN, Planned, check_ins, levels, viewer_of
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

SUNDAY_NIGHT = datetime(2026, 11, 29, 2, 0, tzinfo=UTC)


@pytest.fixture
def anna(cast: Cast) -> Viewer:
    return viewer_of(cast.anna)


def submit(
    viewer: Viewer,
    check_in: CheckIn,
    *,
    now: datetime = AT_TEN,
    client_id: UUID | None = None,
    version: int | None = None,
    right_now: Sequence[str] = (),
    **answers: Any,
) -> Submission:
    with identity(viewer.identity):
        return submit_check_in(
            viewer=viewer,
            check_in_id=check_in.id,
            client_id=client_id or uuid4(),
            answers=levels(now=right_now, **answers),
            questionnaire_version=version,
            now=now,
        )


def reply(submission: Submission) -> dict[str, Any]:
    return submission.as_reply(zone="Europe/Berlin", language="en")


def items() -> dict[str, WorkItem]:
    with identity(system("worklist")):
        return {item.concern: item for item in WorkItem.objects.all()}


def test_quiet_answers_raise_nothing_and_promise_nothing(anna: Viewer, check_in: CheckIn) -> None:
    answer = reply(submit(anna, check_in, fatigue__severity=1))
    assert items() == {}
    assert answer["alerts"] == []
    assert answer["review"] == {
        "watched_now": True,
        "next_review_by": None,
        "text": (
            "Nobody watches these answers as they come in. "
            "Your care team can read them at your next visit."
        ),
    }
    assert answer["call"]["now"] is False
    assert "not yet reviewed by a clinician" in answer["warnings"][0]
    assert {"link_id": "fatigue.severity", "question": "How tired have you felt this week?",
            "answer": "A little"} in answer["heard"]  # fmt: skip


@pytest.mark.parametrize(("level", "raised"), [(2, []), (3, ["WITHIN_24H"])])
def test_a_level_raises_an_item_from_its_threshold_on(
    anna: Viewer, check_in: CheckIn, level: int, raised: list[str]
) -> None:
    submit(anna, check_in, fatigue__severity=level)
    assert [item.urgency for item in items().values()] == raised
    assert all(item.due_at == AT_TEN + timedelta(hours=24) for item in items().values())


def test_a_red_flag_on_duty_says_by_when_it_is_read_and_to_call_now(
    anna: Viewer, check_in: CheckIn
) -> None:
    answer = reply(submit(anna, check_in, right_now=["seizure"]))
    [item] = items().values()
    assert (item.urgency, item.due_at) == ("EMERGENCY", AT_TEN + timedelta(minutes=15))
    assert answer["review"]["next_review_by"]["local"] == "2026-11-23T10:15"
    assert answer["call"]["now"] is True
    assert answer["alerts"][0]["action"] == "Call emergency services now."
    assert answer["meanwhile"] == [
        "Call emergency services now.",
        "Do not wait for a message here.",
    ]


def test_a_red_flag_that_nobody_on_duty_will_read_says_so_and_pages_who_is_on_call(
    anna: Viewer, plan_of: Planned, cast: Cast
) -> None:
    plan_of(iso_weekday=6)
    saturday = datetime(2026, 11, 28, 9, 0, tzinfo=UTC)
    plan_check_ins(now=saturday)
    cast.clinic.shifts.create(
        user=cast.nurse,
        starts_at=saturday,
        ends_at=saturday + timedelta(days=1),
        on_call=True,
        page_phone="+49 30 5550123",
    )
    answer = reply(submit(anna, check_ins()[0], now=SUNDAY_NIGHT, right_now=["seizure"]))
    assert answer["review"] == {
        "watched_now": False,
        "next_review_by": None,
        "text": (
            "Nobody reads this before Monday, 30 November 2026, 08:00 CET. Call +49 30 5550199 now."
        ),
    }
    assert answer["call"]["now"] is True
    with identity(system("notifications")):
        pages = Notification.objects.filter(purpose="on-call-page")
        assert {(p.recipient_id, p.channel, p.send_after) for p in pages} == {
            (cast.nurse.pk, "inbox", SUNDAY_NIGHT),
            (cast.nurse.pk, "email", SUNDAY_NIGHT),
        }


def test_on_duty_nobody_is_paged(anna: Viewer, check_in: CheckIn, cast: Cast) -> None:
    cast.clinic.shifts.create(
        user=cast.nurse,
        starts_at=AT_TEN,
        ends_at=AT_TEN + timedelta(days=1),
        on_call=True,
        page_phone="+49 30 5550123",
    )
    submit(anna, check_in, right_now=["seizure"])
    with identity(system("notifications")):
        assert not Notification.objects.filter(purpose="on-call-page").exists()


def test_her_word_that_it_cannot_wait_is_heard_within_two_hours(
    anna: Viewer, check_in: CheckIn
) -> None:
    answer = reply(submit(anna, check_in, can_wait=0))
    assert items()["asked-for-a-call"].due_at == AT_TEN + timedelta(hours=2)
    assert answer["alerts"][0]["text"] == "You said that this cannot wait."


def test_an_answer_worse_than_last_week_is_noticed(anna: Viewer, check_in: CheckIn) -> None:
    submit(anna, check_in, pain_general__frequency=1, pain_general__severity=0)
    later = AT_TEN + timedelta(days=7)
    plan_check_ins(now=later)
    submit(
        anna,
        check_ins(status="open")[0],
        now=later,
        pain_general__frequency=1,
        pain_general__severity=2,
    )
    with identity(system("check-ins")):
        assert [(a.symptom_key, a.reason) for a in SymptomAlert.objects.all()] == [
            ("pain_general", "worse")
        ]


def test_two_facts_of_one_concern_are_one_item_with_both_shown(
    anna: Viewer, check_in: CheckIn
) -> None:
    with identity(anna.identity):
        answers = levels(now=["fever_on_treatment"], mouth_sores__severity=4)
        submit_check_in(
            viewer=anna,
            check_in_id=check_in.id,
            client_id=uuid4(),
            answers=answers,
            questionnaire_version=1,
            now=AT_TEN,
        )
    item = items()["infection"]
    with identity(system("worklist")):
        rules = set(item.evidence.values_list("rule_id", flat=True))
    assert rules == {"red_flag:fever_on_treatment", "level:mouth_sores"}
    assert item.urgency == "EMERGENCY"


def test_everything_is_written_in_one_transaction(anna: Viewer, check_in: CheckIn) -> None:
    made = submit(anna, check_in, right_now=["seizure"], fatigue__severity=0)
    with identity(system("notifications")):
        assert {(r.state, r.reason) for r in Notification.objects.all()} == {
            ("skipped", "already-answered")
        }
        event = Event.objects.filter(type="symptoms.check-in.submitted")
        changes = Change.objects.filter(resource_id=made.response.id)
        assert Composite.objects.get(response=made.response).grade == 0
        assert changes.count() == 1
    with identity(system("events")):
        assert event.get().payload == {"check_in_id": str(check_in.id), "alerts": ["brain"]}
    assert check_ins()[0].status == "answered"


def test_the_same_report_twice_is_kept_once_and_answered_alike(
    anna: Viewer, check_in: CheckIn
) -> None:
    client_id = uuid4()
    first = submit(anna, check_in, client_id=client_id, right_now=["seizure"])
    again = submit(anna, check_in, client_id=client_id, right_now=["seizure"])
    assert (first.is_new, again.is_new) == (True, False)
    assert reply(first) == reply(again)
    with identity(system("check-ins")):
        assert QuestionnaireResponse.objects.count() == 1


def test_a_second_report_is_refused_and_the_first_stays(anna: Viewer, check_in: CheckIn) -> None:
    submit(anna, check_in)
    with pytest.raises(AlreadyAnswered):
        submit(anna, check_in, fatigue__severity=4)


def test_a_client_id_belongs_to_one_check_in(anna: Viewer, check_in: CheckIn) -> None:
    client_id = uuid4()
    submit(anna, check_in, client_id=client_id)
    later = AT_TEN + timedelta(days=7)
    plan_check_ins(now=later)
    with pytest.raises(ClientIdReused):
        submit(anna, check_ins(status="open")[0], now=later, client_id=client_id)


def test_answers_to_other_questions_are_refused(anna: Viewer, check_in: CheckIn) -> None:
    with pytest.raises(QuestionnaireChanged):
        submit(anna, check_in, version=2)
    assert submit(anna, check_in, version=1).is_new


@pytest.mark.parametrize(("seconds", "late"), [(-1, False), (0, True)])
def test_an_answer_is_late_from_the_third_day_on_and_still_accepted(
    anna: Viewer, check_in: CheckIn, seconds: int, late: bool
) -> None:
    at = AT_TEN + timedelta(days=3, seconds=seconds)
    plan_check_ins(now=at)
    made = submit(anna, check_in, now=at, right_now=["seizure"])
    assert (made.response.is_late, len(made.alerts)) == (late, 1)


def test_another_persons_check_in_does_not_exist(cast: Cast, check_in: CheckIn) -> None:
    with pytest.raises(NotFound):
        submit(viewer_of(cast.brigid), check_in)


def test_a_caregiver_without_the_grant_reaches_nothing(cast: Cast, check_in: CheckIn) -> None:
    with pytest.raises(NotFound):
        submit(viewer_of(cast.anna, cast.dora), check_in)


def test_a_check_in_is_not_there_before_it_opens(anna: Viewer, check_in: CheckIn) -> None:
    with pytest.raises(NotFound):
        submit(anna, check_in, now=AT_TEN - timedelta(seconds=1))


def test_a_caregivers_report_is_marked(cast: Cast, check_in: CheckIn) -> None:
    with identity(system("registration")):
        cast.anna.grants.update(scopes=["symptoms.read", "symptoms.write"])
    made = submit(viewer_of(cast.anna, cast.dora), check_in)
    assert (made.response.mode, made.response.entered_by_id) == ("proxy", cast.dora.pk)


def test_looking_stores_nothing_and_shows_the_emergency_before_sending(
    anna: Viewer, check_in: CheckIn
) -> None:
    with identity(anna.identity):
        found = look_at_answers(
            viewer=anna,
            check_in_id=check_in.id,
            answers=levels(now=["breathing_emergency"])[:1],
            questionnaire_version=None,
            now=AT_TEN,
        )
    assert (found["emergency"], found["stored"]) == (True, False)
    assert found["alerts"][0]["action"] == "Call emergency services now."
    assert (items(), check_ins()[0].status) == ({}, "open")


def test_she_is_answered_in_spanish(cast: Cast, check_in: CheckIn) -> None:
    spanish = replace(viewer_of(cast.anna), language="es")
    with identity(spanish.identity):
        made = submit_check_in(
            viewer=spanish,
            check_in_id=check_in.id,
            client_id=uuid4(),
            answers=levels(now=["seizure"]),
            questionnaire_version=None,
            now=AT_TEN,
        )
    answer = made.as_reply(zone="Europe/Berlin", language="es")
    assert answer["meanwhile"][0] == "Llame ahora a emergencias."
    assert "Alguien de turno" in answer["review"]["text"]


def test_answers_are_never_changed(anna: Viewer, check_in: CheckIn) -> None:
    submit(anna, check_in, fatigue__severity=1)
    for model in (QuestionnaireResponse, Answer, SymptomAlert, Composite):
        with pytest.raises(Exception, match="permission denied"), identity(system("check-ins")):
            model.objects.all().delete()


def test_the_database_keeps_answers_in_their_range(anna: Viewer, check_in: CheckIn) -> None:
    made = submit(anna, check_in)
    with pytest.raises(IntegrityError, match="answer_in_range"), identity(system("check-ins")):
        Answer.objects.create(
            response=made.response,
            patient_id=check_in.patient_id,
            link_id="x",
            symptom_key="fatigue",
            attribute="severity",
            value=5,
            answered_at=AT_TEN,
        )


def test_strangers_see_no_answer(anna: Viewer, check_in: CheckIn, cast: Cast) -> None:
    submit(anna, check_in, right_now=["seizure"], fatigue__severity=0)
    area = frozenset({"symptoms"})
    models = (QuestionnaireResponse, Answer, SymptomAlert, Composite)
    for who, sees in [
        (Identity("patient", cast.anna_user.pk, cast.anna.id, area), True),
        (Identity("staff", cast.clinician.pk, None, area), True),
        (Identity("patient", cast.brigid.user_id, cast.anna.id, area), False),
        (Identity("staff", cast.other_nurse.pk, None, area), False),
        (Identity("staff", cast.lab.pk, None, area), False),
    ]:
        with identity(who):
            assert [model.objects.exists() for model in models] == [sees] * 4


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_a_failure_on_the_way_leaves_nothing_behind(
    anna: Viewer, check_in: CheckIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the last step")

    monkeypatch.setattr("symptoms.services.submission.record_change", fails)
    with pytest.raises(RuntimeError, match="the last step"):
        submit(anna, check_in, right_now=["seizure"])
    assert (items(), check_ins()[0].status) == ({}, "open")
    with identity(system("check-ins")):
        assert not QuestionnaireResponse.objects.exists()
