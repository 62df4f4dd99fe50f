"""The main story, told from outside to a system that was started for it alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench.proof.run import Evidence, Run
from bench.proof.tree import CHECKOUT
from runner.processes import spawn, stop

START_SECONDS = 180.0
STORY_SECONDS = 300.0
_NOT_PASSED_ON = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE")


def _wait_until_ready(var: Path, process: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        if (var / "run.json").exists():
            return True
        time.sleep(0.2)
    return False


def prove(run: Run) -> Evidence:
    evidence = Evidence()
    var = run.folder / "var"
    environment = {k: v for k, v in os.environ.items() if k not in _NOT_PASSED_ON}
    environment["LINDEN_VAR"] = str(var)
    # Servers that root starts run as an ordinary account, which has to reach this folder.
    run.folder.chmod(0o755)
    started = time.monotonic()
    with (run.folder / "system.log").open("wb") as output:
        system = spawn(
            [sys.executable, "-m", "runner", "run"],
            env=environment,
            cwd=CHECKOUT,
            death_signal=signal.SIGTERM,
            output=output,
        )
    try:
        if not _wait_until_ready(var, system):
            print((run.folder / "system.log").read_text(errors="replace")[-3000:], flush=True)
            evidence.faults.append("the system did not get ready")
            return evidence
        ready = time.monotonic() - started
        story = subprocess.run(
            [sys.executable, "-m", "portal.journeys"],
            cwd=CHECKOUT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=STORY_SECONDS,
        )
        print(story.stdout, story.stderr, sep="\n", flush=True)
        told = time.monotonic() - started - ready
    finally:
        stopped = stop(system, number=signal.SIGTERM, grace_seconds=30.0)
    evidence.expect_equal(story.returncode, 0, "exit code of the journey")
    evidence.expect(stopped, "the system did not stop within 30 s")
    evidence.figures = {
        "ready_after_s": round(ready, 1),
        "story_s": round(told, 1),
        "lines": len(story.stdout.splitlines()),
    }
    evidence.summary = f"ready after {ready:.0f} s, the story took {told:.0f} s"
    return evidence
