"""What recorded facts make of a reader: never a guess."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from education.articles import SITES
from education.profile import ReaderProfile, reader_profile, recorded
from patients.care_frame import RecordedFact as Fact

RESULTS = [
    *("present", "absent", "positive", "negative"),
    *("low", "ultralow", "not-tested", "unknown"),
]


def subtypes(**results: str) -> set[str]:
    facts = [Fact("marker", code, result) for code, result in results.items()]
    return set(reader_profile(facts).subtypes)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ({"ER": "positive"}, {"hr_positive"}),
        ({"PR": "positive", "ER": "negative"}, {"hr_positive"}),
        ({"ER": "low"}, {"hr_positive"}),
        ({"HER2": "positive"}, {"her2_positive"}),
        ({"HER2": "low"}, {"her2_low"}),
        ({"HER2": "ultralow"}, {"her2_low"}),
        ({"ER": "negative", "PR": "negative", "HER2": "negative"}, {"triple_negative"}),
        ({"er": "negative", "pr": "negative", "her2": "negative"}, {"triple_negative"}),
        ({"ER": "negative", "PR": "negative", "HER2": "not-tested"}, set()),
        ({"ER": "negative", "PR": "negative", "HER2": "unknown"}, set()),
        ({"ER": "negative", "PR": "negative"}, set()),
        ({"ER": "negative", "PR": "negative", "HER2": "low"}, {"her2_low"}),
        ({}, set()),
    ],
)
def test_subtypes_follow_from_tested_markers_only(
    results: dict[str, str], expected: set[str]
) -> None:
    assert subtypes(**results) == expected


@given(site=st.sampled_from(SITES), result=st.sampled_from(RESULTS))
def test_only_a_site_that_is_present_counts(site: str, result: str) -> None:
    assert reader_profile([Fact("site", site, result)]).sites == (
        frozenset({site}) if result == "present" else frozenset()
    )


def test_a_code_that_no_article_knows_is_left_out() -> None:
    facts = [Fact("site", "elsewhere", "present"), Fact("treatment", "bone-drugs", "present")]
    assert reader_profile(facts) == ReaderProfile(treatments=frozenset({"bone-drugs"}))


@pytest.mark.parametrize("profile", [None, {}, object()])
def test_no_profile_is_an_empty_one(profile: object) -> None:
    assert recorded(profile) == ReaderProfile()
