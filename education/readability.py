"""Score how hard an English text is to read.

Pure Python, so that publishing can grade an article without any extra package. The syllable
rule is a heuristic; tests hold the grade close to textstat, which is a development dependency.
"""

import re
from dataclasses import dataclass

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?", re.IGNORECASE)
_VOWELS = re.compile(r"[aeiouy]+")
# Neighbouring vowels that are spoken apart, as in medial, serious, diet, fluid, area, being.
_HIATUS = re.compile(
    r"(?<![ct])ia|(?<![tscgx])io|iu|(?<!t)ie(?=t|nc)|(?<=l)ui(?=d)"
    r"|(?<=[rdsh])ea(?=s?\b)|(?<=cr)ea(?=t)|eo(?!p)|[aeoy]ing|(?<!q)ua(?=l|t)"
)
_SILENT_ED = re.compile(r"(?<![td])ed$")
_SILENT_ES = re.compile(r"(?<!ch|sh)(?<![sxzcgl])es$")
_SILENT_E = re.compile(r"(?<![aeiouy])(?<!l)e$|(?<=[aeiouy])le$")


@dataclass(frozen=True)
class Readability:
    """Flesch-Kincaid figures of one text; grade is a US school grade."""

    words: int
    sentences: int
    syllables: int

    @property
    def grade(self) -> float:
        """Return the Flesch-Kincaid grade, rounded to one decimal.

        Source: 0.39 x words/sentence + 11.8 x syllables/word - 15.59 (Kincaid 1975).
        """
        if not self.words:
            return 0.0
        value = 0.39 * self.words / self.sentences + 11.8 * self.syllables / self.words - 15.59
        return round(value, 1)


def count_syllables(word: str) -> int:
    """Return the estimated number of spoken syllables of one English word, at least 1."""
    spoken = re.sub(r"[^a-z]", "", word.lower())
    if len(spoken) <= 3:
        return max(1, len(_VOWELS.findall(spoken)))
    count = len(_VOWELS.findall(spoken)) + len(_HIATUS.findall(spoken))
    for silent in (_SILENT_ED, _SILENT_ES, _SILENT_E):
        if silent.search(spoken):
            count -= 1
            break
    return max(1, count)


def plain_text(markdown: str) -> str:
    """Return the words of an article as sentences: marks, links and anchors removed.

    A heading or list item without a full stop is a sentence of its own.
    """
    blocks = []
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )|(?<=\})\n", markdown):
        text = re.sub(r"\{#[a-z0-9-]+\}", "", block)
        text = re.sub(r"^\s*(?:#+|[-*>]|\d+\.)\s+", "", text)
        text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
        text = " ".join(re.sub(r"[*_`]", "", text).split()).rstrip(":")
        if not text:
            continue
        # "38.0" and "..." are not ends of sentences.
        text = re.sub(r"(?<=\d)\.(?=\d)", "", text).replace(" ...", "")
        blocks.append(text if re.search(r'[.!?]"?$', text) else f"{text}.")
    return "\n".join(blocks)


def measure(markdown: str) -> Readability:
    """Return the readability of a Markdown text of at least some sentences."""
    text = plain_text(markdown)
    words = _WORD.findall(text)
    sentences = [part for part in re.split(r"[.!?]+", text) if _WORD.search(part)]
    return Readability(
        words=len(words),
        sentences=max(1, len(sentences)),
        syllables=sum(count_syllables(word) for word in words),
    )
