"""Read a whole folder of article files, or say everything that is wrong with it.

Public: `read_content`, `ContentFile`, `ContentError`. Pure Python.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from clinical.reference_data import rows
from education.article_file import ArticleFileError, Problem, parse_article
from education.articles import LANGUAGES, ArticleFile


@dataclass(frozen=True, slots=True)
class ContentFile:
    """One readable file: its path below the folder, its text, and what it says."""

    name: str
    text: str
    article: ArticleFile

    @property
    def sha256(self) -> str:
        return sha256_of(self.text)


class ContentError(ValueError):
    """A folder that must not be imported; `problems` holds (file, line, message)."""

    def __init__(self, problems: list[tuple[str, int, str]]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(f"{name}:{line}: {text}" for name, line, text in self.problems))


def sha256_of(text: str) -> str:
    """Return the digest by which an unchanged file is known; line ends do not count."""
    return hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()


def read_content(directory: Path) -> list[ContentFile]:
    """Return every article of `directory/<language>/<slug>.md`, in order of path.

    Raises: ContentError with every problem of every file; then none may be used.
    """
    problems: list[tuple[str, int, str]] = []
    files: list[ContentFile] = []
    paths = sorted(directory.glob("*/*.md"))
    if not paths:
        raise ContentError([(str(directory), 1, "holds no <language>/<slug>.md file")])
    for path in paths:
        name = path.relative_to(directory).as_posix()
        try:
            text = path.read_text(encoding="utf-8")
            found = ContentFile(name, text, parse_article(text, name=name))
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            problems.append((name, line, "is not UTF-8"))
        except ArticleFileError as error:
            problems.extend((name, p.line, p.message) for p in error.problems)
        else:
            problems.extend((name, p.line, p.message) for p in _out_of_place(path, found))
            files.append(found)
    problems.extend(_clashes(files))
    if problems:
        raise ContentError(problems)
    return files


def line_of(text: str, key: str) -> int:
    """Return the line on which front matter gives `key`, 1 when it does not."""
    start = re.compile(rf"{re.escape(key)}\s*:")
    return next((n for n, line in enumerate(text.splitlines(), 1) if start.match(line)), 1)


def unknown_codes(text: str, article: ArticleFile) -> list[Problem]:
    """Return where an article names a topic, symptom or red flag that nobody defined."""
    topics = {row["topic_key"]: row["section"] for row in rows("topic_map")}
    symptoms = {row["symptom_key"] for row in rows("symptoms")}
    red_flags = {row["red_flag_key"] for row in rows("red_flags")}
    wrong = []
    if article.topic not in topics:
        wrong.append(("topic", f"{article.topic} is not in the topic map"))
    elif topics[article.topic] != article.section:
        wrong.append(("section", f"is {topics[article.topic]} in the topic map"))
    wrong += [("related", f"{key} is unknown") for key in article.related if key not in topics]
    wrong += [
        ("symptoms", f"{link.key} is unknown")
        for link in article.symptoms
        if link.key not in symptoms
    ]
    wrong += [
        ("red_flags", f"{link.key} is unknown")
        for link in article.red_flags
        if link.key not in red_flags
    ]
    return [Problem(line_of(text, key), f"{key} {message}") for key, message in wrong]


def _out_of_place(path: Path, found: ContentFile) -> list[Problem]:
    article = found.article
    problems = unknown_codes(found.text, article)
    if article.slug != path.stem:
        problems.append(
            Problem(line_of(found.text, "slug"), f"slug must be the file's name, {path.stem}")
        )
    if path.parent.name not in LANGUAGES or article.language != path.parent.name:
        problems.append(
            Problem(line_of(found.text, "language"), "language must be that of the folder")
        )
    return problems


def _clashes(files: list[ContentFile]) -> list[tuple[str, int, str]]:
    problems = []
    topics: dict[tuple[str, str], str] = {}
    slugs: dict[str, str] = {}
    for file in files:
        article = file.article
        first = topics.setdefault((article.topic, article.language), file.name)
        if first != file.name:
            problems.append(
                (file.name, line_of(file.text, "topic"), f"topic is already written in {first}")
            )
        if slugs.setdefault(article.slug, article.topic) != article.topic:
            problems.append(
                (file.name, line_of(file.text, "slug"), "slug is the address of another topic")
            )
    return problems
