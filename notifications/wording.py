"""The allow-listed message templates, their versions and languages, and how they are filled.

A template is a file `templates/notifications/{name}.v{version}.{language}.txt`: its first
line is the subject, an empty line follows, the rest is the body. `$link` is the portal's bare
address; the words beside it must give nothing away (see `discretion`).
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template

FALLBACK_LANGUAGE = "en"


class WordingError(Exception):
    """A template is unknown, or a variable it needs was not given."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Wording:
    """One template: its newest version, and the variables it may use beside `link`."""

    name: str
    version: int = 1
    variables: frozenset[str] = frozenset()
    languages: tuple[str, ...] = ("en", "es")


@dataclass(frozen=True, slots=True)
class Message:
    subject: str
    body: str


WORDINGS: dict[str, Wording] = {
    wording.name: wording
    for wording in (
        Wording("check_in"),
        Wording("visit"),
        Wording("visit_changed"),
        Wording("something_new"),
        Wording("something_changed"),
        Wording("task_waiting"),
        Wording("security_code", variables=frozenset({"code"})),
    )
}


@cache
def template_text(name: str, version: int, language: str) -> str:
    """Return a template as written, in English where `language` has none.

    Raises: WordingError `template-unknown`.
    """
    wording = WORDINGS.get(name)
    if wording is None or not 1 <= version <= wording.version:
        raise WordingError("template-unknown")
    if language not in wording.languages:
        language = FALLBACK_LANGUAGE
    path = f"templates/notifications/{name}.v{version}.{language}.txt"
    return files("notifications").joinpath(path).read_text(encoding="utf-8")


def render(
    name: str, *, version: int, language: str, link: str, context: dict[str, str]
) -> Message:
    """Return the filled template.

    Raises: WordingError (`template-unknown`, `template-variable-missing`,
    `template-variable-unknown`).
    """
    subject, _, body = template_text(name, version, language).partition("\n\n")
    if set(context) - WORDINGS[name].variables:
        raise WordingError("template-variable-unknown")
    values = {**context, "link": link}
    try:
        return Message(
            subject=Template(subject).substitute(values).strip(),
            body=Template(body).substitute(values),
        )
    except (KeyError, ValueError) as error:
        raise WordingError("template-variable-missing") from error
