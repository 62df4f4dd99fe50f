"""Which kind of report it is, and the words for it."""

import pytest

from clinical.report_kinds import (
    LABORATORY_CATEGORIES,
    NARRATIVE_CATEGORIES,
    ReportKind,
    kind_of,
    what_it_is,
)
from education.readability import measure


@pytest.mark.parametrize(
    ("category", "loinc", "kind"),
    [
        ("CH", "24323-8", ReportKind.LABORATORY),
        ("", "24323-8", ReportKind.LABORATORY),
        ("", "", ReportKind.LABORATORY),
        ("SP", "", ReportKind.PATHOLOGY),
        ("CP", "", ReportKind.PATHOLOGY),
        ("", "11529-5", ReportKind.PATHOLOGY),
        ("LAB", "11529-5", ReportKind.PATHOLOGY),
        ("RAD", "", ReportKind.IMAGING),
        ("LP29684-5", "", ReportKind.IMAGING),
        ("LAB", "18744-3", ReportKind.PROCEDURE),
        ("PHY", "", ReportKind.OTHER),
        ("ZZ", "24323-8", ReportKind.OTHER),
    ],
)
def test_the_document_says_more_than_the_section(
    category: str, loinc: str, kind: ReportKind
) -> None:
    assert kind_of(category, loinc) is kind


def test_no_section_is_both() -> None:
    assert not LABORATORY_CATEGORIES & NARRATIVE_CATEGORIES


@pytest.mark.parametrize("kind", list(ReportKind))
def test_the_words_are_plain_and_judge_nothing(kind: ReportKind) -> None:
    text = what_it_is(kind)
    assert measure(text).grade <= 7
    for word in ("normal", "fine", "good", "bad", "cancer", "will call", "is looking"):
        assert word not in text.lower()
