"""Comments are plain text; templates have named places from a closed list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinical.patient_text import PROMISES
from labs.placeholders import (
    LONGEST,
    PLACEHOLDERS,
    TextRefused,
    checked_template,
    filled,
    plain_text,
    unfilled,
)


def test_every_placeholder_is_filled_once() -> None:
    text = " ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    assert checked_template(text) == text
    values = dict.fromkeys(PLACEHOLDERS, "x")
    assert filled(text, values) == " ".join("x" for _ in PLACEHOLDERS)


def test_what_is_filled_in_is_not_read_again() -> None:
    assert filled("{value} {unit}", {"value": "{unit}", "unit": "U/L"}) == "{unit} U/L"


def test_a_place_without_a_value_stays_and_is_named() -> None:
    half = filled("{value} of {range}", {"value": "31", "range": ""})
    assert (half, unfilled(half)) == ("31 of {range}", ["range"])


@pytest.mark.parametrize(
    "text",
    [
        "{__class__}", "{value.__init__}", "{0}", "{}", "{Value}", "{ value }", "{value", "value}",
        "{{value}}", "{value!r}", "{patient}", "", "\x00",
        *(f"Be calm: {words} you." for words in PROMISES),
        *(f"Be calm: {words.upper()} you." for words in PROMISES),
    ],
)  # fmt: skip
def test_a_template_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(TextRefused):
        checked_template(text)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a\r\nb\rc", "a\nb\nc"),
        ("  a  \n", "a"),
        ("a\x00\x1b[31mb\x7f", "a[31mb"),
        ("a\u202eb\u2066c", "abc"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    ],
)
def test_text_is_kept_as_plain_text(text: str, kept: str) -> None:
    assert plain_text(text) == kept


def test_a_text_has_a_longest_length() -> None:
    assert len(plain_text("x" * LONGEST)) == LONGEST
    with pytest.raises(TextRefused):
        plain_text("x" * (LONGEST + 1))


@given(st.text(max_size=200))
def test_any_text_is_refused_or_kept_for_good(text: str) -> None:
    try:
        kept = plain_text(text)
    except TextRefused:
        return
    assert plain_text(kept) == kept
    kept.encode()


@given(st.text(max_size=200), st.dictionaries(st.sampled_from(sorted(PLACEHOLDERS)), st.text()))
def test_filling_never_fails(text: str, values: dict[str, str]) -> None:
    filled(text, values)
