"""Which version of a result counts: the order guard, as a pure rule.

Source: HL7 intake rules: OBR-22, then MSH-7; an older or equal-time P after F never replaces F;
F after C with an older time never wins.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

_RANK: Final = {
    "I": 0,
    "P": 1,
    "R": 1,
    "S": 1,
    "F": 2,
    "B": 2,
    "U": 2,
    "V": 2,
    "X": 3,
    "C": 3,
    "A": 3,
    "D": 4,
    "W": 4,
}
_FINAL_RANK: Final = 2
WITHDRAWN: Final = frozenset("DW")


class Standing(StrEnum):
    """What becomes of an arriving version."""

    NEW = "new"
    REPLACES = "replaces"
    UNCHANGED = "unchanged"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """What decides the order: OBX-11, the time of the change, and the content."""

    status: str
    ordering_at: datetime | None
    content_hash: str


def standing(arriving: VersionFacts, stored: list[VersionFacts], current: int) -> Standing:
    """Return what `arriving` is to the `stored` versions, of which `current` counts now.

    Content that is stored already with the same time is unchanged. A final result is never
    replaced by an unfinished one. Otherwise the later time wins; at the same time, or where a
    time is missing, the status that says more does, and between equals the later arrival.
    """
    if not stored:
        return Standing.NEW
    counting = stored[current]
    if arriving.content_hash == counting.content_hash:
        return Standing.UNCHANGED
    if _outranks(arriving, counting):
        return Standing.REPLACES
    known = {(entry.content_hash, entry.ordering_at) for entry in stored}
    if (arriving.content_hash, arriving.ordering_at) in known:
        return Standing.UNCHANGED
    return Standing.STALE


def _outranks(arriving: VersionFacts, counting: VersionFacts) -> bool:
    rank, other = _RANK.get(arriving.status, 0), _RANK.get(counting.status, 0)
    if rank < _FINAL_RANK <= other:
        return False
    if (
        arriving.ordering_at is not None
        and counting.ordering_at is not None
        and arriving.ordering_at != counting.ordering_at
    ):
        if other < _FINAL_RANK <= rank:
            return True
        return arriving.ordering_at > counting.ordering_at
    return rank >= other
