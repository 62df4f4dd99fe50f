"""One embedded Valkey server on a loopback port."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from runner.errors import RunnerError
from runner.places import Account
from runner.ports import LOOPBACK, any_free_port, is_free
from runner.processes import spawn, stop

START_TRIES = 5
START_SECONDS = 30.0
POLL_SECONDS = 0.01


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _request(*words: bytes) -> bytes:
    parts = (b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    return b"*%d\r\n" % len(words) + b"".join(parts)


class ValkeyServer:
    """A Valkey server whose data lies in `folder/valkey`; `lasting` keeps an append-only file."""

    name = "valkey"
    stop_signal = signal.SIGTERM

    def __init__(
        self,
        *,
        folder: Path,
        program: Path,
        account: Account | None,
        password: str,
        lasting: bool,
        log: Path,
    ) -> None:
        self.data = folder / "valkey"
        self._program = program
        self._account = account
        self._password = password
        self._lasting = lasting
        self.log = log
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@{LOOPBACK}:{self.port}/0"

    def start(self) -> None:
        """Start the server and wait until it has loaded its data and answers.

        Raises: RunnerError with the end of the server's log.
        """
        self.data.mkdir(mode=0o700, exist_ok=True)
        if self._account is not None:
            os.chown(self.data, self._account.uid, self._account.gid)
        self._end_leftover()
        for attempt in range(START_TRIES):
            if self.port == 0 or not is_free(self.port):
                self.port = any_free_port()
            if self._launch():
                return
            # After a kill, children of the old server may still be on their way out.
            time.sleep(0.2 * attempt)
        raise RunnerError(f"Valkey did not start. Its log ends:\n{self._log_tail()}")

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the server; `immediate` when the data is about to be deleted."""
        if self.process is None:
            return
        stop(
            self.process,
            number=signal.SIGKILL if immediate else self.stop_signal,
            grace_seconds=15.0,
        )
        self.process = None

    def _write_configuration(self) -> Path:
        # In a file, not in the arguments: everybody can read those.
        path = self.data / "valkey.conf"
        lines = [
            f"bind {LOOPBACK}",
            f"port {self.port}",
            f"requirepass {_quoted(self._password)}",
            f"dir {_quoted(str(self.data))}",
            f"appendonly {'yes' if self._lasting else 'no'}",
            "appendfsync everysec",
            "aof-load-truncated yes",
            'save ""',
            "maxmemory-policy noeviction",
            "daemonize no",
            "loglevel warning",
        ]
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("\n".join(lines) + "\n")
        if self._account is not None:
            os.chown(path, self._account.uid, self._account.gid)
        return path

    def _end_leftover(self) -> None:
        """Stop a server of a killed runner that still uses our data.

        Its last configuration names its port, and only it accepts our password.
        """
        path = self.data / "valkey.conf"
        if not path.exists():
            return
        kept = dict(line.split(" ", 1) for line in path.read_text().splitlines())
        end = time.monotonic() + 15.0
        while self._answer(int(kept["port"]), b"SHUTDOWN") is not None:
            if time.monotonic() > end:
                raise RunnerError(f"A Valkey server keeps {self.data} and does not stop.")
            time.sleep(0.1)

    def _launch(self) -> bool:
        configuration = self._write_configuration()
        with self.log.open("ab") as log:
            process = spawn(
                [str(self._program), str(configuration)],
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
                cwd=self.data,
                death_signal=self.stop_signal,
                account=self._account,
                output=log,
            )
        end = time.monotonic() + START_SECONDS
        while process.poll() is None:
            if self._answer(self.port, b"PING") == b"+PONG":
                self.process = process
                return True
            if time.monotonic() > end:
                stop(process, number=signal.SIGTERM, grace_seconds=2.0)
                raise RunnerError(f"Valkey did not answer. Its log ends:\n{self._log_tail()}")
            time.sleep(POLL_SECONDS)
        return False

    def _log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def _answer(self, port: int, command: bytes) -> bytes | None:
        """Return the answer to `command`, None when no server of ours is there."""
        request = _request(b"AUTH", self._password.encode()) + _request(command)
        try:
            with socket.create_connection((LOOPBACK, port), timeout=1.0) as connection:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                received = b""
                while part := connection.recv(4096):
                    received += part
        except OSError:
            return None
        lines = received.split(b"\r\n")
        if lines[0] != b"+OK":
            return None
        return lines[1]
