"""Take the article files of the repository into the library."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.clock import utc_now
from education.services import import_content
from education.upstream import ContentError

CONTENT = Path(__file__).resolve().parents[2] / "content"


class Command(BaseCommand):
    help = "Import education articles; running it again changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "directory", nargs="?", type=Path, default=CONTENT, help="holds <language>/<slug>.md"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = import_content(directory=options["directory"], now=utc_now())
        except ContentError as error:
            raise CommandError(f"Nothing was imported.\n{error}") from error
        for name, reason in done.kept_as_draft.items():
            self.stdout.write(f"kept as a draft: {name}: {reason}")
        for name in done.no_longer_upstream:
            self.stdout.write(f"no longer in the folder, still in the library: {name}")
        self.stdout.write(
            f"education: {len(done.published)} published, {len(done.kept_as_draft)} kept as "
            f"drafts, {len(done.unchanged)} unchanged"
        )
