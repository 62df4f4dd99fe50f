"""The frame of the proof: resuming, time limit, skips, report, and planted bugs that fit."""

import json
import platform
import random
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bench.proof import child, frame
from bench.proof.catalog import PARTS, Part
from bench.proof.frame import Proof, holds, line_of, report, run_child
from bench.proof.mutators import MUTATORS, framing_bytes_removed
from bench.proof.parts.mutants import Outcome, read_outcome
from bench.proof.parts.reminders import zone_at_noon
from bench.proof.planting import MUTANTS, Mutant, MutantUnusable, apply_patch, mutants, read_mutant
from bench.proof.run import Absent, Evidence, Progress, Run
from bench.proof.tree import CHECKOUT, copy_source, source_digest, source_files
from tests.architecture.promises import is_collected, promises

ONE = Part("one", "the first", ("BOOK-1",), seed=7, servers=False)
TWO = Part("two", "the second", (), seed=8, servers=False)
PASSED = {"status": "passed", "summary": "good", "figures": {"n": 1}, "faults": [], "seconds": 1.0}


class Stage:
    """Stands in for the processes of parts: says what each finds, and counts who was asked."""

    def __init__(self) -> None:
        self.found = {"one": PASSED, "two": PASSED}
        self.later: dict[str, list[dict[str, Any]]] = {}
        self.asked: list[str] = []

    def run_child(self, part: Part, **_: Any) -> dict[str, Any]:
        self.asked.append(part.name)
        found = self.found[part.name]
        self.found[part.name] = (self.later.get(part.name) or [found]).pop(0)
        return dict(found)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage()
    monkeypatch.setattr(frame, "run_child", made.run_child)
    return made


def proof(folder: Path, **changes: Any) -> Proof:
    terms: dict[str, Any] = {"say": lambda words: None, "digest": lambda: "first"} | changes
    return Proof((ONE, TWO), folder, **terms)


def statuses(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["status"] for entry in entries]


def test_a_part_that_passed_is_kept_until_the_source_changes(stage: Stage, tmp_path: Path) -> None:
    assert statuses(proof(tmp_path).run()) == ["passed", "passed"]
    assert statuses(proof(tmp_path).run()) == ["passed", "passed"]
    assert stage.asked == ["one", "two"]
    proof(tmp_path, digest=lambda: "changed").run()
    assert stage.asked == ["one", "two"] * 2


def test_a_part_that_failed_is_run_again(stage: Stage, tmp_path: Path) -> None:
    stage.found["two"] = PASSED | {"status": "failed", "faults": ["one visit too many"]}
    assert statuses(proof(tmp_path).run()) == ["passed", "failed"]
    stage.found["two"] = PASSED
    assert statuses(proof(tmp_path).run()) == ["passed", "passed"]
    assert stage.asked == ["one", "two", "two"]


def test_a_part_that_needs_another_slice_gets_it_but_not_for_ever(
    stage: Stage, tmp_path: Path
) -> None:
    unfinished = PASSED | {"status": "unfinished"}
    stage.later["one"] = [PASSED]
    stage.found["one"] = unfinished
    entry, _ = proof(tmp_path).run()
    assert (entry["status"], entry["seconds"]) == ("passed", 2.0)
    stage.found["two"] = unfinished
    _, entry = proof(tmp_path, digest=lambda: "changed").run()
    assert entry["status"] == "unfinished"
    assert stage.asked.count("two") == 1 + frame.MAX_SLICES


def test_small_and_full_runs_are_told_apart(stage: Stage, tmp_path: Path) -> None:
    proof(tmp_path, quick=True).run()
    assert statuses(proof(tmp_path).run(["one"])) == ["passed", "not run"]


def test_a_part_asked_for_by_name_is_run_even_when_it_passed(stage: Stage, tmp_path: Path) -> None:
    proof(tmp_path).run()
    proof(tmp_path).run(["two"])
    proof(tmp_path, fresh=True).run()
    assert stage.asked == ["one", "two", "two", "one", "two"]


@pytest.mark.parametrize("status", ["failed", "skipped", "not run", "unfinished"])
def test_only_a_pass_of_every_part_holds(status: str) -> None:
    one = PASSED | {"source": "first"}
    assert holds([one, one])
    assert not holds([one, one | {"status": status}])
    assert not holds([one, one | {"source": "changed"}])


def test_a_part_under_which_the_source_changed_proves_nothing(stage: Stage, tmp_path: Path) -> None:
    sources = iter(["first", "first", "first", "changed"])
    one, two = proof(tmp_path, digest=lambda: next(sources)).run()
    assert (one["status"], two["status"]) == ("passed", "failed")
    assert two["faults"] == ["the source changed while this part ran"]


