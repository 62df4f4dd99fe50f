"""The rows that an article file becomes.

Public: `write_version`, `set_columns`, `write_parts`.
"""

from datetime import datetime
from decimal import Decimal

from django.contrib.postgres.search import SearchVector
from django.db.models import Max, Value
from django.db.models.expressions import Combinable

from accounts.models import User
from clinical.reference_data import rows
from education.articles import ArticleFile
from education.gates import reading_grade
from education.models import (
    Article,
    ArticleLink,
    ArticleVersion,
    Citation,
    RedFlagLink,
    Section,
    SymptomLink,
    TopicAddress,
)
from education.readability import plain_text
from education.rendering import article_html, section_html
from education.upstream import sha256_of
from education.words import SEARCH_CONFIGURATIONS, without_accents


def write_version(
    article: Article,
    content: ArticleFile,
    source: str,
    *,
    now: datetime,
    writer: User | None = None,
) -> ArticleVersion:
    """Add the next version of `article`, a draft; without a writer it comes from upstream."""
    last = article.versions.aggregate(last=Max("number"))["last"] or 0
    version = ArticleVersion(
        article=article,
        number=last + 1,
        origin=ArticleVersion.Origin.STAFF if writer else ArticleVersion.Origin.UPSTREAM,
        upstream_sha256="" if writer else sha256_of(source),
        written_by=writer,
        written_at=now,
    )
    set_columns(version, content, source)
    version.save()
    write_parts(version, content)
    return version


def set_columns(version: ArticleVersion, content: ArticleFile, source: str) -> None:
    """Set every column that is read from the text; the caller saves."""
    TopicAddress.objects.get_or_create(slug=content.slug, topic=version.article.topic)
    grade = reading_grade(content)
    version.source, version.source_sha256 = source, sha256_of(source)
    version.upstream_version = content.version
    version.title, version.slug, version.summary = content.title, content.slug, content.summary
    version.body = content.body
    version.html = article_html(s for s in content.sections if s.sensitivity is None)
    version.audience = content.audience
    version.sites, version.subtypes = list(content.sites), list(content.subtypes)
    version.treatments, version.related = list(content.treatments), list(content.related)
    version.emergency_box = content.emergency_box
    version.reading_grade = None if grade is None else Decimal(str(grade))
    version.reviewed_by, version.reviewed_on = content.reviewed_by, content.reviewed_on
    version.next_review = content.next_review
    version.search = _search_of(content)


def _search_of(content: ArticleFile) -> Combinable:
    headings = " ".join(section.heading for section in content.sections)
    text = " ".join(plain_text(section.markdown) for section in content.sections)
    return (
        _vector(content.language, content.title, "A")
        + _vector(content.language, _test_names(content), "B")
        + _vector(content.language, f"{content.summary} {headings}", "B")
        + _vector(content.language, text, "D")
    )


def _test_names(content: ArticleFile) -> str:
    own = {link.analyte for link in content.analytes if link.rule == "own"}
    codes = {code for link in content.analytes if link.rule == "own" for code in link.loinc}
    names = [
        f"{row['short_name']} {row['plain_name']}"
        for row in rows("analytes")
        if row["analyte_key"] in own
    ]
    return " ".join([*names, *sorted(codes)])


def _vector(language: str, text: str, weight: str) -> SearchVector:
    return SearchVector(
        Value(without_accents(text)), config=SEARCH_CONFIGURATIONS[language], weight=weight
    )


def write_parts(version: ArticleVersion, content: ArticleFile) -> None:
    """Add sections, links and citations of a version that has none."""
    language = content.language
    sections, links = [], []
    for position, section in enumerate(content.sections):
        text = plain_text(section.markdown)
        sections.append(
            Section(
                version=version,
                position=position,
                anchor=section.anchor,
                heading=section.heading,
                markdown=section.markdown,
                html=section_html(section.markdown),
                text=text,
                sensitivity=section.sensitivity or "",
                search=_vector(language, section.heading, "A") + _vector(language, text, "D"),
            )
        )
    for position, link in enumerate(content.analytes):
        links.append(
            ArticleLink(
                version=version,
                position=position,
                analyte=link.analyte,
                loincs=list(link.loinc),
                states=sorted(link.states),
                rule=link.rule,
                rank=link.rank,
                anchor=link.anchor,
            )
        )
    Section.objects.bulk_create(sections)
    ArticleLink.objects.bulk_create(links)
    SymptomLink.objects.bulk_create(
        SymptomLink(version=version, symptom=s.key, anchor=s.anchor) for s in content.symptoms
    )
    RedFlagLink.objects.bulk_create(
        RedFlagLink(version=version, red_flag=r.key, anchor=r.anchor) for r in content.red_flags
    )
    Citation.objects.bulk_create(
        Citation(
            version=version,
            position=position,
            title=source.title,
            publisher=source.publisher,
            year=source.year,
            url=source.url,
        )
        for position, source in enumerate(content.sources)
    )
