"""Run one command against throw-away servers: `make test`, and any check that needs a database."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from runner.credentials import load_or_create, new_credentials
from runner.places import CHECKOUT
from runner.processes import Watchdog, spawn
from runner.servers import running_servers
from runner.state import var_folder

TEST_SETTINGS = "portal.settings.test"


def pytest_command(arguments: Sequence[str]) -> list[str]:
    """Return the argv of pytest, without the plug-in of the Valkey wheel: it starts its own."""
    return [sys.executable, "-m", "pytest", "-p", "no:valkey", *arguments]


def run_command(
    argv: Sequence[str],
    *,
    durable: bool = False,
    settings: str = TEST_SETTINGS,
    given: Mapping[str, str] = os.environ,
    cwd: Path = CHECKOUT,
) -> int:
    """Run `argv` with servers of its own (or the given ones) and return its exit code."""
    # A given server outlives this command: its roles keep the passwords of this checkout.
    lasting = bool(given.get("DATABASE_URL"))
    credentials = load_or_create(var_folder(given)) if lasting else new_credentials()
    signal.signal(signal.SIGTERM, _leave)
    watchdog = Watchdog()
    try:
        with running_servers(
            credentials=credentials, watchdog=watchdog, var=None, durable=durable, given=given
        ) as servers:
            environment = {**given, **servers.environment}
            environment["DJANGO_SETTINGS_MODULE"] = settings
            return run_in_foreground(argv, environment=environment, cwd=cwd)
    finally:
        watchdog.close()


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def run_in_foreground(argv: Sequence[str], *, environment: Mapping[str, str], cwd: Path) -> int:
    """Run `argv` at the terminal and return its exit code, 128 + n when signal n ended it."""
    # The command stays in our process group, so that a debugger can read the terminal and Ctrl-C
    # reaches it directly; we wait for it to end as it likes.
    process = spawn(argv, env=environment, cwd=cwd, death_signal=signal.SIGTERM, own_session=False)

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGINT:
            process.send_signal(number)

    kept = {n: signal.signal(n, pass_on) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = process.wait()
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code
