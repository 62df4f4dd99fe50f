"""Symptom check-ins: the questions, and which answers need a person, how soon.

Public: `evaluate(check_in, ...) -> tuple[SymptomAlert, ...]`, `CheckIn`, `SymptomAnswer`,
`Temperature`, `AlertSettings`, `Urgency`, `AlertReason`, `SymptomAlert`, `Symptom`,
`RedFlag`, `symptoms()`, `red_flags()`, `composite_grade(...)`, `concern_of(kind, key)`.

No red flag depends on a recorded cancer site, and no answer can lower the urgency that
another answer gave.

Source: data/symptoms.csv, symptom_alerts.csv, red_flags.csv, pro_composite.csv (composite
of Basch 2021). The numeric thresholds are our defaults, not published limits, and no
clinician has confirmed them yet. The questions are our own wording, not PRO-CTCAE.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from enum import IntEnum, StrEnum
from functools import cache
from types import MappingProxyType
from typing import Literal

from clinical.reference_data import Row, rows, words

COMPARISON_AGE = timedelta(weeks=4)
"""An earlier check-in older than this is not compared with; the baseline is."""

_LEVELS = range(5)


class Urgency(IntEnum):
    """How soon a person must read an alert. Higher is sooner."""

    ROUTINE = 0
    WITHIN_24H = 1
    SAME_DAY = 2
    EMERGENCY = 3


class AlertReason(StrEnum):
    """Which rule an answer met."""

    LEVEL = "level"
    WORSE = "worse"
    PRESENT = "present"
    RED_FLAG = "red_flag"
    FEVER = "fever"
    CHILLS_ASK_TEMPERATURE = "chills_ask_temperature"
    TEMPERATURE_UNCLEAR = "temperature_unclear"
    HIGH_CALCIUM_PATTERN = "high_calcium_pattern"


@dataclass(frozen=True, slots=True)
class Symptom:
    """One symptom and our own question. `attributes`: frequency, severity, ..."""

    key: str
    label: str
    question: str
    attributes: tuple[str, ...]
    sites: tuple[str, ...]
    red_flag_keys: tuple[str, ...]
    analyte_keys: tuple[str, ...]
    topic_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RedFlag:
    """One red flag: what it is, and what she should do before she sends the form.

    `clinician_confirmed_by` is empty until a clinician confirmed the row.
    """

    key: str
    urgency: Urgency
    plain_text: str
    action_text: str
    clinician_confirmed_by: str


@dataclass(frozen=True, slots=True)
class SymptomAnswer:
    """The answers about one symptom. 0-4; None = not asked or not answered, never 0.

    Raises: ValueError for a level outside 0-4.
    """

    symptom_key: str
    frequency: int | None = None
    severity: int | None = None
    interference: int | None = None
    present: bool | None = None
    activity_level: int | None = None

    def __post_init__(self) -> None:
        for level in (self.frequency, self.severity, self.interference, self.activity_level):
            if level is not None and level not in _LEVELS:
                raise ValueError("a level is a whole number from 0 to 4")


@dataclass(frozen=True, slots=True)
class Temperature:
    """The highest temperature. `unit` None = she gave only a number."""

    number: Decimal
    unit: Literal["C", "F"] | None = None

    def unit_or_guess(self) -> Literal["C", "F"] | None:
        """Return the unit; 34-43 without one is Celsius, 95-110 Fahrenheit, else unclear."""
        if self.unit is not None:
            return self.unit
        if 34 <= self.number <= 43:
            return "C"
        return "F" if 95 <= self.number <= 110 else None

    def reaches(self, celsius: Decimal) -> bool | None:
        """Say whether it is at least this many degrees Celsius, None when unclear."""
        unit = self.unit_or_guess()
        if unit is None:
            return None
        if unit == "C":
            return self.number >= celsius
        return (self.number - 32) * 5 >= celsius * 9


@dataclass(frozen=True, slots=True)
class CheckIn:
    """One completed form. `red_flags`: keys answered with yes."""

    completed_on: date
    answers: Mapping[str, SymptomAnswer] = field(default_factory=lambda: MappingProxyType({}))
    red_flags: frozenset[str] = frozenset()
    temperature: Temperature | None = None


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Settings of a site. Fever: 38.0 C by default, 37.5 C is a known option."""

    fever_celsius: Decimal = Decimal("38.0")


