"""What may be answered, and how answers reach the rules. No database."""

from dataclasses import replace
from decimal import Decimal
from itertools import product
from pathlib import Path

import pytest

from clinical.symptom_rules import red_flags, symptoms
from core.errors import InvalidInput
from symptoms.answers import Sent, as_check_in, composites, read_answers
from symptoms.checks import red_flags_are_confirmed
from symptoms.phrases import PHRASES
from symptoms.questions import LANGUAGES, QuestionnaireFault, read_questionnaire
from symptoms.red_flag_words import red_flag_words
from symptoms.services.questionnaires import SHIPPED
from tests.symptoms.conftest import MONDAY, levels

WEEKLY = read_questionnaire(SHIPPED[0])
QUESTIONS = WEEKLY.questions


def refusals(sent: list[Sent], *, partial: bool = False) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as refused:
        read_answers(QUESTIONS, sent, partial=partial)
    return [(error.field, error.code) for error in refused.value.errors]


def test_a_complete_set_reaches_the_rules() -> None:
    sent = levels(
        now=["seizure"],
        pain_general__frequency=3,
        pain_general__severity=4,
        falls__present=1,
        activity_level=2,
        can_wait=0,
    )
    sent.append(Sent("fever.temperature", Decimal("101.3"), unit="F"))
    check_in = as_check_in(read_answers(QUESTIONS, sent), completed_on=MONDAY)
    assert check_in.red_flags == {"seizure"}
    assert check_in.answers["pain_general"].severity == 4
    assert check_in.answers["pain_general"].interference is None
    assert check_in.answers["falls"].present is True
    assert check_in.answers["activity_level"].activity_level == 2
    assert check_in.temperature is not None
    assert (check_in.temperature.number, check_in.temperature.unit) == (Decimal("101.3"), "F")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Sent("never.asked", Decimal(1)), "unknown-item"),
        (Sent("fatigue.severity", Decimal(5)), "out-of-range"),
        (Sent("fatigue.severity", Decimal(-1)), "out-of-range"),
        (Sent("fatigue.severity", Decimal("1.5")), "out-of-range"),
        (Sent("fatigue.severity"), "value-missing"),
        (Sent("fatigue.severity", codes=("seizure",)), "value-missing"),
        (Sent("fatigue.severity", Decimal(1), declined=True), "declined-with-answer"),
        (Sent("falls.present", Decimal(2)), "out-of-range"),
        (Sent("fever.temperature", Decimal("24.9")), "out-of-range"),
        (Sent("fever.temperature", Decimal("115.1")), "out-of-range"),
        (Sent("fever.temperature", Decimal(38), unit="K"), "unknown-unit"),
        (Sent("fatigue.interference", Decimal(2)), "not-enabled"),
    ],
)
def test_an_answer_that_cannot_be_is_named_without_its_value(answer: Sent, code: str) -> None:
    assert refusals([*levels(), answer]) == [(f"answers.{answer.link_id}", code)]


@pytest.mark.parametrize("value", ["25", "115", "0", "4"])
def test_answers_at_the_edges_are_accepted(value: str) -> None:
    link = "fever.temperature" if Decimal(value) > 4 else "fatigue.severity"
    assert read_answers(QUESTIONS, [*levels(), Sent(link, Decimal(value))])[-1].value == Decimal(
        value
    )


def test_ticks_outside_the_list_are_refused() -> None:
    assert refusals(levels(now=["jaundice"])) == [("answers.now", "unknown-option")]


def test_required_questions_may_stay_open_only_before_sending() -> None:
    assert refusals([]) == [("answers.now", "required"), ("answers.this_week", "required")]
    assert read_answers(QUESTIONS, [], partial=True) == []


def test_answering_twice_is_refused() -> None:
    twice = [Sent("falls.present", Decimal(1))] * 2
    assert refusals([*levels(), *twice]) == [("answers.falls.present", "answered-twice")]


def test_a_question_she_would_rather_not_answer_is_missing_and_never_nought() -> None:
    given = read_answers(QUESTIONS, [*levels(), Sent("fatigue.severity", declined=True)])
    assert [a.value for a in given if a.link_id == "fatigue.severity"] == [None]
    assert "fatigue" not in as_check_in(given, completed_on=MONDAY).answers


