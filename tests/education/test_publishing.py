"""From draft to published: who, through which gates, and what never changes again."""

from datetime import datetime, timedelta

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from accounts.models import User
from core.errors import InvalidInput
from education import services
from education.models import ArticleVersion, Edition, Section
from tests.education.conftest import Folder
from tests.education.texts import BODY, article

pytestmark = pytest.mark.django_db

HARD = "Your doctor looks at several different reports together before the next visit. " * 4


@pytest.fixture
def editor(db: None) -> User:
    return User.objects.create_user("editor@staff.example", is_staff=True)


@pytest.fixture
def colleague(db: None) -> User:
    return User.objects.create_user("colleague@staff.example", is_staff=True)


@pytest.fixture
def published(folder: Folder, now: datetime) -> ArticleVersion:
    services.import_content(directory=folder(en_brain_mets=article()), now=now)
    return ArticleVersion.objects.get()


@pytest.fixture
def draft(published: ArticleVersion, editor: User, now: datetime) -> ArticleVersion:
    return services.draft_from(version=published, actor=editor, now=now)


def in_review(draft: ArticleVersion, text: str, editor: User, now: datetime) -> ArticleVersion:
    services.revise_draft(
        version=draft, source=text, actor=editor, now=now, opened_sha256=draft.source_sha256
    )
    services.submit_for_review(version=draft, now=now)
    return draft


def test_a_second_person_publishes_and_the_old_version_is_kept(
    published: ArticleVersion,
    draft: ArticleVersion,
    editor: User,
    colleague: User,
    now: datetime,
) -> None:
    later = now + timedelta(hours=1)
    in_review(draft, article(BODY.replace("short test", "new")), editor, now)
    services.publish(version=draft, actor=colleague, now=later)
    published.refresh_from_db()
    draft.refresh_from_db()
    assert (published.state, published.retired_at) == ("retired", later)
    assert (draft.state, draft.published_by, draft.published_at) == ("published", colleague, later)
    assert "short test" in published.body
    assert Edition.objects.count() == 2


def test_the_writer_may_not_publish(draft: ArticleVersion, editor: User, now: datetime) -> None:
    in_review(draft, article(), editor, now)
    with pytest.raises(services.SamePerson):
        services.publish(version=draft, actor=editor, now=now)


def test_the_database_refuses_a_writer_who_publishes(
    draft: ArticleVersion, editor: User, now: datetime
) -> None:
    with pytest.raises(IntegrityError, match="version_two_people"), transaction.atomic():
        ArticleVersion.objects.filter(pk=draft.pk).update(
            state="published", published_at=now, published_by=editor
        )


def test_a_draft_of_staff_is_not_published_without_review(
    draft: ArticleVersion, colleague: User, now: datetime
) -> None:
    with pytest.raises(services.WrongState):
        services.publish(version=draft, actor=colleague, now=now)


@pytest.mark.parametrize(
    ("repeats", "reason", "codes"),
    [
        (0, "", []),
        (2, "", ["reading-hard"]),
        (2, "Names of tests cannot be shorter.", []),
        (12, "Names of tests cannot be shorter.", ["reading-too-hard"]),
    ],
)
def test_the_reading_gate(
    draft: ArticleVersion,
    editor: User,
    colleague: User,
    now: datetime,
    repeats: int,
    reason: str,
    codes: list[str],
) -> None:
    in_review(draft, article(BODY + HARD * repeats), editor, now)
    if codes:
        with pytest.raises(services.NotPublishable) as refused:
            services.publish(version=draft, actor=colleague, now=now, override_reason=reason)
        assert [error.code for error in refused.value.errors] == codes
    else:
        services.publish(version=draft, actor=colleague, now=now, override_reason=reason)
        draft.refresh_from_db()
        assert (draft.state, draft.override_reason) == ("published", reason)


def test_an_overdue_review_cannot_be_overridden(
    draft: ArticleVersion, editor: User, colleague: User, now: datetime
) -> None:
    in_review(draft, article(next_review="2026-11-21"), editor, now)
    with pytest.raises(services.NotPublishable, match="review was due"):
        services.publish(version=draft, actor=colleague, now=now, override_reason="Soon.")


