"""Import: idempotent, all or nothing, and never over what staff wrote."""

from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from education.models import Article, ArticleVersion, Edition, Section, Topic
from education.services import ImportSummary, import_content, revise_draft
from education.services import draft_from as draft_of
from education.upstream import ContentError
from tests.education.conftest import CONTENT, Folder
from tests.education.texts import BODY, article, plain

pytestmark = pytest.mark.django_db


def versions() -> list[tuple[str, int, str, str]]:
    rows = ArticleVersion.objects.order_by("slug", "number")
    return list(rows.values_list("slug", "number", "state", "origin"))


def test_every_shipped_article_is_published(imported: ImportSummary) -> None:
    files = list(CONTENT.glob("*/*.md"))
    assert len(imported.published) == len(files) >= 18
    assert imported.kept_as_draft == {}
    assert Topic.objects.count() == 65
    assert ArticleVersion.objects.filter(state="published").count() == len(files)


def test_shipped_articles_claim_no_reviewer(imported: ImportSummary) -> None:
    assert not ArticleVersion.objects.exclude(reviewed_by="", reviewed_on=None).exists()


def test_importing_twice_changes_nothing(now: datetime) -> None:
    first = import_content(directory=CONTENT, now=now)
    before = (versions(), Edition.objects.count(), Section.objects.count())
    with CaptureQueriesContext(
        connection,
    ) as captured:
        again = import_content(directory=CONTENT, now=now + timedelta(days=1))
    written = [q["sql"] for q in captured if q["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
    assert written == []
    assert len(again.unchanged) == len(first.published)
    assert (versions(), Edition.objects.count(), Section.objects.count()) == before


def test_a_changed_file_is_published_as_a_new_version(folder: Folder, now: datetime) -> None:
    import_content(directory=folder(en_brain_mets=article()), now=now)
    changed = article(BODY.replace("short test", "changed test"))
    done = import_content(directory=folder(en_brain_mets=changed), now=now + timedelta(days=1))
    assert done.published == ["en/brain-mets.md"]
    assert versions() == [
        ("brain-mets", 1, "retired", "upstream"),
        ("brain-mets", 2, "published", "upstream"),
    ]
    assert "changed test" in Section.objects.get(version__number=2, anchor="what").html


def test_line_ends_alone_are_no_change(folder: Folder, now: datetime) -> None:
    directory = folder(en_brain_mets=article())
    import_content(directory=directory, now=now)
    path = directory / "en" / "brain-mets.md"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert import_content(directory=directory, now=now).unchanged == ["en/brain-mets.md"]


def test_one_broken_file_stops_all_and_is_named_with_its_line(
    folder: Folder, now: datetime
) -> None:
    directory = folder(
        en_brain_mets=article(),
        en_biopsy=plain("biopsy", "Tests", audience="everybody"),
    )
    with pytest.raises(ContentError) as refused:
        import_content(directory=directory, now=now)
    (name, line, message) = refused.value.problems[0]
    assert (name, line) == ("en/biopsy.md", 8)
    assert "audience must be one of" in message
    assert Topic.objects.count() == Article.objects.count() == Edition.objects.count() == 0


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("no front matter", 1, "front matter"),
        ("---\ntopic: [\n---\n", 3, "YAML"),
        (article(topic="nobody-knows"), 2, "not in the topic map"),
        (article(section="Tests"), 6, "By site in the topic map"),
        (article(slug="another"), 4, "the file's name"),
        (article(language="es"), 7, "the folder"),
        (article(symptoms="[{symptom: glowing, anchor: call}]"), 13, "glowing is unknown"),
        (article(related="[nowhere]"), 15, "nowhere is unknown"),
        (article(BODY + "<script>alert(1)</script>\n"), 32, "raw HTML"),
    ],
)
def test_each_fault_is_reported_with_its_line(
    folder: Folder, now: datetime, text: str, line: int, words: str
) -> None:
    with pytest.raises(ContentError) as refused:
        import_content(directory=folder(en_brain_mets=text), now=now)
    assert any(p[1] == line and words in p[2] for p in refused.value.problems)


