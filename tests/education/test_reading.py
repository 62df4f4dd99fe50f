"""The library over HTTP, signed out: API, page for a browser, validators, cost."""

import base64
import hashlib
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from education import library, services
from education.articles import Section
from education.models import ArticleVersion
from education.rendering import article_html, section_html
from education.services import ImportSummary
from tests.education.conftest import Folder
from tests.education.texts import BODY, article, plain

pytestmark = pytest.mark.django_db

API = "/api/v1/education"
PANEL = f"{API}/articles/liver-panel-explained"


def body(client: Client, path: str, **headers: str) -> Any:
    response = client.get(path, headers=headers)
    assert response.status_code == 200, response.content
    return response.json()


@pytest.fixture
def spanish(folder: Folder, now: datetime) -> None:
    """Brain pages in both languages, another page in English alone."""
    folder(en_brain_mets=article(), en_biopsy=plain("biopsy", "Tests"))
    text = article(
        BODY.replace("It is a short test text", "Es un texto corto"), language="es", title="Cerebro"
    )
    services.import_content(directory=folder(es_brain_mets=text), now=now)
    services.publish(
        version=ArticleVersion.objects.get(article__language="es"),
        actor=User.objects.create_user("editor@staff.example"),
        now=now,
        override_reason="Read by two.",
    )


def test_topics_are_listed_by_section_in_the_order_of_the_map(
    client: Client, imported: ImportSummary
) -> None:
    sections = body(client, f"{API}/topics")["sections"]
    assert [s["section"] for s in sections][:3] == ["By site", "Complications", "Tests"]
    assert sum(len(s["articles"]) for s in sections) == len(imported.published)
    card = sections[0]["articles"][0]
    assert card["href"] == "/api/v1/education/articles/bone-mets?lang=en"
    assert card["review"] == "Not yet reviewed by a clinician"


def test_an_article_has_text_sections_sources_and_the_review_line(
    client: Client, imported: ImportSummary
) -> None:
    got = body(client, PANEL)
    assert (got["title"], got["version"], got["language"]) == ("The liver panel", 1, "en")
    assert got["review"] == "Not yet reviewed by a clinician"
    assert (got["reviewed_by"], got["reviewed_on"]) == ("", None)
    assert got["warnings"] == ["not-clinically-reviewed"]
    assert got["sections"][0]["anchor"] == "call"
    assert {"alt-ast", "bilirubin"} <= {s["anchor"] for s in got["sections"]}
    assert '<section id="alt-ast"><h2>What do ALT and AST show?</h2>' in got["html"]
    assert "## What do ALT and AST show? {#alt-ast}" in got["markdown"]
    assert got["sources"][0]["publisher"]
    assert [r["topic"] for r in got["related"]] == [
        "high-bilirubin",
        "cmp-explained",
        "reading-your-results",
        "liver-mets",
    ]


READ = [PANEL, f"{API}/topics", "/learn/liver-panel-explained"]


def test_an_unchanged_answer_is_304_and_may_be_cached(
    client: Client, imported: ImportSummary
) -> None:
    for path in READ:
        first = client.get(path)
        assert first["Cache-Control"] == "public, max-age=300, stale-while-revalidate=86400"
        assert "Cookie" not in first.get("Vary", "")
        assert "Set-Cookie" not in first
        again = client.get(path, headers={"If-None-Match": f'"other", {first["ETag"]}'})
        assert (again.status_code, again.content) == (304, b"")
        assert again["ETag"] == first["ETag"]
        assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_warm_read_costs_no_statement(client: Client, imported: ImportSummary) -> None:
    for path in READ:
        client.get(path)
        with CaptureQueriesContext(connection) as captured:
            assert client.get(path).status_code == 200
        assert len(captured) == 0, path


def test_a_new_version_changes_the_validator(client: Client, folder: Folder, now: datetime) -> None:
    services.import_content(directory=folder(en_brain_mets=article()), now=now)
    before = client.get(f"{API}/articles/brain-mets")["ETag"]
    changed = article(BODY.replace("short", "new"))
    services.import_content(directory=folder(en_brain_mets=changed), now=now)
    library.forget()
    assert client.get(f"{API}/articles/brain-mets")["ETag"] != before


def test_an_unknown_address_is_not_found(client: Client, imported: ImportSummary) -> None:
    assert client.get(f"{API}/articles/nothing").status_code == 404
    assert client.get("/learn/nothing").status_code == 404


def test_a_draft_is_not_found(client: Client, folder: Folder, now: datetime) -> None:
    late = article(next_review="2026-11-21")
    services.import_content(directory=folder(en_brain_mets=late), now=now)
    assert client.get(f"{API}/articles/brain-mets").status_code == 404
    assert client.get("/learn/brain-mets").status_code == 404


def test_a_former_address_opens_the_article(client: Client, folder: Folder, now: datetime) -> None:
    directory = folder(en_brain_mets=article())
    services.import_content(directory=directory, now=now)
    (directory / "en" / "brain-mets.md").rename(directory / "en" / "brain.md")
    (directory / "en" / "brain.md").write_text(article(slug="brain"))
    services.import_content(directory=directory, now=now)
    assert body(client, f"{API}/articles/brain-mets")["slug"] == "brain"