@dataclass(frozen=True, slots=True)
class SymptomAlert:
    """Something that a person must read. `concern` groups alerts with laboratory results."""

    symptom_key: str | None
    concern: str
    urgency: Urgency
    reason: AlertReason
    red_flag_key: str | None = None


@dataclass(frozen=True, slots=True)
class _Rule:
    frequency: int | None
    severity: int | None
    interference: int | None
    present: bool
    worse_by: int | None
    worse_from_level: int
    red_flag_key: str | None
    urgency: Urgency | None


_ATTRIBUTES = {
    "F": "frequency",
    "S": "severity",
    "I": "interference",
    "P": "present",
    "0-4": "activity_level",
    "numeric": "temperature",
}


@cache
def symptoms() -> Mapping[str, Symptom]:
    """Return every symptom by key, in the order of the form."""
    return MappingProxyType({row["symptom_key"]: _symptom(row) for row in rows("symptoms")})


def _symptom(row: Row) -> Symptom:
    return Symptom(
        key=row["symptom_key"],
        label=row["plain_label"],
        question=row["own_question_text"],
        attributes=tuple(_ATTRIBUTES[letter] for letter in words(row["attributes"], ",")),
        sites=words(row["sites"]),
        red_flag_keys=words(row["red_flag_keys"]),
        analyte_keys=words(row["related_analytes"]),
        topic_keys=words(row["topic_keys"]),
    )


@cache
def red_flags() -> Mapping[str, RedFlag]:
    """Return every red flag by key."""
    return MappingProxyType(
        {
            row["red_flag_key"]: RedFlag(
                key=row["red_flag_key"],
                urgency=Urgency[row["urgency"]],
                plain_text=row["plain_text"],
                action_text=row["action_text"],
                clinician_confirmed_by=row["clinician_confirmed_by"],
            )
            for row in rows("red_flags")
        }
    )


@cache
def _concerns() -> Mapping[tuple[str, str], str]:
    return MappingProxyType({(row["kind"], row["key"]): row["concern"] for row in rows("concerns")})


def concern_of(kind: Literal["analyte", "symptom", "red_flag"], key: str) -> str:
    """Return the clinical concern of a key. Raises: KeyError for an unknown key."""
    return _concerns()[kind, key]


@cache
def _rules() -> Mapping[str, _Rule]:
    return MappingProxyType({row["symptom_key"]: _rule(row) for row in rows("symptom_alerts")})


def _rule(row: Row) -> _Rule:
    def level(column: str) -> int | None:
        return int(row[column]) if row[column] else None

    return _Rule(
        frequency=level("frequency"),
        severity=level("severity"),
        interference=level("interference"),
        present=row["present"] == "yes",
        worse_by=level("worse_by"),
        worse_from_level=level("worse_from_level") or 0,
        red_flag_key=row["red_flag_key"] or None,
        urgency=Urgency[row["urgency"]] if row["urgency"] else None,
    )


def evaluate(
    check_in: CheckIn,
    *,
    previous: CheckIn | None = None,
    baseline: CheckIn | None = None,
    on_treatment: bool = True,
    settings: AlertSettings | None = None,
) -> tuple[SymptomAlert, ...]:
    """Return every alert of a check-in, most urgent first.

    `previous` is the last completed check-in, `baseline` the first. `on_treatment` False
    only when it is known that no cancer treatment runs. Raises: KeyError for an unknown
    symptom or red flag.
    """
    compared = _compared_with(check_in, previous, baseline)
    alerts = [_red_flag_alert(key, None) for key in check_in.red_flags]
    for key, answer in check_in.answers.items():
        before = compared.answers.get(key) if compared is not None else None
        alerts += _answer_alerts(key, answer, before)
    alerts += _temperature_alerts(check_in, on_treatment, settings or AlertSettings())
    alerts += _calcium_pattern(check_in)
    return tuple(
        sorted(
            dict.fromkeys(alerts),
            key=lambda a: (-a.urgency, a.concern, a.symptom_key or "", a.reason),
        )
    )


def _compared_with(
    check_in: CheckIn, previous: CheckIn | None, baseline: CheckIn | None
) -> CheckIn | None:
    if previous is not None and check_in.completed_on - previous.completed_on <= COMPARISON_AGE:
        return previous
    return baseline


