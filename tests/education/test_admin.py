"""The editors' desk: who reaches it, and that its buttons go through the services."""

from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.roles import Role
from core.db import identity, system
from core.models import AuditEvent
from education import services
from education.models import ArticleVersion
from tests.cast import Cast, staff
from tests.education.conftest import Folder
from tests.education.texts import BODY, article

pytestmark = pytest.mark.django_db

LIST = "/admin/education/articleversion/"


@pytest.fixture
def editor(cast: Cast) -> User:
    return staff("edda", Role.CONTENT_EDITOR, cast.clinic)


@pytest.fixture
def published(folder: Folder, now: datetime) -> ArticleVersion:
    services.import_content(directory=folder(en_brain_mets=article()), now=now)
    return ArticleVersion.objects.get()


@pytest.fixture
def desk(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


def page(version: ArticleVersion) -> str:
    return reverse("admin:education_articleversion_change", args=[version.pk])


def press(desk: Client, version: ArticleVersion, step: str, **fields: str) -> None:
    response = desk.post(page(version), {**fields, f"education_articleversion_{step}": "1"})
    assert response.status_code == 302, response.content[:2000]


@pytest.mark.parametrize("role", [Role.NURSE, Role.LABORATORY, Role.ADMINISTRATOR])
def test_other_roles_do_not_reach_it(
    client: Client, cast: Cast, published: ArticleVersion, role: Role
) -> None:
    client.force_login(staff(f"zoe-{role}", role, cast.clinic))
    assert client.get(LIST).status_code == 403
    assert client.get(page(published)).status_code == 403
    assert client.get(f"{LIST}{published.pk}/preview/").status_code == 404


def test_the_list_shows_state_grade_and_review(desk: Client, published: ArticleVersion) -> None:
    shown = desk.get(LIST).content.decode()
    assert "not yet reviewed by a clinician" in shown
    assert "Published" in shown
    assert str(published.reading_grade) in shown
    assert desk.get(f"{LIST}?state__exact=draft&q=brain").status_code == 200
    topics = desk.get("/admin/education/topic/?q=brain-mets").content.decode()
    assert "brain-mets" in topics
    assert "not written yet" in desk.get("/admin/education/topic/?q=biopsy").content.decode()


def test_a_published_text_offers_no_field_to_change(
    desk: Client, published: ArticleVersion
) -> None:
    shown = desk.get(page(published)).content.decode()
    assert 'name="source"' not in shown
    assert 'name="override_reason"' not in shown
    assert "education_articleversion_edit" in shown
    assert "education_articleversion_publish" not in shown


def test_from_edit_to_published_takes_two_people(
    client: Client, cast: Cast, desk: Client, editor: User, published: ArticleVersion
) -> None:
    press(desk, published, "edit")
    draft = ArticleVersion.objects.get(number=2)
    text = article(BODY.replace("short test", "desk"))
    press(desk, draft, "submit", source=text, opened_sha256=draft.source_sha256)
    draft.refresh_from_db()
    assert (draft.state, draft.written_by, "desk" in draft.body) == ("in_review", editor, True)

    press(desk, draft, "publish")
    draft.refresh_from_db()
    assert draft.state == "in_review"
    assert services.SamePerson.title in desk.get(page(draft)).content.decode()

    colleague = staff("else", Role.CONTENT_EDITOR, cast.clinic)
    client.force_login(colleague)
    press(client, draft, "publish")
    draft.refresh_from_db()
    assert (draft.state, draft.published_by) == ("published", colleague)
    with identity(system("housekeeping")):
        events = AuditEvent.objects.filter(operation__startswith="education.")
        steps = set(events.values_list("operation", "actor_id"))
    assert ("education.publish", colleague.pk) in steps
    assert ("education.submit", editor.pk) in steps


def test_a_broken_text_is_shown_again_with_the_line(
    desk: Client, editor: User, published: ArticleVersion, now: datetime
) -> None:
    draft = services.draft_from(version=published, actor=editor, now=now)
    text = article(BODY + "<script>alert(1)</script>\n")
    response = desk.post(page(draft), {"source": text, "opened_sha256": draft.source_sha256})
    assert response.status_code == 200
    shown = response.content.decode()
    assert "line 32: raw HTML is not allowed" in shown
    assert "&lt;script&gt;alert(1)" in shown
    draft.refresh_from_db()
    assert draft.source == article()


def test_a_draft_that_somebody_else_changed_is_not_overwritten(
    desk: Client, editor: User, published: ArticleVersion, now: datetime
) -> None:
    draft = services.draft_from(version=published, actor=editor, now=now)
    response = desk.post(page(draft), {"source": article(), "opened_sha256": "0" * 64})
    assert response.status_code == 200
    assert services.EditedMeanwhile.title in response.content.decode()


def test_a_shut_gate_is_named_and_a_reason_opens_it(
    desk: Client, cast: Cast, folder: Folder, now: datetime
) -> None:
    services.import_content(directory=folder(es_brain_mets=article(language="es")), now=now)
    draft = ArticleVersion.objects.get()
    fields = {"source": draft.source, "opened_sha256": draft.source_sha256}
    press(desk, draft, "publish", **fields)
    draft.refresh_from_db()
    assert draft.state == "draft"
    assert "no reading measure" in desk.get(page(draft)).content.decode()
    press(desk, draft, "publish", override_reason="Read by two.", **fields)
    draft.refresh_from_db()
    assert (draft.state, draft.override_reason) == ("published", "Read by two.")


def test_saving_an_upstream_draft_as_a_browser_sends_it_leaves_it_upstream(
    desk: Client, folder: Folder, now: datetime
) -> None:
    late = article(next_review="2026-11-21")
    services.import_content(directory=folder(en_brain_mets=late), now=now)
    draft = ArticleVersion.objects.get()
    sent = draft.source.replace("\n", "\r\n")
    response = desk.post(page(draft), {"source": sent, "opened_sha256": draft.source_sha256})
    assert response.status_code == 302
    draft.refresh_from_db()
    assert (draft.origin, draft.source) == ("upstream", late)


def test_retire_and_discard(
    desk: Client, editor: User, published: ArticleVersion, now: datetime
) -> None:
    draft = services.draft_from(version=published, actor=editor, now=now)
    press(desk, draft, "discard", source=draft.source, opened_sha256=draft.source_sha256)
    press(desk, published, "retire")
    assert list(ArticleVersion.objects.values_list("number", "state")) == [(1, "retired")]


def test_a_step_that_the_state_does_not_allow_is_not_taken(
    desk: Client, published: ArticleVersion
) -> None:
    press(desk, published, "discard")
    published.refresh_from_db()
    assert published.state == "published"


def test_the_preview_is_the_page_of_the_patient(
    desk: Client, editor: User, published: ArticleVersion, now: datetime
) -> None:
    draft = services.draft_from(version=published, actor=editor, now=now)
    response = desk.get(f"{LIST}{draft.pk}/preview/")
    shown = response.content.decode()
    assert "Preview of version 2: Draft" in shown
    assert "Cancer in the brain" in shown
    assert "quiet future" not in shown
    assert "default-src 'none'" in response["Content-Security-Policy"]
    assert "no-store" in response["Cache-Control"]
