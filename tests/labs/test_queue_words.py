"""Every doubt in the queue says in words what is wrong, and what clears it."""

import ast
import re
from datetime import datetime
from pathlib import Path

import pytest

from core.db import identity, system
from labs.models import IntakeItem
from labs.services.judging import QUEUED_DOUBTS
from labs.services.matching import DECIDABLE
from labs.services.queueing import TROUBLES, trouble_of
from tests.cast import Cast
from tests.labs.messages import Obr, Obx, laboratory, oru, send

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "labs/hl7").glob("*.py"), *(ROOT / "labs/services").glob("*.py")])
CODE = re.compile(r"[a-z]+(-[a-z]+)+")
# Written like a reason, and never a row of the queue.
NO_REASONS = {
    # why a whole message was refused: the sender is told, nothing is queued
    *("frame-too-large", "frame-incomplete", "msh-unreadable", "not-oru", "nothing-usable"),
    *("processing-id-missing", "processing-id-not-p", "too-many-observations", "version-missing"),
    *("unsupported-version", "body-too-large"),
    # warnings about a message that was read all the same
    *("charset-mismatch", "encoding-characters-invalid", "line-without-segment"),
    "report-code-missing",
    # dispositions, fates, statuses, kinds of evidence, purposes
    *("test-area", "not-filed", "entered-in-error", "intake-item", "observation-rising"),
    *("lab-intake", "privacy-incident"),
    # refusals to staff
    *("already-approved", "already-cleared", "own-range", "not-reprocessable"),
    *("already-reviewed", "report-changed", "comment-settled", "placeholder-left"),
    *("own-template", "template-decided", "template-not-in-use", "template-written-at-once"),
    *("hold-ended", "held-by-her-request", "nothing-to-release", "not-yours", "out-of-bounds"),
    *("own-release-rule", "release-rule-approved", "release-rule-not-in-force"),
    # kinds of evidence, and why a notice was not sent
    *("release-hold", "not-wanted", "no-longer-applies"),
    *("match-already-confirmed", "match-already-proposed", "match-already-revoked"),
    *("marker-decided", "marker-not-released", "marker-unread", "profile-fact", "profile-evidence"),
    # refusals of what a patient types in, and of a baseline
    *("outside-results", "not-a-number", "out-of-range", "unit-mismatch"),
    *("match-look-alike", "match-not-decidable", "match-number-of-another", "match-own-proposal"),
}


def codes_written() -> set[str]:
    trees = [ast.parse(path.read_text()) for path in SOURCES if path.name != "queueing.py"]
    texts = [
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return {text for text in texts if CODE.fullmatch(text)}


def test_no_reason_that_the_code_writes_lacks_words() -> None:
    written = codes_written()
    assert len(written & set(TROUBLES)) > 20
    times = {code for code in written if code.startswith("time-")}
    assert written - times - set(TROUBLES) - NO_REASONS == set()


def test_no_doubt_of_a_judgement_lacks_words() -> None:
    assert {code.value for code in QUEUED_DOUBTS} <= set(TROUBLES)


def test_every_reason_says_what_clears_it_and_fits_its_columns() -> None:
    for reason in [*TROUBLES, "time-format", "never-heard-of"]:
        trouble = trouble_of(reason)
        assert 0 < len(trouble.words) <= 300, reason
        assert 0 < len(trouble.action) <= 200, reason
        assert len(reason) <= 40
        assert trouble.words.endswith("."), reason


def test_what_a_decision_settles_says_so() -> None:
    assert all("decision" in trouble_of(reason).action for reason in DECIDABLE)
    assert "overrides" in trouble_of("look-alike").action


@pytest.mark.django_db
def test_a_row_holds_the_words_and_the_segment(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    lines = [Obx("31", code="XYZ", system="L"), Obx("32", unit="furlongs", code="1920-8")]
    send(oru(Obr([*lines, Obx("33", flag="WHAT", code="1975-2")])), now)
    send(oru(Obr([Obx("31")], filler="FL2"), pid="PID|1||1^^^MAINLAB||A^B||19700101|F"), now)
    with identity(system("lab-intake")):
        rows = {row.reason: row for row in IntakeItem.objects.all()}
    assert {"unknown-code", "unknown-unit", "flag-unknown", "unknown-patient"} <= set(rows)
    for reason, row in rows.items():
        assert (row.words, row.action) == (trouble_of(reason).words, trouble_of(reason).action)
        name = b"PID" if reason == "unknown-patient" else b"OBX"
        assert bytes(row.segment).startswith(name), reason
