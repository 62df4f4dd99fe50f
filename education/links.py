"""Which articles a page of results links to: the provider that `core.links` asks.

The rules are those of `content/README.md`: the test's own page; site pages only for a site
that staff recorded; complication pages only in their direction; treatment pages only for a
recorded treatment. Text about early disease is never linked for a patient.
"""

from collections.abc import Sequence
from typing import Any

from core.links import Link, LinkRequest
from education import library
from education.profile import recorded


def links_for(
    requests: Sequence[LinkRequest], profile: Any, language: str
) -> dict[LinkRequest, list[Link]]:
    """Return the links of each result, best first. No SQL while the library is fresh.

    `profile` is None, a mapping or an object with `sites` and `treatments` (topic keys).
    A link's `language` is that of the article: English where it is not written in `language`.
    """
    reader = recorded(profile)
    published = library.current()
    return {
        request: [
            Link(
                topic=opened.entry.file.topic,
                title=opened.entry.file.title,
                href=article_href(opened.entry.file.slug, language, opened.anchor),
                language=opened.entry.file.language,
            )
            for opened in published.opened_by(
                loinc=request.code, state=request.state, profile=reader, language=language
            )
        ]
        for request in requests
    }


def article_href(slug: str, language: str, anchor: str = "") -> str:
    """Return the API path of an article, with the section to open."""
    return f"/api/v1/education/articles/{slug}?lang={language}{f'#{anchor}' if anchor else ''}"
