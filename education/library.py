"""The published library in the memory of this process, so that reading costs no SQL.

Public: `current`, `forget`, `preview_of`, `Library`, `Entry`.

The copy is built from the published versions and belongs to one edition (`models.Edition`,
counted up by every publication). It is trusted for `FRESH_SECONDS`; then one statement asks
for the edition, and only a new one is loaded. So a publication shows at once in the process
that made it and within 15 seconds elsewhere. When the database does not answer, the copy at
hand is served on. Loading runs in a savepoint: its failure never breaks the transaction of
the page that wanted links.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any, TypeVar
from uuid import UUID

import structlog
from django.db import DatabaseError, transaction

from clinical.states import PortalState
from education.articles import AnalyteLink, ArticleFile, CodeLink, Source
from education.articles import Section as FileSection
from education.models import (
    ArticleLink,
    ArticleVersion,
    Citation,
    Edition,
    RedFlagLink,
    Section,
    SymptomLink,
    Topic,
    TopicAddress,
)
from education.profile import PATIENT_AUDIENCES, ReaderProfile

log = structlog.get_logger(__name__)

FRESH_SECONDS = 15.0
DEFAULT_LANGUAGE = "en"
# A laboratory may send any code: what is remembered is bounded.
_REMEMBERED_LINKS = 20_000

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """One published version as readers get it. `html` holds the HTML of each section by anchor."""

    version_id: UUID
    number: int
    file: ArticleFile
    html: dict[str, str]
    reading_grade: Decimal | None
    published_at: datetime | None

    @property
    def key(self) -> tuple[str, str]:
        return self.file.topic, self.file.language


@dataclass(frozen=True, slots=True)
class Opened:
    """An article that a code opens, and the section to open it at."""

    entry: Entry
    anchor: str
    rank: int


@dataclass(frozen=True)
class Library:
    """All published articles of one edition. Never changed after it is built."""

    edition: UUID | None
    """Id of the `Edition`; None before the first publication."""
    topics: tuple[tuple[str, str], ...]
    """(topic key, section) in the order of the topic map."""
    entries: dict[tuple[str, str], Entry]
    """By (topic key, language)."""
    addresses: dict[str, str]
    """Topic key by slug, former slugs included."""
    rendered: dict[Any, Any] = field(default_factory=dict)
    """Answers made from this edition, kept by whoever makes them."""

    def in_language(self, topic: str, language: str) -> Entry | None:
        """Return the article on `topic`, in English when it is not written in `language`."""
        return self.entries.get((topic, language)) or self.entries.get((topic, DEFAULT_LANGUAGE))

    def at(self, slug: str, language: str) -> Entry | None:
        """Return the article at an address, in `language` or else English; None when unknown."""
        topic = self.addresses.get(slug)
        return self.in_language(topic, language) if topic else None

    def readable(self, language: str) -> list[Entry]:
        """Return every topic that can be read, in order, each in `language` or else English."""
        found = (self.in_language(topic, language) for topic, _ in self.topics)
        return [entry for entry in found if entry is not None]

    def opened_by(
        self, *, loinc: str, state: str, profile: ReaderProfile, language: str
    ) -> tuple[Opened, ...]:
        """Return what a result opens for a patient, first rank first, ties by title."""
        return self._remembered(loinc, state, profile.sites, profile.treatments, language)

    @cached_property
    def _remembered(self) -> Callable[..., tuple[Opened, ...]]:
        return lru_cache(maxsize=_REMEMBERED_LINKS)(self._opened_by)

    def _opened_by(
        self,
        loinc: str,
        state: str,
        sites: frozenset[str],
        treatments: frozenset[str],
        language: str,
    ) -> tuple[Opened, ...]:
        if state not in PortalState.__members__:
            return ()
        found = []
        for entry in self.readable(language):
            if entry.file.audience not in PATIENT_AUDIENCES:
                continue
            link = entry.file.link_for(
                loinc=loinc, state=PortalState(state), sites=sites, treatments=treatments
            )
            if link is not None:
                found.append(Opened(entry, link.anchor, link.rank))
        return tuple(sorted(found, key=lambda o: (o.rank, o.entry.file.title)))

    def kept(self, key: Any, make: Callable[[], T]) -> T:
        """Return what `make` made for `key` the first time; keys must be few."""
        if key not in self.rendered:
            self.rendered[key] = make()
        made: T = self.rendered[key]
        return made


class _Holder:
    """The one copy of this process and when it was last compared with the database."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.library: Library | None = None
        self.compared_at = float("-inf")


_holder = _Holder()


