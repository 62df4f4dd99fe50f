"""The cast of the tests: invented people, one of them a stranger."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.test import Client

from accounts.models import Membership, OpeningHours, Organization, User
from accounts.roles import Role
from core.db import identity, system
from patients.models import CaregiverGrant, CareTeamMember, Enrolment, Patient, PatientIdentifier

AUTHORITY = "MAINLAB"
START = datetime(2024, 1, 1, tzinfo=UTC)
SignIn = Callable[[User], Client]


@dataclass
class Cast:
    """Everybody a test may need.

    `anna` is a patient with a login and record number 900001, `brigid` another patient of the
    same clinic (a stranger to anna), `carla` a patient of another clinic. `dora` is anna's
    caregiver with labs.read only. `nurse`, `clinician` (on anna's care team), `desk`, `lab`
    work at `clinic`; `other_nurse` at `other_clinic`.
    """

    clinic: Organization
    other_clinic: Organization
    anna: Patient
    brigid: Patient
    carla: Patient
    dora: User
    nurse: User
    clinician: User
    desk: User
    lab: User
    other_nurse: User

    @property
    def anna_user(self) -> User:
        assert self.anna.user is not None
        return self.anna.user


def organization(name: str, zone: str) -> Organization:
    made = Organization.objects.create(
        name=name, zone=zone, phone_day="+49 30 5550100", phone_24h="+49 30 5550199", is_active=True
    )
    OpeningHours.objects.bulk_create(
        [
            OpeningHours(organization=made, iso_weekday=day, opens=time(8), closes=time(17))
            for day in range(1, 6)
        ]
    )
    return made


def staff(name: str, role: Role, at: Organization) -> User:
    user = User.objects.create_user(f"{name}@staff.example", is_staff=True, given_name=name)
    Membership.objects.create(user=user, organization=at, role=role, valid_from=START)
    return user


def patient(given: str, family: str, born: date, number: str, at: Organization) -> Patient:
    """Make a patient with a login, a record number and an enrolment; needs system identity."""
    user = User.objects.create_user(
        f"{given.lower()}@example.org", given_name=given, zone="Europe/Berlin"
    )
    made = Patient.objects.create(
        user=user,
        given_name=given,
        family_name=family,
        birth_date=born,
        sex="female",
        zone="Europe/Berlin",
        registered_at=START,
    )
    PatientIdentifier.objects.create(
        patient=made, authority=AUTHORITY, value=number, valid_from=START
    )
    Enrolment.objects.create(patient=made, organization=at, starts_at=START)
    return made


def make_cast(now: datetime) -> Cast:
    """Create the cast in the current database."""
    clinic = organization("Lindenhof Clinic", "Europe/Berlin")
    other = organization("Harbor Clinic", "America/New_York")
    nurse = staff("nora", Role.NURSE, clinic)
    clinician = staff("clara", Role.CLINICIAN, clinic)
    desk = staff("fred", Role.FRONT_DESK, clinic)
    lab = staff("lars", Role.LABORATORY, clinic)
    other_nurse = staff("olga", Role.NURSE, other)
    dora = User.objects.create_user("dora@example.org", given_name="Dora")
    with identity(system("registration")):
        anna = patient("Anna", "Testmann", date(1970, 1, 1), "900001", clinic)
        brigid = patient("Brigid", "Probe", date(1965, 5, 5), "900002", clinic)
        carla = patient("Carla", "Muster", date(1980, 8, 8), "900003", other)
        CareTeamMember.objects.create(
            patient=anna, user=clinician, role=Role.CLINICIAN, valid_from=START
        )
        CaregiverGrant.objects.create(
            patient=anna,
            caregiver=dora,
            scopes=["labs.read"],
            valid_from=now - timedelta(days=1),
            granted_by=anna.user,
        )
    return Cast(clinic, other, anna, brigid, carla, dora, nurse, clinician, desk, lab, other_nurse)