@pytest.mark.parametrize(
    ("path", "headers", "language", "flagged"),
    [
        ("brain-mets?lang=es", {}, "es", False),
        ("brain-mets?lang=es-MX", {}, "es", False),
        ("brain-mets", {"Accept-Language": "es-AR,es;q=0.9"}, "es", False),
        ("brain-mets?lang=en", {"Accept-Language": "es"}, "en", False),
        ("brain-mets?lang=fr", {}, "en", True),
        ("brain-mets", {"Accept-Language": "fr"}, "en", False),
        ("biopsy?lang=es", {}, "en", True),
        ("biopsy", {"Accept-Language": "es"}, "en", True),
    ],
)
def test_a_missing_translation_falls_back_to_english_and_says_so(
    client: Client,
    spanish: None,
    path: str,
    headers: dict[str, str],
    language: str,
    flagged: bool,
) -> None:
    got = body(client, f"{API}/articles/{path}", **headers)
    assert got["language"] == language
    assert ("language-fallback" in got["warnings"]) == flagged
    page = client.get(f"/learn/{path}", headers=headers).content.decode()
    assert f'<html lang="{language}">' in page
    assert ('class="note"' in page) == flagged


def test_the_answer_varies_by_header_only_when_the_address_names_no_language(
    client: Client, spanish: None
) -> None:
    assert "Accept-Language" in client.get(f"{API}/articles/brain-mets")["Vary"]
    assert "Accept-Language" not in client.get(f"{API}/articles/brain-mets?lang=es").get("Vary", "")


def test_a_language_that_is_none_is_refused(client: Client, imported: ImportSummary) -> None:
    for lang in ("", "english!", "x" * 5000, "e\x00"):
        response = client.get(PANEL, {"lang": lang})
        assert response.status_code == 422
        assert response.json()["errors"][0]["field"] == "lang"
        assert client.get("/learn/liver-panel-explained", {"lang": lang}).status_code == 404


def test_what_is_about_outlook_is_shown_only_by_choice(
    client: Client, folder: Folder, now: datetime
) -> None:
    services.import_content(directory=folder(en_brain_mets=article()), now=now)
    plain_read = client.get(f"{API}/articles/brain-mets").content.decode()
    page = client.get("/learn/brain-mets").content.decode()
    assert "quiet future" not in plain_read + page
    assert "What is the outlook?" in plain_read
    assert 'href="?prognosis=show#outlook"' in page
    chosen = body(client, f"{API}/articles/brain-mets?prognosis=show")
    assert chosen["sections"][2]["hidden"] is False
    assert "quiet future" in chosen["html"]
    assert "quiet future" in chosen["markdown"]
    assert "quiet future" in client.get("/learn/brain-mets?prognosis=show").content.decode()
    assert "quiet future" not in ArticleVersion.objects.get().html


def test_the_page_loads_nothing_and_allows_no_script(
    client: Client, imported: ImportSummary
) -> None:
    response = client.get("/learn/liver-panel-explained")
    policy = response["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe-inline" not in policy
    page = response.content.decode()
    style = page.split("<style>")[1].split("</style>")[0].encode()
    assert base64.b64encode(hashlib.sha256(style).digest()).decode() in policy
    assert "<script" not in page
    assert " src=" not in page
    assert "style=" not in page
    assert 'name="viewport"' in page
    assert page.index('id="call"') < page.index('id="what"')
    assert "Not yet reviewed by a clinician" in page


def test_a_page_in_cache_takes_no_account_into_its_answer(
    client: Client, imported: ImportSummary
) -> None:
    plain_answer = client.get(PANEL)
    client.force_login(User.objects.create_user("anna@example.org"))
    signed_in = client.get(PANEL, headers={"Authorization": "Bearer wrong"})
    assert signed_in.content == plain_answer.content
    assert signed_in["ETag"] == plain_answer["ETag"]


@pytest.mark.parametrize(
    "markdown",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[tap](javascript:alert(1))",
        "[tap](JaVaScRiPt:alert(1))",
        "[tap](data:text/html;base64,PHNjcmlwdD4=)",
        "![x](https://elsewhere.example/pixel.png)",
        "<iframe src=https://elsewhere.example></iframe>",
        "<svg/onload=alert(1)>",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "`<script>alert(1)</script>`",
        '<a href="https://x.example" onclick="alert(1)">x</a>',
        "<style>body{display:none}</style>",
    ],
)
def test_script_in_markdown_is_inert(markdown: str) -> None:
    html = section_html(markdown)
    assert not any(tag in html for tag in ("<script", "<img", "<iframe", "<svg", "<style"))
    assert 'href="javascript' not in html.lower()
    assert 'href="data' not in html.lower()
    assert "<a href" not in html or "onclick" not in html


def test_a_heading_with_markup_is_shown_as_text() -> None:
    html = article_html([Section("what", "Is <b>this</b> & that?", "Yes.", None)])
    assert "<h2>Is &lt;b&gt;this&lt;/b&gt; &amp; that?</h2>" in html
