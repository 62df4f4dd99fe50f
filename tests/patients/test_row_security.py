"""The second wall: what row security shows when a query forgets to filter."""

import pytest

from core.db import Identity, identity, system
from patients.models import Patient
from tests.cast import Cast

pytestmark = pytest.mark.django_db


def seen() -> set[str]:
    return {row.given_name for row in Patient.objects.all()}


def test_nobody_sees_no_row(cast: Cast, run_time_role: None) -> None:
    assert seen() == set()


def test_a_patient_sees_herself_only(cast: Cast) -> None:
    who = Identity("patient", cast.anna_user.pk, cast.anna.id, frozenset({"record"}))
    with identity(who):
        assert seen() == {"Anna"}


def test_a_patient_who_names_another_record_sees_nothing(cast: Cast) -> None:
    who = Identity("patient", cast.anna_user.pk, cast.brigid.id, frozenset({"record"}))
    with identity(who):
        assert seen() == set()


def test_a_nurse_sees_the_patients_of_her_clinic(cast: Cast) -> None:
    with identity(Identity("staff", cast.nurse.pk, None, frozenset({"record"}))):
        assert seen() == {"Anna", "Brigid"}


def test_a_clinician_sees_her_care_team_only(cast: Cast) -> None:
    with identity(Identity("staff", cast.clinician.pk, None, frozenset({"record"}))):
        assert seen() == {"Anna"}


def test_identity_ends_with_its_block(cast: Cast) -> None:
    with identity(system("registration")):
        assert len(seen()) == 3
    assert seen() == set()


def test_an_inner_identity_gives_back_the_outer_one(cast: Cast) -> None:
    with identity(Identity("staff", cast.nurse.pk, None, frozenset({"record"}))):
        with identity(system("registration")):
            assert len(seen()) == 3
        assert seen() == {"Anna", "Brigid"}
