"""How results are grouped on a page: liver, blood count, kidneys, bones, tumour markers, other.

Public: `Panel`, `panels()`, `panel_of(analyte_key)`, `grouped(analyte_keys)`, `OTHER`.

A group is for reading only; nothing is judged by it. Each analyte has one group, although
laboratories print some in several panels (albumin, alkaline phosphatase).

Source: data/display_panels.csv, made from the panels of LOINC named there; the order inside a
group is ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from clinical.reference_data import rows, words

OTHER = "other"


@dataclass(frozen=True, slots=True)
class Panel:
    """A group of analytes, in the order in which they are shown."""

    key: str
    title: str
    plain_what: str
    analyte_keys: tuple[str, ...]


@cache
def panels() -> tuple[Panel, ...]:
    """Return every group in the order of a page; the last one takes what no other names."""
    return tuple(
        Panel(row["panel_key"], row["title"], row["plain_what"], words(row["analyte_keys"]))
        for row in rows("display_panels")
    )


@cache
def _places() -> Mapping[str, tuple[int, int]]:
    return MappingProxyType(
        {
            analyte: (number, place)
            for number, panel in enumerate(panels())
            for place, analyte in enumerate(panel.analyte_keys)
        }
    )


def panel_of(analyte_key: str) -> str:
    """Return the key of the group of an analyte; `OTHER` for one that no group names."""
    place = _places().get(analyte_key)
    return OTHER if place is None else panels()[place[0]].key


def grouped(analyte_keys: Sequence[str]) -> list[tuple[Panel, list[int]]]:
    """Return the groups that hold any of these, with the positions of theirs in `analyte_keys`.

    Inside a group: the order of the group, then the order given. What no group names comes last.
    """
    last = len(panels()) - 1
    unnamed = (last, len(_places()))
    order = sorted(
        range(len(analyte_keys)),
        key=lambda at: (*_places().get(analyte_keys[at], unnamed), at),
    )
    found: dict[int, list[int]] = {}
    for at in order:
        found.setdefault(_places().get(analyte_keys[at], unnamed)[0], []).append(at)
    return [(panels()[number], positions) for number, positions in found.items()]
