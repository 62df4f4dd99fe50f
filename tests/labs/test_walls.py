"""What the database itself refuses: row security, and results that nobody rewrites."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from core.db import Identity, identity, system
from labs.models import (
    DiagnosticReport,
    Filing,
    InboundMessage,
    IntakeItem,
    Observation,
    ReportVersion,
    SendingLaboratory,
)
from tests.cast import Cast
from tests.labs.messages import Obr, Obx, laboratory, oru, send

pytestmark = pytest.mark.django_db
PATIENT_TABLES = (Observation, DiagnosticReport, ReportVersion)
INTAKE_TABLES = (InboundMessage, Filing, IntakeItem)
LABS = frozenset({"labs", "record"})


@pytest.fixture
def lab(cast: Cast, now: datetime, run_time_role: None) -> SendingLaboratory:
    """One filed result, one queued line."""
    made = laboratory(cast.clinic)
    send(oru(Obr([Obx("31"), Obx("32", code="XYZ", system="L")])), now)
    return made


def counts(who: Identity, *models: type) -> list[int]:
    with identity(who):
        return [model.objects.count() for model in models]


def people(cast: Cast) -> dict[str, Identity]:
    return {
        "anna": Identity("patient", cast.anna_user.pk, cast.anna.id, LABS),
        "caregiver": Identity("proxy", cast.dora.pk, cast.anna.id, LABS),
        "nurse": Identity("staff", cast.nurse.pk, None, LABS),
        "clinician": Identity("staff", cast.clinician.pk, None, LABS),
        "brigid": Identity("patient", cast.brigid.user.pk, cast.brigid.id, LABS),
        "brigid as anna": Identity("patient", cast.brigid.user.pk, cast.anna.id, LABS),
        "other nurse": Identity("staff", cast.other_nurse.pk, None, LABS),
        "front desk": Identity("staff", cast.desk.pk, None, LABS),
        "laboratory": Identity("staff", cast.lab.pk, None, frozenset({"intake"})),
        "without the area": Identity("patient", cast.anna_user.pk, cast.anna.id, frozenset()),
    }


@pytest.mark.parametrize("name", ["anna", "caregiver", "nurse", "clinician"])
def test_who_may_see_the_result_sees_it(cast: Cast, lab: SendingLaboratory, name: str) -> None:
    assert counts(people(cast)[name], *PATIENT_TABLES) == [1, 1, 1]


@pytest.mark.parametrize(
    "name",
    ["brigid", "brigid as anna", "other nurse", "front desk", "laboratory", "without the area"],
)
def test_everybody_else_sees_no_row(cast: Cast, lab: SendingLaboratory, name: str) -> None:
    assert counts(people(cast)[name], *PATIENT_TABLES) == [0, 0, 0]


def test_without_an_identity_nothing_is_there(lab: SendingLaboratory) -> None:
    assert [model.objects.count() for model in (*PATIENT_TABLES, *INTAKE_TABLES)] == [0] * 6


def test_the_laboratory_role_works_the_intake_and_nobody_of_the_ward_does(
    cast: Cast, lab: SendingLaboratory
) -> None:
    who = people(cast)
    assert counts(who["laboratory"], *INTAKE_TABLES) == [1, 1, 1]
    assert counts(who["nurse"], *INTAKE_TABLES) == [0, 0, 0]
    assert counts(who["anna"], *INTAKE_TABLES) == [0, 0, 0]


def test_a_laboratorys_client_reaches_its_own_messages_only(
    cast: Cast, lab: SendingLaboratory
) -> None:
    own = Identity("machine", areas=frozenset({"intake"}), sender="mainlab")
    other = Identity("machine", areas=frozenset({"intake"}), sender="otherlab")
    assert counts(own, *INTAKE_TABLES) == [1, 1, 1]
    assert counts(other, *INTAKE_TABLES) == [0, 0, 0]
    assert counts(own, *PATIENT_TABLES) == [0, 0, 0]


@pytest.mark.parametrize(
    "change",
    [
        lambda now: {"visible_from": None, "release_basis": ""},
        lambda now: {"visible_from": now + timedelta(days=40_000)},
        lambda now: {"withdrawn_at": now},
    ],
)
def test_what_is_not_released_is_absent_for_the_patient_and_her_caregiver(
    cast: Cast,
    lab: SendingLaboratory,
    now: datetime,
    change: Callable[[datetime], dict[str, object]],
) -> None:
    with identity(system("lab-intake")):
        Observation.objects.update(**change(now))
    who = people(cast)
    for name in ("anna", "caregiver"):
        assert counts(who[name], Observation) == [0]
    assert counts(who["nurse"], Observation) == [1]


def test_an_early_result_is_absent_unless_the_site_shows_it(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    laboratory(cast.clinic, key="openlab", shows_preliminary=True)
    early = Obr([Obx("31", status="P")])
    send(oru(early), now)
    assert counts(people(cast)["anna"], *PATIENT_TABLES) == [0, 0, 0]
    send(oru(early, facility="OPENLAB"), now)
    assert counts(people(cast)["anna"], *PATIENT_TABLES) == [1, 1, 1]


def test_an_unverified_result_is_held_even_then(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic, shows_preliminary=True)
    send(oru(Obr([Obx("31", status="R")])), now)
    assert counts(people(cast)["anna"], Observation, DiagnosticReport) == [0, 0]


def refused(statement: str, *values: object) -> None:
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE labs_observation SET value_text = '99'",
        "UPDATE labs_observation SET tier = 'none'",
        "UPDATE labs_observation SET patient_id = gen_random_uuid()",
        "UPDATE labs_observation SET message_id = gen_random_uuid()",
        "DELETE FROM labs_observation",
        "TRUNCATE labs_observation CASCADE",
        "UPDATE labs_reportversion SET status = 'final'",
        "DELETE FROM labs_reportversion",
        "UPDATE labs_inboundmessage SET control_id = ''",
        "DELETE FROM labs_inboundmessage",
        "UPDATE labs_filing SET outcome = 'stored'",
        "DELETE FROM labs_filing",
        "ALTER TABLE labs_observation DISABLE TRIGGER observation_frozen",
    ],
)
def test_the_run_time_role_cannot_rewrite_what_was_filed(
    lab: SendingLaboratory, statement: str
) -> None:
    with identity(system("lab-intake")):
        refused(statement)


def test_a_superseded_version_never_comes_back(lab: SendingLaboratory, now: datetime) -> None:
    with identity(system("lab-intake")):
        assert Observation.objects.update(superseded_at=now) == 1
        refused("UPDATE labs_observation SET superseded_at = NULL")


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"visible_from": None}, "observation_release_has_basis"),
        ({"release_basis": ""}, "observation_release_has_basis"),
        ({"release_basis": "person"}, "observation_released_by_a_person_only_then"),
        ({"release_rule_version": ""}, "observation_release_rule_named"),
    ],
)
def test_a_release_says_who_or_what_decided(
    lab: SendingLaboratory, changes: dict[str, object], constraint: str
) -> None:
    with (
        identity(system("lab-intake")),
        pytest.raises(IntegrityError, match=constraint),
        transaction.atomic(),
    ):
        Observation.objects.update(**changes)


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"basis": "lab_flag"}, "observation_in_range_needs_a_range"),
        (
            {"range_used_low": None, "range_used_high": None},
            "observation_in_range_needs_a_range",
        ),
        ({"state": "HELD"}, "observation_held_never_shown"),
        ({"state": "RETRACTED"}, "observation_held_never_shown"),
        ({"message": None, "origin": "laboratory"}, "observation_from_a_message"),
        ({"origin": "derived"}, "observation_derived_names_inputs"),
        ({}, "observation_current_once"),
    ],
)
def test_a_version_that_cannot_be_true_is_not_stored(
    lab: SendingLaboratory, changes: dict[str, object], constraint: str
) -> None:
    with identity(system("lab-intake")):
        row = Observation.objects.get()
        row.pk = Observation().pk
        row.version = 2
        for name, value in changes.items():
            setattr(row, name, value)
        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            row.save(force_insert=True)


def test_a_patient_cannot_write_a_laboratory_result(cast: Cast, lab: SendingLaboratory) -> None:
    with identity(people(cast)["anna"]):
        row = Observation.objects.get()
        row.pk, row.identity_key = Observation().pk, "x"
        with pytest.raises(DatabaseError), transaction.atomic():
            row.save(force_insert=True)


def test_every_result_leads_back_to_the_bytes_it_came_from(
    lab: SendingLaboratory,
) -> None:
    with identity(system("lab-intake")):
        row = Observation.objects.select_related("message").get()
        assert row.message is not None
        assert b"|31|U/L|" in bytes(row.message.raw)
        assert len(row.message.sha256) == 64
        assert row.parser_version == row.message.parser_version
        with connection.cursor() as cursor:
            cursor.execute("SELECT raw FROM labs_inboundmessage")
            assert b"TESTMANN" not in bytes(cursor.fetchone()[0])
