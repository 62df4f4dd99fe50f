"""Listen for laboratory messages over MLLP."""

import asyncio
import signal
import ssl
from argparse import ArgumentParser
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.clock import utc_now
from labs.management.mllp_listener import Listener, ListenerOptions

log = structlog.get_logger(__name__)


def tls_context(*, certificate: str, key: str, client_ca: str) -> ssl.SSLContext:
    """Return a context of TLS 1.2 or newer; with `client_ca` only clients that it signed."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key or None)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class Command(BaseCommand):
    help = "Listen for HL7 v2 messages over MLLP until SIGTERM or SIGINT."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=2575)
        parser.add_argument("--workers", type=int, default=4, help="threads with a connection each")
        parser.add_argument("--max-connections", type=int, default=200)
        parser.add_argument("--tls-cert", default="", help="PEM file; turns TLS on")
        parser.add_argument("--tls-key", default="", help="PEM file, if not in --tls-cert")
        parser.add_argument(
            "--tls-client-ca", default="", help="PEM file; clients need its signature"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        context = None
        if options["tls_cert"]:
            try:
                context = tls_context(
                    certificate=options["tls_cert"],
                    key=options["tls_key"],
                    client_ca=options["tls_client_ca"],
                )
            except (OSError, ssl.SSLError) as error:
                raise CommandError(f"TLS cannot start: {error}") from error
        elif options["tls_key"] or options["tls_client_ca"]:
            raise CommandError("--tls-key and --tls-client-ca need --tls-cert")
        listener_options = ListenerOptions(
            host=options["host"],
            port=options["port"],
            workers=options["workers"],
            max_connections=options["max_connections"],
            max_bytes=settings.INTAKE_MAX_BYTES,
            tls=context,
        )
        asyncio.run(_run(listener_options))


async def _run(options: ListenerOptions) -> None:
    listener = Listener(options, clock=utc_now)
    finish = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, finish.set)
    try:
        await listener.start()
    except OSError as error:
        raise CommandError(f"cannot listen on {options.host}:{options.port}: {error}") from error
    log.info("mllp.listening", address=options.host, port=listener.port)
    await finish.wait()
    await listener.stop()
    log.info("mllp.stopped")
