"""Load the demo people, once."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import OAuthClient
from core.clock import utc_now
from portal.demo import accounts as logins
from portal.demo.load import Demo
from portal.demo.people import PEOPLE, STAFF


class Command(BaseCommand):
    help = "Load twelve invented people over two years. Does nothing when they are there."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seed", type=int, default=7)
        parser.add_argument("--as-of", help="the demo's today, e.g. 2026-11-22; default: today")

    def handle(self, *args: Any, **options: Any) -> None:
        if not getattr(settings, "DEMO_ALLOWED", False):
            raise CommandError("These settings serve real people: the demo is refused.")
        if OAuthClient.objects.filter(client_id=logins.PHONE_CLIENT).exists():
            self.stderr.write("The demo people are here already.")
            self._tell(secret="")
            return
        demo = Demo(seed=options["seed"], as_of=self._as_of(options["as_of"]), say=self._say)
        demo.load()
        self._tell(secret=demo.laboratory_secret)

    def _say(self, line: str) -> None:
        self.stderr.write(f"demo: {line}")

    @staticmethod
    def _as_of(raw: str | None) -> datetime:
        now = utc_now().replace(microsecond=0)
        if not raw:
            return now
        try:
            day = datetime.fromisoformat(raw)
        except ValueError as error:
            raise CommandError("--as-of takes a date such as 2026-11-22") from error
        return day.replace(hour=12, tzinfo=now.tzinfo)

    def _tell(self, *, secret: str) -> None:
        """Print the sign-ins; the runner keeps this text and shows it at every start."""
        lines = [
            f"Sign-ins of the demo; password of all: {logins.DEMO_PASSWORD}",
            "  admin  /admin/",
        ]
        lines += [
            f"    {logins.staff_email(person.key):<28} {person.role.replace('_', ' ')}, "
            f"{person.clinic}"
            for person in STAFF
        ]
        lines += ["  phone  OAuth client " + logins.PHONE_CLIENT]
        lines += [f"    {logins.patient_email(person.key)}" for person in PEOPLE[:3]]
        lines += [f"    {logins.patient_email('jonas')} (caregiver of anna)"]
        if secret:
            lines += [f"  laboratory  {logins.LABORATORY_CLIENT} : {secret}"]
        self.stdout.write("\n".join(lines))
