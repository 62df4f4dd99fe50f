"""Real servers for the tests of the runner; nothing here touches Django."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner import places
from runner.credentials import Credentials, new_credentials
from runner.postgres import PostgresServer
from runner.processes import Watchdog
from runner.servers import Servers, running_servers

NOT_INHERITED = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "LINDEN_VAR")


@pytest.fixture(scope="session")
def bare_environment() -> dict[str, str]:
    """The environment of somebody who has set nothing up."""
    return {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}


@pytest.fixture(scope="session")
def credentials() -> Credentials:
    return new_credentials()


@pytest.fixture(scope="session")
def servers(credentials: Credentials, bare_environment: dict[str, str]) -> Iterator[Servers]:
    """Throw-away servers that these tests share."""
    watchdog = Watchdog()
    with running_servers(
        credentials=credentials, watchdog=watchdog, var=None, durable=False, given=bare_environment
    ) as running:
        yield running
    watchdog.close()


@pytest.fixture(scope="session")
def admin_url(servers: Servers) -> str:
    (url,) = (s.admin_url for s in servers.started if isinstance(s, PostgresServer))
    return url


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder with a space and an accent in its path that every account can reach.

    pytest's own temporary folders may be entered by their owner only.
    """
    top = Path(tempfile.mkdtemp(prefix="linden runner é "))
    top.chmod(0o755)
    yield top
    shutil.rmtree(top)


@pytest.fixture
def as_root() -> places.Account:
    """The account that root hands servers to. Skips for an ordinary user."""
    account = places.server_account()
    if account is None:
        pytest.skip("only root drops privileges; this run is an ordinary user's")
    return account
