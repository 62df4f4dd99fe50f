"""Writes of the library: import from files, and the editors' way from draft to published.

Every service takes the library's lock, so that two imports or two editors follow each other.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Max

from accounts.models import User
from clinical.reference_data import rows
from core import audit
from core.areas import Area
from core.errors import DomainError, FieldError, InvalidInput
from core.models import AuditEvent
from education import library
from education.article_file import ArticleFileError, Problem, parse_article
from education.articles import ArticleFile
from education.gates import failed_gates
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
from education.upstream import (
    ContentError,
    ContentFile,
    line_of,
    read_content,
    unknown_codes,
)
from education.version_rows import set_columns, write_parts, write_version

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
        draft = write_version(version.article, article, version.source, now=now, writer=actor)
        _record("draft", draft, now, AuditEvent.Action.CREATE)
    return draft


def readable_text(*, source: str, version: ArticleVersion) -> ArticleFile:
    """Return what a text for `version` says.

    Raises: InvalidInput with a line for each problem.
    """
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
        article = readable_text(source=source, version=held)
        for part in (Section, ArticleLink, SymptomLink, RedFlagLink, Citation):
            part.objects.filter(version=held).delete()
        held.origin, held.written_by, held.written_at = _Origin.STAFF, actor, now
        set_columns(held, article, source)
        held.save()
        write_parts(held, article)
        _record("revise", held, now)
    return held


def submit_for_review(*, version: ArticleVersion, now: datetime) -> None:
    """Ask another person to look at a draft. Raises: WrongState."""
    with transaction.atomic():
        held = _locked(version.pk)
        _require(held, _State.DRAFT)
        held.state, held.submitted_at = _State.IN_REVIEW, now
        held.save(update_fields=["state", "submitted_at"])
        _record("submit", held, now)


def return_to_draft(*, version: ArticleVersion, now: datetime) -> None:
    """Give a text in review back to its writer. Raises: WrongState."""
    with transaction.atomic():
        held = _locked(version.pk)
        _require(held, _State.IN_REVIEW)
        held.state = _State.DRAFT
        held.save(update_fields=["state"])
        _record("return", held, now)


def discard_draft(*, version: ArticleVersion, now: datetime) -> None:
    """Delete a staff draft that nobody wants. Raises: WrongState for anything else.

    A draft that came from the repository stays: without it the next import would bring it again.
    """
    with transaction.atomic():
        held = _locked(version.pk)
        _require(held, _State.DRAFT)
        if held.upstream_sha256:
            raise WrongState("This draft came from the repository.")
        _record("discard", held, now, AuditEvent.Action.DELETE)
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
                " ".join(gate.message for gate in gates),
                errors=tuple(FieldError("text", gate.code, gate.message) for gate in gates),
            )
        held.override_reason = override_reason.strip()
        _publish(held, publisher=actor, now=now)
        _new_edition(now)
        _record("publish", held, now)


def retire(*, version: ArticleVersion, now: datetime) -> None:
    """Take a published version out of the library; nothing takes its place. Raises: WrongState."""
    with transaction.atomic():
        _lock_library()
        held = _locked(version.pk)
        _require(held, _State.PUBLISHED)
        _retire(held, now)
        _new_edition(now)
        _record("retire", held, now)


def _lock_library() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('education.library'))")


def _new_edition(now: datetime) -> None:
    last = Edition.objects.aggregate(last=Max("number"))["last"] or 0
    Edition.objects.create(number=last + 1, made_at=now)
    transaction.on_commit(library.forget)


def _record(
    step: str,
    version: ArticleVersion,
    now: datetime,
    action: AuditEvent.Action = AuditEvent.Action.UPDATE,
) -> None:
    audit.record(
        action=action,
        operation=f"education.{step}",
        now=now,
        area=Area.EDUCATION,
        resource="ArticleVersion",
        resource_ids=[version.pk],
    )


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
    version = write_version(article, file.article, file.text.replace("\r\n", "\n"), now=now)
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


def _retire(version: ArticleVersion, now: datetime) -> None:
    version.state, version.retired_at = _State.RETIRED, now
    version.save(update_fields=["state", "retired_at"])


def _publish(version: ArticleVersion, *, publisher: User | None, now: datetime) -> None:
    article = version.article
    for current in article.versions.select_for_update().filter(state=_State.PUBLISHED):
        _retire(current, now)
    version.state, version.published_at, version.published_by = _State.PUBLISHED, now, publisher
    version.save(update_fields=["state", "published_at", "published_by", "override_reason"])
