"""How names are compared: a pure rule, used when results are matched to a person."""

import unicodedata

_FOLDS = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ł": "l", "þ": "th"})
_KEPT = frozenset("LNM")  # letters, digits and the vowel signs of scripts that write them so


def normalised_family_name(name: str) -> str:
    """Return `name` for comparison: no case, accents, spaces, hyphens or apostrophes.

    "O'Neill-Müller" and "ONEILL MULLER" are equal. "Müller" and "Mueller" are not: a
    spelling that might be another person goes to a human. Names in other scripts keep their
    letters; a name without any letter gives "".
    """
    folded = unicodedata.normalize("NFKD", name.casefold().translate(_FOLDS))
    return "".join(
        c for c in folded if unicodedata.category(c)[0] in _KEPT and not unicodedata.combining(c)
    )