def test_a_file_that_is_not_utf8_is_named_with_its_line(folder: Folder, now: datetime) -> None:
    directory = folder(en_brain_mets=article())
    path = directory / "en" / "brain-mets.md"
    path.write_bytes(path.read_bytes() + b"\xff\n")
    with pytest.raises(ContentError) as refused:
        import_content(directory=directory, now=now)
    assert refused.value.problems[0][2] == "is not UTF-8"
    assert refused.value.problems[0][1] > 30


def test_two_files_may_not_share_a_topic(folder: Folder, now: datetime) -> None:
    directory = folder(en_brain_mets=article(), en_second=article(slug="second"))
    with pytest.raises(ContentError, match="topic is already written in en/brain-mets"):
        import_content(directory=directory, now=now)


def test_the_address_of_a_topic_is_never_given_to_another(folder: Folder, now: datetime) -> None:
    directory = folder(en_brain_mets=article())
    import_content(directory=directory, now=now)
    (directory / "en" / "brain-mets.md").write_text(plain("biopsy", "Tests", slug="brain-mets"))
    with pytest.raises(ContentError, match="address of another topic"):
        import_content(directory=directory, now=now)
    assert versions() == [("brain-mets", 1, "published", "upstream")]


@pytest.mark.parametrize(
    ("front", "state"),
    [
        ({"next_review": "2026-11-21"}, "draft"),
        ({"next_review": "2026-11-22"}, "published"),
    ],
)
def test_an_overdue_review_keeps_the_text_a_draft(
    folder: Folder, now: datetime, front: dict[str, str], state: str
) -> None:
    done = import_content(directory=folder(en_brain_mets=article(**front)), now=now)
    assert versions() == [("brain-mets", 1, state, "upstream")]
    assert ("review was due" in done.kept_as_draft.get("en/brain-mets.md", "")) == (
        state == "draft"
    )


def test_a_text_that_is_too_hard_stays_a_draft(folder: Folder, now: datetime) -> None:
    hard = BODY + "\n".join(
        "Multidisciplinary oncological consultations necessitate comprehensive deliberation "
        "regarding individualised pharmacological alternatives."
        for _ in range(20)
    )
    done = import_content(directory=folder(en_brain_mets=article(hard)), now=now)
    assert versions() == [("brain-mets", 1, "draft", "upstream")]
    assert "Reading grade" in done.kept_as_draft["en/brain-mets.md"]


def test_a_text_of_staff_is_kept_and_the_change_waits_beside_it(
    folder: Folder, now: datetime
) -> None:
    import_content(directory=folder(en_brain_mets=article()), now=now)
    editor = User.objects.create_user("editor@staff.example", is_staff=True)
    own = draft_of(version=ArticleVersion.objects.get(), actor=editor, now=now)
    text = article(BODY.replace("short test", "staff"))
    revise_draft(version=own, source=text, actor=editor, now=now, opened_sha256=own.source_sha256)
    directory = folder(en_brain_mets=article(BODY.replace("short test", "upstream")))
    done = import_content(directory=directory, now=now)
    assert "merge by hand" in done.kept_as_draft["en/brain-mets.md"]
    assert versions() == [
        ("brain-mets", 1, "published", "upstream"),
        ("brain-mets", 2, "draft", "staff"),
        ("brain-mets", 3, "draft", "upstream"),
    ]
    assert "staff" in ArticleVersion.objects.get(number=2).body
    assert import_content(directory=directory, now=now).unchanged == ["en/brain-mets.md"]


def test_a_file_that_disappears_is_named_and_stays_in_the_library(
    folder: Folder, now: datetime
) -> None:
    directory = folder(en_brain_mets=article(), en_biopsy=plain("biopsy", "Tests"))
    import_content(directory=directory, now=now)
    (directory / "en" / "biopsy.md").unlink()
    assert import_content(directory=directory, now=now).no_longer_upstream == ["en/biopsy"]
    assert ArticleVersion.objects.filter(state="published").count() == 2


def test_the_command_prints_a_summary_and_fails_with_file_and_line(folder: Folder) -> None:
    out = StringIO()
    directory = folder(en_brain_mets=article(next_review="2090-01-01"))
    call_command("import_education", str(directory), stdout=out)
    assert "1 published, 0 kept as drafts, 0 unchanged" in out.getvalue()
    broken = folder(en_brain_mets=article(version="none"))
    with pytest.raises(CommandError, match=r"en/brain-mets\.md:22: version must be"):
        call_command("import_education", str(broken), stdout=out)
