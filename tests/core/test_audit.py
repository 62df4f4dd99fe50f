"""A look that cannot be recorded does not happen; partitions take every row along."""

from datetime import UTC, datetime

import pytest
from django.db import connection, connections, transaction
from django.test import Client
from django.urls import reverse

from core import audit
from core.db import identity, system
from core.models import AuditEvent
from patients.models import Patient
from tests.cast import Cast
from tests.tokens import Api, api_of

BARRED = "REVOKE INSERT ON core_auditevent FROM {}"
OPENED = "GRANT INSERT ON core_auditevent TO {}"


@pytest.fixture
def no_audit(transactional_db: None) -> object:
    role = connections["default"].settings_dict["USER"]
    with connections["owner"].cursor() as cursor:
        cursor.execute(BARRED.format(role))
    yield
    with connections["owner"].cursor() as cursor:
        cursor.execute(OPENED.format(role))


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_without_audit_nothing_is_shown_or_changed(now, no_audit: object) -> None:
    from tests.cast import make_cast

    cast = make_cast(now)
    her, desk = api_of(cast.anna_user), api_of(cast.desk, "staff")
    browser = Client(raise_request_exception=False)
    browser.force_login(cast.nurse)
    read = her.get("patients/me")
    refused = her.get(f"patients/{cast.brigid.pk}")
    nobody = Api().get("patients/me")
    written = desk.post(
        "staff/patients",
        {"given_name": "Nadia", "family_name": "Neu", "birth_date": "1975-03-04"},
    )
    page = browser.get(reverse("admin:patients_patient_changelist"))
    for answer in (read, refused, nobody, written, page):
        assert answer.status_code == 503
        assert b"Anna" not in answer.content
        assert b"Testmann" not in answer.content
    assert read.json()["code"] == "audit-unavailable"
    with identity(system("registration")):
        assert not Patient.objects.filter(family_name="Neu").exists()


@pytest.mark.django_db
class TestEvents:
    def test_an_event_names_actor_record_and_request(self, cast: Cast, now) -> None:
        api_of(cast.dora).get(f"patients/{cast.anna.pk}", **{"X-Request-Id": "look-number-1"})
        with identity(system("housekeeping")):
            event = AuditEvent.objects.get(operation="patients.record")
        assert (event.actor_kind, event.actor_id, event.patient_id) == (
            "proxy",
            cast.dora.pk,
            cast.anna.pk,
        )
        assert (event.client_id, event.request_id, event.action) == (
            "test-mobile",
            "look-number-1",
            "R",
        )

    @pytest.mark.parametrize(
        ("who", "path", "code"),
        [("brigid", "patients/{}", "not-found"), (None, "patients/{}", "not-authenticated")],
    )
    def test_a_refusal_is_kept_without_saying_whose_record_it_was(
        self, cast: Cast, who: str | None, path: str, code: str
    ) -> None:
        api = api_of(getattr(cast, who).user) if who else Api()
        api.get(path.format(cast.anna.pk))
        with identity(system("housekeeping")):
            event = AuditEvent.objects.get(outcome="denied")
        assert (event.reason_code, event.operation) == (code, "patients.record")
        assert event.patient_id is None

    def test_patients_read_their_own_events_alone(self, cast: Cast, now) -> None:
        for patient in (cast.anna, cast.brigid):
            with identity(system("registration")):
                audit.record(action="R", operation="x", now=now, patient_id=patient.pk)
        from core.db import Identity

        her = Identity("patient", cast.anna_user.pk, cast.anna.pk, frozenset({"record"}))
        with identity(her):
            assert [event.patient_id for event in AuditEvent.objects.all()] == [cast.anna.pk]


@pytest.mark.django_db
class TestPartitions:
    def partitions(self) -> dict[str, int]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT inhrelid::regclass::text FROM pg_inherits "
                "WHERE inhparent = 'core_auditevent'::regclass"
            )
            return {row[0]: 1 for row in cursor.fetchall()}

    def test_a_month_takes_the_rows_that_waited_for_it(self) -> None:
        at = [datetime(2031, 3, 31, 23, 59, 59, tzinfo=UTC), datetime(2031, 4, 1, tzinfo=UTC)]
        for moment in at:
            audit.record(action="R", operation="waits", now=moment)
        with connection.cursor() as cursor:
            cursor.execute("SELECT audit_partition('2031-03-15')")
            cursor.execute("SELECT audit_partition('2031-03-15')")
        assert "core_auditevent_2031_03" in self.partitions()
        with identity(system("housekeeping")), connection.cursor() as cursor:
            cursor.execute(
                "SELECT tableoid::regclass::text FROM core_auditevent "
                "WHERE operation = 'waits' ORDER BY occurred_at"
            )
            assert [row[0] for row in cursor.fetchall()] == [
                "core_auditevent_2031_03",
                "core_auditevent_default",
            ]

    def test_a_partition_is_no_side_door(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT audit_partition('2031-05-01')")
        for statement in (
            "SELECT * FROM core_auditevent_2031_05",
            "DELETE FROM core_auditevent_default",
        ):
            with (
                pytest.raises(Exception, match="permission denied"),
                transaction.atomic(),
                connection.cursor() as cursor,
            ):
                cursor.execute(statement)
