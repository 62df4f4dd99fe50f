"""The laboratory's desk on the staff site: messages, the queue, and senders' settings."""

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
from labs.models import (
    CodeMap,
    ConfiguredRange,
    InboundMessage,
    IntakeItem,
    Observation,
    SendingLaboratory,
)
from labs.services.intake import Answer
from tests.cast import Cast, staff
from tests.labs.messages import ANNA, Obr, Obx, laboratory, oru, send

pytestmark = pytest.mark.django_db

ODD = Obx("55.5", code="XYZ", name="Odd test", system="L")


@pytest.fixture
def lab(cast: Cast) -> SendingLaboratory:
    return laboratory(cast.clinic)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def desk(cast: Cast) -> Client:
    return signed_in(cast.lab)


def at(model: str, kind: str = "changelist", *args: Any) -> str:
    return reverse(f"admin:labs_{model}_{kind}", args=args)


def page(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, response.content[:500]
    return str(response.content.decode())


def stored(model: Any, **lookup: Any) -> Any:
    with identity(system("lab-intake")):
        return model.objects.get(**lookup)


@pytest.fixture
def queued(lab: SendingLaboratory, now: datetime) -> Answer:
    """A message whose one line has a code that nobody mapped."""
    return send(oru(Obr([ODD]), control_id="M1"), now)


def press(client: Client, address: str, step: str, **fields: str) -> None:
    response = client.post(address, {**fields, step: "1"})
    assert response.status_code == 302, response.content[:2000]


def test_a_message_is_read_on_its_own_page_only_and_each_look_is_recorded(
    cast: Cast, desk: Client, queued: Answer
) -> None:
    listed = page(desk, at("inboundmessage"))
    assert "M1" in listed
    assert "unknown-code" in listed
    assert "TESTMANN" not in listed
    shown = page(desk, at("inboundmessage", "change", queued.message_id))
    assert "PID|1||900001" in shown
    assert "OBX|1|NM|XYZ" in shown
    with identity(system("housekeeping")):
        event = AuditEvent.objects.get(operation="admin.inboundmessage.read")
    assert (event.actor_id, event.resource_ids) == (cast.lab.pk, [queued.message_id])
    assert event.area == "intake"


def test_a_message_cannot_be_changed(desk: Client, queued: Answer) -> None:
    address = at("inboundmessage", "change", queued.message_id)
    assert desk.post(address, {"control_id": "other"}).status_code == 403
    assert desk.get(at("inboundmessage", "add")).status_code == 403


def test_the_desk_is_for_the_laboratory_role(cast: Cast, queued: Answer) -> None:
    for user in (
        cast.nurse,
        cast.clinician,
        cast.desk,
        staff("ada", Role.ADMINISTRATOR, cast.clinic),
    ):
        for model in ("inboundmessage", "intakeitem", "sendinglaboratory", "configuredrange"):
            assert signed_in(user).get(at(model)).status_code == 403
        message = at("inboundmessage", "change", queued.message_id)
        assert signed_in(user).get(message).status_code in (302, 403, 404)


def test_an_item_is_settled_with_a_note_by_whom_and_leaves_the_queue(
    cast: Cast, desk: Client, queued: Answer
) -> None:
    item = stored(IntakeItem, message_id=queued.message_id)
    address = at("intakeitem", "change", item.pk)
    shown = page(desk, address)
    assert "OBX|1|NM|XYZ" in shown
    assert 'name="note"' in shown
    assert 'name="_save"' not in shown
    press(desk, address, "labs_intakeitem_settle", note="Asked the lab.")
    item = stored(IntakeItem, pk=item.pk)
    assert (item.clearance, item.cleared_by_id, item.note) == (
        "settled",
        cast.lab.pk,
        "Asked the lab.",
    )
    # Cleared once is cleared: the page offers nothing more.
    assert 'name="note"' not in page(desk, address)
    assert desk.post(address, {"labs_intakeitem_settle": "1", "note": "x"}).status_code == 403
    assert str(item.pk) not in page(desk, at("intakeitem"))
    assert str(item.pk) in page(desk, at("intakeitem") + "?standing=cleared")


def test_saving_without_a_step_changes_nothing(desk: Client, queued: Answer) -> None:
    item = stored(IntakeItem, message_id=queued.message_id)
    desk.post(at("intakeitem", "change", item.pk), {"note": "x", "_save": "1"})
    after = stored(IntakeItem, pk=item.pk)
    assert (after.cleared_at, after.note) == (None, "")


def test_a_mapped_code_lets_the_message_be_processed_again(
    cast: Cast, desk: Client, lab: SendingLaboratory, queued: Answer
) -> None:
    made = {"laboratory": str(lab.pk), "local_code": "XYZ", "local_system": "L"}
    refused = desk.post(at("codemap", "add"), {**made, "loinc": "1742-7"})
    assert "check digit" in refused.content.decode()
    press(desk, at("codemap", "add"), "_save", **made, loinc="1742-6")
    mapped = stored(CodeMap)
    assert (mapped.loinc, mapped.mapped_by_id) == ("1742-6", cast.lab.pk)
    item = stored(IntakeItem, message_id=queued.message_id)
    press(desk, at("intakeitem", "change", item.pk), "labs_intakeitem_process_again")
    result = stored(Observation, message_id=queued.message_id)
    assert (result.analyte_key, result.patient_id) == ("alt", cast.anna.pk)
    assert stored(IntakeItem, pk=item.pk).clearance == "reprocessed"


def test_chosen_messages_are_processed_again_and_a_refused_one_says_why(
    cast: Cast, desk: Client, lab: SendingLaboratory, queued: Answer, now: datetime
) -> None:
    refused = send(oru(Obr([Obx("20")]), pid="", control_id="M2"), now)
    with identity(system("lab-intake")):
        CodeMap.objects.create(
            laboratory=lab, local_code="XYZ", local_system="L", loinc="1742-6", mapped_at=now
        )
    response = desk.post(
        at("inboundmessage"),
        {
            "action": "process_again",
            "_selected_action": [str(queued.message_id), str(refused.message_id)],
        },
        follow=True,
    )
    said = response.content.decode()
    assert "Processed again: stored." in said
    assert "This message cannot be processed" in said
    assert stored(Observation, message_id=queued.message_id).analyte_key == "alt"


def test_a_range_judges_only_after_a_second_person_approved_it(
    cast: Cast, desk: Client, lab: SendingLaboratory
) -> None:
    fields = {
        "laboratory": str(lab.pk),
        "analyte_key": "alt",
        "sex": "female",
        "age_from_years": "18",
        "unit": "U/L",
        "low": "7",
        "high": "35",
        "source": "Test catalogue 2026",
        "valid_from": "2026-01-01",
    }
    press(desk, at("configuredrange", "add"), "_save", **fields)
    entered = stored(ConfiguredRange)
    assert (entered.entered_by_id, entered.approved_by_id) == (cast.lab.pk, None)
    address = at("configuredrange", "change", entered.pk)
    assert "configuredrange_approve" not in page(desk, address)
    press(desk, address, "labs_configuredrange_approve", **fields)
    assert stored(ConfiguredRange).approved_at is None

    second = staff("lena", Role.LABORATORY, cast.clinic)
    other = signed_in(second)
    assert "labs_configuredrange_approve" in page(other, address)
    # Whoever changes the bounds stands for them: this press saves, and does not approve.
    press(other, address, "labs_configuredrange_approve", **{**fields, "high": "36"})
    changed = stored(ConfiguredRange)
    assert (changed.entered_by_id, changed.approved_at) == (second.pk, None)
    press(desk, address, "labs_configuredrange_approve", **{**fields, "high": "36"})
    approved = stored(ConfiguredRange)
    assert (approved.approved_by_id, approved.approved_at is None) == (cast.lab.pk, False)
    assert other.post(address, fields).status_code == 403


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"unit": "furlongs"}, "not a UCUM unit"),
        ({"low": "", "high": ""}, "configured_range_has_a_bound"),
        ({"low": "40"}, "configured_range_low_below_high"),
        ({"analyte_key": "unobtainium"}, "valid choice"),
    ],
)
def test_a_range_that_cannot_judge_is_refused_on_the_form(
    desk: Client, lab: SendingLaboratory, change: dict[str, str], words: str
) -> None:
    fields = {
        "laboratory": str(lab.pk),
        "analyte_key": "alt",
        "age_from_years": "18",
        "unit": "U/L",
        "low": "7",
        "high": "35",
        "source": "Test catalogue 2026",
        "valid_from": "2026-01-01",
    }
    response = desk.post(at("configuredrange", "add"), {**fields, **change})
    assert response.status_code == 200
    assert words in response.content.decode()


