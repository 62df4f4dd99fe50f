"""The walls in PostgreSQL: row security, the run-time role, append-only tables."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.apps import apps
from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError, connection, connections, models, transaction

from accounts.models import User
from accounts.roles import REACH, Role
from core.areas import Area
from core.grants import append_only_tables
from patients.models import Patient

pytestmark = pytest.mark.django_db(databases=["default", "owner"])

FEATURES = {"labs", "appointments", "symptoms", "education"}


def own_models() -> list[type[models.Model]]:
    ours = FEATURES | {"core", "accounts", "patients", "notifications", "worklist"}
    found = [model for model in apps.get_models() if model._meta.app_label in ours]
    assert len(found) > 25
    return found


def leads_to_a_patient(model: type[models.Model], depth: int = 0) -> bool:
    """Whether a row belongs to one patient, by its own column or by a parent's."""
    if model is Patient:
        return True
    for field in model._meta.concrete_fields:
        if field.name in {"patient", "patient_id"}:
            return True
        if isinstance(field, models.ForeignKey) and depth < 3 and field.remote_field is not None:
            parent = field.related_model
            cascades = field.remote_field.on_delete is models.CASCADE
            if cascades and isinstance(parent, type) and leads_to_a_patient(parent, depth + 1):
                return True
    return False


def test_every_table_of_a_patient_has_row_security_and_forces_it() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname, relrowsecurity AND relforcerowsecurity FROM pg_class")
        forced = dict(cursor.fetchall())
    tables = {model._meta.db_table for model in own_models() if leads_to_a_patient(model)}
    assert {"patients_patient", "core_auditevent", "core_change"} <= tables
    assert sorted(table for table in tables if not forced[table]) == []


def test_every_partition_of_the_audit_table_is_reached_through_its_policy() -> None:
    """A partition has no policy of its own: the run-time role must not name it."""
    with connection.cursor() as cursor:
        for month in ("2026-11-01", "2026-12-31"):
            cursor.execute("SELECT audit_partition(%s)", [month])
        cursor.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = 'core_auditevent'::regclass AND NOT c.relrowsecurity "
            "AND has_table_privilege(current_user, c.oid, 'SELECT, INSERT, UPDATE, DELETE')"
        )
        assert cursor.fetchall() == []


def test_no_view_goes_around_row_security() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE relkind IN ('v', 'm') AND n.nspname = 'public' "
            "AND NOT coalesce(reloptions, '{}') @> '{security_invoker=true}'"
        )
        assert cursor.fetchall() == []


def test_definer_functions_pin_their_search_path() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
            "WHERE n.nspname = 'public' AND prosecdef "
            "AND NOT coalesce(array_to_string(proconfig, ','), '') LIKE '%search_path=%'"
        )
        assert cursor.fetchall() == []


def test_the_run_time_role_is_an_ordinary_one() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole, rolreplication, "
            "has_schema_privilege(current_user, 'public', 'CREATE'), "
            "(SELECT count(*) FROM pg_class WHERE relowner = r.oid) "
            "FROM pg_roles r WHERE rolname = current_user"
        )
        assert cursor.fetchone() == (False, False, False, False, False, False, 0)
        cursor.execute("SELECT pg_has_role(current_user, %s, 'MEMBER')", [owner()])
        assert cursor.fetchone() == (False,)


def owner() -> str:
    return str(connections["owner"].settings_dict["USER"])


@contextmanager
def refused() -> Iterator[None]:
    with (
        pytest.raises(DatabaseError, match=r"permission denied|must be owner"),
        transaction.atomic(),
    ):
        yield


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id int)",
        "ALTER TABLE patients_patient DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE patients_patient ADD COLUMN x int",
        "DROP POLICY reach_select ON patients_patient",
        "TRUNCATE patients_patient",
        "CREATE OR REPLACE FUNCTION can_see(patient uuid, area text) RETURNS boolean "
        "LANGUAGE sql AS $$ SELECT true $$",
        "DELETE FROM django_migrations",
    ],
)
def test_the_run_time_role_cannot_move_the_walls(statement: str) -> None:
    with refused(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("table", append_only_tables())
@pytest.mark.parametrize("statement", ["UPDATE {} SET id = id", "DELETE FROM {}", "TRUNCATE {}"])
def test_append_only_rows_are_neither_changed_nor_deleted(table: str, statement: str) -> None:
    with refused(), connection.cursor() as cursor:
        cursor.execute(statement.format(table))


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("area", list(Area))
def test_the_database_knows_the_reach_of_every_role(role: Role, area: Area) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT role_reach(%s, %s)", [role, area])
        assert cursor.fetchone() == (REACH[role].get(area, ""),)


def test_an_unknown_role_reaches_nothing() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT role_reach('director', 'record')")
        assert cursor.fetchone() == ("",)


def test_features_do_not_point_at_each_other() -> None:
    for model in own_models():
        for field in model._meta.get_fields():
            target = getattr(field, "related_model", None)
            if target is None or getattr(field, "auto_created", False):
                continue
            here, there = model._meta.app_label, target._meta.app_label
            assert not (here in FEATURES and there in FEATURES and here != there), field
            if here in {"core", "accounts", "patients"}:
                assert there not in FEATURES | {"notifications", "worklist"}, field


def test_ids_are_uuids_everywhere_but_in_the_toolkits_table() -> None:
    for model in own_models():
        key = model._meta.pk
        assert isinstance(key, models.UUIDField) or model._meta.label == "accounts.OAuthClient"


def test_nothing_in_a_row_says_a_name_when_it_is_printed() -> None:
    """Django's admin log stores `str(row)`."""
    secret = "Canary"
    for model in own_models():
        row = model(
            **{
                field.name: secret
                for field in model._meta.concrete_fields
                if field.name in {"family_name", "given_name", "value", "detail", "email"}
            }
        )
        try:
            shown = str(row)
        except ObjectDoesNotExist:
            continue  # It prints a code of a parent, which this row does not have.
        assert secret not in shown, model
    assert secret not in str(User(email=f"{secret}@example.org"))
