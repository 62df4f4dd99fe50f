"""The record's frame by its services: facts, grants, care team, pauses, death."""

from datetime import date, datetime, timedelta

import pytest
from django.db import connection

from accounts.roles import Role
from core.db import identity, system
from core.errors import InvalidInput, NotFound
from core.ids import new_id
from core.models import AuditEvent, Change, Event
from patients import services
from patients.models import ProfileFact
from patients.names import normalised_family_name
from tests.cast import Cast
from tests.tokens import api_of

pytestmark = pytest.mark.django_db


def contact(cast: Cast, at: datetime) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT contact_allowed(%s, %s)", [cast.anna.pk, at])
        return str(cursor.fetchone()[0])


def events(kind: str) -> int:
    with identity(system("events")):
        return Event.objects.filter(type=kind).count()


def fact(result: str = "positive", **changes: object) -> services.NewFact:
    return services.NewFact(  # type: ignore[arg-type]
        **{"kind": "marker", "code": "HER2", "result": result, "source": "Pathology"} | changes
    )


def test_a_fact_is_replaced_by_a_new_row_and_stays(cast: Cast, now: datetime) -> None:
    for result, at in (("not-tested", now), ("positive", now + timedelta(days=1))):
        services.record_fact(
            patient_id=cast.anna.pk, fact=fact(result), recorded_by=cast.nurse, now=at
        )
    with identity(system("registration")):
        rows = ProfileFact.objects.order_by("recorded_at").values_list("result", "superseded_at")
        assert list(rows) == [("not-tested", now + timedelta(days=1)), ("positive", None)]
    assert events("patients.profile.changed") == 2


@pytest.mark.parametrize(
    "changes",
    [{"source": " "}, {"starts_on": date(2026, 2, 2), "ends_on": date(2026, 2, 1)}],
)
def test_a_fact_needs_a_source_and_a_sensible_time(
    cast: Cast, now: datetime, changes: dict[str, object]
) -> None:
    with pytest.raises(InvalidInput):
        services.record_fact(
            patient_id=cast.anna.pk, fact=fact(**changes), recorded_by=None, now=now
        )


def test_a_grant_opens_and_its_end_closes_at_once(cast: Cast, now: datetime) -> None:
    friend = cast.brigid.user
    assert friend is not None
    grant = services.grant_caregiver(
        patient_id=cast.anna.pk,
        caregiver=friend,
        scopes=["labs.read"],
        granted_by=cast.anna_user,
        now=datetime.now(tz=now.tzinfo) - timedelta(minutes=1),
    )
    api = api_of(friend)
    assert api.get(f"patients/{cast.anna.pk}").status_code == 200
    services.revoke_grant(grant_id=grant.pk, now=now)
    assert api.get(f"patients/{cast.anna.pk}").status_code == 401
    assert api_of(friend).get(f"patients/{cast.anna.pk}").status_code == 404
    assert events("patients.grant.changed") == 2
    with pytest.raises(NotFound):
        services.revoke_grant(grant_id=grant.pk, now=now)


def test_a_second_open_grant_for_one_person_is_refused(cast: Cast, now: datetime) -> None:
    with pytest.raises(services.AlreadyGranted):
        services.grant_caregiver(
            patient_id=cast.anna.pk,
            caregiver=cast.dora,
            scopes=["labs.read"],
            granted_by=cast.anna_user,
            now=now,
        )


@pytest.mark.parametrize("scopes", [[], ["staff"], ["labs.submit"], ["labs.read", "everything"]])
def test_a_grant_holds_known_scopes_of_people(cast: Cast, now: datetime, scopes: list[str]) -> None:
    with pytest.raises(InvalidInput):
        services.grant_caregiver(
            patient_id=cast.anna.pk,
            caregiver=cast.nurse,
            scopes=scopes,
            granted_by=cast.anna_user,
            now=now,
        )


def test_she_is_not_her_own_caregiver(cast: Cast, now: datetime) -> None:
    with pytest.raises(InvalidInput):
        services.grant_caregiver(
            patient_id=cast.anna.pk,
            caregiver=cast.anna_user,
            scopes=["labs.read"],
            granted_by=cast.anna_user,
            now=now,
        )


