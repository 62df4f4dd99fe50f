"""The demo's patients: registered, enrolled, cared for, and asked how they feel."""

import random
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from accounts import services as accounts
from accounts.models import Organization, User
from accounts.roles import Role
from accounts.scopes import Scope
from core.db import identity, system
from patients import services as patients
from patients.models import Patient
from portal.demo import accounts as logins
from portal.demo.messages import Draw
from portal.demo.people import STAFF, Person
from portal.demo.stories import values_at

TWO_YEARS = timedelta(days=730)
_EVERY = timedelta(days=35)


def register(
    person: Person, clinics: dict[str, Organization], *, authority: str, as_of: datetime
) -> Patient:
    """Open a record with a login, two years before `as_of`."""
    began = as_of - TWO_YEARS
    zone = person.zone or clinics[person.clinic].zone
    user = accounts.open_account(
        email=logins.patient_email(person.key),
        password=logins.DEMO_PASSWORD,
        given_name=person.given,
        family_name=person.family,
        language=person.language,
        zone=zone,
        now=began,
    )
    return patients.register_patient(
        demographics=patients.Demographics(
            given_name=person.given,
            family_name=person.family,
            birth_date=person.born,
            sex=person.sex,
            language=person.language,
            zone=zone,
        ),
        organization=clinics[person.clinic],
        identifiers=[patients.NewIdentifier(authority=authority, value=person.record_number)],
        user=user,
        now=began,
    ).patient


def add_profile(person: Person, patient: Patient, *, as_of: datetime) -> None:
    """Record the facts of her disease profile, each with its source."""
    for fact in person.facts:
        patients.record_fact(
            patient_id=patient.pk,
            fact=patients.NewFact(
                kind=fact.kind,
                code=fact.code,
                result=fact.result,
                source="Demo",
                starts_on=_years_before(as_of, fact.years_ago),
            ),
            recorded_by=None,
            now=as_of - TWO_YEARS + timedelta(days=1),
        )


def _years_before(instant: datetime, years: float) -> date:
    return (instant - timedelta(days=round(years * 365))).date()


def add_care_team(staff: dict[str, User], records: dict[str, Patient], *, as_of: datetime) -> None:
    """Put each clinician on the care teams she belongs to."""
    for member in STAFF:
        for key in member.care_team_of:
            patients.add_to_care_team(
                patient_id=records[key].pk,
                user=staff[member.key],
                role=Role(member.role),
                now=as_of - TWO_YEARS + timedelta(days=1),
            )


def add_caregiver(person: Person, patient: Patient, *, as_of: datetime) -> None:
    """Let the person she named see results and visits."""
    assert patient.user is not None
    caregiver = accounts.open_account(
        email=logins.patient_email(person.caregiver),
        password=logins.DEMO_PASSWORD,
        given_name=person.caregiver.title(),
        zone=patient.zone,
        now=as_of,
    )
    patients.grant_caregiver(
        patient_id=patient.pk,
        caregiver=caregiver,
        scopes=[Scope.LABS_READ, Scope.APPOINTMENTS_READ],
        granted_by=patient.user,
        now=as_of - timedelta(days=60),
    )


def end_contact(person: Person, patient: Patient, *, as_of: datetime) -> None:
    """Record a pause or a death where the story has one."""
    if person.pause:
        patients.pause_contact(
            patient_id=patient.pk,
            reason=person.pause,
            starts_at=as_of - timedelta(days=4),
            recorded_by=None,
            now=as_of - timedelta(days=4),
        )
    if person.died_days_ago is not None:
        died = as_of - timedelta(days=person.died_days_ago)
        patients.record_death(patient_id=patient.pk, deceased_at=died, now=died)


def draws_of(person: Person, zone: str, *, seed: int, as_of: datetime) -> list[Draw]:
    """Return two years of blood draws up to `as_of`, or to her death. Pure and seeded."""
    dice = random.Random(f"{seed}:{person.key}")  # noqa: S311
    tz = ZoneInfo(zone)
    end = as_of
    if person.died_days_ago is not None:
        end = as_of - timedelta(days=person.died_days_ago + 5)
    draws: list[Draw] = []
    day = as_of - TWO_YEARS + timedelta(days=7 + dice.randrange(7))
    while day < end - timedelta(hours=6):
        local = datetime.combine(
            day.astimezone(tz).date(), time(8, dice.randrange(0, 60, 5)), tzinfo=tz
        )
        progress = (local - (as_of - TWO_YEARS)) / (end - (as_of - TWO_YEARS))
        draws.append(Draw(len(draws) + 1, local, values_at(person.story, progress, dice)))
        day += _EVERY + timedelta(days=dice.randrange(-4, 5))
    # The last draw is always recent: a story ends where it is most telling.
    last = end - timedelta(hours=20)
    draws.append(Draw(len(draws) + 1, last, values_at(person.story, 1.0, dice)))
    return draws


def find(record_number: str) -> Patient | None:
    """Return the demo patient with a record number, if the demo was loaded."""
    with identity(system("registration")):
        return Patient.objects.filter(identifiers__value=record_number).first()