def _red_flag_alert(
    key: str, symptom_key: str | None, reason: AlertReason = AlertReason.RED_FLAG
) -> SymptomAlert:
    flag = red_flags()[key]
    return SymptomAlert(symptom_key, concern_of("red_flag", key), flag.urgency, reason, key)


def _answer_alerts(
    key: str, answer: SymptomAnswer, before: SymptomAnswer | None
) -> list[SymptomAlert]:
    rule = _rules()[key]
    reasons = []
    if rule.present and answer.present:
        reasons.append(AlertReason.PRESENT)
    if _reaches(answer.frequency, rule.frequency) or (
        _reaches(answer.severity, rule.severity) or _reaches(answer.interference, rule.interference)
    ):
        reasons.append(AlertReason.CHILLS_ASK_TEMPERATURE if key == "chills" else AlertReason.LEVEL)
    if before is not None and _is_worse(rule, answer, before):
        reasons.append(AlertReason.WORSE)
    if not reasons or rule.urgency is None:
        return []
    if rule.red_flag_key is not None:
        return [_red_flag_alert(rule.red_flag_key, key)]
    concern = concern_of("symptom", key)
    return [SymptomAlert(key, concern, rule.urgency, reason) for reason in reasons]


def _reaches(level: int | None, threshold: int | None) -> bool:
    return level is not None and threshold is not None and level >= threshold


def _is_worse(rule: _Rule, answer: SymptomAnswer, before: SymptomAnswer) -> bool:
    if rule.worse_by is None:
        return False
    pairs = (
        (answer.frequency, before.frequency),
        (answer.severity, before.severity),
        (answer.interference, before.interference),
        (answer.activity_level, before.activity_level),
    )
    return any(
        now is not None
        and then is not None
        and now - then >= rule.worse_by
        and now >= rule.worse_from_level
        for now, then in pairs
    )


def _temperature_alerts(
    check_in: CheckIn, on_treatment: bool, settings: AlertSettings
) -> list[SymptomAlert]:
    if check_in.temperature is None:
        return []
    fever = check_in.temperature.reaches(settings.fever_celsius)
    concern = concern_of("symptom", "fever")
    if fever is None:
        return [SymptomAlert("fever", concern, Urgency.SAME_DAY, AlertReason.TEMPERATURE_UNCLEAR)]
    if not fever:
        return []
    if on_treatment:
        return [_red_flag_alert("fever_on_treatment", "fever", AlertReason.FEVER)]
    return [SymptomAlert("fever", concern, Urgency.WITHIN_24H, AlertReason.FEVER)]


def _calcium_pattern(check_in: CheckIn) -> list[SymptomAlert]:
    """Return the red flag of high calcium: thirst or much urine with another of its signs."""
    thirst = check_in.answers.get("thirst_urination")
    if thirst is None or max(thirst.frequency or 0, thirst.interference or 0) < 1:
        return []
    for key in ("constipation", "nausea", "confusion"):
        other = check_in.answers.get(key)
        if other is not None and (
            other.present or max(other.frequency or 0, other.severity or 0) >= 1
        ):
            return [
                _red_flag_alert(
                    "high_calcium_symptoms", "thirst_urination", AlertReason.HIGH_CALCIUM_PATTERN
                )
            ]
    return []


@cache
def _composites() -> Mapping[tuple[str, str, str], int]:
    return MappingProxyType(
        {
            (row["frequency"], row["severity"], row["interference"]): int(row["composite_grade"])
            for row in rows("pro_composite")
        }
    )


def composite_grade(
    *, frequency: int | None = None, severity: int | None = None, interference: int | None = None
) -> int | None:
    """Return the composite grade 0-3, None when the combination is not in the table.

    For looking at a course over time, not for alerts. An attribute that is not part of the
    symptom is None; a missing answer makes the composite missing, so do not call it then.
    The first attribute (frequency, else severity) at 0 makes it 0 whatever the rest.
    """
    if (severity if frequency is None else frequency) == 0:
        return 0
    levels = (frequency, severity, interference)
    first, second, third = ("" if level is None else str(level) for level in levels)
    return _composites().get((first, second, third))
