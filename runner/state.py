"""The state folder of one system: its lock, its log files and what it says about itself."""

import fcntl
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.errors import RunnerError
from runner.places import CHECKOUT, Account

WAIT_FOR_TIDYING_SECONDS = 40.0
LONG_LOG_BYTES = 10_000_000


def var_folder(given: Mapping[str, str] = os.environ) -> Path:
    """Return the state folder: LINDEN_VAR, else `var` of the checkout; made when missing."""
    chosen = given.get("LINDEN_VAR")
    folder = Path(chosen).expanduser() if chosen else CHECKOUT / "var"
    folder = folder.resolve()
    if not folder.exists():
        folder.mkdir(parents=True)
        # Ours to set: the servers' account passes through here.
        folder.chmod(0o755)
    (folder / "log").mkdir(exist_ok=True)
    return folder


def set_long_logs_aside(var: Path) -> None:
    """Rename log files beyond 10 MB to `….log.1`; called while nothing writes to them."""
    for log in (var / "log").glob("*.log"):
        if log.stat().st_size > LONG_LOG_BYTES:
            log.replace(log.with_name(log.name + ".1"))


def hand_over_files(var: Path, account: Account | None) -> None:
    """Give our files to the person who used sudo, so that the next start works without it."""
    if account is None or str(account.uid) != os.environ.get("SUDO_UID"):
        return
    for path in (var, *(p for p in var.iterdir() if p.name != "servers"), *(var / "log").iterdir()):
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


class SystemLock:
    """At most one running system per state folder. The kernel frees it when its holders die."""

    def __init__(self, var: Path) -> None:
        self._var = var
        self._file = (var / "lock").open("a+")

    def fileno(self) -> int:
        return self._file.fileno()

    def acquire(self) -> None:
        """Take the lock, waiting while the watchdog of a killed system tidies up.

        Raises: RunnerError when a system is running.
        """
        end = time.monotonic() + WAIT_FOR_TIDYING_SECONDS
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = self._holder()
                if (pid is not None and _is_alive(pid)) or time.monotonic() > end:
                    web = read_run_file(self._var).get("web", "see var/run.json")
                    raise RunnerError(
                        f"Linden already runs from this folder (pid {pid}): {web}"
                    ) from None
                time.sleep(0.1)
                continue
            self._file.seek(0)
            self._file.truncate()
            self._file.write(str(os.getpid()))
            self._file.flush()
            return

    def _holder(self) -> int | None:
        self._file.seek(0)
        text = self._file.read().strip()
        return int(text) if text.isdecimal() else None

    def close(self) -> None:
        self._file.close()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_private(path: Path, text: str) -> None:
    """Replace `path` by `text` in one step, readable by its owner only."""
    staging = path.with_name(path.name + ".new")
    descriptor = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    staging.replace(path)


def read_run_file(var: Path) -> dict[str, Any]:
    """Return what the running system says about itself, {} when none runs."""
    try:
        answer = json.loads((var / "run.json").read_text())
    except FileNotFoundError:
        return {}
    assert isinstance(answer, dict)
    return answer
