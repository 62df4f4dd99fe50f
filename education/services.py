"""Writes of the library: import from files, and the editors' way from draft to published.

Every service takes the library's lock, so that two imports or two editors follow each other.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from django.contrib.postgres.search import SearchVector
from django.db import connection, transaction
from django.db.models import Max, Value

from accounts.models import User
from clinical.reference_data import rows
from core.errors import DomainError, FieldError, InvalidInput
from education import library
from education.article_file import ArticleFileError, Problem, parse_article
from education.articles import ArticleFile
from education.gates import failed_gates, reading_grade
from education.models import (
    Article,
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
from education.readability import plain_text
from education.rendering import article_html, section_html
from education.upstream import (
    ContentError,
    ContentFile,
    line_of,
    read_content,
    sha256_of,
    unknown_codes,
)
from education.words import without_accents

SEARCH_CONFIGURATIONS = {"en": "english", "es": "spanish"}
_State, _Origin = ArticleVersion.State, ArticleVersion.Origin


class NotPublishable(DomainError):
    """A gate is shut; `errors` names each."""

    code = "not-publishable"
    title = "This text cannot be published yet."


class SamePerson(DomainError):
    """Who wrote a text may not be the one who publishes it."""

    code = "same-person"
    title = "Another person has to publish what you wrote."


class WrongState(DomainError):
    """The version is not in a state that allows this step."""

    code = "wrong-state"
    title = "This version is not in a state that allows this."


class EditedMeanwhile(DomainError):
    """The draft was changed after it was opened."""

    code = "edited-meanwhile"
    title = "Somebody changed this draft after you opened it."


@dataclass(slots=True)
class ImportSummary:
    """What an import did, by file name; `kept_as_draft` gives the reason of each."""

    published: list[str] = field(default_factory=list)
    kept_as_draft: dict[str, str] = field(default_factory=dict)
    unchanged: list[str] = field(default_factory=list)
    no_longer_upstream: list[str] = field(default_factory=list)


def import_content(*, directory: Path, now: datetime) -> ImportSummary:
    """Take over every article file below `directory`, all or nothing.

    An unchanged file changes nothing. A changed one becomes a new version, published at once
    when its gates are open, unless staff wrote on the article meanwhile: then it waits as a
    draft beside their text, for a person to merge. Raises: ContentError with file and line.
    """
    files = read_content(directory)
    summary = ImportSummary()
    with transaction.atomic():
        _lock_library()
        topics = _import_topics()
        _check_addresses(files)
        known = _latest_upstream_digests()
        for file in files:
            key = (file.article.topic, file.article.language)
            if known.pop(key, None) == file.sha256:
                summary.unchanged.append(file.name)
            else:
                _import_file(file, topics[file.article.topic], now, summary)
        summary.no_longer_upstream = sorted(f"{lang}/{topic}" for topic, lang in known)
        if summary.published:
            _new_edition(now)
    return summary


def draft_from(*, version: ArticleVersion, actor: User, now: datetime) -> ArticleVersion:
    """Return a new draft of `actor` with the text of `version`, to be edited."""
    with transaction.atomic():
        _lock_library()
        article = parse_article(version.source, name=version.slug)
        return _write(version.article, article, version.source, now=now, writer=actor)


def revise_draft(
    *, version: ArticleVersion, source: str, actor: User, now: datetime, opened_sha256: str
) -> ArticleVersion:
    """Give a draft a new text and return it; the writer is now `actor`.

    `opened_sha256` is the digest of the text that the editor started from.
    Raises: WrongState, EditedMeanwhile, InvalidInput with a line for each problem.
    """
    source = source.replace("\r\n", "\n")
    with transaction.atomic():
        _lock_library()
        held = _locked(version.pk)
        _require(held, _State.DRAFT)
        if held.source_sha256 != opened_sha256:
            raise EditedMeanwhile()
        article = _readable(source, held)
        for part in (Section, ArticleLink, SymptomLink, RedFlagLink, Citation):
            part.objects.filter(version=held).delete()
        held.origin, held.written_by, held.written_at = _Origin.STAFF, actor, now
        _set_columns(held, article, source)
        held.save()
        _write_parts(held, article)
    return held


def submit_for_review(*, version: ArticleVersion, now: datetime) -> None:
    """Ask another person to look at a draft. Raises: WrongState."""
    with transaction.atomic():
        held = _locked(version.pk)
        _require(held, _State.DRAFT)
        held.state, held.submitted_at = _State.IN_REVIEW, now
        held.save(update_fields=["state", "submitted_at"])


def return_to_draft(*, version: ArticleVersion) -> None:
    """Give a text in review back to its writer. Raises: WrongState."""
    with transaction.atomic():
        held = _locked(version.pk)
        _require(held, _State.IN_REVIEW)
        held.state = _State.DRAFT
        held.save(update_fields=["state"])


def discard_draft(*, version: ArticleVersion) -> None:
    """Delete a staff draft that nobody wants. Raises: WrongState for anything else.

    A draft that came from the repository stays: without it the next import would bring it again.
    """
    with transaction.atomic():
        held = _locked(version.pk)
        _require(held, _State.DRAFT)
        if held.upstream_sha256:
            raise WrongState("This draft came from the repository.")
        held.delete()


def publish(
    *, version: ArticleVersion, actor: User, now: datetime, override_reason: str = ""
) -> None:
    """Publish a version that somebody else wrote; the one before it is retired.

    A staff text has to be in review; an upstream draft may be published as it stands.
    `override_reason` opens the gates that a reason can open, and is kept.
    Raises: WrongState, SamePerson, NotPublishable.
    """
    with transaction.atomic():
        _lock_library()
        held = _locked(version.pk)
        if held.origin == _Origin.STAFF:
            _require(held, _State.IN_REVIEW)
        else:
            _require(held, _State.DRAFT, _State.IN_REVIEW)
        if held.written_by_id == actor.pk:
            raise SamePerson()
        article = parse_article(held.source, name=held.slug)
        gates = failed_gates(article, today=now.date(), override_reason=override_reason)
        if gates:
            raise NotPublishable(
                errors=tuple(FieldError("text", gate.code, gate.message) for gate in gates)
            )
        held.override_reason = override_reason.strip()
        _publish(held, publisher=actor, now=now)
        _new_edition(now)


def retire(*, version: ArticleVersion, now: datetime) -> None:
    """Take a published version out of the library; nothing takes its place. Raises: WrongState."""
    with transaction.atomic():
        _lock_library()
        held = _locked(version.pk)
        _require(held, _State.PUBLISHED)
        _retire(held, now)
        _new_edition(now)


def _lock_library() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('education.library'))")


def _new_edition(now: datetime) -> None:
    last = Edition.objects.aggregate(last=Max("number"))["last"] or 0
    Edition.objects.create(number=last + 1, made_at=now)
    transaction.on_commit(library.forget)


def _locked(version_id: UUID) -> ArticleVersion:
    return ArticleVersion.objects.select_for_update().get(pk=version_id)


def _require(version: ArticleVersion, *states: ArticleVersion.State) -> None:
    if version.state not in states:
        raise WrongState(f"This version is {version.get_state_display().lower()}.")


def _import_topics() -> dict[str, Topic]:
    known = {topic.key: topic for topic in Topic.objects.all()}
    for order, row in enumerate(rows("topic_map"), start=1):
        columns = {"title": row["title"], "section": row["section"], "order": order}
        topic = known.setdefault(row["topic_key"], Topic(key=row["topic_key"]))
        if any(getattr(topic, name) != value for name, value in columns.items()):
            for name, value in columns.items():
                setattr(topic, name, value)
            topic.save()
    return known


def _check_addresses(files: Iterable[ContentFile]) -> None:
    taken = dict(TopicAddress.objects.values_list("slug", "topic__key"))
    problems = [
        (file.name, line_of(file.text, "slug"), "slug is the address of another topic")
        for file in files
        if taken.get(file.article.slug, file.article.topic) != file.article.topic
    ]
    if problems:
        raise ContentError(problems)


def _latest_upstream_digests() -> dict[tuple[str, str], str]:
    found = (
        ArticleVersion.objects.exclude(upstream_sha256="")
        .order_by("number")
        .values_list("article__topic__key", "article__language", "upstream_sha256")
    )
    return {(topic, language): digest for topic, language, digest in found}


def _import_file(file: ContentFile, topic: Topic, now: datetime, summary: ImportSummary) -> None:
    article, _ = Article.objects.get_or_create(topic=topic, language=file.article.language)
    edited = _staff_wrote(article)
    version = _write(article, file.article, file.text.replace("\r\n", "\n"), now=now)
    gates = failed_gates(file.article, today=now.date(), override_reason="")
    if edited:
        summary.kept_as_draft[file.name] = "Staff wrote on this article: merge by hand."
    elif gates:
        summary.kept_as_draft[file.name] = " ".join(gate.message for gate in gates)
    else:
        _publish(version, publisher=None, now=now)
        summary.published.append(file.name)


def _staff_wrote(article: Article) -> bool:
    """Return whether the published text or an open draft of `article` comes from staff."""
    return ArticleVersion.objects.filter(
        article=article,
        origin=_Origin.STAFF,
        state__in=[_State.PUBLISHED, _State.DRAFT, _State.IN_REVIEW],
    ).exists()


def _readable(source: str, version: ArticleVersion) -> ArticleFile:
    try:
        article = parse_article(source, name=version.slug)
        problems: tuple[Problem, ...] = tuple(unknown_codes(source, article))
    except ArticleFileError as error:
        problems = error.problems
    else:
        where = version.article
        if (article.topic, article.language) != (where.topic.key, where.language):
            problems += (Problem(1, "topic and language of an article stay the same"),)
        owner = TopicAddress.objects.filter(slug=article.slug).exclude(topic=where.topic)
        if owner.exists():
            line = line_of(source, "slug")
            problems += (Problem(line, "slug is the address of another topic"),)
    if problems:
        raise InvalidInput(
            errors=tuple(
                FieldError("source", "invalid", f"line {p.line}: {p.message}") for p in problems
            )
        )
    return article


def _write(
    article: Article,
    content: ArticleFile,
    source: str,
    *,
    now: datetime,
    writer: User | None = None,
) -> ArticleVersion:
    last = article.versions.aggregate(last=Max("number"))["last"] or 0
    version = ArticleVersion(
        article=article,
        number=last + 1,
        origin=_Origin.STAFF if writer else _Origin.UPSTREAM,
        upstream_sha256="" if writer else sha256_of(source),
        written_by=writer,
        written_at=now,
    )
    _set_columns(version, content, source)
    version.save()
    _write_parts(version, content)
    return version


def _set_columns(version: ArticleVersion, content: ArticleFile, source: str) -> None:
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


def _search_of(content: ArticleFile) -> SearchVector:
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


def _write_parts(version: ArticleVersion, content: ArticleFile) -> None:
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


def _retire(version: ArticleVersion, now: datetime) -> None:
    version.state, version.retired_at = _State.RETIRED, now
    version.save(update_fields=["state", "retired_at"])


def _publish(version: ArticleVersion, *, publisher: User | None, now: datetime) -> None:
    article = version.article
    for current in article.versions.select_for_update().filter(state=_State.PUBLISHED):
        _retire(current, now)
    version.state, version.published_at, version.published_by = _State.PUBLISHED, now, publisher
    version.save(update_fields=["state", "published_at", "published_by", "override_reason"])
