"""Work items: one open item a concern, a clock, and somebody who hears when nobody took it."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from core.db import Identity, identity, system
from core.events.registry import Delivered
from core.models import Event
from tests.cast import Cast
from worklist import services
from worklist.models import Escalation, Evidence, Urgency, WorkItem
from worklist.selectors import staffed_calendar
from worklist.services import Fact, raise_item

pytestmark = pytest.mark.django_db


def raised(
    cast: Cast, now: datetime, *, concern: str = "liver", urgency: Urgency = Urgency.SAME_DAY
) -> WorkItem:
    return raise_item(
        patient_id=cast.anna.id,
        concern=concern,
        title="Yellow skin or eyes",
        urgency=urgency,
        owner_team=WorkItem.Team.NURSE,
        fact=Fact("answer:jaundice", uuid4(), "Yellow skin or eyes", "red_flag:jaundice", "1"),
        now=now,
        organization_id=cast.clinic.id,
    )


def steps(item: WorkItem) -> list[str]:
    with identity(system("worklist")):
        rows = Escalation.objects.filter(item=item).order_by("step")
        return list(rows.values_list("to_team", flat=True))


def test_a_second_fact_joins_the_open_item_and_takes_the_earlier_due_time(
    cast: Cast, now: datetime
) -> None:
    first = raised(cast, now)
    later = raised(cast, now + timedelta(minutes=10), urgency=Urgency.EMERGENCY)
    assert later.id == first.id
    assert later.due_at == now + timedelta(minutes=25)
    assert later.urgency == Urgency.EMERGENCY
    with identity(system("worklist")):
        assert Evidence.objects.filter(item=first).count() == 2


def test_an_item_is_not_escalated_a_second_before_its_time(cast: Cast, now: datetime) -> None:
    item = raised(cast, now)
    assert services.escalate_due(now=item.due_at - timedelta(seconds=1)) == 0
    assert services.escalate_due(now=item.due_at) == 1
    assert steps(item) == ["backup"]


def test_escalation_goes_to_the_charge_nurse_after_as_long_again_and_then_stops(
    cast: Cast, now: datetime
) -> None:
    item = raised(cast, now)
    services.escalate_due(now=item.due_at)
    assert services.escalate_due(now=item.due_at + timedelta(hours=2, seconds=-1)) == 0
    assert services.escalate_due(now=item.due_at + timedelta(hours=2)) == 1
    assert services.escalate_due(now=item.due_at + timedelta(days=9)) == 0
    assert steps(item) == ["backup", "charge_nurse"]


def test_an_acknowledged_or_closed_item_is_not_escalated(cast: Cast, now: datetime) -> None:
    taken, closed = raised(cast, now), raised(cast, now, concern="calcium")
    with identity(Identity("staff", cast.nurse.pk, None, frozenset({"worklist"}))):
        services.acknowledge(item_id=taken.id, actor=cast.nurse, now=now)
        services.close(item_id=closed.id, actor=cast.nurse, closure_code="called", note="", now=now)
    assert services.escalate_due(now=now + timedelta(days=3)) == 0


def take(cast: Cast, item: WorkItem, now: datetime) -> None:
    with identity(Identity("staff", cast.nurse.pk, None, frozenset({"worklist"}))):
        services.acknowledge(item_id=item.id, actor=cast.nurse, now=now)


def reread(item: WorkItem) -> WorkItem:
    with identity(system("worklist")):
        return WorkItem.objects.get(id=item.id)


def test_a_new_fact_at_an_item_that_somebody_took_asks_for_another_look(
    cast: Cast, now: datetime
) -> None:
    """Whoever took it has not seen the new fact, and an acknowledged item never escalates."""
    first = raised(cast, now)
    take(cast, first, now + timedelta(minutes=5))
    later = now + timedelta(days=1)
    assert raised(cast, later, urgency=Urgency.EMERGENCY).id == first.id
    item = reread(first)
    assert (item.acknowledged_at, item.acknowledged_by_id) == (None, None)
    assert item.owner_id == cast.nurse.pk
    assert item.due_at == later + timedelta(minutes=15)
    assert services.escalate_due(now=item.due_at - timedelta(seconds=1)) == 0
    assert services.escalate_due(now=item.due_at) == 1


def test_another_look_is_escalated_step_by_step_like_the_first(cast: Cast, now: datetime) -> None:
    first = raised(cast, now)
    services.escalate_due(now=first.due_at)
    services.escalate_due(now=first.due_at + timedelta(hours=2))
    take(cast, first, now + timedelta(hours=5))
    again = raised(cast, now + timedelta(days=1))
    assert services.escalate_due(now=again.due_at) == 1
    assert services.escalate_due(now=again.due_at) == 0
    assert services.escalate_due(now=again.due_at + timedelta(hours=2)) == 1
    assert services.escalate_due(now=again.due_at + timedelta(days=9)) == 0
    assert steps(first) == ["backup", "charge_nurse"] * 2


@pytest.mark.parametrize("urgency", [Urgency.SAME_DAY, Urgency.ROUTINE])
def test_what_was_known_already_and_what_is_routine_leave_an_item_with_its_owner(
    cast: Cast, now: datetime, urgency: Urgency
) -> None:
    known = Fact("observation", uuid4(), "ALT")
    fact = known if urgency is Urgency.SAME_DAY else Fact("observation", uuid4(), "AST")

    def tell(one: Fact, urgent: Urgency) -> WorkItem:
        return raise_item(
            patient_id=cast.anna.id, concern="liver", title="Liver", urgency=urgent,
            owner_team=WorkItem.Team.NURSE, fact=one, now=now,
        )  # fmt: skip

    item = tell(known, Urgency.SAME_DAY)
    take(cast, item, now)
    assert tell(fact, urgency).id == item.id
    assert reread(item).acknowledged_at == now


def test_an_escalation_is_told_with_its_organization(cast: Cast, now: datetime) -> None:
    item = raised(cast, now)
    services.escalate_due(now=item.due_at)
    with identity(system("events")):
        event = Event.objects.get(type="worklist.escalated", subject_id=item.id)
    assert event.payload == {
        "step": 1,
        "to_team": "backup",
        "organization_id": str(cast.clinic.id),
    }


def test_a_message_that_did_not_arrive_becomes_one_call_task(cast: Cast, now: datetime) -> None:
    for _ in range(2):
        services.on_notice_not_reached(
            Delivered(
                event_id=uuid4(),
                type="notifications.not-reached",
                version=1,
                subject_id=cast.anna.id,
                patient_id=cast.anna.id,
                payload={"purpose": "visit-changed", "reason": "expired"},
                occurred_at=now,
                now=now,
            )
        )
    with identity(system("worklist")):
        item = WorkItem.objects.get(concern="notice.not-reached")
        assert item.evidence.get().summary == "visit-changed: expired"


def test_staff_of_another_clinic_and_strangers_see_no_item(cast: Cast, now: datetime) -> None:
    raised(cast, now)
    worklist = frozenset({"worklist"})
    for who, count in [
        (Identity("staff", cast.nurse.pk, None, worklist), 1),
        (Identity("staff", cast.clinician.pk, None, worklist), 1),
        (Identity("staff", cast.other_nurse.pk, None, worklist), 0),
        (Identity("staff", cast.desk.pk, None, worklist), 0),
        (Identity("patient", cast.anna_user.pk, cast.anna.id, frozenset({"symptoms"})), 0),
    ]:
        with identity(who):
            assert WorkItem.objects.count() == count
            assert Evidence.objects.count() == count


def test_the_calendar_of_an_organization_reads_hours_and_duty_but_not_on_call(
    cast: Cast, now: datetime
) -> None:
    duty = {"user": cast.nurse}
    cast.clinic.shifts.create(
        **duty,
        starts_at=now - timedelta(hours=1),
        ends_at=now + timedelta(hours=1),
        on_call=True,
        page_phone="+49 30 5550123",
    )
    assert not staffed_calendar(cast.clinic, now=now).staffed_at(now)
    cast.clinic.shifts.create(
        **duty, starts_at=now - timedelta(hours=1), ends_at=now + timedelta(hours=1)
    )
    assert staffed_calendar(cast.clinic, now=now).staffed_at(now)
