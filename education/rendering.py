"""Turn Markdown into HTML that holds no script, frame, style or foreign resource.

Public: `section_html`, `article_html`, `sanitised`.
"""

from collections.abc import Iterable
from html import escape

import nh3
from markdown_it import MarkdownIt

from education.articles import CALL_ANCHOR, Section

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
_TAGS = {
    *("p", "h2", "h3", "ul", "ol", "li", "strong", "em", "a", "br", "hr", "blockquote"),
    *("code", "pre", "section", "table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {"a": {"href"}, "section": {"id", "class"}, "ol": {"start"}}
_SCHEMES = {"https", "http", "tel"}


def sanitised(html: str) -> str:
    """Return `html` with everything but plain text marks removed."""
    return nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer",
    )


def section_html(markdown: str) -> str:
    """Return the sanitised HTML of one section's Markdown; raw HTML in it becomes text."""
    return sanitised(_MARKDOWN.render(markdown))


def article_html(sections: Iterable[Section]) -> str:
    """Return the sanitised HTML of whole sections, each with its anchor and heading."""
    return sanitised("\n".join(_with_heading(section) for section in sections))


def _with_heading(section: Section) -> str:
    box = ' class="call"' if section.anchor == CALL_ANCHOR else ""
    heading = f"<h2>{escape(section.heading)}</h2>"
    return (
        f'<section id="{section.anchor}"{box}>{heading}\n{section_html(section.markdown)}</section>'
    )
