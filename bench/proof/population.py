"""Invented patients of a laboratory: twins, namesakes and near numbers among them."""

import random
from dataclasses import dataclass, replace
from datetime import date, timedelta
from uuid import UUID

from accounts.models import Organization
from bench.loader.people import open_clinic
from core.clock import utc_now
from core.db import identity, system
from labs.models import SenderName, SendingLaboratory
from labs.services.registration import NewPatient, register_for_matching
from patients.models import PatientIdentifier

AUTHORITY = "PROOFLAB"
APPLICATION, FACILITY = "LIS", "PROOFLAB"
_FAMILIES = (
    "Anders", "Berger", "Castell", "Dorn", "Eiche", "Falk", "Garten", "Hafer", "Imker", "Jansen",
    "Keller", "Linde", "Mohn", "Nessel", "Olive", "Pappel", "Quitte", "Rauter", "Sanddorn", "Tanne",
)  # fmt: skip
_GIVEN = ("Ada", "Bea", "Cleo", "Dina", "Eva", "Fay", "Gisa", "Hedi", "Ina", "Jola", "Kim", "Lou")


@dataclass(frozen=True)
class Resident:
    """One registered patient, and whether a message with her own particulars may be filed."""

    patient_id: UUID
    person: NewPatient
    has_look_alike: bool


def open_laboratory(
    organization: Organization, *, key: str = "prooflab", gateway: bool = False
) -> SendingLaboratory:
    """Register a laboratory that sends from this machine."""
    with identity(system("registration")):
        made = SendingLaboratory.objects.create(
            key=key,
            name="Proof Laboratory",
            organization=organization,
            zone="Europe/Berlin",
            peer_networks=["127.0.0.0/8"],
            is_gateway=gateway,
        )
        if not gateway:
            SenderName.objects.create(laboratory=made, application=APPLICATION, facility=FACILITY)
    return made


def open_organization() -> Organization:
    return open_clinic(now=utc_now()).organization


def populate(organization: Organization, chance: random.Random, *, count: int) -> list[Resident]:
    """Register `count` people; see `people_of`."""
    people = people_of(chance, count=count)
    register_for_matching(people=people, organization=organization, now=utc_now())
    with identity(system("registration")):
        ids = dict(
            PatientIdentifier.objects.filter(authority=AUTHORITY).values_list("value", "patient_id")
        )
    shared: dict[tuple[str, date], int] = {}
    for person in people:
        key = (person.family_name, person.birth_date)
        shared[key] = shared.get(key, 0) + 1
    return [Resident(ids[p.number], p, shared[(p.family_name, p.birth_date)] > 1) for p in people]


def people_of(chance: random.Random, *, count: int) -> list[NewPatient]:
    """Return `count` people with consecutive numbers.

    The first six of every hundred are twins, two who share a whole name, and one person twice.
    """
    people = [_person(number, chance) for number in range(count)]
    for at in range(0, count - 5, 100):
        _like(people, at + 1, at, given_name="Zwilla")
        one, other = people[at + 2], people[at + 3]
        people[at + 3] = replace(other, family_name=one.family_name, given_name=one.given_name)
        _like(people, at + 5, at + 4)
    return people


def _person(number: int, chance: random.Random) -> NewPatient:
    return NewPatient(
        number=f"{1_000_000 + number}",
        authority=AUTHORITY,
        family_name=chance.choice(_FAMILIES),
        given_name=chance.choice(_GIVEN),
        birth_date=date(1940, 1, 1) + timedelta(days=chance.randrange(20_000)),
        sex="female",
    )


def _like(people: list[NewPatient], at: int, other: int, *, given_name: str = "") -> None:
    """Give the person at `at` the name and birth date of `other`, with her own number."""
    person = people[other]
    people[at] = replace(
        person, number=people[at].number, given_name=given_name or person.given_name
    )