def test_a_follow_up_is_asked_only_above_nought() -> None:
    none = levels(fatigue__severity=0, fatigue__interference=0)
    assert refusals(none) == [("answers.fatigue.interference", "not-enabled")]
    read_answers(QUESTIONS, levels(fatigue__severity=1, fatigue__interference=0))


def graded(**values: int) -> dict[str, int]:
    given = read_answers(QUESTIONS, levels(**values))
    return composites(as_check_in(given, completed_on=MONDAY).answers)


def test_a_composite_needs_every_attribute_or_a_first_answer_of_nought() -> None:
    full = {
        "pain_general__frequency": 4,
        "pain_general__severity": 4,
        "pain_general__interference": 4,
    }
    assert graded(**full) == {"pain_general": 3}
    assert graded(pain_general__frequency=4, pain_general__severity=4) == {}
    assert graded(pain_general__frequency=0) == {"pain_general": 0}
    assert graded(fatigue__severity=3, fatigue__interference=2) == {"fatigue": 2}


def test_every_combination_of_pain_answers_has_a_composite() -> None:
    for f, s, i in product(range(1, 5), range(5), range(5)):
        grades = graded(
            pain_general__frequency=f, pain_general__severity=s, pain_general__interference=i
        )
        assert grades["pain_general"] in range(4)


# --- the shipped file -------------------------------------------------------------------------


def test_the_weekly_questions_are_few_and_in_two_languages() -> None:
    asked = {q.symptom_key or q.link_id for q in QUESTIONS}
    assert 8 <= len({q.symptom_key for q in QUESTIONS if q.symptom_key in symptoms()}) <= 12
    assert {"falls", "activity_level", "can_wait", "now", "this_week"} <= asked
    for question in QUESTIONS:
        assert all(question.words[language] for language in LANGUAGES)


def test_every_red_flag_can_be_ticked_and_has_words_in_both_languages() -> None:
    ticks = [o["code"] for q in QUESTIONS if q.asks == "red_flag" for o in q.options]
    assert sorted(ticks) == sorted(red_flags())
    urgent = {k for k, flag in red_flags().items() if flag.urgency.name == "EMERGENCY"}
    assert {o["code"] for o in QUESTIONS[0].options} == urgent
    for key in red_flags():
        assert red_flag_words(key, "es").language == "es"
        assert red_flag_words(key, "de").plain == red_flags()[key].plain_text


def test_a_deployment_is_refused_while_a_red_flag_is_unconfirmed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [error] = red_flags_are_confirmed()
    assert "seizure" in str(error.msg)
    confirmed = {k: replace(f, clinician_confirmed_by="X") for k, f in red_flags().items()}
    monkeypatch.setattr("symptoms.checks.red_flags", lambda: confirmed)
    assert red_flags_are_confirmed() == []


def test_the_rules_know_every_question() -> None:
    for question in QUESTIONS:
        if question.symptom_key:
            assert question.asks in symptoms()[question.symptom_key].attributes


REFUSED = ("your team has", "is looking", "will contact", "get back to you", "are watching")


def test_no_sentence_promises_a_watcher() -> None:
    assert set(PHRASES["en"]) == set(PHRASES["es"])
    words = [*PHRASES["en"].values(), *(flag.action_text for flag in red_flags().values())]
    assert [w for w in words if any(phrase in w.lower() for phrase in REFUSED)] == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("symptom: fatigue", "symptom: unheard_of", "not known"),
        ("enabled_by: fatigue.severity", "enabled_by: falls.present", "does not come before"),
        ("link_id: falls.present", "link_id: activity_level", "twice"),
        ("[breathing_emergency,", "[unheard_of,", "unknown red flags"),
        ("key: weekly-general\n", "", "missing"),
    ],
)
def test_a_faulty_file_is_refused(tmp_path: Path, old: str, new: str, fault: str) -> None:
    text = SHIPPED[0].read_text(encoding="utf-8")
    path = tmp_path / "q.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(QuestionnaireFault, match=fault):
        read_questionnaire(path)
