"""Who sees and ends what when a query forgets to filter."""

from datetime import datetime
from uuid import uuid4

import pytest
from django.db import DatabaseError, ProgrammingError, transaction

from appointments.models import Appointment, AppointmentHistory, PatientClaim, ResourceClaim
from core.db import Identity, identity, system
from tests.appointments.factories import Surgery, book, surgery
from tests.cast import Cast
from tests.tokens import viewer_of

pytestmark = pytest.mark.django_db

TABLES = (Appointment, AppointmentHistory, PatientClaim)


@pytest.fixture
def clinic(cast: Cast, now: datetime) -> Surgery:
    """Anna has nine o'clock, Brigid half past."""
    made = surgery(cast.clinic)
    book(cast.anna_user, made.opening(9), now)
    book(cast.brigid.user, made.opening(9, 30), now)
    return made


def counts() -> list[int]:
    return [model.objects.count() for model in TABLES]


def test_nobody_sees_no_visit(cast: Cast, clinic: Surgery, run_time_role: None) -> None:
    assert counts() == [0, 0, 0]


def test_a_patient_sees_her_own_visit_only(cast: Cast, clinic: Surgery) -> None:
    with identity(viewer_of(cast.anna_user).identity):
        assert counts() == [1, 1, 1]
        assert Appointment.objects.get().patient_id == cast.anna.id


def test_a_token_without_the_area_sees_none(cast: Cast, clinic: Surgery) -> None:
    who = Identity("patient", cast.anna_user.pk, cast.anna.id, frozenset({"record", "labs"}))
    with identity(who):
        assert counts() == [0, 0, 0]


def test_a_caregiver_without_the_grant_sees_none(cast: Cast, clinic: Surgery) -> None:
    who = Identity("proxy", cast.dora.pk, cast.anna.id, frozenset({"record", "appointments"}))
    with identity(who):
        assert counts() == [0, 0, 0]


def test_a_nurse_sees_her_clinic_only(cast: Cast, clinic: Surgery) -> None:
    areas = frozenset({"record", "appointments"})
    with identity(Identity("staff", cast.nurse.pk, None, areas)):
        assert counts() == [2, 2, 2]
    with identity(Identity("staff", cast.other_nurse.pk, None, areas)):
        assert counts() == [0, 0, 0]


def test_claims_show_time_and_nobody(cast: Cast, clinic: Surgery) -> None:
    names = {field.name for field in ResourceClaim._meta.get_fields()}
    assert not any("patient" in name or "user" in name for name in names)
    with identity(viewer_of(cast.brigid.user).identity):
        claims = list(ResourceClaim.objects.all())
        assert len(claims) == 2
        reached = [Appointment.objects.filter(id=claim.held_for).count() for claim in claims]
        assert sorted(reached) == [0, 1]


def test_a_patient_ends_her_own_claims_only(cast: Cast, clinic: Surgery, now: datetime) -> None:
    with identity(viewer_of(cast.anna_user).identity):
        assert ResourceClaim.objects.update(active=False, ended_at=now) == 1
    with identity(system("booking")):
        assert ResourceClaim.objects.filter(active=True).count() == 1


def test_nobody_deletes_claims(cast: Cast, clinic: Surgery) -> None:
    for who in (viewer_of(cast.anna_user).identity, system("booking")):
        with identity(who):
            with transaction.atomic():
                ResourceClaim.objects.all().delete()
            assert ResourceClaim.objects.count() == 2


@pytest.mark.parametrize("kind", ["booking", "block"])
def test_claims_are_added_by_those_who_book(
    cast: Cast, clinic: Surgery, now: datetime, kind: str
) -> None:
    def add() -> None:
        with transaction.atomic():
            ResourceClaim.objects.create(
                resource=clinic.doctor,
                during=(clinic.at(11), clinic.at(11, 30)),
                kind=kind,
                held_for=uuid4(),
                made_at=now,
            )

    with pytest.raises(ProgrammingError, match="row-level security"):
        add()
    labs_only = Identity("patient", cast.anna_user.pk, cast.anna.id, frozenset({"labs"}))
    with identity(labs_only), pytest.raises(ProgrammingError, match="row-level security"):
        add()
    with identity(viewer_of(cast.anna_user).identity):
        if kind == "block":
            with pytest.raises(ProgrammingError, match="row-level security"):
                add()
        else:
            add()


def test_history_is_only_added_to(cast: Cast, clinic: Surgery) -> None:
    with identity(system("registration")):
        for change in (
            lambda: AppointmentHistory.objects.update(reason="x"),
            lambda: AppointmentHistory.objects.all().delete(),
        ):
            with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
                change()


def test_a_visit_is_not_booked_for_somebody_else(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    visit = Appointment(
        patient=cast.brigid,
        status="booked",
        starts_at=clinic.at(11),
        ends_at=clinic.at(11, 30),
        zone="Europe/Berlin",
        local_date=clinic.at(11).date(),
        local_time=clinic.at(11).time(),
        schedule=clinic.schedule,
        location=clinic.location,
        visit_type=clinic.visit_type,
        booked_at=now,
        created_via="patient",
    )
    with (
        identity(viewer_of(cast.anna_user).identity),
        pytest.raises(ProgrammingError, match="row-level security"),
        transaction.atomic(),
    ):
        visit.save(force_insert=True)
