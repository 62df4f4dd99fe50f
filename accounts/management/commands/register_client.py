"""`manage.py register_client KIND NAME`: let a program connect."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import services
from accounts.models import OAuthClient
from core.clock import utc_now
from core.errors import InvalidInput


class Command(BaseCommand):
    help = "Register an OAuth client and print its id; a laboratory's secret is printed once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=OAuthClient.Kind.values)
        parser.add_argument("name")
        parser.add_argument("--redirect", action="append", default=[], metavar="URI")

    def handle(self, *args: Any, **options: Any) -> None:
        kind, name, now = OAuthClient.Kind(options["kind"]), options["name"], utc_now()
        redirects = tuple(options["redirect"])
        try:
            if kind == OAuthClient.Kind.LABORATORY:
                made = services.register_laboratory_client(name=name, now=now)
                self.stdout.write(f"client_id      {made.client_id}")
                self.stdout.write(f"client_secret  {made.client_secret}")
                return
            if kind == OAuthClient.Kind.STAFF_TOOL:
                client_id = services.register_staff_tool_client(
                    name=name, redirect_uris=redirects, now=now
                )
            else:
                client_id = services.register_mobile_client(
                    name=name, redirect_uris=redirects, kind=kind, now=now
                )
        except InvalidInput as refusal:
            raise CommandError("; ".join(error.message for error in refusal.errors)) from None
        self.stdout.write(f"client_id      {client_id}")
