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
            return [_person(row, line) for line, row in enumerate(reader, start=2)]
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from error


def _person(row: dict[str, str], line: int) -> NewPatient:
    try:
        born = date.fromisoformat(row["dob"].strip())
    except ValueError as error:
        raise CommandError(f"line {line}: dob is not a date like 1970-01-31") from error
    if not row["mrn"].strip() or not row["authority"].strip() or not row["family"].strip():
        raise CommandError(f"line {line}: mrn, authority and family must be filled")
    return NewPatient(
        number=row["mrn"].strip(),
        authority=row["authority"].strip(),
        family_name=row["family"].strip(),
        given_name=row["given"].strip(),
        birth_date=born,
        sex=_SEX.get(row["sex"].strip().lower(), "unknown"),
    )