def test_a_laboratory_is_set_up_with_its_names(cast: Cast, desk: Client) -> None:
    fields = {
        "key": "newlab",
        "name": "New Laboratory",
        "organization": str(cast.clinic.pk),
        "is_active": "on",
        "peer_networks": "192.0.2.0/24",
        "zone": "Europe/Berlin",
        "unit_aliases": "{}",
        "flag_meanings": "{}",
        "names-TOTAL_FORMS": "1",
        "names-INITIAL_FORMS": "0",
        "names-0-application": "LIS",
        "names-0-facility": "NEW",
    }
    refused = desk.post(at("sendinglaboratory", "add"), {**fields, "zone": "Europe/Nowhere"})
    assert "not usable: Europe/Nowhere" in refused.content.decode()
    press(desk, at("sendinglaboratory", "add"), "_save", **fields)
    made = stored(SendingLaboratory, key="newlab")
    assert (made.client_id, made.peer_networks) == (None, ["192.0.2.0/24"])
    with identity(system("lab-intake")):
        assert [str(name) for name in made.names.all()] == ["LIS|NEW"]
    change = at("sendinglaboratory", "change", made.pk)
    assert 'name="key"' not in page(desk, change)


def test_no_log_entry_names_a_patient_or_a_value(desk: Client, queued: Answer) -> None:
    item = stored(IntakeItem, message_id=queued.message_id)
    press(desk, at("intakeitem", "change", item.pk), "labs_intakeitem_settle", note="Asked.")
    said = " ".join(f"{e.object_repr} {e.change_message}" for e in LogEntry.objects.all())
    assert said
    for secret in ("TESTMANN", "Testmann", "900001", "55.5", "Asked"):
        assert secret not in said
    assert ANNA.split("|")[5].split("^")[0] == "TESTMANN"
    assert "TESTMANN" not in str(stored(InboundMessage, pk=queued.message_id))
