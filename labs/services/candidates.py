"""Whom a message in doubt may mean: patients beside what it says, only what is needed to decide."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from accounts.models import User
from core.db import identity, system
from labs.services.deciding import patients_in_reach
from labs.services.matching import Particulars
from patients.models import PatientIdentifier
from patients.selectors import Found, find_patients
from patients.viewer import Viewer

_MOST = 20


@dataclass(frozen=True, slots=True)
class Search:
    """What staff look for: a number with its authority, or a family name with a birth date."""

    authority: str = ""
    value: str = ""
    family_name: str = ""
    birth_date: date | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A patient and her numbers in force, each as authority and value."""

    found: Found
    numbers: tuple[tuple[str, str], ...]


def searches_of(who: Particulars | None, *, family_name: str) -> list[Search]:
    """Return the searches that a message itself suggests."""
    if who is None:
        return []
    by_number = [Search(authority=authority, value=value) for authority, value in who.numbers]
    return [*by_number, Search(family_name=family_name, birth_date=who.birth_date)]


def find_candidates(
    viewer: Viewer, actor: User, searches: list[Search], *, now: datetime
) -> list[Candidate]:
    """Return the active patients of the actor's organization that the searches find."""
    with identity(system("lab-intake")):
        found: dict[UUID, Found] = {}
        for search in searches:
            for row in find_patients(
                viewer,
                authority=search.authority,
                value=search.value,
                family_name=search.family_name,
                birth_date=search.birth_date,
            ):
                found.setdefault(row.id, row)
        return _with_numbers(found, actor, now=now)


def candidate_of(patient_id: UUID, actor: User, *, now: datetime) -> list[Candidate]:
    """Return the one patient of a decision; nobody when she is out of the actor's reach."""
    columns = ("id", "given_name", "family_name", "birth_date", "sex")
    with identity(system("lab-intake")):
        rows = patients_in_reach(actor, now=now).filter(id=patient_id).values_list(*columns)
        return _with_numbers({row[0]: Found(*row) for row in rows}, actor, now=now)


def _with_numbers(found: dict[UUID, Found], actor: User, *, now: datetime) -> list[Candidate]:
    reach = patients_in_reach(actor, now=now).filter(id__in=found).values_list("id", flat=True)
    shown = set(reach)
    numbers: dict[UUID, list[tuple[str, str]]] = defaultdict(list)
    in_force = PatientIdentifier.objects.filter(patient_id__in=shown, valid_until__isnull=True)
    for patient_id, authority, value in in_force.order_by("authority", "value").values_list(
        "patient_id", "authority", "value"
    ):
        numbers[patient_id].append((authority, value))
    return [Candidate(row, tuple(numbers[row.id])) for row in found.values() if row.id in shown][
        :_MOST
    ]
