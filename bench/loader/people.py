"""Bench people: patients with a sign-in and an access token each, in one clinic."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings
from oauth2_provider.models import (
    AbstractApplication,
    get_access_token_model,
    get_application_model,
)

from accounts.models import OpeningHours, Organization, User
from accounts.scopes import Scope
from bench.loader.copying import Lines, unguarded
from core.ids import uuid7
from patients.models import Enrolment, Patient, PatientIdentifier
from patients.names import normalised_family_name

ZONE = "Europe/Berlin"
TOKEN_LIFE = timedelta(hours=2)
AUTHORITY = "BENCH"


@dataclass(frozen=True)
class Person:
    """One patient who signs in: her record, her login and her bearer token."""

    patient_id: UUID
    user_id: UUID
    token: str


@dataclass(frozen=True)
class Clinic:
    """The organization of the bench, and the application that its patients use."""

    organization: Organization
    application: AbstractApplication


def open_clinic(*, now: datetime) -> Clinic:
    """Register the organization and a public client, as an administrator would."""
    owner = settings.OWNER_DATABASE
    organization = Organization.objects.using(owner).create(
        name="Bench Clinic",
        zone=ZONE,
        phone_day="+49 30 5550100",
        phone_24h="+49 30 5550199",
        is_active=True,
    )
    OpeningHours.objects.using(owner).bulk_create(
        OpeningHours(organization=organization, iso_weekday=day, opens=time(8), closes=time(17))
        for day in range(1, 6)
    )
    application_model = get_application_model()
    application = application_model(
        name="Bench phone",
        kind="mobile",
        client_type=application_model.CLIENT_PUBLIC,
        authorization_grant_type=application_model.GRANT_AUTHORIZATION_CODE,
        redirect_uris="org.linden.portal:/callback",
    )
    application.save(using=owner)
    return Clinic(organization, application)


def load_people(
    connection: psycopg.Connection[Any], *, count: int, clinic: Clinic, now: datetime
) -> list[Person]:
    """Copy `count` patients; the first one is the heavy one of the results."""
    people = [
        Person(patient_id=uuid7(now), user_id=uuid7(now), token=secrets.token_urlsafe(32))
        for _ in range(count)
    ]
    tables = [model._meta.db_table for model in (Patient, PatientIdentifier, Enrolment)]
    with connection.transaction(), connection.cursor() as cursor, unguarded(cursor, *tables):
        _copy_users(connection, cursor, people, now)
        _copy_patients(connection, cursor, people, now)
        _copy_identifiers(connection, cursor, people, now)
        _copy_enrolments(connection, cursor, people, clinic, now)
        _copy_tokens(connection, cursor, people, clinic, now)
    return people


def _copy_users(
    connection: psycopg.Connection[Any],
    cursor: psycopg.Cursor[Any],
    people: Sequence[Person],
    now: datetime,
) -> None:
    lines = Lines(User, connection)
    user = User(given_name="Bench", family_name="Person", zone=ZONE, joined_at=now)
    user.set_unusable_password()
    template = lines.template(user, varying=("id", "email"))
    lines.copy(
        cursor,
        (
            template % {"id": person.user_id, "email": f"bench{number:06}@example.org"}
            for number, person in enumerate(people)
        ),
    )


def _copy_patients(
    connection: psycopg.Connection[Any],
    cursor: psycopg.Cursor[Any],
    people: Sequence[Person],
    now: datetime,
) -> None:
    lines = Lines(Patient, connection)
    patient = Patient(
        given_name="Bench", birth_date=date(1968, 3, 9), sex="female", zone=ZONE, registered_at=now
    )
    template = lines.template(patient, varying=("id", "user_id", "family_name", "family_name_key"))
    lines.copy(
        cursor,
        (
            template
            % {
                "id": person.patient_id,
                "user_id": person.user_id,
                "family_name": f"Person{number:06}",
                "family_name_key": normalised_family_name(f"Person{number:06}"),
            }
            for number, person in enumerate(people)
        ),
    )


def _copy_identifiers(
    connection: psycopg.Connection[Any],
    cursor: psycopg.Cursor[Any],
    people: Sequence[Person],
    now: datetime,
) -> None:
    lines = Lines(PatientIdentifier, connection)
    template = lines.template(
        PatientIdentifier(authority=AUTHORITY, valid_from=now),
        varying=("id", "patient_id", "value"),
    )
    lines.copy(
        cursor,
        (
            template % {"id": uuid7(now), "patient_id": person.patient_id, "value": f"{number:08}"}
            for number, person in enumerate(people)
        ),
    )


def _copy_enrolments(
    connection: psycopg.Connection[Any],
    cursor: psycopg.Cursor[Any],
    people: Sequence[Person],
    clinic: Clinic,
    now: datetime,
) -> None:
    lines = Lines(Enrolment, connection)
    enrolment = Enrolment(organization=clinic.organization, starts_at=now - timedelta(days=900))
    template = lines.template(enrolment, varying=("id", "patient_id"))
    lines.copy(
        cursor,
        (template % {"id": uuid7(now), "patient_id": person.patient_id} for person in people),
    )


def _copy_tokens(
    connection: psycopg.Connection[Any],
    cursor: psycopg.Cursor[Any],
    people: Sequence[Person],
    clinic: Clinic,
    now: datetime,
) -> None:
    """Access tokens as the provider stores them: only their digest."""
    token_model = get_access_token_model()
    lines = Lines(token_model, connection)
    token = token_model(
        application=clinic.application,
        token="",
        scope=" ".join(Scope),
        expires=now + TOKEN_LIFE,
        created=now,
        updated=now,
    )
    template = lines.template(token, varying=("user_id", "token_checksum"))
    lines.copy(
        cursor,
        (
            template
            % {
                "user_id": person.user_id,
                "token_checksum": hashlib.sha256(person.token.encode()).hexdigest(),
            }
            for person in people
        ),
    )
