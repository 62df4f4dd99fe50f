"""Stop what a runner left behind. Started as a script by `runner.processes.Watchdog`.

Standard input carries one JSON object a line: {"watch": pid, "order": n, "signal": n,
"grace": seconds}, {"forget": pid} or {"delete": folder}. At its end (the runner closed it, or
died) every watched process group is stopped in order and the folders are deleted.
"""

import json
import os
import shutil
import signal
import sys
import time

POLL_SECONDS = 0.02


def _is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return False


def _signal(pid: int, number: int) -> bool:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        # macOS answers so for a group that consists of zombies.
        return False
    return True


def _stop(pid: int, number: int, grace_seconds: float) -> None:
    if not _signal(pid, number):
        return
    end = time.monotonic() + grace_seconds
    while time.monotonic() < end and not _is_zombie(pid):
        if not _signal(pid, 0):
            return
        time.sleep(POLL_SECONDS)
    _signal(pid, signal.SIGKILL)


def main() -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    watched: dict[int, tuple[int, int, float]] = {}
    folders: list[str] = []
    for line in sys.stdin:
        try:
            message = json.loads(line)
        except ValueError:
            continue  # the runner died in the middle of a line
        if "watch" in message:
            watched[message["watch"]] = (message["order"], message["signal"], message["grace"])
        elif "forget" in message:
            watched.pop(message["forget"], None)
        else:
            folders.append(message["delete"])
    for pid, (_, number, grace_seconds) in sorted(watched.items(), key=lambda item: item[1][0]):
        _stop(pid, number, grace_seconds)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
