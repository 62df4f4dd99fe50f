"""Everything Linden keeps its state in, running for as long as a `with` block lasts."""

import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from runner import database, places
from runner.credentials import Credentials
from runner.postgres import LASTING, THROWAWAY, PostgresServer
from runner.processes import Watchdog
from runner.valkey import ValkeyServer

# The application first, the database last: numbers of the order in which things stop.
ORDER_VALKEY = 90
ORDER_POSTGRES = 91


@dataclass
class Servers:
    """The servers in use: what Django is told about them, and those that we started."""

    environment: dict[str, str]
    postgres: PostgresServer | None = None
    valkey: ValkeyServer | None = None
    started: list[PostgresServer | ValkeyServer] = field(default_factory=list)


def application_keys(credentials: Credentials, given: Mapping[str, str]) -> dict[str, str]:
    """Return the keys for Django; those given in the environment win."""
    made = {
        "DJANGO_SECRET_KEY": credentials.django_secret_key,
        "LINDEN_FIELD_KEYS": credentials.field_keys,
        "LINDEN_HMAC_KEY": credentials.hmac_key,
    }
    return {name: given.get(name) or value for name, value in made.items()}


def _urls_on_given_server(
    given: Mapping[str, str], credentials: Credentials, *, for_tests: bool
) -> database.DatabaseUrls:
    url = given["DATABASE_URL"]
    owner_url = given.get("DATABASE_OWNER_URL")
    if owner_url:
        return database.DatabaseUrls(app=url, owner=owner_url)
    name = database.database_of(url)
    return database.bootstrap(
        url,
        database=name,
        owner_password=credentials.owner_password,
        app_password=credentials.app_password,
        suffix=f"_{name}",
        owner_creates_databases=for_tests,
    )


@contextmanager
def running_servers(
    *,
    credentials: Credentials,
    watchdog: Watchdog,
    var: Path | None,
    durable: bool,
    given: Mapping[str, str] = os.environ,
) -> Iterator[Servers]:
    """Start what `given` does not already name and stop it again.

    With `var` the data is kept there and its log files are in `var/log`; with None it lies in a
    temporary folder that is deleted, and the owner may create databases. `durable` says whether
    a commit survives a power cut.
    Raises: RunnerError.
    """
    for_tests = var is None
    account = places.server_account()
    servers = Servers(environment=application_keys(credentials, given))
    with ExitStack() as stack:
        folder = logs = Path()
        if not (given.get("DATABASE_URL") and given.get("REDIS_URL")):
            if var is None:
                folder = logs = places.throwaway_folder(account)
                watchdog.delete_at_end(folder)
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
            else:
                folder, logs = places.data_folder(var, account), var / "log"

        if given.get("DATABASE_URL"):
            urls = _urls_on_given_server(given, credentials, for_tests=for_tests)
        else:
            postgres = PostgresServer(
                folder=folder,
                programs=places.postgres_programs(account),
                account=account,
                password=credentials.admin_password,
                settings=LASTING if durable else THROWAWAY,
                log=logs / "postgres.log",
            )
            _start(postgres, servers, stack, watchdog, ORDER_POSTGRES, immediate=for_tests)
            servers.postgres = postgres
            urls = database.bootstrap(
                postgres.admin_url,
                database=database.DATABASE,
                owner_password=credentials.owner_password,
                app_password=credentials.app_password,
                owner_creates_databases=for_tests,
            )
        servers.environment["DATABASE_URL"] = urls.app
        servers.environment["DATABASE_OWNER_URL"] = urls.owner

        if given.get("REDIS_URL"):
            servers.environment["REDIS_URL"] = given["REDIS_URL"]
        else:
            valkey = ValkeyServer(
                folder=folder,
                program=places.valkey_program(account),
                account=account,
                password=credentials.valkey_password,
                lasting=durable,
                log=logs / "valkey.log",
            )
            _start(valkey, servers, stack, watchdog, ORDER_VALKEY, immediate=for_tests)
            servers.valkey = valkey
            servers.environment["REDIS_URL"] = valkey.url
        yield servers


def _start(
    server: PostgresServer | ValkeyServer,
    servers: Servers,
    stack: ExitStack,
    watchdog: Watchdog,
    order: int,
    *,
    immediate: bool,
) -> None:
    server.start()
    assert server.process is not None
    number = signal.SIGINT if isinstance(server, PostgresServer) else signal.SIGTERM
    watchdog.watch(server.process.pid, order=order, number=number, grace_seconds=20.0)
    servers.started.append(server)
    stack.callback(server.stop, immediate=immediate)
