"""The laboratory's desk decides whose results came, by two people, on the staff site."""

import re
from datetime import datetime
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.roles import Role
from core.db import identity, system
from core.models import AuditEvent
from labs.models import IntakeItem, MatchDecision, Observation, SendingLaboratory
from tests.cast import Cast, staff
from tests.labs.deciding import MARRIED, WHY
from tests.labs.messages import Obr, Obx, laboratory, oru, send
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

CONFIRM, REVOKE = "labs_matchdecision_confirm", "labs_matchdecision_revoke"


@pytest.fixture
def lab(cast: Cast) -> SendingLaboratory:
    return laboratory(cast.clinic)


@pytest.fixture
def second(cast: Cast) -> User:
    return staff("lena", Role.LABORATORY, cast.clinic)


@pytest.fixture
def item(lab: SendingLaboratory, now: datetime) -> IntakeItem:
    return queued(now)


def queued(now: datetime, pid: str = MARRIED) -> IntakeItem:
    answer = send(oru(Obr([Obx("31")]), pid=pid), now)
    return stored(IntakeItem, message_id=answer.message_id)


def stored(model: Any, **lookup: Any) -> Any:
    with identity(system("lab-intake")):
        return model.objects.get(**lookup)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def at(kind: str, *args: Any) -> str:
    return reverse(f"admin:labs_matchdecision_{kind}", args=args)


