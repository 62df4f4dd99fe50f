"""What a reader gets of a published article: the JSON body, and the page for a browser.

Public: `article_body`, `article_page`, `review_line`, `CONTENT_POLICY`, `page_href`.
"""

import base64
import hashlib
from typing import Any
from urllib.parse import urlencode

from django.template.loader import render_to_string

from education.library import DEFAULT_LANGUAGE, Entry, Library
from education.links import article_href
from education.rendering import article_html

STYLE = (
    ":root{color-scheme:light dark}"
    "body{margin:0;font:1.125rem/1.6 system-ui,sans-serif;background:#fff;color:#1c1c22}"
    "main{max-width:40rem;margin:0 auto;padding:1rem}"
    "h1{font-size:1.7rem;line-height:1.25;margin:.2rem 0}h2{font-size:1.25rem;line-height:1.3}"
    "a{color:#0b5394}section{scroll-margin-top:1rem}section:target h2{text-decoration:underline}"
    ".section,.review,footer{color:#565660;font-size:1rem}.summary{font-size:1.2rem}"
    ".call{border:3px solid #b3261e;border-radius:.6rem;padding:.1rem 1rem}"
    ".note,.hidden{background:#f0f0f4;border-radius:.6rem;padding:.5rem 1rem}"
    "@media(prefers-color-scheme:dark){body{background:#16161a;color:#ececf1}a{color:#8ab4f8}"
    ".section,.review,footer{color:#b4b4bd}.note,.hidden{background:#26262c}"
    ".call{border-color:#f2b8b5}}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
CONTENT_POLICY = {
    "default-src": ["'none'"],
    "style-src": [f"'sha256-{_STYLE_HASH}'"],
    "base-uri": ["'none'"],
    "form-action": ["'none'"],
    "frame-ancestors": ["'none'"],
}
LANGUAGE_FALLBACK = "language-fallback"
NOT_REVIEWED = "not-clinically-reviewed"

WORDS = {
    "en": {
        "not_reviewed": "Not yet reviewed by a clinician",
        "reviewed": "Reviewed by {by} on {on}. Next review by {next}.",
        "sources": "Where this comes from",
        "related": "Read on",
        "choice": "This part is about outlook. It is shown only if you choose to read it.",
        "show": "Show this part",
        "fallback": "This article is not available in your language yet. Here it is in English.",
    },
    "es": {
        "not_reviewed": "Aún no revisado por personal clínico",
        "reviewed": "Revisado por {by} el {on}. Próxima revisión antes del {next}.",
        "sources": "De dónde viene esta información",
        "related": "Seguir leyendo",
        "choice": "Esta parte trata del pronóstico. Solo se muestra si usted quiere leerla.",
        "show": "Mostrar esta parte",
        "fallback": "Este artículo aún no está en español. Aquí está en inglés.",
    },
}


def review_line(entry: Entry, language: str) -> str:
    """Return who reviewed the text and when, or that no clinician has."""
    words, file = WORDS[language], entry.file
    if not file.reviewed_by or file.reviewed_on is None:
        return words["not_reviewed"]
    return words["reviewed"].format(
        by=file.reviewed_by,
        on=file.reviewed_on.isoformat(),
        next=file.next_review.isoformat(),
    )


def page_href(slug: str, language: str, anchor: str = "") -> str:
    """Return the address of an article for a browser."""
    query = "" if language == DEFAULT_LANGUAGE else f"?lang={language}"
    return f"/learn/{slug}{query}{f'#{anchor}' if anchor else ''}"


def card(entry: Entry, language: str) -> dict[str, Any]:
    """Return what a list shows of an article."""
    file = entry.file
    return {
        "topic": file.topic,
        "section": file.section,
        "slug": file.slug,
        "title": file.title,
        "summary": file.summary,
        "language": file.language,
        "audience": file.audience,
        "version": entry.number,
        "review": review_line(entry, file.language),
        "href": article_href(file.slug, language),
        "page": page_href(file.slug, language),
    }


def article_body(
    library: Library, entry: Entry, *, language: str, asked: str, prognosis: bool
) -> dict[str, Any]:
    """Return an article as the API gives it; `language` is the one served for, `asked` as sent.

    Sections about outlook are listed without their text unless `prognosis`: she chose to see it.
    """
    file = entry.file
    shown = [s for s in file.sections if prognosis or s.sensitivity is None]
    return {
        **card(entry, language),
        "requested_language": asked,
        "sites": list(file.sites),
        "subtypes": list(file.subtypes),
        "treatments": list(file.treatments),
        "emergency_box": file.emergency_box,
        "reading_grade": entry.reading_grade,
        "reviewed_by": file.reviewed_by,
        "reviewed_on": file.reviewed_on,
        "next_review": file.next_review,
        "published_at": entry.published_at,
        "html": article_html(shown),
        "markdown": "\n\n".join(f"## {s.heading} {{#{s.anchor}}}\n{s.markdown}" for s in shown),
        "sections": [
            {
                "anchor": section.anchor,
                "heading": section.heading,
                "sensitivity": section.sensitivity,
                "hidden": section not in shown,
                "markdown": section.markdown if section in shown else None,
                "html": entry.html[section.anchor] if section in shown else None,
            }
            for section in file.sections
        ],
        "sources": [
            {"title": s.title, "publisher": s.publisher, "year": s.year, "url": s.url}
            for s in file.sources
        ],
        "related": related(library, entry, language),
        "warnings": warnings(entry, asked),
    }


def related(library: Library, entry: Entry, language: str) -> list[dict[str, Any]]:
    """Return the related articles that are published and meant for the same readers."""
    found = (library.in_language(topic, language) for topic in entry.file.related)
    audiences = {entry.file.audience, "all"}
    return [card(page, language) for page in found if page and page.file.audience in audiences]


def warnings(entry: Entry, asked: str) -> list[str]:
    """Return what a reader must be told beside the text."""
    found = [] if entry.file.language == asked else [LANGUAGE_FALLBACK]
    return found if entry.file.reviewed_by else [*found, NOT_REVIEWED]


def article_page(
    library: Library, entry: Entry, *, language: str, asked: str, prognosis: bool, preview: str = ""
) -> str:
    """Return the page of an article; it loads nothing. `preview` is a line for editors."""
    words = WORDS[language]
    shown_query = {"prognosis": "show"} | ({"lang": asked} if asked != DEFAULT_LANGUAGE else {})
    return render_to_string(
        "education/article.html",
        {
            "entry": entry,
            "requested": language,
            "fallback": words["fallback"] if entry.file.language != asked else "",
            "preview": preview,
            "style": STYLE,
            "review": review_line(entry, entry.file.language),
            "sections": [
                {
                    "anchor": section.anchor,
                    "heading": section.heading,
                    "hidden": section.sensitivity is not None and not prognosis,
                    "html": entry.html[section.anchor],
                }
                for section in entry.file.sections
            ],
            "show_query": urlencode(shown_query),
            "related": related(library, entry, language),
            "words": WORDS[entry.file.language],
        },
    )
