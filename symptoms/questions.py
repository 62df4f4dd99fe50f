"""Read a questionnaire file and check it against what the alert rules know. No database."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from clinical.symptom_rules import red_flags, symptoms

LANGUAGES = ("en", "es")
_NO_SYMPTOM = {"red_flag", "can_wait"}


class QuestionnaireFault(Exception):
    """A questionnaire file that cannot be loaded: which item, and why."""


@dataclass(frozen=True, slots=True)
class Question:
    """One item; `options` is [{value | code, words by language}], empty for a number."""

    position: int
    link_id: str
    symptom_key: str
    asks: str
    words: dict[str, str]
    options: tuple[dict[str, Any], ...]
    enabled_by: str
    required: bool


@dataclass(frozen=True, slots=True)
class QuestionnaireFile:
    """A whole file; `digest` is the SHA-256 of its content, whatever its layout."""

    key: str
    version: int
    title: dict[str, str]
    questions: tuple[Question, ...]
    digest: str


def read_questionnaire(path: Path) -> QuestionnaireFile:
    """Return the questionnaire in a YAML file. Raises: QuestionnaireFault."""
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        questions = tuple(
            _question(number, item, raw["scales"]) for number, item in enumerate(raw["items"], 1)
        )
        _check(questions)
        return QuestionnaireFile(
            key=raw["key"],
            version=raw["version"],
            title=_words(raw["title"]),
            questions=questions,
            digest=hashlib.sha256(
                json.dumps(raw, sort_keys=True, ensure_ascii=False).encode()
            ).hexdigest(),
        )
    except (KeyError, TypeError) as error:
        raise QuestionnaireFault(f"{path.name}: {error} is missing or not as expected") from error


def _words(raw: dict[str, str]) -> dict[str, str]:
    return {language: raw[language] for language in LANGUAGES}


def _question(number: int, item: dict[str, Any], scales: dict[str, Any]) -> Question:
    if "red_flags" in item:
        options = tuple({"code": key} for key in item["red_flags"])
    else:
        options = tuple(
            {"value": option["value"], "words": _words(option)}
            for option in (scales[item["scale"]] if "scale" in item else ())
        )
    return Question(
        position=number,
        link_id=item["link_id"],
        symptom_key=item.get("symptom", ""),
        asks=item["asks"],
        words=_words(item["words"]),
        options=options,
        enabled_by=item.get("enabled_by", ""),
        required=item.get("required", False),
    )


def _check(questions: tuple[Question, ...]) -> None:
    before: dict[str, Question] = {}
    for question in questions:
        fault = _fault(question, before)
        if fault:
            raise QuestionnaireFault(f"{question.link_id}: {fault}")
        before[question.link_id] = question


def _fault(question: Question, before: dict[str, Question]) -> str:
    if question.link_id in before:
        return "the link id is used twice"
    if question.enabled_by and question.enabled_by not in before:
        return "it is enabled by an item that does not come before it"
    if question.asks == "red_flag":
        unknown = {option["code"] for option in question.options} - set(red_flags())
        return f"unknown red flags {sorted(unknown)}" if unknown else ""
    if question.asks in _NO_SYMPTOM:
        return ""
    symptom = symptoms().get(question.symptom_key)
    if symptom is None:
        return "the symptom is not known"
    if question.asks not in symptom.attributes:
        return "the symptom has no such attribute"
    return ""