def test_a_language_without_a_measure_needs_a_reason(
    folder: Folder, colleague: User, now: datetime
) -> None:
    text = article(language="es")
    done = services.import_content(directory=folder(es_brain_mets=text), now=now)
    assert "no reading measure" in done.kept_as_draft["es/brain-mets.md"]
    version = ArticleVersion.objects.get()
    assert version.reading_grade is None
    services.publish(version=version, actor=colleague, now=now, override_reason="Read by two.")
    version.refresh_from_db()
    assert version.state == "published"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (article(sources="[]"), "line 18"),
        (article(emergency_box="false"), "line 17"),
        (article(BODY + "<img src=x onerror=alert(1)>\n"), "line 32"),
        (article(topic="biopsy", section="Tests"), "stay the same"),
        ("nothing", "line 1"),
    ],
)
def test_a_broken_text_is_refused_with_its_line_and_the_draft_stays(
    draft: ArticleVersion, editor: User, now: datetime, text: str, line: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        services.revise_draft(
            version=draft, source=text, actor=editor, now=now, opened_sha256=draft.source_sha256
        )
    assert any(line in error.message for error in refused.value.errors)
    assert ArticleVersion.objects.get(pk=draft.pk).source == article()
    assert Section.objects.filter(version=draft).count() == 3


def test_two_editors_do_not_overwrite_each_other(
    draft: ArticleVersion, editor: User, colleague: User, now: datetime
) -> None:
    opened = draft.source_sha256
    first = article(BODY.replace("short", "first"))
    services.revise_draft(version=draft, source=first, actor=editor, now=now, opened_sha256=opened)
    with pytest.raises(services.EditedMeanwhile):
        services.revise_draft(
            version=draft, source=article(), actor=colleague, now=now, opened_sha256=opened
        )
    assert ArticleVersion.objects.get(pk=draft.pk).source == first


def test_an_unwanted_draft_of_staff_is_discarded_and_one_from_upstream_is_not(
    draft: ArticleVersion, folder: Folder, now: datetime
) -> None:
    upstream = article(BODY.replace("short", "newer"))
    services.import_content(directory=folder(en_brain_mets=upstream), now=now)
    with pytest.raises(services.WrongState):
        services.discard_draft(version=ArticleVersion.objects.get(number=3), now=now)
    services.discard_draft(version=draft, now=now)
    assert list(ArticleVersion.objects.order_by("number").values_list("number", flat=True)) == [
        1,
        3,
    ]


def test_a_retired_article_is_out_of_the_library(published: ArticleVersion, now: datetime) -> None:
    services.retire(version=published, now=now)
    assert not ArticleVersion.objects.filter(state="published").exists()
    with pytest.raises(services.WrongState):
        services.retire(version=published, now=now)


CHANGES = [
    "UPDATE education_articleversion SET title = 'x'",
    "UPDATE education_articleversion SET state = 'draft', published_at = NULL",
    "UPDATE education_articleversion SET state = 'retired', retired_at = now(), summary = 'x'",
    "UPDATE education_articleversion SET search = NULL",
    "UPDATE education_section SET html = 'x'",
    "UPDATE education_articlelink SET rank = 9",
    "UPDATE education_symptomlink SET anchor = 'what'",
    "UPDATE education_citation SET title = 'x'",
    "DELETE FROM education_section",
    "DELETE FROM education_articlelink",
    "DELETE FROM education_citation",
    "INSERT INTO education_symptomlink (id, version_id, symptom, anchor) "
    "SELECT gen_random_uuid(), id, 'cough', 'call' FROM education_articleversion",
    "UPDATE education_topicaddress SET slug = 'x'",
    "DELETE FROM education_edition",
]


@pytest.mark.parametrize("statement", CHANGES)
@pytest.mark.parametrize("state", ["published", "retired"])
def test_the_run_time_role_cannot_change_what_was_published(
    published: ArticleVersion, run_time_role: None, now: datetime, statement: str, state: str
) -> None:
    if state == "retired":
        services.retire(version=published, now=now)
    with (
        pytest.raises(DatabaseError, match=r"does not change|permission denied"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def test_a_version_with_its_parts_cannot_be_deleted_when_published(
    published: ArticleVersion,
) -> None:
    with pytest.raises(DatabaseError, match="does not change"), transaction.atomic():
        published.delete()


def test_a_part_cannot_move_into_a_published_version(
    published: ArticleVersion, draft: ArticleVersion
) -> None:
    with pytest.raises(DatabaseError, match="does not change"), transaction.atomic():
        Section.objects.filter(version=draft, anchor="what").update(
            version=published, position=9, anchor="smuggled"
        )


def test_one_version_of_an_article_is_published(
    published: ArticleVersion, draft: ArticleVersion, colleague: User, now: datetime
) -> None:
    with pytest.raises(IntegrityError, match="version_published_once"), transaction.atomic():
        ArticleVersion.objects.filter(pk=draft.pk).update(
            state="published", published_at=now, published_by=colleague
        )


COLUMNS: list[tuple[str, dict[str, object]]] = [
    ("version_published_at", {"published_at": "now"}),
    ("version_retired_at", {"retired_at": "now"}),
    ("version_submitted_at", {"state": "in_review"}),
    ("version_reviewer_and_day", {"reviewed_by": "Somebody"}),
    ("version_staff_writer", {"written_by": None}),
]


@pytest.mark.parametrize(("constraint", "columns"), COLUMNS)
def test_half_a_fact_is_refused(
    draft: ArticleVersion, now: datetime, constraint: str, columns: dict[str, object]
) -> None:
    values = {name: now if value == "now" else value for name, value in columns.items()}
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        ArticleVersion.objects.filter(pk=draft.pk).update(**values)


def test_a_link_must_point_to_a_section_of_its_version(draft: ArticleVersion) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(IntegrityError, match="points_to_a_section"), transaction.atomic():
        draft.links.update(anchor="nowhere")
