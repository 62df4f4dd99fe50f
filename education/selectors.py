"""Reads of the library: search, and what fits one patient."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any
from uuid import UUID

from django.db import connection

from core.errors import FieldError, InvalidInput, NotFound
from education import library
from education.articles import AUDIENCES
from education.library import Entry
from education.profile import PATIENT_AUDIENCES, ReaderProfile, reader_profile
from education.words import QUERY_LIMIT, SEARCH_CONFIGURATIONS, search_words
from patients.care_frame import care_frame
from patients.viewer import Viewer

SEARCH_LIMIT = 20
_MARK_START, _MARK_END = "\x02", "\x03"

# Every word of the query ranks before some; the best section is opened. A section behind a
# choice is neither opened nor quoted.
_SEARCH = """
WITH wanted AS (SELECT {every} AS every, {some} AS some),
hits AS (
  SELECT v.id, v.title, v.summary, v.slug, v.audience, a.language, t.key AS topic,
         v.search @@ w.every AS complete, ts_rank_cd(v.search, w.some) AS rank
  FROM education_articleversion v
  JOIN education_article a ON a.id = v.article_id
  JOIN education_topic t ON t.id = a.topic_id
  CROSS JOIN wanted w
  WHERE v.state = 'published' AND a.language = %(language)s
    AND v.audience = ANY(%(audiences)s) AND v.search @@ w.some
  ORDER BY complete DESC, rank DESC, v.title
  LIMIT %(limit)s
)
SELECT h.id, h.topic, h.slug, h.title, h.summary, h.audience, h.language,
       s.anchor, s.heading,
       ts_headline(%(configuration)s::regconfig, s.text, w.some, %(options)s)
FROM hits h CROSS JOIN wanted w
LEFT JOIN LATERAL (
  SELECT s.anchor, s.heading, s.text FROM education_section s
  WHERE s.version_id = h.id AND s.sensitivity = ''
  ORDER BY s.search @@ w.every DESC, ts_rank_cd(s.search, w.some) DESC, s.position
  LIMIT 1
) s ON true
ORDER BY h.complete DESC, h.rank DESC, h.title
"""
_HEADLINE = f"StartSel={_MARK_START}, StopSel={_MARK_END}, MaxWords=18, MinWords=8, MaxFragments=2"


@dataclass(frozen=True, slots=True)
class Hit:
    """One article found. `excerpt_html` is escaped text in which only <mark> is a tag."""

    version_id: UUID
    topic: str
    slug: str
    title: str
    summary: str
    audience: str
    language: str
    anchor: str
    heading: str
    excerpt_html: str


@dataclass(frozen=True, slots=True)
class Fitting:
    """An article that fits a patient, and the recorded facts that brought it forward."""

    entry: Entry
    reasons: tuple[str, ...]


def search(
    query: str, *, language: str, audiences: Collection[str] = AUDIENCES, limit: int = SEARCH_LIMIT
) -> list[Hit]:
    """Return what is published on `query`, best first, then English articles on other topics.

    Raises: InvalidInput for an empty query or one of more than 200 characters.
    """
    if len(query) > QUERY_LIMIT:
        message = f"Send at most {QUERY_LIMIT} characters."
        raise InvalidInput(errors=(FieldError("q", "too-long", message),))
    words = search_words(query)
    if not words:
        raise InvalidInput(errors=(FieldError("q", "required", "Send a word to look for."),))
    hits = _hits(words, language, audiences, limit)
    if language != library.DEFAULT_LANGUAGE and len(hits) < limit:
        # An article that exists in her language is not offered in English as well.
        written = {topic for topic, held in library.current().entries if held == language}
        english = _hits(words, library.DEFAULT_LANGUAGE, audiences, limit)
        hits += [hit for hit in english if hit.topic not in written][: limit - len(hits)]
    return hits


def _hits(
    words: Sequence[tuple[str, ...]], language: str, audiences: Collection[str], limit: int
) -> list[Hit]:
    values: dict[str, Any] = {
        "configuration": SEARCH_CONFIGURATIONS[language],
        "language": language,
        "audiences": sorted(audiences),
        "limit": limit,
        "options": _HEADLINE,
    }
    groups = []
    for index, group in enumerate(words):
        names = [f"word_{index}_{place}" for place in range(len(group))]
        values.update(zip(names, group, strict=True))
        parts = (f"plainto_tsquery(%(configuration)s::regconfig, %({n})s)" for n in names)
        groups.append(f"({' || '.join(parts)})")
    statement = _SEARCH.format(every=" && ".join(groups), some=" || ".join(groups))
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        found = cursor.fetchall()
    return [
        Hit(
            version_id=row[0],
            topic=row[1],
            slug=row[2],
            title=row[3],
            summary=row[4],
            audience=row[5],
            language=row[6],
            anchor=row[7] or "",
            heading=row[8] or "",
            excerpt_html=_marked(row[9] or ""),
        )
        for row in found
    ]


def _marked(excerpt: str) -> str:
    marks = {_MARK_START: "<mark>", _MARK_END: "</mark>"}
    return re.sub(
        f"[{_MARK_START}{_MARK_END}]", lambda found: marks[found[0]], escape(excerpt, quote=False)
    )


def profile_of(viewer: Viewer, *, now: datetime) -> ReaderProfile:
    """Return what is recorded now about the viewer's patient. Raises: NotFound without one."""
    if viewer.patient_id is None:
        raise NotFound()
    return reader_profile(care_frame(patient_id=viewer.patient_id, now=now).facts)


def fitting(profile: ReaderProfile, *, language: str) -> list[Fitting]:
    """Return the published articles that are a patient's to read, those about her facts first.

    A page about a site comes only with a recorded site. Other pages that name a site, subtype
    or treatment she has no record of come last, never not at all: warning signs do not depend
    on what is recorded. Text about early disease, or for relatives, is not hers.
    """
    ranked = []
    for order, entry in enumerate(library.current().readable(language)):
        file = entry.file
        if file.audience not in PATIENT_AUDIENCES:
            continue
        named = {
            "site": (file.sites, profile.sites),
            "treatment": (file.treatments, profile.treatments),
            "subtype": (file.subtypes, profile.subtypes),
        }
        reasons = tuple(
            f"{kind}:{code}"
            for kind, (about, hers) in named.items()
            for code in about
            if code in hers
        )
        if file.section == "By site" and not reasons:
            continue
        about_others = any(about for about, _ in named.values()) and not reasons
        ranked.append((-len(reasons), about_others, order, Fitting(entry, reasons)))
    return [item[-1] for item in sorted(ranked, key=lambda item: item[:3])]
