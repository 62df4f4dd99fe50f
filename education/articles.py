"""What an article is: its vocabulary, its sections, and what opens it.

Public: `ArticleFile`, `AnalyteLink`, `CodeLink`, `Source`, `Section`, `LINKABLE_STATES`, and the
closed lists that the front matter draws from. Pure Python; `article_file` reads the files.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Literal

from clinical.states import PortalState
from education.readability import Readability, measure

SECTIONS = (
    "Basics",
    "By site",
    "Complications",
    "Tests",
    "Biomarkers",
    "Treatment",
    "Living well",
    "Planning",
    "Risk and prevention",
    "Portal",
)
LANGUAGES = ("en", "es")
AUDIENCES = ("mbc", "early", "relatives", "all")
SITES = ("bone", "brain", "liver", "lung", "other")
SUBTYPES = ("hr_positive", "her2_positive", "her2_low", "triple_negative")
TREATMENTS = (
    "hormone-therapy",
    "cdk46",
    "targeted-therapy",
    "immunotherapy",
    "chemotherapy",
    "radiation",
    "surgery",
    "bone-drugs",
    "clinical-trials",
)
SENSITIVITIES = ("prognosis",)
RULES = ("own", "site", "complication", "treatment")
CALL_ANCHOR = "call"
ANY_ANALYTE = "*"
SUMMARY_LIMIT = 160
SECTIONS_NEEDING_EMERGENCY_BOX = ("By site", "Complications")
PROMISES_OF_A_WATCHER = (
    "your team has",
    "is looking",
    "will contact",
    "is watching",
    "we will call",
    "will call you",
    "get back to you",
)
"""Words that no article may use: nobody is known to read a result or an answer in time."""

LINKABLE_STATES = frozenset(PortalState) - {PortalState.HELD, PortalState.RETRACTED}
"""States of a result that a patient can see; `any` in a file means these."""
HIGH_STATES = frozenset(
    {
        PortalState.HIGH,
        PortalState.HIGH_SIGNIFICANT,
        PortalState.CRITICAL_HIGH,
        PortalState.OFF_SCALE_HIGH,
    }
)
LOW_STATES = frozenset(
    {
        PortalState.LOW,
        PortalState.LOW_SIGNIFICANT,
        PortalState.CRITICAL_LOW,
        PortalState.OFF_SCALE_LOW,
    }
)


@dataclass(frozen=True, slots=True)
class AnalyteLink:
    """When a laboratory result opens this article, and at which section."""

    analyte: str
    loinc: tuple[str, ...]
    states: frozenset[PortalState]
    rule: Literal["own", "site", "complication", "treatment"]
    rank: int
    anchor: str

    def covers(self, *, loinc: str, state: PortalState) -> bool:
        """Return whether a result with this code and state is meant."""
        known_code = self.analyte == ANY_ANALYTE or loinc in self.loinc
        return known_code and state in self.states


@dataclass(frozen=True, slots=True)
class CodeLink:
    """A symptom key or red-flag key that opens this article at a section."""

    key: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Source:
    """Where the facts of an article come from; year and url None where unknown."""

    title: str
    publisher: str
    year: int | None
    url: str | None


@dataclass(frozen=True, slots=True)
class Section:
    """One question and its answer; `sensitivity` None means shown without asking."""

    anchor: str
    heading: str
    markdown: str
    sensitivity: str | None


@dataclass(frozen=True)
class ArticleFile:
    """One version of one article in one language, as its file says."""

    topic: str
    title: str
    slug: str
    summary: str
    section: str
    language: str
    audience: str
    sites: tuple[str, ...]
    subtypes: tuple[str, ...]
    treatments: tuple[str, ...]
    analytes: tuple[AnalyteLink, ...]
    symptoms: tuple[CodeLink, ...]
    red_flags: tuple[CodeLink, ...]
    related: tuple[str, ...]
    emergency_box: bool
    sources: tuple[Source, ...]
    reviewed_by: str
    reviewed_on: date | None
    next_review: date
    version: int
    sections: tuple[Section, ...]
    body: str

    @cached_property
    def readability(self) -> Readability:
        """Return the reading figures of the whole body, headings included."""
        return measure(self.body)

    def link_for(
        self,
        *,
        loinc: str,
        state: PortalState,
        sites: Collection[str] = (),
        treatments: Collection[str] = (),
    ) -> AnalyteLink | None:
        """Return the first entry that a result opens for a person, None when it opens nothing.

        `sites` and `treatments` are those that staff recorded for her. A site is never inferred
        from a result: an entry with rule `site` needs one of the article's sites among hers.
        """
        for link in self.analytes:
            if not link.covers(loinc=loinc, state=state):
                continue
            if link.rule == "site" and not set(self.sites) & set(sites):
                continue
            if link.rule == "treatment" and not set(self.treatments) & set(treatments):
                continue
            return link
        return None
