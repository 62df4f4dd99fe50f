"""What is recorded about a reader that decides which articles fit her. Pure Python.

Public: `ReaderProfile`, `reader_profile`, `recorded`, `PATIENT_AUDIENCES`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from education.articles import SITES, TREATMENTS

PATIENT_AUDIENCES = frozenset({"mbc", "all"})
"""Whose texts may be served to a patient as hers. Text about early disease never is."""

_HORMONE_MARKERS = ("ER", "PR")
_ALL_MARKERS = (*_HORMONE_MARKERS, "HER2")


class Fact(Protocol):
    """One current fact of a disease profile, in the words of `patients.ProfileFact`."""

    @property
    def kind(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def result(self) -> str: ...


@dataclass(frozen=True, slots=True)
class ReaderProfile:
    """Sites, treatments and subtypes that staff recorded; unknown is absent, never guessed."""

    sites: frozenset[str] = frozenset()
    treatments: frozenset[str] = frozenset()
    subtypes: frozenset[str] = frozenset()


def reader_profile(facts: Iterable[Fact]) -> ReaderProfile:
    """Return the profile that current facts make.

    Sites and treatments count when present. Triple-negative needs all three receptors tested
    and negative: "not tested" and "unknown" are not "negative".
    """
    present: dict[str, set[str]] = {"site": set(), "treatment": set()}
    markers: dict[str, str] = {}
    for fact in facts:
        if fact.kind in present and fact.result == "present":
            present[fact.kind].add(fact.code)
        elif fact.kind == "marker":
            markers[fact.code.upper()] = fact.result
    return ReaderProfile(
        sites=frozenset(present["site"]) & frozenset(SITES),
        treatments=frozenset(present["treatment"]) & frozenset(TREATMENTS),
        subtypes=_subtypes(markers),
    )


def _subtypes(markers: Mapping[str, str]) -> frozenset[str]:
    found = set()
    if any(markers.get(name) in ("positive", "low") for name in _HORMONE_MARKERS):
        found.add("hr_positive")
    if markers.get("HER2") == "positive":
        found.add("her2_positive")
    if markers.get("HER2") in ("low", "ultralow"):
        found.add("her2_low")
    if all(markers.get(name) == "negative" for name in _ALL_MARKERS):
        found.add("triple_negative")
    return frozenset(found)


def recorded(profile: Any) -> ReaderProfile:
    """Return `profile` as a ReaderProfile.

    Takes None, a mapping or an object with `sites` and `treatments` (and `subtypes`):
    features that ask for links have their own shapes and do not import this app.
    """
    if isinstance(profile, ReaderProfile):
        return profile

    def part(name: str) -> frozenset[str]:
        if isinstance(profile, Mapping):
            return frozenset(profile.get(name, ()))
        return frozenset(getattr(profile, name, ()))

    return ReaderProfile(part("sites"), part("treatments"), part("subtypes"))
