"""Turn what people type into words to look for. Pure Python.

Public: `search_words`, `without_accents`, `SEARCH_CONFIGURATIONS`, `QUERY_LIMIT`.
"""

import csv
import re
import unicodedata
from functools import cache
from pathlib import Path

SEARCH_CONFIGURATIONS = {"en": "english", "es": "spanish"}
"""The text search configuration of PostgreSQL for each language, always named."""
QUERY_LIMIT = 200
WORD_LIMIT = 12
_WORD = re.compile(r"\w+(?:[-.]\w+)*")


@cache
def _synonyms() -> dict[str, tuple[str, ...]]:
    text = (Path(__file__).parent / "synonyms.csv").read_text(encoding="utf-8")
    found: dict[str, tuple[str, ...]] = {}
    for row in csv.DictReader(text.splitlines()):
        found[row["said"]] = (*found.get(row["said"], ()), row["means"])
    return found


def without_accents(text: str) -> str:
    """Return `text` with accents taken off letters, as typed on a keyboard without them."""
    parts = unicodedata.normalize("NFKD", text)
    return "".join(part for part in parts if not unicodedata.combining(part))


def search_words(query: str) -> list[tuple[str, ...]]:
    """Return up to 12 words of a query, each with the words that mean the same."""
    typed = _WORD.findall(without_accents(query).lower())[:WORD_LIMIT]
    return [(word, *_synonyms().get(word, ())) for word in dict.fromkeys(typed)]
