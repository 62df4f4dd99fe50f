"""Coded elements and the choice of the LOINC code. Source: HL7 v2.5.1 CE/CWE; LOINC check digit
(Users' Guide: modulus 10, weights 2 and 1 from the right)."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from labs.hl7.message import DELETE, Segment

LOINC_SYSTEMS: Final = frozenset(
    {"LN", "LOINC", "LNC", "HTTP://LOINC.ORG", "2.16.840.1.113883.6.1"}
)
_LOINC_SHAPE: Final = re.compile(r"([1-9]\d{0,6})-(\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class CodedElement:
    """Both triplets of a CE or CWE, and CWE.9, escapes resolved. Falsy when nothing was sent."""

    code: str = ""
    text: str = ""
    system: str = ""
    alt_code: str = ""
    alt_text: str = ""
    alt_system: str = ""
    original_text: str = ""

    def __bool__(self) -> bool:
        return any((self.code, self.text, self.alt_code, self.alt_text, self.original_text))

    @classmethod
    def read(cls, segment: Segment, number: int, *, nested: int = 0) -> "CodedElement":
        """Read the first repetition. `nested` reads the subcomponents of that component (SPS)."""
        reps = segment.repetitions(number)
        if not reps or reps[0] == DELETE:
            return cls()
        marks = segment.marks
        parts = reps[0].split(marks.component)
        if nested:
            parts = "".join(parts[nested - 1 : nested]).split(marks.subcomponent)
        parts = [marks.unescape(part) for part in parts[:9]] + [""] * (9 - len(parts))
        return cls(*parts[:6], *parts[8:])


@dataclass(frozen=True, slots=True)
class LoincChoice:
    """A LOINC code, the triplet it stood in, and why it is believed to be one."""

    code: str
    text: str
    place: str
    basis: str


@lru_cache(maxsize=4096)
def is_loinc(code: str) -> bool:
    """Return whether `code` has the LOINC shape and a right check digit."""
    match = _LOINC_SHAPE.fullmatch(code)
    if match is None:
        return False
    total = 0
    for place, digit in enumerate(reversed(match[1])):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled // 10 + doubled % 10
    return (10 - total % 10) % 10 == int(match[2])


def choose_loinc(code: CodedElement) -> LoincChoice | None:
    """Return the LOINC of either triplet, or None.

    A triplet whose system says LOINC and whose check digit is right wins, the primary one
    first. Failing that, a code of LOINC shape and right check digit is believed where no coding
    system contradicts it: the system is empty, or is prose (contains a space) rather than a
    name of HL7 table 0396. Two different stated LOINC codes are no choice at all.
    """
    stated = [entry for entry in _triplets(code) if _says_loinc(entry[2]) and is_loinc(entry[0])]
    if len({entry[0] for entry in stated}) > 1:
        return None
    if stated:
        return LoincChoice(stated[0][0], stated[0][1], stated[0][3], "stated")
    for value, text, system, place in _triplets(code):
        if is_loinc(value) and (not system.strip() or " " in system.strip()):
            return LoincChoice(value, text, place, "shape")
    return None


def loinc_faults(code: CodedElement) -> tuple[str, ...]:
    """Return `loinc-conflict` and `loinc-check-digit` where the triplets deserve them."""
    stated = [entry[0] for entry in _triplets(code) if _says_loinc(entry[2])]
    right = {value for value in stated if is_loinc(value)}
    wrong = [value for value in stated if _LOINC_SHAPE.fullmatch(value) and value not in right]
    faults = ("loinc-conflict",) if len(right) > 1 else ()
    return (*faults, "loinc-check-digit") if wrong else faults


def _says_loinc(system: str) -> bool:
    return system.strip().upper() in LOINC_SYSTEMS


def _triplets(code: CodedElement) -> tuple[tuple[str, str, str, str], ...]:
    return (
        (code.code.strip(), code.text, code.system, "primary"),
        (code.alt_code.strip(), code.alt_text, code.alt_system, "alternate"),
    )
