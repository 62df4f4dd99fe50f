"""Read one article file: front matter, sections, and the rules that hold for both.

Public: `parse_article`, `ArticleFileError`, `Problem`.

Pure Python. The format is laid down in `education/content/README.md`. A file is taken whole or
refused whole: every problem is listed with its line, so that an import changes nothing on error.
"""

import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

import yaml

from clinical.states import PortalState
from education.articles import (
    ANY_ANALYTE,
    AUDIENCES,
    CALL_ANCHOR,
    HIGH_STATES,
    LANGUAGES,
    LINKABLE_STATES,
    LOW_STATES,
    PROMISES_OF_A_WATCHER,
    RULES,
    SECTIONS,
    SECTIONS_NEEDING_EMERGENCY_BOX,
    SENSITIVITIES,
    SITES,
    SUBTYPES,
    SUMMARY_LIMIT,
    TREATMENTS,
    AnalyteLink,
    ArticleFile,
    CodeLink,
    Section,
    Source,
)

_NOT_FIELDS = {"body", "sections"}
_KEYS = [
    *(f.name for f in fields(ArticleFile) if f.name not in _NOT_FIELDS),
    "sensitivity",
]
_FILE = re.compile(r"\A---\n(?P<front>.*?\n)---\n(?P<body>.*)\Z", re.DOTALL)
_HEADING = re.compile(r"^## (?P<heading>\S.*?) \{#(?P<anchor>[a-z][a-z0-9-]*)\}$")
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LOINC = re.compile(r"\d{1,7}-\d")
_RAW_HTML = re.compile(r"<[a-zA-Z/!?]")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file; `line` counts from 1."""

    line: int
    message: str


class ArticleFileError(ValueError):
    """A file that must not be imported, with everything that is wrong in it."""

    def __init__(self, name: str, problems: list[Problem]) -> None:
        self.name = name
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{name}:{p.line}: {p.message}" for p in problems))


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML that refuses a key written twice instead of keeping the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is written twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def parse_article(text: str, *, name: str) -> ArticleFile:
    """Return the article in a file; `name` is the file's name for messages.

    Raises: ArticleFileError with every problem found.
    """
    match = _FILE.match(text.replace("\r\n", "\n"))
    if match is None:
        raise ArticleFileError(name, [Problem(1, "front matter between two --- lines is missing")])
    front_text, body = match["front"], match["body"]
    try:
        front = yaml.load(front_text, Loader=_StrictLoader)  # noqa: S506 - built on SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 2 if mark else 1
        detail = getattr(error, "problem", None) or "not readable"
        raise ArticleFileError(name, [Problem(line, f"YAML: {detail}")]) from error
    if not isinstance(front, dict):
        raise ArticleFileError(name, [Problem(2, "front matter must be a mapping")])

    reader = _Reader(front, front_text, body)
    article = reader.read()
    if article is None:
        raise ArticleFileError(name, sorted(reader.problems, key=lambda p: p.line))
    return article


class _Reader:
    """Turns front matter and body into an ArticleFile, collecting problems on the way."""

    def __init__(self, front: Mapping[str, Any], front_text: str, body: str) -> None:
        self.front = front
        self.front_lines = front_text.splitlines()
        self.body = body
        self.body_line = len(self.front_lines) + 3
        self.problems: list[Problem] = []

    def read(self) -> ArticleFile | None:
        missing = [key for key in _KEYS if key not in self.front]
        unknown = [str(key) for key in self.front if key not in _KEYS]
        for key in missing:
            self.problems.append(Problem(1, f"{key} is missing"))
        for key in unknown:
            self.wrong(key, "is not a known key")
        if missing or unknown:
            return None

        sections = self.sections()
        anchors = {section.anchor for section in sections}
        article = ArticleFile(
            topic=self.text("topic", pattern=_SLUG),
            title=self.text("title", limit=120),
            slug=self.text("slug", pattern=_SLUG),
            summary=self.text("summary", limit=SUMMARY_LIMIT),
            section=self.choice("section", SECTIONS),
            language=self.choice("language", LANGUAGES),
            audience=self.choice("audience", AUDIENCES),
            sites=self.choices("sites", SITES),
            subtypes=self.choices("subtypes", SUBTYPES),
            treatments=self.choices("treatments", TREATMENTS),
            analytes=tuple(self.analytes(anchors)),
            symptoms=tuple(self.code_links("symptoms", "symptom", anchors)),
            red_flags=tuple(self.code_links("red_flags", "red_flag", anchors)),
            related=self.slugs("related"),
            emergency_box=self.front["emergency_box"] is True,
            sources=tuple(self.sources()),
            reviewed_by=self.front["reviewed_by"],
            reviewed_on=self.front["reviewed_on"],
            next_review=self.front["next_review"],
            version=self.front["version"],
            sections=sections,
            body=self.body,
        )
        self.check_review(article)
        self.check_emergency_box(article)
        self.check_wording(article)
        return None if self.problems else article

    def wrong(self, key: str, message: str) -> None:
        start = re.compile(rf"{re.escape(key)}\s*:")
        lines = (i for i, line in enumerate(self.front_lines, start=2) if start.match(line))
        self.problems.append(Problem(next(lines, 1), f"{key} {message}"))

    def text(
        self, key: str, *, limit: int | None = None, pattern: re.Pattern[str] | None = None
    ) -> str:
        value = self.front[key]
        if not isinstance(value, str) or not value.strip():
            self.wrong(key, "must be a text")
            return ""
        if limit is not None and len(value) > limit:
            self.wrong(key, f"has {len(value)} characters, at most {limit} are allowed")
        if pattern is not None and not pattern.fullmatch(value):
            self.wrong(key, "may hold only a-z, 0-9 and single hyphens")
        return value

    def choice(self, key: str, allowed: tuple[str, ...]) -> str:
        value = self.front[key]
        if value not in allowed:
            self.wrong(key, f"must be one of {', '.join(allowed)}")
            return ""
        return str(value)

    def choices(self, key: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
        value = self.front[key]
        if not isinstance(value, list) or any(item not in allowed for item in value):
            self.wrong(key, f"must be a list out of {', '.join(allowed)}")
            return ()
        if len(set(value)) != len(value):
            self.wrong(key, "names something twice")
        return tuple(value)

    def slugs(self, key: str) -> tuple[str, ...]:
        value = self.front[key]
        if not isinstance(value, list) or not all(
            isinstance(item, str) and _SLUG.fullmatch(item) for item in value
        ):
            self.wrong(key, "must be a list of topic keys")
            return ()
        return tuple(value)

    def entries(self, key: str, expected: set[str]) -> Iterator[dict[str, Any]]:
        value = self.front[key]
        if not isinstance(value, list):
            self.wrong(key, "must be a list")
            return
        for number, entry in enumerate(value, start=1):
            if isinstance(entry, dict) and set(entry) == expected:
                yield entry
            else:
                self.wrong(key, f"entry {number} must have exactly {', '.join(sorted(expected))}")

    def analytes(self, anchors: set[str]) -> Iterator[AnalyteLink]:
        for entry in self.entries("analytes", {f.name for f in fields(AnalyteLink)}):
            analyte, loinc, rule = entry["analyte"], entry["loinc"], entry["rule"]
            where = f"entry {analyte}"
            if not isinstance(analyte, str) or not isinstance(loinc, list):
                self.wrong("analytes", f"{where}: analyte must be a text and loinc a list")
                continue
            if (analyte == ANY_ANALYTE) == bool(loinc):
                self.wrong("analytes", f"{where}: needs LOINC codes, and '*' none")
            if not all(isinstance(code, str) and _LOINC.fullmatch(code) for code in loinc):
                self.wrong("analytes", f"{where}: a LOINC code is not well formed")
            if rule not in RULES:
                self.wrong("analytes", f"{where}: rule must be one of {', '.join(RULES)}")
                continue
            if type(entry["rank"]) is not int or not 1 <= entry["rank"] <= 9:
                self.wrong("analytes", f"{where}: rank must be 1 to 9")
                continue
            states = self.states(entry["states"], where)
            if rule == "complication" and not (states <= HIGH_STATES or states <= LOW_STATES):
                self.wrong("analytes", f"{where}: a complication opens in one direction only")
            for needed in ("site", "treatment"):
                if rule == needed and not self.front[f"{needed}s"]:
                    self.wrong("analytes", f"{where}: rule {needed} needs {needed}s")
            self.check_anchor("analytes", entry["anchor"], anchors)
            yield AnalyteLink(
                analyte=analyte,
                loinc=tuple(loinc),
                states=states,
                rule=rule,
                rank=entry["rank"],
                anchor=entry["anchor"],
            )

    def states(self, value: object, where: str) -> frozenset[PortalState]:
        if value == "any":
            return LINKABLE_STATES
        names = value if isinstance(value, list) else []
        states = frozenset(state for state in LINKABLE_STATES if state.value in names)
        if not names or len(states) != len(names):
            self.wrong("analytes", f"{where}: states must be 'any' or a list of visible states")
        return states

    def code_links(self, key: str, field: str, anchors: set[str]) -> Iterator[CodeLink]:
        for entry in self.entries(key, {field, "anchor"}):
            self.check_anchor(key, entry["anchor"], anchors)
            yield CodeLink(key=str(entry[field]), anchor=entry["anchor"])

    def check_anchor(self, key: str, anchor: object, anchors: set[str]) -> None:
        if anchor not in anchors:
            self.wrong(key, f"points to the section {anchor}, which is not there")

    def sources(self) -> Iterator[Source]:
        if not self.front["sources"]:
            self.wrong("sources", "must name at least one source")
        for entry in self.entries("sources", {f.name for f in fields(Source)}):
            source = Source(**entry)
            if not (isinstance(source.title, str) and source.title.strip()) or not (
                isinstance(source.publisher, str) and source.publisher.strip()
            ):
                self.wrong("sources", "need a title and a publisher")
            if source.year is not None and type(source.year) is not int:
                self.wrong("sources", "year must be a number or null")
            if source.url is not None and not re.match(r"https?://\S+$", str(source.url)):
                self.wrong("sources", "url must be an http address or null")
            yield source

    def sections(self) -> tuple[Section, ...]:
        sensitivity = self.front["sensitivity"]
        if not isinstance(sensitivity, dict) or any(
            value not in SENSITIVITIES for value in sensitivity.values()
        ):
            self.wrong("sensitivity", "must map section anchors to prognosis")
            sensitivity = {}
        found: list[tuple[str, str, list[str]]] = []
        for number, line in enumerate(self.body.splitlines(), start=self.body_line):
            heading = _HEADING.match(line)
            if heading:
                if heading["anchor"] in {anchor for anchor, _, _ in found}:
                    self.problems.append(Problem(number, "this anchor is used twice"))
                if not heading["heading"].endswith(("?", "?»")):
                    self.problems.append(Problem(number, "a heading must be a question"))
                found.append((heading["anchor"], heading["heading"], []))
            elif line.startswith("#"):
                self.problems.append(Problem(number, "a heading is '## Question? {#anchor}'"))
            elif _RAW_HTML.search(line):
                self.problems.append(Problem(number, "raw HTML is not allowed"))
            elif found:
                found[-1][2].append(line)
            elif line.strip():
                self.problems.append(Problem(number, "text must stand below a heading"))
        for anchor in set(sensitivity) - {anchor for anchor, _, _ in found}:
            self.wrong("sensitivity", f"names the section {anchor}, which is not there")
        if CALL_ANCHOR in sensitivity:
            self.wrong("sensitivity", "may not hide the call box")
        return tuple(
            Section(anchor, heading, "\n".join(lines).strip(), sensitivity.get(anchor))
            for anchor, heading, lines in found
        )

    def check_review(self, article: ArticleFile) -> None:
        if not isinstance(article.reviewed_by, str):
            self.wrong("reviewed_by", "must be a text, empty while nobody has reviewed")
        if article.reviewed_on is not None and type(article.reviewed_on) is not date:
            self.wrong("reviewed_on", "must be a date or null")
        if bool(article.reviewed_by) != (article.reviewed_on is not None):
            self.wrong("reviewed_by", "and reviewed_on go together: both or neither")
        if type(article.next_review) is not date:
            self.wrong("next_review", "must be a date")
        if type(article.version) is not int or article.version < 1:
            self.wrong("version", "must be 1 or more")

    def check_emergency_box(self, article: ArticleFile) -> None:
        if not isinstance(self.front["emergency_box"], bool):
            self.wrong("emergency_box", "must be true or false")
        needed = bool(article.red_flags) or article.section in SECTIONS_NEEDING_EMERGENCY_BOX
        if needed and not article.emergency_box:
            self.wrong("emergency_box", "is required here: red flags, site or complication")
        positions = [i for i, s in enumerate(article.sections) if s.anchor == CALL_ANCHOR]
        if article.emergency_box and positions != [0]:
            self.wrong("emergency_box", "is true, so the first section must be {#call}")
        if not article.emergency_box and positions:
            self.wrong("emergency_box", "is false, but there is a section {#call}")

    def check_wording(self, article: ArticleFile) -> None:
        if not article.sections:
            self.problems.append(Problem(self.body_line, "there is no section"))
        for section in article.sections:
            if not section.markdown:
                self.problems.append(Problem(self.body_line, f"section {section.anchor} is empty"))
        words = " ".join(f"{article.title} {article.summary} {self.body}".lower().split())
        for phrase in PROMISES_OF_A_WATCHER:
            if phrase in words:
                self.problems.append(Problem(self.body_line, f"promises a watcher: {phrase!r}"))
