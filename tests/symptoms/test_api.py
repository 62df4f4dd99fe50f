"""Check-ins, trends and the notification history over HTTP, as owner, caregiver and stranger."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from core.db import identity, system
from core.models import AuditEvent
from symptoms.models import CheckIn, QuestionnaireItem, QuestionnaireVersion
from symptoms.services import QuestionnaireConflict, load_questionnaire, plan_check_ins
from symptoms.services.questionnaires import SHIPPED
from tests.cast import Cast
from tests.symptoms.conftest import AT_TEN, Planned, check_ins
from tests.tokens import Api, api_of

pytestmark = pytest.mark.django_db
ME = "patients/me"
NOTHING = [{"link_id": "now", "codes": []}, {"link_id": "this_week", "codes": []}]


@pytest.fixture(autouse=True)
def monday_morning() -> Iterator[None]:
    with time_machine.travel(AT_TEN + timedelta(minutes=5)):
        yield


def body(*answers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"client_id": str(uuid4()), "answers": [*NOTHING, *answers], **more}


@pytest.fixture
def anna(cast: Cast) -> Api:
    return api_of(cast.anna_user)


def test_she_reads_the_questions_answers_and_sees_it_in_the_list(
    anna: Api, check_in: CheckIn
) -> None:
    [row] = anna.get(f"{ME}/check-ins").json()["items"]
    assert (row["id"], row["status"], row["may_answer"]) == (str(check_in.id), "open", True)
    assert row["expires_at"]["local"] == "2026-11-26T10:00"
    questions = anna.get(f"{ME}/check-ins/{row['id']}").json()
    assert questions["reviewed_by_clinician"] is False
    first = questions["questions"][0]["options"][0]
    assert (first["urgency"], first["action"]) == ("EMERGENCY", "Call emergency services now.")
    sent = anna.post(
        f"{ME}/check-ins/{row['id']}/responses",
        body({"link_id": "fatigue.severity", "value": 3}, questionnaire_version=1),
    )
    assert sent.status_code == 201, sent.content
    assert sent.json()["review"]["next_review_by"]["local"] == "2026-11-24T10:05"
    [row] = anna.get(f"{ME}/check-ins").json()["items"]
    assert (row["status"], row["may_answer"]) == ("answered", False)


def test_a_sent_report_shows_in_her_trend(anna: Api, check_in: CheckIn) -> None:
    answers = [
        {"link_id": "pain_general.frequency", "value": 4},
        {"link_id": "pain_general.severity", "value": 4},
        {"link_id": "pain_general.interference", "value": 4},
        {"link_id": "fever.temperature", "value": 36.6, "unit": "C"},
        {"link_id": "fatigue.severity", "declined": True},
    ]
    assert anna.post(f"{ME}/check-ins/{check_in.id}/responses", body(*answers)).status_code == 201
    [point] = anna.get(f"{ME}/symptoms/pain_general/trend").json()["points"]
    assert point["answers"] == {"frequency": 4, "severity": 4, "interference": 4}
    assert (point["composite_grade"], point["mode"]) == (3, "self")
    [point] = anna.get(f"{ME}/symptoms/fever/trend").json()["points"]
    assert point["answers"] == {"temperature": 36.6}
    assert anna.get(f"{ME}/symptoms/fatigue/trend").json()["points"] == []
    assert anna.get(f"{ME}/symptoms/unheard-of/trend").status_code == 404


def test_the_emergency_text_comes_before_anything_is_stored(anna: Api, check_in: CheckIn) -> None:
    found = anna.post(
        f"{ME}/check-ins/{check_in.id}/$check",
        {"answers": [{"link_id": "now", "codes": ["seizure"]}]},
    ).json()
    assert (found["emergency"], found["stored"]) == (True, False)
    assert check_ins()[0].status == "open"


def test_sending_again_with_the_same_client_id_is_answered_and_kept_once(
    anna: Api, check_in: CheckIn
) -> None:
    report = body({"link_id": "fatigue.severity", "value": 1})
    path = f"{ME}/check-ins/{check_in.id}/responses"
    first, again = anna.post(path, report), anna.post(path, report)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    other = anna.post(path, body())
    assert (other.status_code, other.json()["code"]) == (409, "check-in-answered")


@pytest.mark.parametrize(
    ("answers", "code", "status"),
    [
        ([{"link_id": "fatigue.severity", "value": 9}], "invalid", 422),
        ([{"link_id": "fatigue.severity", "value": "very"}], "invalid", 422),
        ([{"link_id": "never.asked", "value": 1}], "invalid", 422),
        ("nothing", "invalid", 422),
    ],
)
def test_answers_that_cannot_be_are_a_clear_error(
    anna: Api, check_in: CheckIn, answers: Any, code: str, status: int
) -> None:
    report = {**body(), "answers": [*NOTHING, *answers] if answers != "nothing" else answers}
    refused = anna.post(f"{ME}/check-ins/{check_in.id}/responses", report)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert check_ins()[0].status == "open"


def test_another_version_of_the_questions_is_a_conflict(anna: Api, check_in: CheckIn) -> None:
    path = f"{ME}/check-ins/{check_in.id}/responses"
    refused = anna.post(path, body(questionnaire_version=7))
    assert (refused.status_code, refused.json()["code"]) == (409, "questionnaire-changed")


def paths(check_in: CheckIn, ref: str) -> list[tuple[str, str]]:
    base = f"patients/{ref}"
    return [
        ("GET", f"{base}/check-ins"),
        ("GET", f"{base}/check-ins/{check_in.id}"),
        ("POST", f"{base}/check-ins/{check_in.id}/responses"),
        ("POST", f"{base}/check-ins/{check_in.id}/$check"),
        ("GET", f"{base}/symptoms/fatigue/trend"),
        ("GET", f"{base}/notifications"),
    ]


def answered(api: Api, method: str, path: str) -> tuple[int, bytes]:
    answer = api.get(path) if method == "GET" else api.post(path, body())
    content = answer.json()
    content.pop("request_id", None)
    return answer.status_code, str(sorted(content.items())).encode()


def test_strangers_caregivers_without_the_grant_and_the_unknown_are_refused(
    cast: Cast, check_in: CheckIn
) -> None:
    anonymous, stranger = Api(), api_of(cast.brigid.user)
    dora = api_of(cast.dora)
    for method, path in paths(check_in, str(cast.anna.id)):
        assert answered(anonymous, method, path)[0] == 401, path
        assert answered(stranger, method, path)[0] == 404, path
        assert answered(dora, method, path)[0] == 404, path
    for (method, foreign), (_, absent) in zip(
        paths(check_in, "me"), paths(CheckIn(id=uuid4()), "me"), strict=True
    ):
        if "/check-ins/" in foreign:
            assert answered(stranger, method, foreign) == answered(stranger, method, absent)
            assert answered(stranger, method, foreign)[0] == 404


def test_a_token_without_the_scope_is_refused_before_any_id_is_read(
    cast: Cast, check_in: CheckIn
) -> None:
    reader = api_of(cast.anna_user, "symptoms.read")
    path = f"{ME}/check-ins/{check_in.id}/responses"
    assert reader.post(path, body()).status_code == 403
    assert api_of(cast.anna_user, "labs.read").get(f"{ME}/check-ins").status_code == 403


def test_her_history_says_why_and_why_not(anna: Api, cast: Cast, check_in: CheckIn) -> None:
    anna.post(f"{ME}/check-ins/{check_in.id}/responses", body())
    found = anna.get(f"{ME}/notifications").json()["items"]
    assert len(found) == 6
    assert {(row["why"], row["reason"], row["why_not"]) for row in found} == {
        ("A check-in was waiting for you", "already-answered", "You had answered already.")
    }
    assert {row["subject"] for row in found} == {"A short note from Linden"}
    other = api_of(cast.brigid.user)
    assert other.get(f"{ME}/notifications").json()["items"] == []


def test_reading_and_answering_are_audited(anna: Api, cast: Cast, check_in: CheckIn) -> None:
    anna.get(f"{ME}/check-ins/{check_in.id}")
    anna.post(f"{ME}/check-ins/{check_in.id}/responses", body())
    with identity(system("housekeeping")):
        found = AuditEvent.objects.filter(patient_id=cast.anna.id, area="symptoms")
        operations = list(found.order_by("occurred_at").values_list("operation", flat=True))
    assert operations[-2:] == ["symptoms.check-in", "symptoms.check-in.respond"]


def statements(api: Api, path: str) -> int:
    assert api.get(path).status_code == 200
    with CaptureQueriesContext(connection) as captured:
        assert api.get(path).status_code == 200
    return len(captured)


def test_pages_cost_the_same_however_many_rows_they_show(
    anna: Api, plan_of: Planned, cast: Cast
) -> None:
    plan_of()
    lists = [f"{ME}/check-ins", f"{ME}/notifications", f"{ME}/symptoms/fatigue/trend"]
    counts: list[list[int]] = []
    for week in range(4):
        at = AT_TEN + timedelta(weeks=week)
        plan_check_ins(now=at)
        [open_one] = check_ins(status="open", due_on=at.date())
        with time_machine.travel(at + timedelta(hours=1)):
            fresh = api_of(cast.anna_user)
            report = body({"link_id": "fatigue.severity", "value": 1})
            path = f"{ME}/check-ins/{open_one.id}/responses"
            assert fresh.post(path, report).status_code == 201
            counts.append([statements(fresh, path) for path in lists])
    assert counts[0] == counts[-1]


# --- the questionnaire ------------------------------------------------------------------------


def test_loading_twice_changes_nothing_and_a_changed_file_needs_a_new_version(
    tmp_path: Any, now: Any, weekly: QuestionnaireVersion
) -> None:
    assert load_questionnaire(SHIPPED[0], now=now) == (weekly, False)
    text = SHIPPED[0].read_text(encoding="utf-8").replace("How was your week?", "Your week?")
    changed = tmp_path / "weekly.yaml"
    changed.write_text(text, encoding="utf-8")
    with pytest.raises(QuestionnaireConflict):
        load_questionnaire(changed, now=now)
    with pytest.raises(CommandError):
        call_command("load_questionnaires", str(changed))
    changed.write_text(text.replace("version: 1", "version: 2"), encoding="utf-8")
    newer, is_new = load_questionnaire(changed, now=now)
    weekly.refresh_from_db()
    assert (is_new, newer.status, weekly.status) == (True, "active", "retired")
    call_command("load_questionnaires", str(changed), stdout=StringIO())


CHANGES: list[Callable[[QuestionnaireVersion], object]] = [
    lambda v: QuestionnaireVersion.objects.filter(id=v.id).update(title={"en": "Other"}),
    lambda v: QuestionnaireVersion.objects.filter(id=v.id).update(
        status="draft", published_at=None
    ),
    lambda v: v.items.update(required=True),
    lambda v: v.items.all().delete(),
    lambda v: QuestionnaireItem(
        version=v, position=99, link_id="x", asks="can_wait", words={}
    ).save(force_insert=True),
    lambda v: QuestionnaireVersion.objects.filter(id=v.id)._raw_delete("default"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_published_questions_are_never_changed(
    weekly: QuestionnaireVersion, change: Callable[[QuestionnaireVersion], object]
) -> None:
    with pytest.raises(DatabaseError, match="never"):
        change(weekly)


def test_a_review_may_be_recorded_once(weekly: QuestionnaireVersion, now: Any) -> None:
    mine = QuestionnaireVersion.objects.filter(id=weekly.id)
    mine.update(reviewed_by="Dr. Example", reviewed_at=now)
    with pytest.raises(DatabaseError, match="never changed"):
        mine.update(reviewed_by="", reviewed_at=None)
