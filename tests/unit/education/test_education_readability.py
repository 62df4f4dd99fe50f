"""The reading grade: our counter by itself, and beside textstat as an independent oracle."""

import pytest
import textstat
from hypothesis import given
from hypothesis import strategies as st

from education.readability import Readability, count_syllables, measure, plain_text

SPOKEN = {
    1: "bones heal real dose times goes does weak called eyes friend tea cream",
    2: "people table needed being liver fluid diet quiet science create doses patient special "
    "muscles changes causes treated kidneys cancer saying equal",
    3: "calcium albumin area idea sodium nausea serious usual medicine infection areas",
    4: "bilirubin emergency metastatic radiation potassium diarrhea lymphedema actually "
    "situation creatinine malignancy",
    5: "evaluation administration",
    6: "hypercalcemia",
}
HARD = (
    "Hypercalcemia is a metabolic complication of malignancy that necessitates immediate "
    "evaluation. Bisphosphonate administration follows adequate intravenous rehydration. "
)
PLAIN = [
    "Call your doctor today if your leg swells. It may be a blood clot. Do not wait for a "
    "message. Drink water when you can, and rest with your feet up on a stool. " * 4,
    "The panel shows how well your kidneys work. Some of the numbers go up when you take a new "
    "drug. Most of the time they come down again after a few weeks of treatment. " * 4,
]


@pytest.mark.parametrize(
    ("word", "expected"), [(word, n) for n, words in SPOKEN.items() for word in words.split()]
)
def test_syllables_of_a_word_are_those_we_speak(word: str, expected: int) -> None:
    assert count_syllables(word) == expected


@given(st.text(max_size=40))
def test_any_text_counts_as_at_least_one_syllable(word: str) -> None:
    assert count_syllables(word) >= 1


def test_grade_follows_the_published_formula() -> None:
    assert Readability(words=100, sentences=10, syllables=140).grade == 4.8
    assert Readability(words=0, sentences=1, syllables=0).grade == 0.0


@pytest.mark.parametrize("passage", PLAIN)
def test_grade_of_plain_prose_agrees_with_textstat_within_one_grade(passage: str) -> None:
    assert measure(passage).grade == pytest.approx(textstat.flesch_kincaid_grade(passage), abs=1.0)


def test_hard_prose_is_counted_as_by_hand_where_textstat_counts_fewer_syllables() -> None:
    assert measure(HARD).syllables == 57
    assert measure(HARD).grade > textstat.flesch_kincaid_grade(HARD) > 12


def test_marks_anchors_and_links_are_not_read_out() -> None:
    markdown = "## What is it? {#what}\nA **test** of [your liver](/liver).\n\n- One thing\n- Two"
    assert plain_text(markdown) == "What is it?\nA test of your liver.\nOne thing.\nTwo."


def test_a_decimal_number_does_not_end_a_sentence() -> None:
    assert measure("Call if it is 38.0 C or more.").sentences == 1


def test_each_list_item_is_a_sentence_of_its_own() -> None:
    assert measure("Look for:\n\n- pain at night\n- weak legs\n- numb feet").sentences == 4
