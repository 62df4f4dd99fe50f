"""Everything Linden keeps its state in, running for as long as a `with` block lasts."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from runner import database, places
from runner.credentials import Credentials
from runner.errors import RunnerError
from runner.postgres import LASTING, THROWAWAY, PostgresServer
from runner.processes import Watchdog
from runner.valkey import ValkeyServer

# The application first, the database last: numbers of the order in which things stop.
ORDER_VALKEY = 90
ORDER_POSTGRES = 91

Server = PostgresServer | ValkeyServer


class Servers:
    """The servers in use: what Django is told about them, and those that we started."""

    def __init__(self, watchdog: Watchdog) -> None:
        self.environment: dict[str, str] = {}
        self._watchdog = watchdog
        self._started: list[tuple[Server, int]] = []

    def start(self, server: Server, *, order: int) -> None:
        server.start()
        self._started.append((server, order))
        self._watch(server, order)

    def stop(self, server: Server, *, immediate: bool) -> None:
        process = server.process
        server.stop(immediate=immediate)
        if process is not None:
            self._watchdog.forget(process.pid)

    @property
    def started(self) -> list[Server]:
        """The servers that are ours to stop; those given from outside are not."""
        return [server for server, _ in self._started]

    def pids(self) -> dict[str, int]:
        """Return the process ids of the servers that we started."""
        return {s.name: s.process.pid for s, _ in self._started if s.process is not None}

    def restart_ended(self, say: Callable[[str], None]) -> bool:
        """Start a server of ours again that has ended by itself; return whether one had.

        It keeps its port, so that its clients find it again.
        """
        restarted = False
        for server, order in self._started:
            process = server.process
            if process is None or process.poll() is None:
                continue
            say(f"{server.name} exited by itself ({process.returncode}); starting again")
            self._watchdog.forget(process.pid)
            port = server.port
            server.start()
            self._watch(server, order)
            if server.port != port:
                raise RunnerError(f"Port {port} of {server.name} was taken by somebody else.")
            restarted = True
        return restarted

    def _watch(self, server: Server, order: int) -> None:
        assert server.process is not None
        self._watchdog.watch(
            server.process.pid, order=order, number=server.stop_signal, grace_seconds=20.0
        )


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
    servers = Servers(watchdog)
    servers.environment.update(application_keys(credentials, given))
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
            servers.start(postgres, order=ORDER_POSTGRES)
            stack.callback(servers.stop, postgres, immediate=for_tests)
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
            servers.start(valkey, order=ORDER_VALKEY)
            stack.callback(servers.stop, valkey, immediate=for_tests)
            servers.environment["REDIS_URL"] = valkey.url
        yield servers
