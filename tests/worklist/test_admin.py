"""Staff pages of the worklist, the plans and the ledger: who sees them, and what they change."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.roles import Role
from core.db import identity, system
from notifications.models import Notification
from symptoms.models import CheckIn, CheckInPlan, QuestionnaireResponse
from symptoms.services import create_plan, load_questionnaire, plan_check_ins, submit_check_in
from symptoms.services.questionnaires import SHIPPED
from tests.cast import Cast, SignIn, staff
from tests.symptoms.conftest import AT_TEN, MONDAY, check_ins, levels, viewer_of
from worklist.models import Urgency, WorkItem
from worklist.services import Fact, raise_item

pytestmark = pytest.mark.django_db

QUEUE = "admin:worklist_workitem_changelist"


def raised(cast: Cast, now: datetime, title: str, urgency: Urgency, concern: str = "") -> WorkItem:
    return raise_item(
        patient_id=cast.anna.id,
        concern=concern or title.replace(" ", "-"),
        title=title,
        urgency=urgency,
        owner_team="nurse",
        fact=Fact("answer:x", uuid4(), f"fact of {title}"),
        now=now,
        organization_id=cast.clinic.id,
    )


def page(item: WorkItem) -> str:
    return reverse("admin:worklist_workitem_change", args=[item.id])


def reread(item: WorkItem) -> WorkItem:
    with identity(system("worklist")):
        return WorkItem.objects.get(id=item.id)


def test_the_queue_shows_the_most_pressing_first_with_its_facts(
    cast: Cast, now: datetime, sign_in: SignIn
) -> None:
    raised(cast, now, "can wait a day", Urgency.WITHIN_24H)
    raised(cast, now, "right now", Urgency.EMERGENCY)
    text = sign_in(cast.nurse).get(reverse(QUEUE)).content.decode()
    assert text.index("right now") < text.index("can wait a day")
    assert "fact of right now" in text
    assert "Testmann, Anna" in text


def test_staff_of_another_clinic_and_the_desk_see_no_item(
    cast: Cast, now: datetime, sign_in: SignIn
) -> None:
    item = raised(cast, now, "right now", Urgency.EMERGENCY)
    other = sign_in(cast.other_nurse)
    assert "right now" not in other.get(reverse(QUEUE)).content.decode()
    assert other.get(page(item)).status_code == 302
    assert other.post(page(item), {"decision": "take"}).status_code == 302
    assert sign_in(cast.desk).get(reverse(QUEUE)).status_code == 403
    assert reread(item).acknowledged_at is None


def empty_inlines() -> dict[str, str]:
    return {
        f"{name}-{field}": "0"
        for name in ("evidence", "escalations")
        for field in ("TOTAL_FORMS", "INITIAL_FORMS")
    }


def test_a_nurse_takes_an_item_and_closes_it_with_a_code(
    cast: Cast, now: datetime, sign_in: SignIn
) -> None:
    item = raised(cast, now, "right now", Urgency.EMERGENCY)
    nurse = sign_in(cast.nurse)
    assert "fact of right now" in nurse.get(page(item)).content.decode()
    form = {"closure_note": "", **empty_inlines()}
    assert nurse.post(page(item), {"decision": "take", **form}).status_code == 302
    taken = reread(item)
    assert (taken.acknowledged_by_id, taken.owner_id) == (cast.nurse.pk, cast.nurse.pk)
    assert taken.closed_at is None
    nurse.post(page(item), {"decision": "called", **form, "closure_note": "better today"})
    closed = reread(item)
    assert (closed.closure_code, closed.closed_by_id) == ("called", cast.nurse.pk)
    assert "right now" not in nurse.get(reverse(QUEUE)).content.decode()
    assert nurse.post(page(item), {"decision": "seen", **form}).status_code == 403


def test_closing_without_a_code_is_not_possible(cast: Cast, now: datetime, sign_in: SignIn) -> None:
    item = raised(cast, now, "right now", Urgency.EMERGENCY)
    answer = sign_in(cast.nurse).post(page(item), {"decision": "", **empty_inlines()})
    assert answer.status_code == 200
    assert reread(item).closed_at is None


def statements(client: Client, path: str) -> int:
    assert client.get(path).status_code == 200
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return len(captured)


def test_the_queue_costs_the_same_however_long_it_is(
    cast: Cast, now: datetime, sign_in: SignIn
) -> None:
    nurse = sign_in(cast.nurse)
    raised(cast, now, "one", Urgency.SAME_DAY)
    short = statements(nurse, reverse(QUEUE))
    for n in range(8):
        raised(cast, now, f"more {n}", Urgency.SAME_DAY)
    assert statements(nurse, reverse(QUEUE)) == short


@pytest.fixture
def plan(cast: Cast, now: datetime) -> CheckInPlan:
    load_questionnaire(SHIPPED[0], now=now)
    with identity(system("check-ins")):
        return create_plan(
            patient_id=cast.anna.id,
            questionnaire_key="weekly-general",
            organization_id=cast.clinic.id,
            iso_weekday=1,
            hour=10,
            zone="Europe/Berlin",
            starts_on=MONDAY,
            now=now,
        )


def plan_now(plan: CheckInPlan) -> CheckInPlan:
    with identity(system("check-ins")):
        return CheckInPlan.objects.get(id=plan.id)


def test_a_nurse_moves_and_stops_a_plan(cast: Cast, plan: CheckInPlan, sign_in: SignIn) -> None:
    nurse = sign_in(cast.nurse)
    path = reverse("admin:symptoms_checkinplan_change", args=[plan.id])
    form = {"every_weeks": "2", "iso_weekday": "3", "hour": "11", "zone": "Europe/Berlin"}
    assert nurse.get(path).status_code == 200
    assert nurse.post(path, {**form, "decision": ""}).status_code == 302
    moved = plan_now(plan)
    assert (moved.every_weeks, moved.iso_weekday, moved.hour) == (2, 3, 11)
    assert moved.next_due_on.isoweekday() == 3
    nurse.post(path, {**form, "decision": "pause"})
    assert plan_now(plan).paused_reason == "staff"
    nurse.post(path, {**form, "decision": "resume"})
    assert plan_now(plan).paused_reason == ""
    nurse.post(path, {**form, "decision": "stop"})
    assert plan_now(plan).is_active is False


def test_answers_and_the_ledger_are_shown_and_never_changed(
    cast: Cast, plan: CheckInPlan, sign_in: SignIn
) -> None:
    plan_check_ins(now=AT_TEN)
    anna = viewer_of(cast.anna)
    with identity(anna.identity):
        made = submit_check_in(
            viewer=anna,
            check_in_id=check_ins()[0].id,
            client_id=uuid4(),
            answers=levels(now=["seizure"], fatigue__severity=2),
            questionnaire_version=None,
            now=AT_TEN + timedelta(hours=1),
        )
    with identity(system("notifications")):
        row = Notification.objects.filter(channel="email").first()
    assert row is not None
    nurse = sign_in(cast.nurse)
    for model, pk, word in [
        (QuestionnaireResponse, made.response.id, "fatigue.severity"),
        (Notification, row.id, "You had answered already."),
    ]:
        path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[pk])
        assert word in nurse.get(path).content.decode()
        assert nurse.post(path, {}).status_code == 403
        assert sign_in(cast.other_nurse).get(path).status_code == 302


@pytest.mark.parametrize("role", list(Role))
def test_every_page_answers_every_role(cast: Cast, sign_in: SignIn, role: Role) -> None:
    browser = sign_in(staff(f"zoe-{role}", role, cast.clinic))
    for model in (WorkItem, Notification, CheckInPlan, CheckIn, QuestionnaireResponse):
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        listed = browser.get(reverse(f"{name}_changelist")).status_code
        may_read = role in (Role.NURSE, Role.CLINICIAN) or (
            role == Role.FRONT_DESK and model is Notification
        )
        assert listed == (200 if may_read else 403), model
        assert browser.get(reverse(f"{name}_add")).status_code == (
            200 if model is CheckInPlan and may_read else 403
        )
        unknown = browser.get(reverse(f"{name}_change", args=[uuid4()])).status_code
        assert unknown == (302 if may_read else 403), model
