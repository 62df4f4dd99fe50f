"""Identity belongs to a transaction: a reused connection starts as nobody."""

import pytest
from django.db import connection, transaction

from core.db import Identity, current_identity, identity, system
from patients.models import Patient
from tests.cast import Cast

pytestmark = pytest.mark.django_db


def seen() -> set[str]:
    return set(Patient.objects.values_list("given_name", flat=True))


def told() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT app_kind() || coalesce(app_user()::text, '')")
        return str(cursor.fetchone()[0])


def her(patient: Patient) -> Identity:
    return Identity("patient", patient.user_id, patient.pk, frozenset({"record"}))


def test_two_people_alternate_on_one_connection(cast: Cast) -> None:
    for _ in range(3):
        with identity(her(cast.anna)):
            assert seen() == {"Anna"}
        with identity(her(cast.brigid)):
            assert seen() == {"Brigid"}
        assert seen() == set()


def test_an_error_takes_the_identity_with_it(cast: Cast) -> None:
    with pytest.raises(LookupError), identity(her(cast.anna)):
        raise LookupError
    assert told() == ""
    assert current_identity() is None


def test_an_error_in_an_inner_identity_gives_back_the_outer_one(cast: Cast) -> None:
    with identity(her(cast.anna)):
        with pytest.raises(LookupError), identity(system("registration")):
            raise LookupError
        assert seen() == {"Anna"}
        assert current_identity() == her(cast.anna)


def rename_and_fail(patient: Patient) -> None:
    with identity(system("registration")):
        assert Patient.objects.filter(pk=patient.pk).update(given_name="Changed") == 1
        raise LookupError


def test_what_an_inner_identity_wrote_is_rolled_back_with_it(cast: Cast) -> None:
    with identity(her(cast.anna)), pytest.raises(LookupError):
        rename_and_fail(cast.brigid)
    with identity(system("registration")):
        assert "Changed" not in seen()


def test_a_purpose_that_is_not_on_the_list_is_refused() -> None:
    with pytest.raises(KeyError):
        system("curiosity")


def test_a_purpose_reaches_no_more_than_its_areas(cast: Cast) -> None:
    with identity(system("events")):
        assert seen() == set()


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_the_connection_is_nobodys_after_the_transaction() -> None:
    with identity(Identity("staff", None, None, frozenset({"record"}))):
        assert told() == "staff"
    assert told() == ""
    with transaction.atomic():
        assert told() == ""


def test_a_patient_changes_no_row_of_the_frame_herself(cast: Cast) -> None:
    with identity(her(cast.anna)):
        assert Patient.objects.filter(pk=cast.anna.pk).update(given_name="Other") == 0


def test_a_caregiver_sees_her_own_grant_and_writes_none(cast: Cast) -> None:
    dora = Identity("proxy", cast.dora.pk, cast.anna.pk, frozenset({"record", "labs"}))
    with identity(dora):
        assert cast.anna.grants.count() == 1
        assert cast.anna.grants.update(scopes=["labs.read", "export"]) == 0
        assert cast.anna.grants.all().delete()[0] == 0
    someone_else = Identity("proxy", cast.nurse.pk, cast.anna.pk, frozenset({"record"}))
    with identity(someone_else):
        assert cast.anna.grants.count() == 0
