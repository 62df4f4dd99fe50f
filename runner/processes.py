"""Child processes that never outlive the runner."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from runner.places import Account

# Isolated and without site: both scripts start fast and depend on nothing.
_SCRIPT = (sys.executable, "-I", "-S")
_HERE = Path(__file__).parent


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    death_signal: signal.Signals,
    account: Account | None = None,
    output: int | IO[bytes] | None = None,
    errors: int | IO[bytes] = subprocess.STDOUT,
    own_session: bool = True,
) -> subprocess.Popen[bytes]:
    """Start a process that receives `death_signal` when the runner dies (Linux).

    With `own_session` a Ctrl-C in the terminal reaches only the runner, which stops things in
    order. `output` takes what it prints, and what it complains of unless `errors` does; None
    leaves both as they are.
    """
    drop_to = ("-", "-") if account is None else (str(account.uid), str(account.gid))
    launch = (*_SCRIPT, str(_HERE / "launch.py"), str(int(death_signal)), str(os.getpid()))
    return subprocess.Popen(
        [*launch, *drop_to, *argv],
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL if own_session else None,
        stdout=output,
        stderr=errors if output is not None else None,
        start_new_session=own_session,
    )


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal a process started with `own_session` and all its children; gone is fine."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def stop(process: subprocess.Popen[bytes], *, number: signal.Signals, grace_seconds: float) -> bool:
    """Stop a process and whatever it leaves behind; return whether it went by itself in time."""
    in_time = True
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            in_time = False
    signal_group(process, signal.SIGKILL)
    process.wait()
    return in_time


class Watchdog:
    """A second, tiny process that tidies up when the runner is killed without warning.

    It reads a pipe from the runner: told what runs, in which order to stop it, and which
    temporary folders to delete. `keep_open` is inherited, so that a lock held by the runner is
    not free before the tidying is over.
    """

    def __init__(self, *, keep_open: Sequence[int] = ()) -> None:
        self._process = subprocess.Popen(
            [*_SCRIPT, str(_HERE / "watchdog.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=tuple(keep_open),
            cwd="/",
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def _tell(self, message: Mapping[str, object]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()

    def watch(self, pid: int, *, order: int, number: signal.Signals, grace_seconds: float) -> None:
        """Stop the process group `pid` after all groups of a lower `order`."""
        self._tell({"watch": pid, "order": order, "signal": number, "grace": grace_seconds})

    def forget(self, pid: int) -> None:
        """Say that `pid` has ended: its number may belong to somebody else from now on."""
        self._tell({"forget": pid})

    def delete_at_end(self, folder: Path) -> None:
        """Delete `folder` after everything has stopped."""
        self._tell({"delete": str(folder)})

    def close(self) -> None:
        """End the watchdog; it deletes the temporary folders and stops whatever is left."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
