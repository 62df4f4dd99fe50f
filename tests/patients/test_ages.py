"""REL-4: what a guardian sees follows the patient's age, at midnight where she lives."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import User
from accounts.scopes import Scope
from core.db import Identity, identity, system
from core.errors import InvalidInput
from labs.models import DiagnosticReport, Observation
from notifications.selectors import caregivers_to_tell
from patients import services
from patients.ages import SHIPPED, Band, age_at, allowed_scopes, band_at, mailbox
from patients.models import AgeBand, CaregiverGrant, Patient
from tests.cast import Cast
from tests.labs.messages import Obr, Obx, laboratory, oru, send
from tests.labs.results import Line, file_report, make_laboratory
from tests.tokens import api_of

SECOND = timedelta(seconds=1)
BORN = date(2008, 11, 22)
ZONES = (
    "Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago",
    "Australia/Lord_Howe", "Asia/Kolkata",
)  # fmt: skip
ALL = sorted(str(scope) for scope in Scope)
KEPT = {"appointments.read", "appointments.write", "billing.read", "billing.write"}


# --- the rule -----------------------------------------------------------------------------------


def midnight(on: date, zone: str) -> datetime:
    return datetime.combine(on, datetime.min.time(), ZoneInfo(zone)).astimezone(UTC)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("years", [12, 13, 18])
def test_a_year_begins_at_midnight_of_her_birthday_where_she_lives(zone: str, years: int) -> None:
    birthday = midnight(BORN.replace(year=BORN.year + years), zone)
    assert age_at(BORN, zone=zone, now=birthday - SECOND) == years - 1
    assert age_at(BORN, zone=zone, now=birthday) == years
    assert age_at(BORN, zone=zone, now=birthday + SECOND) == years


@pytest.mark.parametrize(
    ("born", "zone"),
    [
        # The clock goes forward, back, and skips midnight itself on these birthdays.
        (date(2008, 3, 29), "Europe/Berlin"),
        (date(2008, 10, 25), "Europe/Berlin"),
        (date(2008, 9, 6), "America/Santiago"),
    ],
)
def test_a_birthday_on_which_the_clock_changes(born: date, zone: str) -> None:
    on = born.replace(year=2026)
    first = midnight(on, zone)
    assert age_at(born, zone=zone, now=first - SECOND) == 17
    assert age_at(born, zone=zone, now=first + 2 * timedelta(hours=1)) == 18


def test_a_leap_day_counts_from_the_first_of_march() -> None:
    born = date(2008, 2, 29)
    assert age_at(born, zone="UTC", now=datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)) == 17
    assert age_at(born, zone="UTC", now=datetime(2026, 3, 1, tzinfo=UTC)) == 18
    assert age_at(born, zone="UTC", now=datetime(2028, 2, 28, 23, 59, 59, tzinfo=UTC)) == 19
    assert age_at(born, zone="UTC", now=datetime(2028, 2, 29, tzinfo=UTC)) == 20


def kept_at(age: int) -> set[str]:
    now = datetime(2008 + age, 11, 23, tzinfo=UTC)
    return set(allowed_scopes(ALL, band_at(BORN, zone="UTC", now=now)))


def test_what_the_shipped_bands_leave() -> None:
    assert kept_at(0) == kept_at(11) == set(ALL)
    for age in (12, 13, 17):
        assert "labs.read" not in kept_at(age)
        assert "symptoms.read" not in kept_at(age)
        assert kept_at(age) >= KEPT
    assert kept_at(18) == kept_at(90) == set()


def test_bands_are_a_setting() -> None:
    own = (Band(0, frozenset({"*"})), Band(14, frozenset({"labs"})), Band(18, frozenset()))
    at = datetime(2022, 11, 23, tzinfo=UTC)
    assert band_at(BORN, zone="UTC", now=at, bands=own).areas == {"labs"}
    assert band_at(BORN, zone="UTC", now=at, bands=own[1:][1:]).areas == frozenset()


# --- the database says the same -------------------------------------------------------------------


def in_sql(basis: str, scopes: Iterable[str], born: date, zone: str, at: datetime) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT allowed_scopes(%s, %s::text[], %s, %s, %s)",
            [basis, list(scopes), born, zone, at],
        )
        (found,) = cursor.fetchone()
    return set(found)


@pytest.mark.django_db
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dates(date(2000, 1, 1), date(2026, 1, 1)),
    st.sampled_from(ZONES),
    st.integers(1, 20),
    st.integers(-3, 3),
)
def test_row_security_counts_years_as_the_rule_does(
    born: date, zone: str, years: int, seconds: int
) -> None:
    year = born.year + years
    leap = (born.month, born.day) == (2, 29) and (year % 4 or (not year % 100 and year % 400))
    birthday = date(year, 3, 1) if leap else born.replace(year=year)
    at = midnight(birthday, zone) + seconds * SECOND
    assert in_sql("guardian", ALL, born, zone, at) == allowed_scopes(
        ALL, band_at(born, zone=zone, now=at)
    )
    assert in_sql("invited", ALL, born, zone, at) == set(ALL)


@pytest.mark.django_db
def test_the_shipped_bands_are_those_of_the_rule() -> None:
    stored = [
        Band(row.from_years, frozenset(row.guardian_areas))
        for row in AgeBand.objects.order_by("from_years")
    ]
    assert tuple(stored) == SHIPPED


# --- whoever asks ---------------------------------------------------------------------------------

# It is a day further in one than in the other, whenever this runs.
AHEAD, BEHIND = "Etc/GMT-14", "Etc/GMT+12"


@pytest.fixture
def teen(cast: Cast) -> Patient:
    """Anna, who turns eighteen today on the eastern edge of the world and tomorrow in the west."""
    today = datetime.now(UTC).astimezone(ZoneInfo(AHEAD)).date()
    with identity(system("registration")):
        cast.anna.birth_date = eighteen_years_before(today)
        cast.anna.zone = BEHIND
        cast.anna.save(update_fields=["birth_date", "zone"])
        CaregiverGrant.objects.update(basis="guardian", scopes=ALL)
    return cast.anna


def eighteen_years_before(on: date) -> date:
    return (
        on.replace(year=on.year - 18) if (on.month, on.day) != (2, 29) else date(on.year - 18, 3, 1)
    )


def reach(guardian: User, patient: Patient) -> list[set[str]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT scopes FROM resolve_reach(%s, %s)", [guardian.pk, patient.id])
        one = [set(row[0]) for row in cursor.fetchall()]
        cursor.execute("SELECT scopes FROM reaches_of(%s)", [guardian.pk])
        return [*one, *(set(row[0]) for row in cursor.fetchall())]


def move(patient: Patient, zone: str) -> None:
    with identity(system("registration")):
        Patient.objects.filter(id=patient.id).update(zone=zone)


@pytest.mark.django_db
def test_at_midnight_where_she_lives_the_guardian_is_out(cast: Cast, teen: Patient) -> None:
    path = f"patients/{teen.id}"
    dora = api_of(cast.dora, " ".join(ALL))
    for found in reach(cast.dora, teen):
        assert found >= KEPT
        assert not any(scope.startswith(("labs", "symptoms", "messages")) for scope in found)
    assert dora.get(f"{path}/appointments").status_code == 200
    assert dora.get(f"{path}/results").status_code == 404
    move(teen, AHEAD)
    assert reach(cast.dora, teen) == []
    assert dora.get(f"{path}/appointments").status_code == 404
    assert dora.get(f"{path}/results").status_code == 404


@pytest.mark.django_db
def test_row_security_closes_at_the_same_moment(
    cast: Cast, teen: Patient, now: datetime, run_time_role: None
) -> None:
    laboratory(cast.clinic)
    with identity(system("registration")):
        born = teen.birth_date
    send(oru(Obr([Obx("31")])).replace(b"19700101", born.strftime("%Y%m%d").encode()), now)
    as_dora = Identity("proxy", cast.dora.pk, teen.id, frozenset({"labs", "record"}))

    def visible() -> int:
        with identity(as_dora):
            return Observation.objects.count()

    assert visible() == 0
    AgeBand.objects.filter(from_years=13).update(guardian_areas=["labs"])
    assert visible() == 1
    move(teen, AHEAD)
    assert visible() == 0
    with identity(system("registration")):
        CaregiverGrant.objects.update(basis="invited")
    assert visible() == 1


@pytest.mark.django_db
def test_a_guardian_is_told_of_what_is_left_to_her(cast: Cast, teen: Patient) -> None:
    def told(scope: Scope) -> list[User]:
        return caregivers_to_tell(teen.id, scope=scope, about=teen.id, at=datetime.now(UTC))

    with identity(system("notifications")):
        assert told(Scope.APPOINTMENTS_READ) == [cast.dora]
        assert told(Scope.LABS_READ) == []
    move(teen, AHEAD)
    with identity(system("notifications")):
        assert told(Scope.APPOINTMENTS_READ) == []


@pytest.mark.django_db
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["age", "basis", "revoke", "grant", "hold", "show", "band"]),
            st.integers(0, 20),
        ),
        min_size=3,
        max_size=10,
    )
)
def test_whatever_happens_she_is_never_behind_her_guardian(
    cast: Cast, now: datetime, steps: list[tuple[str, int]]
) -> None:
    """Grants, birthdays, bands and holds in any order: a guardian sees a part of what she sees."""
    with transaction.atomic():
        with identity(system("registration")):
            Patient.objects.filter(id=cast.anna.id).update(birth_date=date(1970, 1, 1))
        file_report(cast.anna, make_laboratory(cast.clinic), [Line("alt", "31"), Line("ast", "17")])
        for step, number in steps:
            _take(step, number, cast, now)
            _nothing_ahead(cast)
        transaction.set_rollback(True)


def _take(step: str, number: int, cast: Cast, now: datetime) -> None:
    grants = CaregiverGrant.objects.filter(patient=cast.anna)
    with identity(system("registration")):
        match step:
            case "age":
                today = datetime.now(UTC).date()
                born = today.replace(year=today.year - number, day=min(today.day, 28))
                Patient.objects.filter(id=cast.anna.id).update(birth_date=born)
            case "basis":
                grants.update(basis="guardian" if number % 2 else "invited")
            case "revoke":
                grants.update(revoked_at=now)
            case "grant":
                grants.update(revoked_at=None, scopes=ALL if number % 2 else ["labs.read"])
            case "band":
                areas = [["*"], ["labs"], []][number % 3]
                AgeBand.objects.filter(from_years__in=[12, 13]).update(guardian_areas=areas)
    with identity(system("lab-intake")):
        rows = Observation.objects.filter(analyte_key=("alt", "ast")[number % 2])
        if step == "hold":
            rows.update(visible_from=now + timedelta(days=40_000))
        elif step == "show":
            rows.update(visible_from=now)


def _nothing_ahead(cast: Cast) -> None:
    def seen(who: Identity, model: Any) -> set[Any]:
        with identity(who):
            return set(model.objects.values_list("id", flat=True))

    areas = frozenset({"labs", "record"})
    hers = Identity("patient", cast.anna_user.pk, cast.anna.id, areas)
    doras = Identity("proxy", cast.dora.pk, cast.anna.id, areas)
    for model in (Observation, DiagnosticReport):
        assert seen(doras, model) <= seen(hers, model)
    with identity(system("registration")):
        grant = CaregiverGrant.objects.select_related("patient").get(patient=cast.anna)
        stored = [
            Band(row.from_years, frozenset(row.guardian_areas)) for row in AgeBand.objects.all()
        ]
    her = grant.patient
    band = band_at(her.birth_date, zone=her.zone, now=datetime.now(UTC), bands=stored)
    open_to_dora = grant.revoked_at is None and (
        "labs.read" in allowed_scopes(grant.scopes, band)
        if grant.basis == "guardian"
        else "labs.read" in grant.scopes
    )
    assert bool(seen(doras, Observation)) == (open_to_dora and bool(seen(hers, Observation)))


# --- giving access ------------------------------------------------------------------------------


def give(cast: Cast, basis: str, now: datetime, scopes: Iterable[str] = ("labs.read",)) -> Any:
    with identity(system("registration")):
        CaregiverGrant.objects.all().delete()
        return services.grant_caregiver(
            patient_id=cast.anna.id,
            caregiver=cast.dora,
            scopes=scopes,
            granted_by=cast.anna_user,
            basis=basis,
            now=now,
        )


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("born", "basis", "allowed"),
    [
        (date(1970, 1, 1), "invited", True),
        (date(1970, 1, 1), "guardian", False),
        (date(2015, 1, 1), "guardian", True),
        (date(2015, 1, 1), "invited", False),
        (date(2015, 1, 1), "friend", False),
    ],
)
def test_an_adult_invites_and_a_minor_has_guardians(
    cast: Cast, now: datetime, born: date, basis: str, allowed: bool
) -> None:
    with identity(system("registration")):
        Patient.objects.filter(id=cast.anna.id).update(birth_date=born)
    if allowed:
        assert give(cast, basis, now).basis == basis
    else:
        with pytest.raises(InvalidInput):
            give(cast, basis, now)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Anna@Example.org", "anna@example.org"),
        ("anna+portal@example.org", "anna@example.org"),
        (" anna@example.org ", "ANNA+x@EXAMPLE.ORG"),
    ],
)
def test_one_mailbox_has_many_spellings(one: str, other: str) -> None:
    assert mailbox(one) == mailbox(other)


@pytest.mark.django_db
def test_a_minor_and_her_guardian_have_mailboxes_of_their_own(cast: Cast, now: datetime) -> None:
    with identity(system("registration")):
        Patient.objects.filter(id=cast.anna.id).update(birth_date=date(2015, 1, 1))
    cast.dora.email = "anna+mother@example.org"
    cast.dora.save(update_fields=["email"])
    with pytest.raises(services.SharedMailbox):
        give(cast, "guardian", now)
    with (
        identity(system("registration")),
        pytest.raises(IntegrityError, match="share a mailbox"),
        transaction.atomic(),
    ):
        CaregiverGrant.objects.update(basis="guardian")
    cast.dora.email = "dora@example.org"
    cast.dora.save(update_fields=["email"])
    give(cast, "guardian", now)
    for user, address in (
        (cast.dora, "anna+2@example.org"),
        (cast.anna_user, "dora+1@example.org"),
    ):
        with pytest.raises(IntegrityError, match="share a mailbox"), transaction.atomic():
            User.objects.filter(pk=user.pk).update(email=address)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "name"),
    [({"from_years": 18, "guardian_areas": ["labs"]}, "age_band_adults_have_no_guardian")],
)
def test_no_band_gives_a_guardian_an_adults_record(values: dict[str, Any], name: str) -> None:
    AgeBand.objects.filter(from_years=18).delete()
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        AgeBand.objects.create(**values)


@pytest.mark.django_db
def test_a_grant_has_a_known_basis(cast: Cast) -> None:
    with (
        identity(system("registration")),
        pytest.raises(IntegrityError, match="grant_basis_known"),
        transaction.atomic(),
    ):
        CaregiverGrant.objects.update(basis="friend")
