"""The named places in a comment template: a closed list, filled once, as plain text."""

import re
from collections.abc import Mapping
from unicodedata import category

from clinical.patient_text import PROMISES

PLACEHOLDERS = {
    "test": "what was measured, in plain words",
    "value": "the value as the laboratory wrote it",
    "unit": "its unit",
    "range": "the range that was sent with it",
    "collected_on": "the day it was taken, in the patient's zone",
    "phone": "the clinic's day phone",
    "hours": "when that phone is answered",
    "phone_24h": "the clinic's 24-hour phone",
}
LONGEST = 2000
"""Characters of a comment."""

_PLACE = re.compile(r"\{([^{}]*)\}")


# They make a text read otherwise than it stands there.
_TURNS_THE_READING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class TextRefused(ValueError):
    """A text that is no comment or no template; the message says why, in words for staff."""


def _is_trick(character: str) -> bool:
    return category(character) in ("Cc", "Cs") or character in _TURNS_THE_READING


def plain_text(text: str) -> str:
    """Return `text` as the plain text it is kept as: no control characters, no blank ends.

    Markup is not taken out: it is text, and whoever shows it escapes it.
    Raises: TextRefused when nothing is left or it is longer than `LONGEST`.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(c for c in lines if c in "\n\t" or not _is_trick(c))
    kept = "\n".join(line.rstrip() for line in kept.split("\n")).strip()
    if not kept:
        raise TextRefused("Write something.")
    if len(kept) > LONGEST:
        raise TextRefused(f"At most {LONGEST} characters.")
    return kept


def checked_template(text: str) -> str:
    """Return a template's text as it is kept.

    Raises: TextRefused for an unknown placeholder, a stray brace, or words that promise that
    somebody watches.
    """
    kept = plain_text(text)
    unknown = sorted({name for name in _PLACE.findall(kept) if name not in PLACEHOLDERS})
    if unknown:
        raise TextRefused(f"Not a placeholder: {', '.join(unknown)[:100]}")
    if set(_PLACE.sub("", kept)) & set("{}"):
        raise TextRefused("A brace stands alone.")
    lower = kept.lower()
    promised = [words for words in PROMISES if words in lower]
    if promised:
        raise TextRefused(f"This promises that somebody watches: {promised[0]}")
    return kept


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return the text with every placeholder that `values` knows in its place.

    What is filled in is never read for placeholders again. One without a value stays, so that
    the person who sends the comment sees what is missing.
    """
    return _PLACE.sub(lambda place: values.get(place[1]) or place[0], text)


def unfilled(text: str) -> list[str]:
    """Return the placeholders that still stand in a text."""
    return sorted({name for name in _PLACE.findall(text) if name in PLACEHOLDERS})
