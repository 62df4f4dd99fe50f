"""The people of the proof are as HL7-2 wants them: twins, namesakes, doubles, near numbers."""

import random

import pytest

from bench.proof.catalog import part_named
from bench.proof.population import people_of
from labs.services.registration import NewPatient

COUNT = 20_000
Pair = tuple[NewPatient, NewPatient]


@pytest.fixture(scope="module")
def people() -> list[NewPatient]:
    return people_of(random.Random(f"{part_named('fuzz').seed}:people"), count=COUNT)


def pairs(people: list[NewPatient], at: int) -> list[Pair]:
    return list(zip(people[at::100], people[at + 1 :: 100], strict=True))


def test_twenty_thousand_people_have_consecutive_numbers(people: list[NewPatient]) -> None:
    assert [person.number for person in people] == [str(1_000_000 + n) for n in range(COUNT)]
    assert len({person.authority for person in people}) == 1


def test_two_hundred_pairs_are_twins(people: list[NewPatient]) -> None:
    found = [
        (a, b)
        for a, b in pairs(people, 0)
        if (a.family_name, a.birth_date) == (b.family_name, b.birth_date)
        and a.given_name != b.given_name
    ]
    assert len(found) == 200


def test_two_hundred_pairs_share_a_whole_name(people: list[NewPatient]) -> None:
    found = [
        (a, b)
        for a, b in pairs(people, 2)
        if (a.family_name, a.given_name) == (b.family_name, b.given_name)
        and a.birth_date != b.birth_date
    ]
    assert len(found) == 200


def test_two_hundred_people_are_registered_twice(people: list[NewPatient]) -> None:
    def who(person: NewPatient) -> tuple[object, ...]:
        return person.family_name, person.given_name, person.birth_date, person.sex

    assert sum(who(a) == who(b) for a, b in pairs(people, 4)) == 200
