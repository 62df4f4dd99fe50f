"""The words of a red flag in a language: what it is, and what to do before sending the form."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from clinical.symptom_rules import Urgency, red_flags


@dataclass(frozen=True, slots=True)
class RedFlagWords:
    """`confirmed` is False until a clinician confirmed the row."""

    key: str
    urgency: Urgency
    plain: str
    action: str
    language: str
    confirmed: bool


@cache
def _translated(language: str) -> dict[str, dict[str, str]]:
    path = files("symptoms").joinpath(f"content/red_flags.{language}.yaml")
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}


def red_flag_words(key: str, language: str) -> RedFlagWords:
    """Return the words in `language`, in English where it has none. Raises: KeyError."""
    flag = red_flags()[key]
    translated = _translated(language).get(key)
    return RedFlagWords(
        key=key,
        urgency=flag.urgency,
        plain=translated["plain"] if translated else flag.plain_text,
        action=translated["action"] if translated else flag.action_text,
        language=language if translated else "en",
        confirmed=bool(flag.clinician_confirmed_by),
    )
