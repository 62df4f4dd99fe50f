"""The main story on the whole running system, started as a newcomer starts it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = Path(os.environ.get("LINDEN_SAMPLES", ROOT.parent / "shared" / "samples"))
SECONDS_TO_READY = 240

pytestmark = [
    pytest.mark.journey,
    pytest.mark.timeout(600),
    # One system serves all: xdist must not start it twice.
    pytest.mark.xdist_group("journey"),
]


def bare_environment(var: Path) -> dict[str, str]:
    """Return this environment without the servers of the test run: the system brings its own."""
    ours = ("DATABASE", "REDIS", "DJANGO", "LINDEN", "EMAIL", "MLLP", "MAIL", "COV", "PYTEST")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "LINDEN_VAR": str(var)}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The system of `make run` with its own data folder; stopped by Ctrl-C afterwards."""
    var = tmp_path_factory.mktemp("system") / "var"
    environment = bare_environment(var)
    said = var.parent / "run.log"
    with said.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "runner", "run"],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + SECONDS_TO_READY
    while not (var / "run.json").exists():
        assert process.poll() is None, said.read_text()
        assert time.monotonic() < deadline, said.read_text()
        time.sleep(0.2)
    try:
        yield environment
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=60)
    assert code == 0, said.read_text()
    assert "ready" in said.read_text()


def journey(environment: dict[str, str], *files: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "portal.journeys", *map(str, files)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_the_main_story_passes_from_outside(running: dict[str, str]) -> None:
    done = journey(running)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "The journey passed."


def test_own_message_files_show_what_became_of_each_line(
    running: dict[str, str], tmp_path: Path
) -> None:
    complete = tmp_path / "complete.hl7"
    complete.write_text(
        "MSH|^~\\&|SYS|HOUSE|PORTAL|X|20260105103000-0500||ORU^R01|C1|P|2.5.1\r"
        "PID|1||77001^^^HOUSE^MR||Beispiel^Ida||19710203|F\r"
        "OBR|1|P1|F1|24325-3^Liver panel^LN|||20260105081500-0500||||||||||||"
        "|||20260105102500-0500||CH|F\r"
        "OBX|1|NM|1742-6^ALT^LN||30|U/L|10-40||||F\r"
        "OBX|2|NM|99999-X^Nobody knows^L||30|U/L|10-40||||F\r"
    )
    incomplete = tmp_path / "incomplete.hl7"
    incomplete.write_text(complete.read_text().replace("||19710203|", "|||").replace("C1", "C2"))
    done = journey(running, complete, incomplete)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "stored  1742-6  IN_RANGE" in done.stdout
    assert "queued" in done.stdout


def test_a_wrong_thing_ends_the_journey_with_a_failure(tmp_path: Path) -> None:
    done = journey(bare_environment(tmp_path))
    assert done.returncode == 1
    assert "make run" in done.stderr


@pytest.mark.skipif(not (SAMPLES / "hl7v2").is_dir(), reason=f"no samples at {SAMPLES.name}/hl7v2")
def test_real_messages_are_registered_sent_and_explained(running: dict[str, str]) -> None:
    files = sorted((SAMPLES / "hl7v2").glob("cosyte*.hl7"))
    assert files
    done = journey(running, *files)
    assert done.returncode == 0, done.stdout + done.stderr
