"""The linter of discreet messages: it refuses words that tell what a person has.

Words come from `data/telling_words.csv`, and from the names of the analytes and symptoms the
portal knows. Every language's words are refused in every language.
"""

import csv
import re
import unicodedata
from functools import cache
from importlib.resources import files

from clinical import reference_data
from clinical.analytes import analytes


def _folded(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def _listed() -> set[str]:
    text = files("notifications").joinpath("data/telling_words.csv").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return {row["word"] for row in csv.DictReader(lines)}


def _known_to_the_portal() -> set[str]:
    names = {name for a in analytes() for name in (a.short_name, a.plain_name)}
    return names | {row["plain_label"] for row in reference_data.rows("symptoms")}


def _pattern(word: str) -> str:
    letters = re.escape(_folded(word.rstrip("*")))
    return letters + (r"\w*" if word.endswith("*") else "")


@cache
def _telling() -> re.Pattern[str]:
    words = sorted(_listed() | _known_to_the_portal(), key=len, reverse=True)
    return re.compile(r"(?<!\w)(?:" + "|".join(map(_pattern, words)) + r")(?!\w)")


def telling_words(text: str) -> list[str]:
    """Return the words of `text` that give something away, in order; empty when it is discreet."""
    return _telling().findall(_folded(text))
