"""Two people decide whose results a sender means, and what that moves."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.utils import DatabaseError
from django.test import Client

from accounts.models import Membership, User
from accounts.roles import Role
from core.db import Identity, identity, system
from core.errors import InvalidInput, NotFound
from core.models import AuditEvent
from labs.models import IntakeItem, MatchDecision, Observation, SendingLaboratory
from labs.services import deciding
from patients.models import Enrolment, Patient, PatientIdentifier
from patients.viewer import staff_viewer
from tests.cast import START, Cast, staff
from tests.labs.deciding import MARRIED, WHY
from tests.labs.fhir_bodies import ANNA, bundle, observation, patient, raw
from tests.labs.messages import Obr, Obx, laboratory, oru, send
from tests.labs.test_https_door import token
from worklist.models import Evidence, WorkItem

pytestmark = pytest.mark.django_db


@pytest.fixture
def lab(cast: Cast) -> SendingLaboratory:
    return laboratory(cast.clinic)


@pytest.fixture
def second(cast: Cast) -> User:
    return staff("lena", Role.LABORATORY, cast.clinic)


def acting(user: User, now: datetime) -> AbstractContextManager[Identity]:
    return identity(staff_viewer(user=user, now=now).identity)


def doubt(now: datetime, pid: str = MARRIED, value: str = "31", **order: Any) -> IntakeItem:
    """Send one result of a person in doubt and return its row of the queue."""
    answer = send(oru(Obr([Obx(value)], **order), pid=pid), now)
    with identity(system("lab-intake")):
        rows = IntakeItem.objects.filter(message_id=answer.message_id, cleared_at__isnull=True)
        return rows.order_by("id")[0]


def propose(
    cast: Cast, item: IntakeItem, now: datetime, *, patient: Patient | None = None, why: str = WHY
) -> MatchDecision:
    with acting(cast.lab, now):
        return deciding.propose_match(
            item_id=item.id,
            patient_id=(patient or cast.anna).id,
            actor=cast.lab,
            reason=why,
            now=now,
        )


def confirm(decision: MatchDecision, actor: User, now: datetime) -> int:
    with acting(actor, now):
        done = deciding.confirm_match(decision_id=decision.id, actor=actor, now=now)
        return len(done)


def revoke(decision: MatchDecision, actor: User, now: datetime, why: str = "A mix-up.") -> int:
    with acting(actor, now):
        return len(deciding.revoke_match(decision_id=decision.id, actor=actor, reason=why, now=now))


def filed() -> dict[str, Any]:
    with identity(system("lab-intake")):
        return dict(Observation.objects.values_list("value_text", "patient_id"))


def open_reasons() -> list[str]:
    with identity(system("lab-intake")):
        open_rows = IntakeItem.objects.filter(cleared_at__isnull=True)
        return list(open_rows.order_by("raised_at", "id").values_list("reason", flat=True))


def audited(operation: str) -> AuditEvent:
    with identity(system("housekeeping")):
        return AuditEvent.objects.get(operation=operation)


def test_two_people_file_what_waited_and_what_comes_after(
    cast: Cast, lab: SendingLaboratory, second: User, now: datetime
) -> None:
    item = doubt(now)
    decision = propose(cast, item, now)
    assert filed() == {}
    assert open_reasons() == ["name-differs"]
    # A proposal alone is not remembered.
    doubt(now, value="32", filler="FL2")
    assert confirm(decision, second, now) == 2
    assert filed() == {"31": cast.anna.id, "32": cast.anna.id}
    assert open_reasons() == []
    assert send(oru(Obr([Obx("33")], filler="FL3"), pid=MARRIED), now).reasons == ()
    assert filed()["33"] == cast.anna.id
    with identity(system("lab-intake")):
        cleared = IntakeItem.objects.get(id=item.id)
        assert (cleared.clearance, cleared.cleared_by_id) == ("reprocessed", second.pk)
        kept = MatchDecision.objects.get()
    assert (kept.decided_by_id, kept.confirmed_by_id) == (cast.lab.pk, second.pk)
    assert (kept.reason, kept.message_id) == (WHY, item.message_id)
    for step, actor in (("propose", cast.lab), ("confirm", second)):
        event = audited(f"labs.match.{step}")
        assert (event.actor_kind, event.actor_id, event.patient_id, event.resource_ids) == (
            "staff",
            actor.pk,
            cast.anna.id,
            [decision.id],
        )


def test_the_proposer_may_not_confirm(cast: Cast, lab: SendingLaboratory, now: datetime) -> None:
    decision = propose(cast, doubt(now), now)
    with pytest.raises(deciding.OwnProposal):
        confirm(decision, cast.lab, now)
    with pytest.raises(IntegrityError, match="match_decision_by_two_people"), acting(cast.lab, now):
        MatchDecision.objects.filter(id=decision.id).update(confirmed_by=cast.lab, confirmed_at=now)
    assert filed() == {}


@pytest.mark.parametrize(
    "pid",
    [
        MARRIED.replace("900001", "900011"),
        MARRIED.replace("MAINLAB", "MAINLAB2"),
        MARRIED.replace("TESTFRAU", "TESTFRAUE"),
        MARRIED.replace("19700101", "19700102"),
        MARRIED.replace("^MR", "^MR~77^^^ELSEWHERE^PI"),
    ],
)
def test_it_holds_for_the_identical_particulars_only(
    cast: Cast, lab: SendingLaboratory, second: User, now: datetime, pid: str
) -> None:
    confirm(propose(cast, doubt(now), now), second, now)
    doubt(now, pid=pid, value="40", filler="FL9")
    assert "40" not in filed()


def test_it_holds_for_its_laboratory_only(
    cast: Cast, lab: SendingLaboratory, second: User, now: datetime
) -> None:
    confirm(propose(cast, doubt(now), now), second, now)
    laboratory(cast.clinic, "otherlab")
    answer = send(oru(Obr([Obx("40")]), pid=MARRIED, facility="OTHERLAB"), now)
    assert answer.reasons == ("name-differs",)


def test_a_spelling_that_matching_reads_alike_is_the_identical_name(
    cast: Cast, lab: SendingLaboratory, second: User, now: datetime
) -> None:
    confirm(propose(cast, doubt(now), now), second, now)
    send(oru(Obr([Obx("40")], filler="FL2"), pid=MARRIED.replace("TESTFRAU", "Test-Frau")), now)
    assert filed()["40"] == cast.anna.id


def test_only_the_messages_of_the_tuple_are_filed(
    cast: Cast, lab: SendingLaboratory, second: User, now: datetime
) -> None:
    item = doubt(now)
    doubt(now, pid=MARRIED.replace("TESTFRAU", "ANDERS"), value="32", filler="FL2")
    assert confirm(propose(cast, item, now), second, now) == 1
    assert filed() == {"31": cast.anna.id}
    assert open_reasons() == ["name-differs"]


def test_an_unknown_number_can_be_settled(
    cast: Cast, lab: SendingLaboratory, second: User, now: datetime
) -> None:
    item = doubt(now, pid=MARRIED.replace("900001", "777777"))
    confirm(propose(cast, item, now), second, now)
    assert filed() == {"31": cast.anna.id}


def test_reprocessing_gives_the_rows_of_a_first_filing(
    cast: Cast, lab: SendingLaboratory, second: User, now: datetime
) -> None:
    """The same messages under her own name and in doubt leave the same rows."""
    messages = [("31", "FL1", "20261120102500+0100"), ("35", "FL1", "20261120092500+0100")]

    own = MARRIED.replace("TESTFRAU", "TESTMANN")
    untouched = transaction.savepoint()
    for one in messages:
        send_at(now, own, *one)
    expected = rows()
    transaction.savepoint_rollback(untouched)
    later = now + timedelta(days=1)
    for one in messages:
        send_at(now, MARRIED, *one)
    with identity(system("lab-intake")):
        item = IntakeItem.objects.filter(cleared_at__isnull=True).first()
    assert item is not None
    assert confirm(propose(cast, item, later), second, later) == 2
    assert rows() == expected
    assert len(expected) == 2


UNLIKE = frozenset(
    {
        *("id", "message_id", "report_id", "supersedes_id", "filed_by_id", "filed_at"),
        *("visible_from", "announced_at", "superseded_at"),
    }
)


def rows() -> list[dict[str, Any]]:
    """Return the stored results without the ids and the times of filing."""
    with identity(system("lab-intake")):
        found = list(Observation.objects.order_by("value_text").values())
    return [
        {
            **{name: value for name, value in row.items() if name not in UNLIKE},
            "superseded": row["superseded_at"] is not None,
            "supersedes": row["supersedes_id"] is not None,
        }
        for row in found
    ]


def send_at(now: datetime, pid: str, value: str, filler: str, resulted: str) -> Any:
    return send(oru(Obr([Obx(value)], filler=filler, resulted=resulted), pid=pid), now)


def test_of_two_confirmations_one_counts(
    cast: Cast, lab: SendingLaboratory, second: User, now: datetime
) -> None:
    decision = propose(cast, doubt(now), now)
    third = staff("lou", Role.LABORATORY, cast.clinic)
    confirm(decision, second, now)
    with pytest.raises(deciding.AlreadyConfirmed):
        confirm(decision, third, now)
    with identity(system("lab-intake")):
        assert MatchDecision.objects.get().confirmed_by_id == second.pk
        assert Observation.objects.count() == 1


def test_revoked_it_is_forgotten_and_what_it_filed_is_named(
    cast: Cast, lab: SendingLaboratory, second: User, now: datetime
) -> None:
    send(oru(Obr([Obx("29")], filler="FL0")), now)  # under her own name: not by the decision
    decision = propose(cast, doubt(now), now)
    confirm(decision, second, now)
    send(oru(Obr([Obx("30")], filler="FL5")), now)
    assert revoke(decision, second, now) == 1
    with identity(system("lab-intake")):
        result = Observation.objects.get(value_text="31")
        assert (result.patient_id, result.withdrawn_at) == (cast.anna.id, None)
    with identity(system("worklist")):
        item = WorkItem.objects.get(concern="result.match-revoked")
        assert (item.patient_id, item.owner_team, item.urgency) == (
            cast.anna.id,
            "nurse",
            "SAME_DAY",
        )
        references = Evidence.objects.filter(item=item).values_list("reference", flat=True)
        assert list(references) == [result.id]
    assert audited("labs.match.revoke").actor_id == second.pk
    doubt(now, value="33", filler="FL3")
    assert "33" not in filed()
    with pytest.raises(deciding.AlreadyRevoked):
        revoke(decision, second, now)
    with pytest.raises(deciding.AlreadyRevoked):
        confirm(decision, second, now)


def test_a_dropped_proposal_raises_nothing_and_may_be_followed_by_another(
    cast: Cast, lab: SendingLaboratory, second: User, now: datetime
) -> None:
    item = doubt(now)
    decision = propose(cast, item, now)
    with pytest.raises(deciding.AlreadyProposed):
        propose(cast, item, now)
    assert revoke(decision, cast.lab, now) == 0
    with identity(system("worklist")):
        assert not WorkItem.objects.exists()
    again = propose(cast, item, now)
    assert again.id != decision.id
    assert confirm(again, second, now) == 1


def inactive(cast: Cast, now: datetime) -> None:
    Patient.objects.filter(id=cast.anna.id).update(is_active=False)


def moved_away(cast: Cast, now: datetime) -> None:
    Enrolment.objects.filter(patient=cast.anna).update(ends_at=now)


def namesake(cast: Cast, now: datetime) -> None:
    Patient.objects.create(
        family_name="Testfrau", given_name="Ida", birth_date=date(1970, 1, 1), registered_at=START
    )


def number_given_on(cast: Cast, now: datetime) -> None:
    PatientIdentifier.objects.filter(patient=cast.anna).update(valid_until=now)
    PatientIdentifier.objects.create(
        patient=cast.brigid, authority="MAINLAB", value="900001", valid_from=now
    )


CHANGES: list[tuple[Callable[[Cast, datetime], None], type[Exception]]] = [
    (inactive, NotFound),
    (moved_away, NotFound),
    (namesake, deciding.LookAlikeLock),
    (number_given_on, deciding.NumberOfAnother),
]


@pytest.mark.parametrize(("change", "refusal"), CHANGES)
def test_what_changed_before_the_confirmation_stops_it(
    cast: Cast,
    lab: SendingLaboratory,
    second: User,
    now: datetime,
    change: Callable[[Cast, datetime], None],
    refusal: type[Exception],
) -> None:
    item = doubt(now)
    decision = propose(cast, item, now)
    with identity(system("registration")):
        change(cast, now)
    with pytest.raises(refusal):
        confirm(decision, second, now)
    assert filed() == {}


@pytest.mark.parametrize(("change", "refusal"), CHANGES)
def test_nor_can_it_be_proposed_then(
    cast: Cast,
    lab: SendingLaboratory,
    now: datetime,
    change: Callable[[Cast, datetime], None],
    refusal: type[Exception],
) -> None:
    item = doubt(now)
    with identity(system("registration")):
        change(cast, now)
    with pytest.raises(refusal):
        propose(cast, item, now)


@pytest.mark.parametrize("change", [inactive, namesake, number_given_on])
def test_a_confirmed_decision_yields_to_what_changed_since(
    cast: Cast,
    lab: SendingLaboratory,
    second: User,
    now: datetime,
    change: Callable[[Cast, datetime], None],
) -> None:
    confirm(propose(cast, doubt(now), now), second, now)
    with identity(system("registration")):
        change(cast, now)
    send(oru(Obr([Obx("33")], filler="FL3"), pid=MARRIED), now)
    assert "33" not in filed()
    assert open_reasons()


def test_a_patient_of_another_organization_is_out_of_reach(
    cast: Cast, lab: SendingLaboratory, now: datetime
) -> None:
    item = doubt(now, pid=MARRIED.replace("900001", "777777"))
    with pytest.raises(NotFound):
        propose(cast, item, now, patient=cast.carla)
    abroad = staff("lim", Role.LABORATORY, cast.other_clinic)
    decision = propose(cast, item, now)
    with pytest.raises(NotFound):
        confirm(decision, abroad, now)


def test_a_membership_that_ended_reaches_nobody(
    cast: Cast, lab: SendingLaboratory, second: User, now: datetime
) -> None:
    decision = propose(cast, doubt(now), now)
    Membership.objects.filter(user=second).update(valid_until=now)
    with pytest.raises(NotFound):
        confirm(decision, second, now)


def test_other_staff_neither_see_nor_make_decisions(
    cast: Cast, lab: SendingLaboratory, now: datetime
) -> None:
    item = doubt(now)
    decision = propose(cast, item, now)
    for user in (cast.nurse, cast.clinician, cast.desk):
        with acting(user, now):
            assert not MatchDecision.objects.exists()
        with pytest.raises(NotFound):
            confirm(decision, user, now)
        with pytest.raises(NotFound):
            revoke(decision, user, now)
        with acting(user, now), pytest.raises(NotFound):
            deciding.propose_match(
                item_id=item.id, patient_id=cast.anna.id, actor=user, reason=WHY, now=now
            )


@pytest.mark.parametrize("why", ["", "   "])
def test_a_decision_needs_its_reason(
    cast: Cast, lab: SendingLaboratory, second: User, now: datetime, why: str
) -> None:
    item = doubt(now)
    with pytest.raises(InvalidInput):
        propose(cast, item, now, why=why)
    decision = propose(cast, item, now)
    with pytest.raises(InvalidInput):
        revoke(decision, second, now, why=why)


def test_a_doubt_that_is_gone_or_of_another_kind_is_not_decided(
    cast: Cast, lab: SendingLaboratory, now: datetime
) -> None:
    no_name = doubt(now, pid="PID|1||900001^^^MAINLAB^MR||||19700101|F", filler="FL4")
    with pytest.raises(deciding.NotDecidable):
        propose(cast, no_name, now)
    two_numbers = MARRIED.replace("^MR", "^MR~77^^^ELSEWHERE^PI")
    with pytest.raises(deciding.NotDecidable):
        propose(cast, doubt(now, pid=two_numbers, filler="FL5"), now)
    too_long = MARRIED.replace("900001", "9" * 81)
    with pytest.raises(deciding.NotDecidable):
        propose(cast, doubt(now, pid=too_long, filler="FL6"), now)
    item = doubt(now)
    with identity(system("registration")):
        Patient.objects.filter(id=cast.anna.id).update(family_name_key="testfrau")
    with pytest.raises(deciding.NotDecidable):
        propose(cast, item, now)
    with identity(system("lab-intake")):
        IntakeItem.objects.filter(id=item.id).update(
            cleared_at=now, cleared_by=cast.lab, clearance="settled"
        )
    with pytest.raises(NotFound):
        propose(cast, item, now)


@pytest.mark.parametrize(
    "change",
    [
        {"identifier": "900002"},
        {"birth_date": date(1970, 1, 2)},
        {"reason": "Another one."},
        {"confirmed_at": START},
        {"decided_at": START},
    ],
)
def test_what_was_decided_is_never_rewritten(
    cast: Cast, lab: SendingLaboratory, second: User, now: datetime, change: dict[str, Any]
) -> None:
    decision = propose(cast, doubt(now), now)
    confirm(decision, second, now)
    with pytest.raises(DatabaseError, match="never rewritten"), acting(cast.lab, now):
        MatchDecision.objects.filter(id=decision.id).update(**change)
    with pytest.raises(DatabaseError, match="never rewritten"), acting(cast.lab, now):
        MatchDecision.objects.filter(id=decision.id).delete()


def test_one_message_with_another_patient_in_doubt_keeps_that_doubt(
    cast: Cast, lab: SendingLaboratory, second: User, now: datetime
) -> None:
    stranger = "PID|1||900999^^^MAINLAB^MR||FREMD^EVA||19800101|F"
    send(oru(Obr([Obx("31")]), stranger, Obr([Obx("32")], filler="FL2"), pid=MARRIED), now)
    with identity(system("lab-intake")):
        item = IntakeItem.objects.get(reason="name-differs")
    confirm(propose(cast, item, now), second, now)
    assert filed() == {"31": cast.anna.id}
    assert open_reasons() == ["unknown-patient"]


def test_it_holds_whatever_the_format_of_the_message(
    cast: Cast, second: User, client: Client, now: datetime
) -> None:
    laboratory(cast.clinic, client_id="lis")
    body = raw(bundle((ANNA, patient(family="Testfrau")), observation(44)))
    headers = {"Authorization": f"Bearer {token('lis')}"}
    client.post("/fhir/R4/", body, content_type="application/fhir+json", headers=headers)
    doubt(now)
    with identity(system("lab-intake")):
        item = IntakeItem.objects.get(message__door="fhir")
    assert confirm(propose(cast, item, now), second, now) == 2
    assert filed() == {"31": cast.anna.id, "44": cast.anna.id}
