"""One embedded PostgreSQL server on a loopback port."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from runner.errors import RunnerError
from runner.places import Account, PostgresPrograms, as_account
from runner.ports import LOOPBACK, any_free_port, is_free
from runner.processes import spawn, stop

ADMIN = "postgres"
START_TRIES = 5
START_SECONDS = 60.0  # recovery after a kill may have to replay a lot
POLL_SECONDS = 0.01

# Nothing that a statement carries may reach the log: it could be patient data.
_QUIET_LOG = {
    "log_statement": "none",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
LASTING: Mapping[str, str] = {
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "max_connections": "100",
}
THROWAWAY: Mapping[str, str] = {
    "shared_buffers": "128MB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "random_page_cost": "1.1",
    "jit": "off",
    "max_connections": "100",
}


def _bare_environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _is_postgres(pid: int) -> bool:
    """Whether `pid` is a PostgreSQL server: a number in a stale file may belong to anyone."""
    if sys.platform == "linux":
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
        except OSError:
            return False
        return os.path.basename(command) == b"postgres"
    answer = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return "postgres" in answer.stdout


class PostgresServer:
    """A PostgreSQL server whose data lies in `folder/postgres`."""

    name = "postgres"
    stop_signal = signal.SIGINT

    def __init__(
        self,
        *,
        folder: Path,
        programs: PostgresPrograms,
        account: Account | None,
        password: str,
        settings: Mapping[str, str],
        log: Path,
    ) -> None:
        self.data = folder / "postgres"
        self._folder = folder
        self._programs = programs
        self._account = account
        self._password = password
        self._settings = settings
        self.log = log
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def admin_url(self) -> str:
        return f"postgresql://{ADMIN}:{self._password}@{LOOPBACK}:{self.port}/postgres"

    def start(self) -> None:
        """Create the cluster when there is none, start the server and wait until it answers.

        Raises: RunnerError with the end of the server's log.
        """
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        self._check_version()
        self._end_leftover()
        for attempt in range(START_TRIES):
            if self.port == 0 or not is_free(self.port):
                self.port = any_free_port()
            if self._launch():
                return
            # After a kill, children of the old server may still be on their way out.
            time.sleep(0.2 * attempt)
        raise RunnerError(f"PostgreSQL did not start. Its log ends:\n{self._log_tail()}")

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the server; `immediate` when the data is about to be deleted."""
        if self.process is None:
            return
        number = signal.SIGQUIT if immediate else self.stop_signal
        stop(self.process, number=number, grace_seconds=30.0)
        self.process = None

    def _initialise(self) -> None:
        # Made beside the final place, so that an interrupted first start leaves no half cluster.
        staging = self._folder / "postgres.new"
        password_file = self._folder / "password.new"
        if self._programs.major >= 17:
            locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        else:
            locale = ["--locale=C.UTF-8"]
        self._as_account(["/bin/rm", "-rf", str(staging)])
        password_file.write_text(self._password)
        try:
            password_file.chmod(0o600)
            if self._account is not None:
                os.chown(password_file, self._account.uid, self._account.gid)
            finished = self._as_account(
                [
                    str(self._programs.bin / "initdb"),
                    f"--pgdata={staging}",
                    f"--username={ADMIN}",
                    f"--pwfile={password_file}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--no-instructions",
                    # A half-made cluster is thrown away; the server syncs what it writes.
                    *(["--no-sync"] if self._settings.get("fsync") == "off" else []),
                    *locale,
                ]
            )
        finally:
            password_file.unlink()
        if finished.returncode != 0:
            raise RunnerError(f"initdb failed:\n{finished.stdout.decode(errors='replace')}")
        staging.rename(self.data)

    def _as_account(self, argv: list[str]) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            argv,
            cwd="/",
            env=_bare_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            umask=0o077,
            **as_account(self._account),
        )

    def _check_version(self) -> None:
        kept = int((self.data / "PG_VERSION").read_text().strip())
        if kept != self._programs.major:
            raise RunnerError(
                f"The data in {self.data} was written by PostgreSQL {kept}; "
                f"the one at hand is {self._programs.major}."
            )

    def _end_leftover(self) -> None:
        """Wait for a server of a killed runner that still uses our data."""
        pid_file = self.data / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().splitlines()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return
        end = time.monotonic() + 30.0
        number = signal.SIGINT
        while _is_postgres(pid) and pid_file.exists():
            if time.monotonic() > end:
                raise RunnerError(f"A PostgreSQL server (pid {pid}) keeps {self.data} and stays.")
            os.kill(pid, number)
            time.sleep(0.1)

    def _launch(self) -> bool:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "password_encryption": "scram-sha-256",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "logging_collector": "off",
            **_QUIET_LOG,
            **self._settings,
        }
        argv = [str(self._programs.bin / "postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            process = spawn(
                argv,
                env=_bare_environment(),
                cwd=Path("/"),
                death_signal=self.stop_signal,
                account=self._account,
                output=log,
            )
        end = time.monotonic() + START_SECONDS
        while process.poll() is None:
            if self._is_ready(process.pid):
                self.process = process
                return True
            if time.monotonic() > end:
                stop(process, number=signal.SIGQUIT, grace_seconds=5.0)
                raise RunnerError(f"PostgreSQL is not ready. Its log ends:\n{self._log_tail()}")
            time.sleep(POLL_SECONDS)
        return False

    def _is_ready(self, pid: int) -> bool:
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"

    def _log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
