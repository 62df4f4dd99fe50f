"""Every planted bug has to turn its test red; without it the test is green."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from bench.proof.planting import Mutant, MutantUnusable, apply_patch, mutants
from bench.proof.run import Absent, Evidence, Run
from bench.proof.tree import CHECKOUT, copy_source

ONE_RUN_SECONDS = 240.0
_QUICK = 3
_NOT_PASSED_ON = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "LINDEN_VAR")


@dataclass(frozen=True)
class Outcome:
    """What one run of pytest found, in tests. A run that broke has `code` other than 0 and 1."""

    code: int
    passed: int = 0
    failed: int = 0
    broken: int = 0
    skipped: int = 0

    @property
    def is_green(self) -> bool:
        return self.code == 0 and self.passed > 0 and self.skipped == 0

    @property
    def is_red(self) -> bool:
        """Whether a test failed by what it asserts; one that could not run proves nothing."""
        return self.code == 1 and self.failed > 0

    def words(self) -> str:
        return (
            f"code {self.code}: {self.passed} passed, {self.failed} failed, "
            f"{self.broken} broken, {self.skipped} skipped"
        )


def read_outcome(code: int, report: Path) -> Outcome:
    """Return what pytest's JUnit report says; it is absent when pytest could not begin."""
    if not report.exists():
        return Outcome(code)
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))

    def having(tag: str) -> int:
        return sum(case.find(tag) is not None for case in cases)

    failed, broken, skipped = having("failure"), having("error"), having("skipped")
    return Outcome(code, len(cases) - failed - broken - skipped, failed, broken, skipped)


def run_tests(
    tree: Path,
    tests: Sequence[str],
    report: Path,
    *,
    seconds: float = ONE_RUN_SECONDS,
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Run some tests of the project in `tree` with servers of their own."""
    inherited = {k: v for k, v in os.environ.items() if k not in _NOT_PASSED_ON}
    environment = {**inherited, **(environment or {})}
    environment["DJANGO_SETTINGS_MODULE"] = "portal.settings.test"
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    samples = CHECKOUT.parent / "shared" / "samples"
    environment.setdefault("LINDEN_SAMPLES", str(samples))
    report.unlink(missing_ok=True)
    options = ["-q", "-p", "no:randomly", "-p", "no:cacheprovider", f"--junitxml={report}"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "runner", "test", "--", *options, *tests],
            cwd=tree,
            env=environment,
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return Outcome(-1)
    return read_outcome(done.returncode, report)


def _copy(run: Run, name: str) -> Path:
    tree = run.folder / name
    copy_source(tree)
    # Servers that root starts run as an ordinary account, which has to reach this folder.
    run.folder.chmod(0o755)
    return tree


def _without(run: Run, planted: Sequence[Mutant], evidence: Evidence) -> Outcome:
    """Run every mapped test on the source as it is."""
    tests = sorted({test for mutant in planted for test in mutant.tests})
    kept = run.progress.get("without")
    if kept is not None and kept["tests"] == tests:
        return Outcome(**kept["outcome"])
    tree = _copy(run, "without")
    outcome = run_tests(tree, tests, run.folder / "without.xml")
    shutil.rmtree(tree)
    evidence.expect(outcome.is_green, f"without any planted bug: {outcome.words()}")
    if outcome.is_green:
        run.progress.put("without", {"tests": tests, "outcome": vars(outcome)})
    return outcome


def _plant(run: Run, mutant: Mutant, evidence: Evidence) -> bool:
    """Say whether the mapped test noticed the planted bug."""
    if run.progress.get(mutant.name):
        return True
    run.needs(ONE_RUN_SECONDS)
    tree = _copy(run, mutant.name)
    try:
        apply_patch(mutant, tree)
    except MutantUnusable as error:
        evidence.faults.append(str(error))
        return False
    outcome = run_tests(tree, mutant.tests, run.folder / f"{mutant.name}.xml")
    shutil.rmtree(tree)
    if outcome.is_red:
        run.progress.put(mutant.name, True)
        return True
    evidence.faults.append(f"{mutant.name} survived: {outcome.words()}")
    return False


def prove(run: Run) -> Evidence:
    if shutil.which("git") is None:
        raise Absent("git applies the planted bugs and is not on this machine")
    evidence = Evidence()
    planted = mutants()
    if run.quick:
        planted = run.chance("choice").sample(planted, min(_QUICK, len(planted)))
    outcome = _without(run, planted, evidence)
    caught = {}
    for mutant in planted:
        caught[mutant.name] = _plant(run, mutant, evidence)
        run.say(f"{mutant.name}: {'caught' if caught[mutant.name] else 'NOT CAUGHT'}")
    evidence.figures = {
        "planted": len(planted),
        "caught": sum(caught.values()),
        "tests_green_without": outcome.passed,
        "mutants": caught,
    }
    evidence.summary = (
        f"{len(planted)} bugs planted, {sum(caught.values())} caught; "
        f"{outcome.passed} tests green without them"
    )
    return evidence