def page(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, response.content[:500]
    return str(response.content.decode())


def propose(client: Client, item: IntakeItem, patient_id: Any, reason: str = WHY) -> str:
    response = client.post(
        at("propose", item.pk), {"propose": "1", "patient": str(patient_id), "reason": reason}
    )
    assert response.status_code in (200, 302), response.content[:500]
    return str(response.content.decode())


def looks(operation: str) -> list[tuple[Any, Any, list[Any]]]:
    with identity(system("housekeeping")):
        events = AuditEvent.objects.filter(operation=operation).order_by("id")
        return [(e.actor_id, e.patient_id, e.resource_ids) for e in events]


def test_the_row_leads_to_the_comparison_and_the_look_is_recorded(
    cast: Cast, item: IntakeItem
) -> None:
    desk = signed_in(cast.lab)
    row = page(desk, reverse("admin:labs_intakeitem_change", args=[item.pk]))
    assert at("propose", item.pk) in row
    shown = page(desk, at("propose", item.pk))
    assert "TESTFRAU" in shown
    assert "Testmann" in shown
    assert "900001 (MAINLAB)" in shown
    assert f'form="propose" value="{cast.anna.pk}"' in shown
    assert re.search(r'<button type="submit"[^>]* name="propose" value="1"', shown)
    assert re.search(r'<button type="submit"[^>]* name="search" value="1"', shown)
    assert 'type="date"' in shown
    marks = re.findall(r">\s*(agrees|differs)\s*<", shown)
    assert marks == ["differs", "agrees", "agrees"]
    for kept_back in ("Probe", "anna@example.org", "Berlin"):
        assert kept_back not in shown.split("What the message says")[1]
    assert looks("admin.matchdecision.compare") == [(cast.lab.pk, None, [item.pk])]
    assert looks("admin.matchdecision.candidates") == [(cast.lab.pk, cast.anna.pk, [cast.anna.pk])]


def test_two_people_decide_and_the_queue_row_clears(
    cast: Cast, item: IntakeItem, second: User
) -> None:
    desk, other = signed_in(cast.lab), signed_in(second)
    propose(desk, item, cast.anna.pk)
    decision = stored(MatchDecision)
    assert (decision.patient_id, decision.decided_by_id, decision.reason) == (
        cast.anna.pk,
        cast.lab.pk,
        WHY,
    )
    assert "waits for a second person" in page(desk, at("changelist"))
    address = at("change", decision.pk)
    own = page(desk, address)
    assert REVOKE in own
    assert CONFIRM not in own
    # The button is not the wall.
    desk.post(address, {CONFIRM: "1", "revocation_reason": ""})
    assert stored(MatchDecision).confirmed_at is None
    theirs = page(other, address)
    assert "Testmann" in theirs
    assert "testfrau" in theirs
    response = other.post(address, {CONFIRM: "1", "revocation_reason": ""}, follow=True)
    assert "Messages processed again: 1." in response.content.decode()
    assert stored(MatchDecision).confirmed_by_id == second.pk
    assert stored(Observation).patient_id == cast.anna.pk
    assert stored(IntakeItem, pk=item.pk).clearance == "reprocessed"
    assert CONFIRM not in page(other, address)
    assert (second.pk, cast.anna.pk, [cast.anna.pk]) in looks("admin.matchdecision.patient")


def test_revoking_needs_a_reason_and_tells_a_nurse(
    cast: Cast, item: IntakeItem, second: User
) -> None:
    desk, other = signed_in(cast.lab), signed_in(second)
    propose(desk, item, cast.anna.pk)
    address = at("change", stored(MatchDecision).pk)
    other.post(address, {CONFIRM: "1", "revocation_reason": ""})
    refused = desk.post(address, {REVOKE: "1", "revocation_reason": " "}, follow=True)
    assert "Say why." in refused.content.decode()
    told = desk.post(address, {REVOKE: "1", "revocation_reason": "A mix-up."}, follow=True)
    assert "A nurse is told of results it had filed: 1." in told.content.decode()
    assert stored(MatchDecision).revocation_reason == "A mix-up."
    with identity(system("worklist")):
        assert WorkItem.objects.filter(concern="result.match-revoked").count() == 1
    assert desk.post(address, {REVOKE: "1", "revocation_reason": "Again."}).status_code == 403
    assert REVOKE not in page(desk, address)


def test_somebody_else_is_found_by_number_or_by_name_and_birth_date(
    cast: Cast, lab: SendingLaboratory, now: datetime
) -> None:
    item = queued(now, MARRIED.replace("900001", "777777"))
    desk = signed_in(cast.lab)
    assert "Nobody found" in page(desk, at("propose", item.pk))

    def search(**fields: str) -> str:
        response = desk.post(at("propose", item.pk), {"search": "1", **fields})
        assert response.status_code == 200
        return str(response.content.decode())

    assert "Brigid" in search(authority="MAINLAB", value="900002")
    assert "Brigid" in search(family_name="Probe", birth_date="1965-05-05")
    assert "Nobody found" in search(family_name="Probe", birth_date="1965-05-06")
    assert "Give a number and who gave it" in search(family_name="Probe")
    # A patient of another clinic looks like nobody.
    assert "Nobody found" in search(authority="MAINLAB", value="900003")
    looked = {patient for _, patient, _ in looks("admin.matchdecision.candidates")}
    assert looked == {cast.brigid.pk}
    assert "No active patient of your organization" in propose(desk, item, cast.carla.pk)
    with identity(system("lab-intake")):
        assert not MatchDecision.objects.exists()


@pytest.mark.parametrize(
    ("patient", "reason", "words"),
    [("", WHY, "Choose the patient."), ("anna", "", "This field is required.")],
)
def test_a_proposal_that_lacks_something_says_what(
    cast: Cast, item: IntakeItem, patient: str, reason: str, words: str
) -> None:
    chosen = cast.anna.pk if patient else ""
    assert words in propose(signed_in(cast.lab), item, chosen, reason)


def test_a_second_proposal_leads_to_the_first(cast: Cast, item: IntakeItem, second: User) -> None:
    propose(signed_in(cast.lab), item, cast.anna.pk)
    other = signed_in(second)
    assert at("change", stored(MatchDecision).pk) in page(other, at("propose", item.pk))
    assert "There is a decision about exactly" in propose(other, item, cast.anna.pk)


def test_decisions_that_wait_come_first(
    cast: Cast, item: IntakeItem, second: User, now: datetime
) -> None:
    propose(signed_in(cast.lab), item, cast.anna.pk)
    first = stored(MatchDecision)
    later = queued(now, MARRIED.replace("TESTFRAU", "ANDERS"))
    propose(signed_in(second), later, cast.anna.pk)
    newer = stored(MatchDecision, family_name_key="anders")
    desk = signed_in(cast.lab)
    desk.post(at("change", newer.pk), {CONFIRM: "1", "revocation_reason": ""})
    page(desk, at("changelist"))  # takes the message about the last step away
    shown = page(desk, at("changelist"))
    assert shown.index(str(first.pk)) < shown.index(str(newer.pk))


def test_deciding_is_for_the_laboratory_role(cast: Cast, item: IntakeItem) -> None:
    propose(signed_in(cast.lab), item, cast.anna.pk)
    decision = stored(MatchDecision)
    for user in (cast.nurse, cast.clinician, cast.desk):
        client = signed_in(user)
        assert client.get(at("changelist")).status_code == 403
        assert client.get(at("change", decision.pk)).status_code in (302, 403)
        assert client.get(at("propose", item.pk)).status_code == 404
        answer = client.post(at("propose", item.pk), {"propose": "1"})
        assert answer.status_code == 404
        assert client.post(at("change", decision.pk), {CONFIRM: "1"}).status_code in (302, 403)
    assert signed_in(cast.lab).get(at("add")).status_code == 403
    assert stored(MatchDecision).confirmed_at is None


def test_a_row_that_no_decision_settles_offers_none(
    cast: Cast, lab: SendingLaboratory, now: datetime
) -> None:
    item = queued(now, "PID|1||900001^^^MAINLAB^MR||||19700101|F")
    desk = signed_in(cast.lab)
    assert at("propose", item.pk) not in page(
        desk, reverse("admin:labs_intakeitem_change", args=[item.pk])
    )
    assert desk.get(at("propose", item.pk)).status_code == 404


def test_staff_of_another_clinic_see_no_name(cast: Cast, item: IntakeItem, now: datetime) -> None:
    propose(signed_in(cast.lab), item, cast.anna.pk)
    address = at("change", stored(MatchDecision).pk)
    abroad = signed_in(staff("lim", Role.LABORATORY, cast.other_clinic))
    shown = page(abroad, address)
    assert "Testmann" not in shown
    refused = abroad.post(address, {CONFIRM: "1", "revocation_reason": ""}, follow=True)
    assert "No active patient of your organization" in refused.content.decode()
    assert stored(MatchDecision).confirmed_at is None


def test_no_log_entry_names_a_patient(cast: Cast, item: IntakeItem, second: User) -> None:
    propose(signed_in(cast.lab), item, cast.anna.pk)
    address = at("change", stored(MatchDecision).pk)
    signed_in(second).post(address, {REVOKE: "1", "revocation_reason": "Not Testmann."})
    said = " ".join(f"{e.object_repr} {e.change_message}" for e in LogEntry.objects.all())
    assert said
    for secret in ("Testmann", "testfrau", "900001"):
        assert secret not in said
