"""How names are compared: a pure rule, used when results are matched to a person."""

import re
import unicodedata

_NOT_LETTERS = re.compile(r"[^0-9a-z]+")
_FOLDS = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ł": "l", "þ": "th"})


def normalised_family_name(name: str) -> str:
    """Return `name` for comparison: no case, accents, spaces, hyphens or apostrophes.

    "O'Neill-Müller" and "ONEILL MULLER" are equal. "Müller" and "Mueller" are not: a
    spelling that might be another person goes to a human.
    """
    folded = unicodedata.normalize("NFKD", name.casefold().translate(_FOLDS))
    return _NOT_LETTERS.sub("", "".join(c for c in folded if not unicodedata.combining(c)))
