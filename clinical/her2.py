"""HER2 by immune stain and by in situ hybridisation, alone and together.

Source: ASCO/CAP 2018 and its 2023 affirmation (Wolff et al., J Clin Oncol 36:2105 and 41:3867):
IHC 3+ positive, 2+ equivocal and decided by hybridisation, 0 and 1+ negative. HER2-low is 1+, or
2+ without amplification (DESTINY-Breast04); ultralow is 0 with membrane staining
(DESTINY-Breast06).
"""

import re
from typing import Final

from clinical.markers import Finding, Found, Kind, Marker, Reading, Unread, of_words

_IHC: Final = {
    "0": (Reading.ZERO, "IHC 0"),
    "1+": (Reading.LOW, "IHC 1+"),
    "2+": (Reading.EQUIVOCAL, "IHC 2+"),
    "3+": (Reading.POSITIVE, "IHC 3+"),
}
_STATED: Final = {
    "positive": Reading.POSITIVE,
    "negative": Reading.NEGATIVE,
    "equivocal": Reading.EQUIVOCAL,
    "indeterminate": Reading.EQUIVOCAL,
    "low": Reading.LOW,
    "her2-low": Reading.LOW,
    "her2 low": Reading.LOW,
    "ultralow": Reading.ULTRALOW,
    "her2-ultralow": Reading.ULTRALOW,
}
_FITS: Final = {
    Reading.POSITIVE: {"3+"},
    Reading.NEGATIVE: {"0", "1+"},
    Reading.EQUIVOCAL: {"2+"},
    Reading.LOW: {"1+"},
    Reading.ULTRALOW: {"0"},
}
ISH_WORDS: Final = {
    "amplified": Reading.POSITIVE,
    "positive": Reading.POSITIVE,
    "detected": Reading.POSITIVE,
    "present": Reading.POSITIVE,
    "not amplified": Reading.NEGATIVE,
    "non-amplified": Reading.NEGATIVE,
    "nonamplified": Reading.NEGATIVE,
    "negative": Reading.NEGATIVE,
    "not detected": Reading.NEGATIVE,
    "absent": Reading.NEGATIVE,
    "equivocal": Reading.EQUIVOCAL,
    "indeterminate": Reading.EQUIVOCAL,
}
_SCORE: Final = re.compile(r"(?:her2 )?(?:ihc )?(?:score:? ?)?([0-3]) ?(\+?)")
_STAINED: Final = re.compile(
    r"(?:her2 )?(?:ihc )?(?:score:? ?)?0,? (?:\(?with (?:faint |incomplete |any )*membrane staining"
    r"(?: in <= ?10 ?% of (?:tumou?r )?cells)?\)?)"
)


def read_ihc(said: str, *, scored: bool) -> Found:
    """Return what an immune stain says. `scored`: the test is the stain, so that "2" is 2+."""
    if _STAINED.fullmatch(said):
        return Found(Reading.ULTRALOW, "IHC 0 with membrane staining")
    match = re.fullmatch(r"([a-z0-9 -]*?[a-z]) ?\(? ?(?:ihc )?(?:score )?([0-3]\+?)\)?", said)
    if match is not None and match[1] in _STATED:
        score = _score(match[2])
        if score not in _FITS[_STATED[match[1]]]:
            return Found(Unread.CONTRADICTION)
        reading, detail = _IHC[score]
        ultralow = _STATED[match[1]] is Reading.ULTRALOW
        return Found(Reading.ULTRALOW if ultralow else reading, detail)
    only = _SCORE.fullmatch(said)
    # A bare digit is a score only where the test is the stain itself.
    if only is not None and (scored or only[2] or "ihc" in said):
        score = _score(only[1] + only[2])
        return Found(*_IHC[score]) if score in _IHC else Found(Unread.UNKNOWN_TEXT)
    return of_words(said, _STATED)


def _score(text: str) -> str:
    return text if text.endswith("+") or text == "0" else f"{text}+"


def her2_of(ihc: Finding, ish: Finding) -> Finding:
    """Return what IHC and in situ hybridisation of one specimen say together.

    2+ is decided by hybridisation; a clear stain stands by itself unless they disagree.
    """
    detail = "; ".join(filter(None, (ihc.detail, f"ISH {ish.detail}" if ish.detail else "")))
    text = f"{ihc.source_text}; {ish.source_text}"

    def made(what: Reading | Unread) -> Finding:
        reading = what if isinstance(what, Reading) else None
        unread = what if isinstance(what, Unread) else None
        return Finding(Marker.HER2, Kind.HER2_ISH, text, reading, unread, detail)

    if ihc.reading is None or ish.reading is None:
        return made(ihc.unread or ish.unread or Unread.MISSING)
    if ihc.reading is Reading.EQUIVOCAL:
        if ish.reading is Reading.NEGATIVE:
            return made(Reading.LOW if ihc.detail == "IHC 2+" else Reading.NEGATIVE)
        return made(ish.reading)
    if ish.reading is Reading.EQUIVOCAL:
        return made(Reading.EQUIVOCAL)
    amplified = ish.reading is Reading.POSITIVE
    if amplified is not (ihc.reading is Reading.POSITIVE):
        return made(Unread.CONTRADICTION)
    return made(ihc.reading)
