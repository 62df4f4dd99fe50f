"""Publish the questionnaires that ship with the portal, or a file of the site."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.clock import utc_now
from core.errors import DomainError
from symptoms.questions import QuestionnaireFault
from symptoms.services import load_questionnaire
from symptoms.services.questionnaires import SHIPPED


class Command(BaseCommand):
    help = "Publish questionnaires; loading the same file again changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="*", type=Path, help="default: those that ship")

    def handle(self, *args: Any, **options: Any) -> None:
        for path in options["files"] or SHIPPED:
            try:
                version, is_new = load_questionnaire(path, now=utc_now())
            except (OSError, QuestionnaireFault, DomainError) as error:
                raise CommandError(f"{path}: {error}") from error
            done = "published" if is_new else "is published already"
            self.stdout.write(f"{path.name}: version {version.version} {done}")
