"""`make run`: bring the whole system up, keep it up, take it down in order."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import psycopg

from runner.credentials import load_or_create
from runner.errors import RunnerError
from runner.places import CHECKOUT, erase_outside, server_account
from runner.plan import PREFERRED, Plan, Ports, Step, linden
from runner.ports import LOOPBACK, PortReservations, accepts
from runner.processes import Watchdog, spawn, stop
from runner.servers import Servers, running_servers
from runner.state import (
    SystemLock,
    hand_over_files,
    set_long_logs_aside,
    var_folder,
    write_private,
)
from runner.supervisor import Supervisor
from runner.throwaway import run_in_foreground

READY_SECONDS = 120.0
HOPELESS_EXITS = 3
TURN_SECONDS = 0.1
ORDER_STEP = 0
STEPS_FILE = "steps.json"
ENVIRONMENT_FILE = "run.env.json"


class _Stopped(Exception):
    """The person (or the system) asked us to stop."""


class System:
    """One running Linden. `run` returns when it has been asked to stop."""

    def __init__(
        self,
        *,
        given: Mapping[str, str] = os.environ,
        checkout: Path = CHECKOUT,
        make_plan: Callable[[Ports, Path], Plan] = linden,
        preferred: Ports = PREFERRED,
        verbose: bool = False,
    ) -> None:
        self._given = given
        self._checkout = checkout
        self._make_plan = make_plan
        self._preferred = preferred
        self._verbose = verbose
        self._stops_asked = 0
        self._supervisor: Supervisor | None = None
        self._begun = time.monotonic()

    def run(self) -> int:
        """Bring everything up and serve until SIGINT, SIGTERM or SIGHUP; return 0.

        Raises: RunnerError when something cannot start; whatever had started is stopped again.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        var = var_folder(self._given)
        with ExitStack() as stack:
            lock = SystemLock(var)
            stack.callback(lock.close)
            lock.acquire()
            # At the end, when every file has been written.
            stack.callback(hand_over_files, var, server_account())
            self._withdraw(var)
            set_long_logs_aside(var)
            reservations = PortReservations()
            stack.callback(reservations.close)
            # The watchdog holds the lock too: no second start before it has tidied up.
            watchdog = Watchdog(keep_open=[lock.fileno()])
            stack.callback(watchdog.close)
            credentials = load_or_create(var)
            servers = stack.enter_context(
                running_servers(
                    credentials=credentials,
                    watchdog=watchdog,
                    var=var,
                    durable=True,
                    given=self._given,
                )
            )
            self._say_step("database and queue")
            ports = Ports(
                web=reservations.take(self._preferred.web),
                mllp=reservations.take(self._preferred.mllp),
                smtp=reservations.take(self._preferred.smtp),
                mail=reservations.take(self._preferred.mail),
            )
            plan = self._make_plan(ports, var)
            told = self._told(servers, ports, plan, var)
            fresh_folder(Path(told["PROMETHEUS_MULTIPROC_DIR"]))
            environment = {**self._given, **told}
            try:
                self._prepare(plan, environment, var, watchdog)
                self._serve(plan, ports, environment, told, servers, var, watchdog, stack)
            except _Stopped:
                self.say("stopping …")
        self.say("stopped")
        return 0

    def say(self, text: str) -> None:
        print(f"linden: {text}", flush=True)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stops_asked += 1
        if self._stops_asked > 1 and self._supervisor is not None:
            self._supervisor.kill()

    def _leave_if_asked(self) -> None:
        if self._stops_asked:
            raise _Stopped

    def _seconds(self) -> float:
        return time.monotonic() - self._begun

    def _say_step(self, name: str) -> None:
        self.say(f"{self._seconds():5.1f} s  {name}")

    @staticmethod
    def _withdraw(var: Path) -> None:
        for name in ("run.json", ENVIRONMENT_FILE):
            (var / name).unlink(missing_ok=True)

    @staticmethod
    def _told(servers: Servers, ports: Ports, plan: Plan, var: Path) -> dict[str, str]:
        return {
            **servers.environment,
            "DJANGO_SETTINGS_MODULE": plan.settings,
            "EMAIL_HOST": LOOPBACK,
            "EMAIL_PORT": str(ports.smtp),
            "LINDEN_BASE_URL": f"http://{LOOPBACK}:{ports.web}",
            "MAIL_SINK_URL": f"http://{LOOPBACK}:{ports.mail}",
            "MLLP_PORT": str(ports.mllp),
            "LINDEN_VAR": str(var),
            # The web processes add their counts up there; an old run's must not stay.
            "PROMETHEUS_MULTIPROC_DIR": str(var / "metrics"),
            "PYTHONUNBUFFERED": "1",
        }

    def _prepare(
        self, plan: Plan, environment: Mapping[str, str], var: Path, watchdog: Watchdog
    ) -> None:
        database = _database_identity(environment["DATABASE_OWNER_URL"])
        marker = var / STEPS_FILE
        done: dict[str, str] = json.loads(marker.read_text()) if marker.exists() else {}
        for step in plan.steps:
            self._leave_if_asked()
            fingerprint = step.fingerprint(self._checkout, database)
            kept = var / f"{step.name.replace(' ', '-')}.txt"
            made = step.makes is None or (self._checkout / step.makes).exists()
            if done.get(step.name) != fingerprint or not made:
                # Forgotten first: an interrupted step must run again.
                done.pop(step.name, None)
                write_private(marker, json.dumps(done))
                self._carry_out(step, environment, var, watchdog, kept)
                done[step.name] = fingerprint
                write_private(marker, json.dumps(done))
                self._say_step(step.name)
            if step.keep_output and kept.exists():
                print(kept.read_text().rstrip("\n"), flush=True)

    def _carry_out(
        self,
        step: Step,
        environment: Mapping[str, str],
        var: Path,
        watchdog: Watchdog,
        kept: Path,
    ) -> None:
        log_path = var / "log" / "setup.log"
        staging = kept.with_suffix(".new")
        descriptor = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as output, log_path.open("ab") as log:
            process = spawn(
                step.argv,
                env=environment,
                cwd=self._checkout,
                death_signal=signal.SIGTERM,
                output=output,
                errors=log,
            )
            watchdog.watch(process.pid, order=ORDER_STEP, number=signal.SIGTERM, grace_seconds=5.0)
            while process.poll() is None and not self._stops_asked:
                try:
                    process.wait(TURN_SECONDS)
                except subprocess.TimeoutExpired:
                    continue
            stop(process, number=signal.SIGTERM, grace_seconds=5.0)
            watchdog.forget(process.pid)
        printed = staging.read_text(errors="replace")
        staging.unlink()
        self._leave_if_asked()
        if process.returncode != 0:
            errors = log_path.read_text(errors="replace")
            last = "\n".join((printed + errors).splitlines()[-25:])
            raise RunnerError(f"{step.name} failed (all of it: {log_path}):\n{last}")
        if step.keep_output:
            write_private(kept, printed)

    def _serve(
        self,
        plan: Plan,
        ports: Ports,
        environment: Mapping[str, str],
        told: Mapping[str, str],
        servers: Servers,
        var: Path,
        watchdog: Watchdog,
        stack: ExitStack,
    ) -> None:
        supervisor = Supervisor(
            plan.programs,
            environment=environment,
            cwd=self._checkout,
            logs=var / "log",
            watchdog=watchdog,
            say=self.say,
            verbose=self._verbose,
        )
        self._supervisor = supervisor
        stack.callback(supervisor.stop)
        supervisor.start()
        self._wait_until_ready(supervisor, plan)
        seconds = round(self._seconds(), 1)
        started_at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

        def announce() -> None:
            described = _describe(ports, told, servers, supervisor)
            described |= {"started_at": started_at, "seconds_to_ready": seconds}
            staging = var / "run.json.new"
            staging.write_text(json.dumps(described, indent=2) + "\n")
            staging.replace(var / "run.json")

        stack.callback(self._withdraw, var)
        write_private(var / ENVIRONMENT_FILE, json.dumps(dict(told)))
        announce()
        self.say(
            f"ready after {seconds} s: web {told['LINDEN_BASE_URL']}, staff "
            f"{told['LINDEN_BASE_URL']}/admin/, MLLP {LOOPBACK}:{ports.mllp}, "
            f"mail {told['MAIL_SINK_URL']}/messages"
        )
        self.say(f"logs are in {var / 'log'}; Ctrl-C stops everything")
        while True:
            self._leave_if_asked()
            before = supervisor.pids()
            supervisor.turn(TURN_SECONDS)
            restarted = servers.restart_ended(self.say)
            if restarted or supervisor.pids() != before:
                announce()

    def _wait_until_ready(self, supervisor: Supervisor, plan: Plan) -> None:
        end = time.monotonic() + READY_SECONDS
        waiting = {p.name: p.port for p in plan.programs if p.port is not None}
        while waiting:
            self._leave_if_asked()
            supervisor.turn(TURN_SECONDS)
            for name, port in list(waiting.items()):
                up = _answers_ready(port, plan.ready_path) if name == "web" else accepts(port)
                if up:
                    del waiting[name]
            failing = [p.name for p in plan.programs if supervisor.exits(p.name) >= HOPELESS_EXITS]
            if failing or (waiting and time.monotonic() > end):
                missing = failing or list(waiting)
                tails = "\n".join(
                    f"{name} | {line}" for name in missing for line in supervisor.tail(name)
                )
                raise RunnerError(f"{' and '.join(missing)} did not come up.\n{tails}")