def test_one_line_tells_how_a_part_went() -> None:
    line = line_of({"name": "race", **PASSED, "seconds": 41.2})
    assert line == "race       passed       41 s  good"


def test_the_report_names_no_host_and_no_path(stage: Stage, tmp_path: Path) -> None:
    text = report(proof(tmp_path).run(), quick=False)
    found = json.loads(text)
    assert found["holds"] is True
    assert [part["name"] for part in found["parts"]] == ["one", "two"]
    assert {"seed", "date", "source", "figures", "faults"} <= set(found["parts"][0])
    assert found["versions"]["Python"] == platform.python_version()
    for secret in (str(CHECKOUT), str(tmp_path), sys.prefix, platform.node()):
        assert secret not in text


# --- one part in its process ----------------------------------------------------------------


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let a few lines of Python stand in for a part's process; `result` is its file."""

    def write(lines: str) -> dict[str, Any]:
        program = f"import json, pathlib, sys, time\nresult = pathlib.Path(sys.argv[2])\n{lines}\n"

        def command(part: Part, arguments: list[str]) -> list[str]:
            return [sys.executable, "-c", program, *arguments]

        monkeypatch.setattr(frame, "_command", command)
        return run_child(
            ONE,
            quick=True,
            result=tmp_path / "one.json",
            source="x",
            log=tmp_path / "one.log",
            limit=1.5,
        )

    return write


def test_what_a_part_found_comes_back(script: Any) -> None:
    assert script(f"result.write_text({json.dumps(json.dumps(PASSED))})") == PASSED


def test_a_part_that_takes_too_long_is_stopped_and_fails(script: Any) -> None:
    found = script("time.sleep(60)")
    assert (found["status"], found["faults"]) == ("failed", ["not done after 0.025 minutes"])


def test_a_part_that_dies_fails(script: Any, tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(PASSED))
    found = script("sys.exit(3)")
    assert (found["status"], found["faults"]) == ("failed", ["ended without a result, with code 3"])


def run_part(monkeypatch: pytest.MonkeyPatch, folder: Path, work: Any) -> dict[str, Any]:
    module = SimpleNamespace(prove=work)
    monkeypatch.setattr(child, "part_named", lambda name: ONE)
    monkeypatch.setattr(child, "importlib", SimpleNamespace(import_module=lambda name: module))
    return child.prove("one", quick=True, result=folder / "one.json", source="x", limit=60.0)


def test_evidence_without_a_fault_passes_and_with_one_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def work(run: Run) -> Evidence:
        evidence = Evidence(summary=f"seed {run.seed}")
        evidence.expect_equal(2, 2, "visits")
        evidence.expect(wanted, "two visits")
        return evidence

    wanted = True
    found = run_part(monkeypatch, tmp_path, work)
    assert (found["status"], found["summary"]) == ("passed", "seed 7")
    wanted = False
    found = run_part(monkeypatch, tmp_path, work)
    assert (found["status"], found["faults"]) == ("failed", ["two visits"])