def current(*, monotonic: Callable[[], float] = time.monotonic) -> Library:
    """Return the library as published, at most `FRESH_SECONDS` old. No SQL when fresh.

    Raises: django.db.DatabaseError when nothing was loaded yet and the database fails.
    """
    held = _holder.library
    if held is not None and monotonic() - _holder.compared_at < FRESH_SECONDS:
        return held
    # One thread compares; the others go on with the copy at hand.
    if not _holder.lock.acquire(blocking=held is None):
        return held  # type: ignore[return-value]
    try:
        _holder.library = _refreshed(held)
        _holder.compared_at = monotonic()
        return _holder.library
    except DatabaseError as error:
        if held is None:
            raise
        log.error("library.not_refreshed", error_type=type(error).__name__)
        _holder.compared_at = monotonic()
        return held
    finally:
        _holder.lock.release()


def forget() -> None:
    """Let the next reader of this process look for a new edition."""
    _holder.compared_at = float("-inf")


def preview_of(version: ArticleVersion) -> Entry:
    """Return any version as readers would get it, for the editors' preview."""
    return _entry(
        version,
        sections=list(version.sections.all()),
        links=list(version.links.all()),
        symptoms=list(version.symptoms.order_by("id")),
        red_flags=list(version.red_flags.order_by("id")),
        citations=list(version.citations.all()),
    )


def _refreshed(held: Library | None) -> Library:
    with transaction.atomic():
        edition = Edition.objects.order_by("-number").values_list("id", flat=True).first()
        return held if held is not None and held.edition == edition else _load(edition)


def _load(edition: UUID | None) -> Library:
    versions = list(
        ArticleVersion.objects.filter(state=ArticleVersion.State.PUBLISHED)
        .select_related("article__topic")
        .defer("source", "search", "html")
    )
    ids = [version.pk for version in versions]
    sections = _by_version(Section.objects.filter(version__in=ids).defer("search", "text"))
    links = _by_version(ArticleLink.objects.filter(version__in=ids))
    symptoms = _by_version(SymptomLink.objects.filter(version__in=ids).order_by("id"))
    red_flags = _by_version(RedFlagLink.objects.filter(version__in=ids).order_by("id"))
    citations = _by_version(Citation.objects.filter(version__in=ids))
    entries = {}
    for version in versions:
        entry = _entry(
            version,
            sections=sections[version.pk],
            links=links[version.pk],
            symptoms=symptoms[version.pk],
            red_flags=red_flags[version.pk],
            citations=citations[version.pk],
        )
        entries[entry.key] = entry
    return Library(
        edition=edition,
        topics=tuple(Topic.objects.order_by("order").values_list("key", "section")),
        entries=entries,
        addresses=dict(TopicAddress.objects.values_list("slug", "topic__key")),
    )


def _by_version(rows: Iterable[Any]) -> dict[UUID, list[Any]]:
    found: dict[UUID, list[Any]] = defaultdict(list)
    for row in rows:
        found[row.version_id].append(row)
    return found


def _entry(
    version: ArticleVersion,
    *,
    sections: Sequence[Section],
    links: Sequence[ArticleLink],
    symptoms: Sequence[SymptomLink],
    red_flags: Sequence[RedFlagLink],
    citations: Sequence[Citation],
) -> Entry:
    topic = version.article.topic
    return Entry(
        version_id=version.pk,
        number=version.number,
        html={section.anchor: section.html for section in sections},
        reading_grade=version.reading_grade,
        published_at=version.published_at,
        file=ArticleFile(
            topic=topic.key,
            title=version.title,
            slug=version.slug,
            summary=version.summary,
            section=topic.section,
            language=version.article.language,
            audience=version.audience,
            sites=tuple(version.sites),
            subtypes=tuple(version.subtypes),
            treatments=tuple(version.treatments),
            analytes=tuple(
                AnalyteLink(
                    analyte=link.analyte,
                    loinc=tuple(link.loincs),
                    states=frozenset(PortalState(state) for state in link.states),
                    rule=link.rule,  # type: ignore[arg-type]
                    rank=link.rank,
                    anchor=link.anchor,
                )
                for link in links
            ),
            symptoms=tuple(CodeLink(link.symptom, link.anchor) for link in symptoms),
            red_flags=tuple(CodeLink(link.red_flag, link.anchor) for link in red_flags),
            related=tuple(version.related),
            emergency_box=version.emergency_box,
            sources=tuple(Source(c.title, c.publisher, c.year, c.url) for c in citations),
            reviewed_by=version.reviewed_by,
            reviewed_on=version.reviewed_on,
            next_review=version.next_review,
            version=version.upstream_version,
            sections=tuple(
                FileSection(s.anchor, s.heading, s.markdown, s.sensitivity or None)
                for s in sections
            ),
            body=version.body,
        ),
    )
