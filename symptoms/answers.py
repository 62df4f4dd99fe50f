"""Check what she sent against the questions, and hand it to the alert rules. No database."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal, Protocol, cast

from clinical.symptom_rules import CheckIn, SymptomAnswer, Temperature, composite_grade, symptoms
from core.errors import FieldError, InvalidInput

_COMPOSITE_OF = ("frequency", "severity", "interference")


class Question(Protocol):
    """What is needed of a question: a row, or the question in a file."""

    link_id: str
    symptom_key: str
    asks: str
    options: Any
    enabled_by: str
    required: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """One answer as it came in. All empty: she would rather not answer."""

    link_id: str
    value: Decimal | None = None
    codes: tuple[str, ...] = ()
    unit: str = ""
    declined: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """One checked answer, as it is stored. `value` None: not answered, never 0."""

    link_id: str
    symptom_key: str
    attribute: str
    value: Decimal | None
    code: str = ""


def read_answers(
    questions: Sequence[Question], sent: Sequence[Sent], *, partial: bool = False
) -> list[Given]:
    """Return the answers that `questions` allow, in the order of the questions.

    `partial` lets required questions open, for a look before the form is complete.
    Raises: InvalidInput naming every faulty item, never its value.
    """
    by_link: dict[str, list[Sent]] = defaultdict(list)
    for answer in sent:
        by_link[answer.link_id].append(answer)
    known = {question.link_id for question in questions}
    errors = [
        _error(link, "unknown-item", "No such question.") for link in by_link if link not in known
    ]
    given: list[Given] = []
    for question in questions:
        answers = by_link.get(question.link_id, [])
        if not answers:
            if question.required and not partial:
                errors.append(_error(question.link_id, "required", "Please answer this one."))
            continue
        if len(answers) > 1:
            errors.append(_error(question.link_id, "answered-twice", "Answer it once."))
            continue
        problem = _problem(question, answers[0])
        if problem:
            errors.append(_error(question.link_id, *problem))
            continue
        given += _given(question, answers[0])
    errors += _not_enabled(questions, given)
    if errors:
        raise InvalidInput(errors=tuple(errors))
    return given


def _error(link_id: str, code: str, message: str) -> FieldError:
    # An unknown link id came from outside; its text is not repeated in full.
    return FieldError(f"answers.{link_id[:60]}", code, message)


def _problem(question: Question, sent: Sent) -> tuple[str, str] | None:
    if sent.declined:
        return ("declined-with-answer", "Send no value.") if sent.value or sent.codes else None
    if question.asks == "red_flag":
        allowed = {option["code"] for option in question.options}
        if sent.value is not None or not set(sent.codes) <= allowed:
            return "unknown-option", "Choose from the list."
        return None
    if sent.codes or sent.value is None:
        return "value-missing", "Send one number."
    if question.asks == "temperature":
        if sent.unit not in ("", "C", "F"):
            return "unknown-unit", "Send C or F."
        if not 25 <= sent.value <= 115 or sent.value != sent.value.quantize(Decimal("0.01")):
            return "out-of-range", "This cannot be a body temperature."
        return None
    if sent.value not in {Decimal(option["value"]) for option in question.options}:
        return "out-of-range", "Choose from the list."
    return None


def _given(question: Question, sent: Sent) -> list[Given]:
    def made(value: Decimal | None, code: str = "") -> Given:
        return Given(question.link_id, question.symptom_key, question.asks, value, code)

    if sent.declined:
        return [made(None)]
    if question.asks == "red_flag":
        codes = dict.fromkeys(sent.codes)
        return [made(Decimal(1), code) for code in codes] or [made(Decimal(0))]
    return [made(sent.value, sent.unit)]


def _not_enabled(questions: Sequence[Question], given: Sequence[Given]) -> list[FieldError]:
    """Return an error for each answer to a question that its first answer closed."""
    values = {answer.link_id: answer.value for answer in given}
    return [
        _error(question.link_id, "not-enabled", "This was not asked after your earlier answer.")
        for question in questions
        if question.enabled_by
        and question.link_id in values
        and not (values.get(question.enabled_by) or 0) > 0
    ]


def as_check_in(given: Iterable[Given], *, completed_on: date) -> CheckIn:
    """Return the answers as the alert rules read them."""
    levels: dict[str, dict[str, Any]] = defaultdict(dict)
    flags: set[str] = set()
    temperature: Temperature | None = None
    for answer in given:
        if answer.attribute == "red_flag":
            if answer.value:
                flags.add(answer.code)
        elif answer.value is None or answer.attribute == "can_wait":
            continue
        elif answer.attribute == "temperature":
            unit = cast(Literal["C", "F"] | None, answer.code or None)
            temperature = Temperature(answer.value, unit)
        elif answer.attribute == "present":
            levels[answer.symptom_key]["present"] = bool(answer.value)
        else:
            levels[answer.symptom_key][answer.attribute] = int(answer.value)
    return CheckIn(
        completed_on=completed_on,
        answers={key: SymptomAnswer(key, **values) for key, values in levels.items()},
        red_flags=frozenset(flags),
        temperature=temperature,
    )


def composites(answers: Mapping[str, SymptomAnswer]) -> dict[str, int]:
    """Return the composite grade of each symptom whose attributes are all answered.

    Attributes that the first answer, 0, closed count as 0. Source: clinical/data/README.md,
    pro_composite.
    """
    grades = {}
    for key, answer in answers.items():
        wanted = [name for name in symptoms()[key].attributes if name in _COMPOSITE_OF]
        levels = {name: getattr(answer, name) for name in wanted}
        if not wanted or levels[wanted[0]] is None:
            continue
        if levels[wanted[0]] > 0 and None in levels.values():
            continue
        grade = composite_grade(**levels)
        if grade is not None:
            grades[key] = grade
    return grades