def test_what_is_absent_is_a_skip_and_a_crash_names_its_place_without_values(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(run: Run) -> Evidence:
        raise Absent("no sample messages here")

    def is_late(run: Run) -> Evidence:
        run.needs(59.0)
        run.needs(61.0)
        return Evidence()

    def crashes(run: Run) -> Evidence:
        raise RuntimeError(f"in {tmp_path} of Testmann")

    assert run_part(monkeypatch, tmp_path, absent)["status"] == "skipped"
    assert run_part(monkeypatch, tmp_path, is_late)["status"] == "unfinished"
    found = run_part(monkeypatch, tmp_path, crashes)
    assert found["status"] == "failed"
    assert found["faults"][0].startswith("RuntimeError at tests/bench/test_proof.py:")
    assert "Testmann" in capsys.readouterr().err


def test_progress_lasts_as_long_as_the_source(tmp_path: Path) -> None:
    file = tmp_path / "mutants.progress"
    Progress(file, "a").put("01", True)
    assert Progress(file, "a").get("01") is True
    assert Progress(file, "b").get("01") is None


def test_every_part_is_there_and_its_promises_are_known() -> None:
    known = {promise.id for promise in promises()}
    assert len({part.name for part in PARTS}) == len(PARTS)
    for part in PARTS:
        assert (CHECKOUT / "bench" / "proof" / "parts" / f"{part.name}.py").is_file()
        assert set(part.promises) <= known


# --- seeds and sources ------------------------------------------------------------------------


def test_mutations_depend_on_the_seed_alone_and_fit_into_a_frame() -> None:
    message = b"MSH|^~\\&|LIS|LAB|P|C|2026||ORU^R01|1|P|2.5.1\rPID|1||7^^^LAB||X^Y||19700101|F\r"
    for name, mutate in MUTATORS.items():
        made = [mutate(message, random.Random(seed)) for seed in (1, 1, 2, 3, 4)]
        assert made[0] == made[1], name
        assert any(other != message for other in made), name
        payload = framing_bytes_removed(made[0])
        assert payload
        assert not set(payload) & {0x0B, 0x1C}


@pytest.mark.parametrize("hour", range(24))
def test_there_is_always_a_zone_where_it_is_noon(hour: int) -> None:
    now = datetime(2026, 11, 22, hour, 40, tzinfo=UTC)
    assert now.astimezone(ZoneInfo(zone_at_noon(now))).hour == 12


def test_the_source_is_what_counts_and_not_what_was_made_from_it(tmp_path: Path) -> None:
    def write(name: str, text: str) -> str:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        return source_digest(tmp_path)

    first = write("labs/models.py", "a = 1\n")
    assert write("var/log/web.log", "x") == first
    assert write("labs/__pycache__/models.pyc", "x") == first
    assert write("docs/proof.json", "x") == first
    assert write(".venv/bin/python", "x") == first
    assert write("labs/models.py", "a = 2\n") != first
    copy_source(tmp_path / "copy", tmp_path)
    copied = set(source_files(tmp_path / "copy"))
    assert Path("labs/models.py") in copied
    assert Path("var/log/web.log") not in copied


# --- planted bugs -----------------------------------------------------------------------------

PLANTED = mutants()


def test_bugs_are_planted() -> None:
    assert len(PLANTED) >= 16


@pytest.mark.parametrize("mutant", PLANTED, ids=lambda mutant: mutant.name)
def test_a_planted_bug_fits_the_source_and_names_promise_and_test(mutant: Mutant) -> None:
    """Else `make proof` could not plant it: mend the patch when the code around it moves."""
    if shutil.which("git") is None:
        pytest.skip("git is not on this machine")
    apply_patch(mutant, CHECKOUT, how=["--check"])
    assert mutant.promise in {promise.id for promise in promises()}
    assert all(is_collected(test) for test in mutant.tests)
    words = (MUTANTS / "README.md").read_text()
    assert f"`{mutant.name}`" in words
    assert all(test.rpartition("/")[2] in words for test in mutant.tests)


def test_a_patch_without_a_head_or_without_its_place_is_refused(tmp_path: Path) -> None:
    patch = tmp_path / "99-odd.patch"
    patch.write_text("Bug: x\n\ndiff --git a/x.py b/x.py\n")
    with pytest.raises(MutantUnusable, match="one Bug, one Promise and a Test"):
        read_mutant(patch)
    patch.write_text(
        "Bug: x\nPromise: BOOK-1\nTest: tests/x.py\n\n"
        "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a = 1\n+a = 2\n"
    )
    mutant = read_mutant(patch)
    (tmp_path / "x.py").write_text("a = 3\n")
    with pytest.raises(MutantUnusable, match="does not fit"):
        apply_patch(mutant, tmp_path)
    (tmp_path / "x.py").write_text("a = 1\n")
    apply_patch(mutant, tmp_path)
    assert (tmp_path / "x.py").read_text() == "a = 2\n"


@pytest.mark.parametrize(
    ("outcome", "green", "red"),
    [
        (Outcome(0, passed=2), True, False),
        (Outcome(0, passed=1, skipped=1), False, False),
        (Outcome(0), False, False),
        (Outcome(1, failed=1), False, True),
        (Outcome(1, broken=1), False, False),
        (Outcome(2), False, False),
        (Outcome(-1), False, False),
    ],
)
def test_red_means_that_an_assertion_failed(outcome: Outcome, green: bool, red: bool) -> None:
    assert (outcome.is_green, outcome.is_red) == (green, red)


def test_a_report_of_pytest_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "report.xml"
    assert read_outcome(4, file) == Outcome(4)
    file.write_text(
        "<testsuites><testsuite><testcase/><testcase><failure/></testcase>"
        "<testcase><error/></testcase><testcase><skipped/></testcase></testsuite></testsuites>"
    )
    assert read_outcome(1, file) == Outcome(1, passed=1, failed=1, broken=1, skipped=1)
