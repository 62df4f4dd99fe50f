"""Nothing is in range without a usable range: the property test at full size."""

from bench.proof.parts.mutants import run_tests
from bench.proof.run import Evidence, Run
from bench.proof.tree import CHECKOUT

_TEST = (
    "tests/unit/clinical/test_verdict.py::"
    "test_in_range_only_with_a_usable_range_that_contains_the_whole_value"
)
EXAMPLES, _QUICK = 20_000, 500
_SECONDS = 900.0


def prove(run: Run) -> Evidence:
    evidence = Evidence()
    examples = _QUICK if run.quick else EXAMPLES
    # Servers that root starts run as an ordinary account, which has to reach this folder.
    run.folder.chmod(0o755)
    outcome = run_tests(
        CHECKOUT,
        [_TEST],
        run.folder / "judging.xml",
        seconds=_SECONDS,
        environment={"LINDEN_EXAMPLES": str(examples)},
    )
    evidence.expect(outcome.is_green, f"{examples} examples: {outcome.words()}")
    evidence.figures = {"examples": examples, "counterexamples": outcome.failed}
    evidence.summary = f"{examples:,} results judged, {outcome.failed} in range without a range"
    return evidence