def run_beside(argv: Sequence[str], *, given: Mapping[str, str] = os.environ) -> int:
    """Run `argv` with the environment of the running system and return its exit code.

    Raises: RunnerError when none runs from here.
    """
    path = var_folder(given) / ENVIRONMENT_FILE
    if not path.exists():
        raise RunnerError("Linden does not run from this folder: start it with `make run`.")
    environment = {**given, **json.loads(path.read_text())}
    return run_in_foreground(argv, environment=environment, cwd=CHECKOUT)


def erase(var: Path) -> None:
    """Delete all data and secrets of a system that does not run.

    Raises: RunnerError when it runs.
    """
    lock = SystemLock(var)
    lock.acquire()
    erase_outside(var)
    for path in var.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    lock.close()


def _database_identity(owner_url: str) -> str:
    """Name the database so that another one, or the same one made anew, is noticed."""
    with psycopg.connect(owner_url, connect_timeout=10) as connection:
        row = connection.execute(
            "SELECT s.system_identifier, d.oid FROM pg_control_system() s, pg_database d "
            "WHERE d.datname = current_database()"
        ).fetchone()
    assert row is not None
    return f"{row[0]}/{row[1]}"


def fresh_folder(path: Path) -> None:
    """Make `path` an empty folder."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)


def _answers_ready(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _describe(
    ports: Ports, told: Mapping[str, str], servers: Servers, supervisor: Supervisor
) -> dict[str, Any]:
    database, redis = urlsplit(told["DATABASE_URL"]), urlsplit(told["REDIS_URL"])
    return {
        "web": told["LINDEN_BASE_URL"],
        "mllp": {"host": LOOPBACK, "port": ports.mllp},
        "smtp": {"host": LOOPBACK, "port": ports.smtp},
        "mail": told["MAIL_SINK_URL"],
        "database": {
            "host": database.hostname,
            "port": database.port,
            "name": database.path.lstrip("/"),
        },
        "redis": {"host": redis.hostname, "port": redis.port},
        "pids": {"runner": os.getpid(), **supervisor.pids(), **servers.pids()},
    }