def test_a_pause_holds_from_its_start_until_just_before_its_end(cast: Cast, now: datetime) -> None:
    ends = now + timedelta(days=3)
    services.pause_contact(
        patient_id=cast.anna.pk,
        reason="in-hospital",
        starts_at=now,
        ends_at=ends,
        recorded_by=cast.nurse,
        now=now,
    )
    tick = timedelta(microseconds=1)
    assert contact(cast, now - tick) == ""
    assert contact(cast, now) == contact(cast, ends - tick) == "paused"
    assert contact(cast, ends) == ""


def test_contact_resumes_when_asked(cast: Cast, now: datetime) -> None:
    services.pause_contact(
        patient_id=cast.anna.pk, reason="grief", starts_at=now, recorded_by=None, now=now
    )
    later = now + timedelta(hours=1)
    assert contact(cast, later) == "paused"
    assert services.resume_contact(patient_id=cast.anna.pk, now=later) == 1
    assert contact(cast, later) == ""
    assert services.resume_contact(patient_id=cast.anna.pk, now=later) == 0
    assert events("patients.contact.changed") == 3


def test_a_death_ends_contact_and_sessions_and_keeps_the_record(cast: Cast, now: datetime) -> None:
    her = api_of(cast.anna_user)
    services.record_death(patient_id=cast.anna.pk, deceased_at=now, now=now)
    assert contact(cast, now) == "deceased"
    assert her.get("patients/me").status_code == 401
    found = api_of(cast.nurse, "staff").post(
        "staff/patients/$find", {"family_name": "Testmann", "birth_date": "1970-01-01"}
    )
    assert [row["id"] for row in found.json()["items"]] == [str(cast.anna.pk)]
    assert events("patients.deceased") == 1


def test_a_death_in_the_future_is_refused(cast: Cast, now: datetime) -> None:
    with pytest.raises(InvalidInput):
        services.record_death(
            patient_id=cast.anna.pk, deceased_at=now + timedelta(seconds=1), now=now
        )


def test_enrolment_and_care_team_are_refused_twice(cast: Cast, now: datetime) -> None:
    services.enrol(patient_id=cast.anna.pk, organization=cast.other_clinic, now=now)
    with pytest.raises(services.AlreadyEnrolled):
        services.enrol(patient_id=cast.anna.pk, organization=cast.other_clinic, now=now)
    with pytest.raises(services.AlreadyOnTeam):
        services.add_to_care_team(
            patient_id=cast.anna.pk, user=cast.clinician, role=Role.CLINICIAN, now=now
        )


def test_a_patient_who_is_not_there_is_not_found(now: datetime) -> None:
    with pytest.raises(NotFound):
        services.resume_contact(patient_id=new_id(), now=now)


def test_what_fails_leaves_no_trace(cast: Cast, now: datetime) -> None:
    with pytest.raises(services.IdentifierInUse):
        services.add_identifier(
            patient_id=cast.anna.pk,
            identifier=services.NewIdentifier("MAINLAB", "900002"),
            now=now,
        )
    with identity(system("registration")):
        assert Change.objects.count() == 0
    with identity(system("housekeeping")):
        assert AuditEvent.objects.count() == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("O'Neill-Müller", "ONEILL MULLER"),
        ("Łukasz", "lukasz"),
        ("Groß", "GROSS"),
        ("Иванова", "ИВАНОВА"),
        ("de la Cruz", "DelaCruz"),
        ("Nguyễn", "Nguyen"),
    ],
)
def test_spellings_of_one_name_are_equal(one: str, other: str) -> None:
    assert normalised_family_name(one) == normalised_family_name(other) != ""


@pytest.mark.parametrize(
    ("one", "other"), [("Müller", "Mueller"), ("Li", "Lee"), ("王", "黄"), ("हरि", "हरा")]
)
def test_names_that_may_be_two_people_differ(one: str, other: str) -> None:
    assert normalised_family_name(one) != normalised_family_name(other)


@pytest.mark.parametrize("name", ["", "-", "'", " ", "!?", "\u0301"])
def test_a_name_without_letters_has_no_key(name: str) -> None:
    assert normalised_family_name(name) == ""
