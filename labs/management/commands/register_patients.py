"""Register patients from a CSV file, so that results can be matched to them."""

import csv
from argparse import ArgumentParser
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Organization
from core.clock import utc_now
from labs.services.registration import NewPatient, register_for_matching

_COLUMNS = {"mrn", "authority", "family", "given", "dob", "sex"}
_SEX = {"f": "female", "female": "female", "m": "male", "male": "male", "o": "other"}


class Command(BaseCommand):
    help = "Register patients from CSV: mrn, authority, family, given, dob (YYYY-MM-DD), sex."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("csv", type=Path)
        parser.add_argument("--organization", default="", help="name; enrols them there")

    def handle(self, *args: Any, **options: Any) -> None:
        organization = None
        if options["organization"]:
            organization = Organization.objects.filter(name=options["organization"]).first()
            if organization is None:
                raise CommandError("no organization has that name")
        people = _read(options["csv"])
        added = register_for_matching(people=people, organization=organization, now=utc_now())
        self.stdout.write(f"{added} registered, {len(people) - added} were known already")


def _read(path: Path) -> list[NewPatient]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            missing = _COLUMNS - set(reader.fieldnames or ())
            if missing:
                raise CommandError(f"columns are missing: {', '.join(sorted(missing))}")
            people = [_person(row, line) for line, row in enumerate(reader, start=2)]
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not UTF-8") from error
    except csv.Error as error:
        raise CommandError(f"{path} is not CSV: {error}") from error
    _refuse_clashes(people)
    return people


def _refuse_clashes(people: list[NewPatient]) -> None:
    """One number is one person. Raises: CommandError."""
    seen: dict[tuple[str, str], NewPatient] = {}
    for line, person in enumerate(people, start=2):
        if seen.setdefault((person.authority, person.number), person) != person:
            raise CommandError(f"line {line}: this number stands for somebody else above")


def _person(row: dict[str, str | None], line: int) -> NewPatient:
    if None in row.values() or None in row:
        raise CommandError(f"line {line}: not as many fields as columns")
    cells = {name: (text or "").strip() for name, text in row.items()}
    try:
        born = date.fromisoformat(cells["dob"])
    except ValueError as error:
        raise CommandError(f"line {line}: dob is not a date like 1970-01-31") from error
    if not cells["mrn"] or not cells["authority"] or not cells["family"]:
        raise CommandError(f"line {line}: mrn, authority and family must be filled")
    return NewPatient(
        number=cells["mrn"],
        authority=cells["authority"],
        family_name=cells["family"],
        given_name=cells["given"],
        birth_date=born,
        sex=_SEX.get(cells["sex"].lower(), "unknown"),
    )
