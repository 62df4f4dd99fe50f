"""docs/promises.tsv: every promise is listed once, and one that counts as proven has a test."""

from collections import Counter

import pytest

from bench.proof.catalog import PARTS
from tests.architecture.promises import Promise, is_collected, promises

FAMILIES = {
    "AUTHZ": 12, "AUTHN": 9, "HL7": 9, "BOOK": 5, "JOB": 7, "TIME": 3, "API": 8, "PRIV": 8,
    "REL": 5, "AUD": 7, "OPS": 5, "HARD": 10,
}  # fmt: skip
KNOWN = {f"{family}-{n}" for family, count in FAMILIES.items() for n in range(1, count + 1)}
PART_NAMES = {part.name for part in PARTS}
ISSUES = ("laboratory results", "appointments", "symptom follow-up", "access")
LATER = {f"later: {issue}" for issue in ISSUES}
BEGUN = {f"begun: {issue}" for issue in ISSUES}


def test_every_promise_is_listed_once_and_no_other() -> None:
    counts = Counter(promise.id for promise in promises())
    assert set(counts) == KNOWN
    assert [name for name, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("promise", promises(), ids=lambda promise: promise.id)
def test_a_row_claims_no_more_than_it_names(promise: Promise) -> None:
    """proven: all of it holds here. begun: the tests named hold a part, the issue the rest."""
    assert promise.words
    assert set(promise.tier.split("/")) <= {"P", "N", "R", "-"}
    assert promise.status in {"proven"} | BEGUN | LATER
    assert [test for test in promise.tests if not is_collected(test)] == []
    if promise.status == "proven" and "P" in promise.tier.split("/"):
        assert promise.tests
    if promise.status == "proven" and "N" in promise.tier.split("/"):
        assert promise.proof in PART_NAMES
    if promise.status in BEGUN:
        assert promise.tests or promise.proof in PART_NAMES
    if promise.proof:
        assert promise.proof in PART_NAMES
    if promise.status in LATER:
        assert promise.tests == ()


@pytest.mark.parametrize(
    ("node", "collected"),
    [
        ("tests/architecture/test_promises.py", True),
        ("tests/architecture/test_promises.py::test_a_node_is_read_from_the_source[x]", True),
        ("tests/architecture/test_promises.py::test_that_is_not_there", False),
        ("tests/architecture/test_promises.py::promises", False),
        ("tests/architecture/promises.py", False),
        ("tests/architecture/test_absent.py", False),
        ("tests/core/test_feed.py::TestNobody::test_nothing", False),
    ],
)
def test_a_node_is_read_from_the_source(node: str, collected: bool) -> None:
    assert is_collected(node) is collected
