"""Search: what patients type, found at the right section."""

from datetime import datetime

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from education import services
from education.models import ArticleVersion
from education.services import ImportSummary
from tests.education.conftest import Folder
from tests.education.texts import BODY, article, plain

pytestmark = pytest.mark.django_db

API = "/api/v1/education/search"


def found(client: Client, q: str, **more: str) -> list[dict[str, str]]:
    response = client.get(API, {"q": q, **more})
    assert response.status_code == 200, response.content
    return response.json()["items"]


TYPED = [
    ("liver panel", "liver-panel-explained"),
    ("ALT", "liver-panel-explained"),
    ("SGPT", "liver-panel-explained"),
    ("what is my sgot", "liver-panel-explained"),
    ("1742-6", "liver-panel-explained"),
    ("high calcium", "high-calcium"),
    ("yellow eyes", "high-bilirubin"),
    ("weak legs spinal cord", "spinal-cord-compression"),
    ("constipation", "managing-bowels"),
    ("fever", "infection-fever"),
    ("swollen arm", "lymphedema"),
    ("cancer in my bones", "bone-mets"),
    ("no range", "reading-your-results"),
]


def test_what_patients_type_is_among_the_first_three(
    client: Client, imported: ImportSummary
) -> None:
    missed = [
        (query, topic)
        for query, topic in TYPED
        if topic not in [hit["topic"] for hit in found(client, query)[:3]]
    ]
    assert missed == []


def test_a_hit_opens_the_section_and_marks_the_words(
    client: Client, imported: ImportSummary
) -> None:
    hit = found(client, "GGT bile")[0]
    assert (hit["topic"], hit["anchor"]) == ("liver-panel-explained", "alp-ggt")
    assert hit["href"].endswith("liver-panel-explained?lang=en#alp-ggt")
    assert "<mark>GGT</mark>" in hit["excerpt_html"]


def test_the_excerpt_holds_no_tag_but_mark(client: Client, folder: Folder, now: datetime) -> None:
    text = article(BODY.replace("sodium in", 'sodium & `x < y` "quoted" in'))
    services.import_content(directory=folder(en_brain_mets=text), now=now)
    excerpt = found(client, "sodium")[0]["excerpt_html"]
    assert "<mark>sodium</mark> &amp; x &lt; y" in excerpt


def test_what_is_about_outlook_is_found_but_not_quoted(
    client: Client, folder: Folder, now: datetime
) -> None:
    services.import_content(directory=folder(en_brain_mets=article()), now=now)
    hit = found(client, "quiet future")[0]
    assert hit["topic"] == "brain-mets"
    assert hit["anchor"] != "outlook"
    assert "future" not in hit["excerpt_html"]


def test_only_published_texts_are_found(client: Client, folder: Folder, now: datetime) -> None:
    late = article(next_review="2026-11-21")
    services.import_content(directory=folder(en_brain_mets=late), now=now)
    assert found(client, "sodium") == []


def test_audience_narrows_what_is_found(client: Client, folder: Folder, now: datetime) -> None:
    directory = folder(
        en_brain_mets=article(),
        en_biopsy=plain("biopsy", "Tests", audience="early"),
        en_sleep=plain("sleep", "Living well", audience="all"),
    )
    services.import_content(directory=directory, now=now)
    assert {h["topic"] for h in found(client, "sodium")} == {"brain-mets", "biopsy", "sleep"}
    assert {h["topic"] for h in found(client, "sodium", audience="mbc")} == {"brain-mets", "sleep"}
    assert client.get(API, {"q": "sodium", "audience": "men"}).status_code == 422


def test_spanish_without_accents_and_english_where_not_translated(
    client: Client, folder: Folder, now: datetime
) -> None:
    folder(en_brain_mets=article(), en_biopsy=plain("biopsy", "Tests"))
    text = article(
        BODY.replace("It is a short test text", "La radiación ayuda. Sodium"), language="es"
    )
    services.import_content(directory=folder(es_brain_mets=text), now=now)
    services.publish(
        version=ArticleVersion.objects.get(article__language="es"),
        actor=User.objects.create_user("editor@staff.example"),
        now=now,
        override_reason="Read by two.",
    )
    assert [h["language"] for h in found(client, "radiacion", lang="es")] == ["es"]
    response = client.get(API, {"q": "sodium", "lang": "es"}).json()
    assert [(h["topic"], h["language"]) for h in response["items"]] == [
        ("brain-mets", "es"),
        ("biopsy", "en"),
    ]
    assert response["warnings"] == ["language-fallback"]


@pytest.mark.parametrize("q", ["", "   ", "?!", "a" * 201, "a " * 5000])
def test_an_empty_or_endless_query_is_refused(client: Client, q: str) -> None:
    response = client.get(API, {"q": q})
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "q"


ODD = ["' OR 1=1 --", "alt & | ! ()", "alt:*", "\x00alt", "alt %s %(x)s {every}", "\\alt", "alt 肝"]


def test_odd_characters_are_only_parted_from_the_words(
    client: Client, imported: ImportSummary
) -> None:
    for query in ODD[1:]:
        assert found(client, query)[0]["topic"] == "liver-panel-explained", query
    assert isinstance(found(client, ODD[0]), list)
    assert found(client, "the of") == found(client, "肝") == []


def test_a_search_costs_one_statement(client: Client, imported: ImportSummary) -> None:
    found(client, "liver")
    with CaptureQueriesContext(connection) as captured:
        found(client, "what does a high liver enzyme mean for me")
    assert len(captured) == 1
