"""`manage.py reanchor_visits`: run after an update of the time-zone database."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from appointments.services.reanchoring import reanchor_visits
from core.clock import utc_now


class Command(BaseCommand):
    help = "Move future visits whose zone's rules have changed, so that they keep their local time."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say which would be moved")

    def handle(self, *args: Any, **options: Any) -> None:
        done = reanchor_visits(now=utc_now(), dry_run=options["dry_run"])
        words = "would be moved" if options["dry_run"] else "moved"
        self.stdout.write(f"{len(done.moved)} visits {words}")
        if done.conflicts:
            self.stdout.write(f"{len(done.conflicts)} are with the front desk: their time is taken")
