"""What she is told after her answers: what was heard, who looks and when, what to do, whom to
call. Built from facts; nothing here reads the database or the clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from accounts.models import Organization
from clinical.symptom_rules import Urgency, symptoms
from core.timeobject import time_object, time_object_or_none
from symptoms.answers import Given
from symptoms.models import QuestionnaireItem
from symptoms.phrases import phrase
from symptoms.red_flag_words import red_flag_words
from worklist.calendar import Review

_URGENT = (Urgency.EMERGENCY, Urgency.SAME_DAY)


@dataclass(frozen=True, slots=True)
class Heard:
    """One alert, for her eyes: which symptom or red flag, and how soon. No rule names."""

    symptom_key: str
    red_flag_key: str
    urgency: str


def question_words(item: QuestionnaireItem, language: str) -> str:
    """Return the question in `language`, in English where it has none."""
    return str(item.words.get(language) or item.words["en"])


def _answer_words(item: QuestionnaireItem, given: Given, language: str) -> str:
    if given.value is None:
        return phrase("declined", language)
    if item.asks == "red_flag":
        return (
            red_flag_words(given.code, language).plain if given.code else phrase("none", language)
        )
    if item.asks == "temperature":
        return f"{given.value.normalize():f} {'°' + given.code if given.code else ''}".strip()
    for option in item.options:
        if option["value"] == given.value:
            return str(option["words"].get(language) or option["words"]["en"])
    raise ValueError("an answer outside its options was stored")


def what_we_heard(
    items: Sequence[QuestionnaireItem], given: Sequence[Given], language: str
) -> list[dict[str, str]]:
    """Return each answered question with the words of its answer."""
    by_link = {item.link_id: item for item in items}
    return [
        {
            "link_id": answer.link_id,
            "question": question_words(by_link[answer.link_id], language),
            "answer": _answer_words(by_link[answer.link_id], answer, language),
        }
        for answer in given
    ]


def alert_words(
    alerts: Sequence[Heard], organization: Organization, language: str
) -> list[dict[str, Any]]:
    """Return what each alert is about and what to do, the most urgent first, each once."""
    found: dict[str, dict[str, Any]] = {}
    for alert in sorted(alerts, key=lambda a: -Urgency[a.urgency]):
        if alert.red_flag_key:
            words = red_flag_words(alert.red_flag_key, language)
            text, action = words.plain, words.action
        else:
            symptom = symptoms().get(alert.symptom_key)
            text = symptom.label if symptom else phrase("urgent", language)
            action = phrase(
                "call_now" if Urgency[alert.urgency] in _URGENT else "call",
                language,
                phone_day=organization.phone_day,
                phone_24h=organization.phone_24h,
            )
        found.setdefault(text, {"urgency": alert.urgency, "text": text, "action": action})
    return list(found.values())


def review_words(
    review: Review | None,
    organization: Organization,
    *,
    watched_now: bool,
    zone: str,
    language: str,
) -> dict[str, Any]:
    """Return whether anybody watches now and when this is read; None: nothing needs reading."""
    if review is None:
        text, by = phrase("no_alert", language), None
    elif review.by is not None:
        by = review.by
        text = phrase("due", language, time=time_object(by, zone, language)["text"])
    else:
        by = None
        before = time_object_or_none(review.not_before, zone, language)
        text = phrase(
            "nobody" if before else "nobody_known",
            language,
            phone_24h=organization.phone_24h,
            time=before["text"] if before else "",
        )
    return {
        "watched_now": watched_now,
        "next_review_by": time_object_or_none(by, zone, language),
        "text": text,
    }


def meanwhile(alerts: Sequence[Heard], language: str) -> list[str]:
    """Return what to do until somebody looks."""
    if not alerts:
        return [phrase("well", language)]
    if any(Urgency[alert.urgency] == Urgency.EMERGENCY for alert in alerts):
        actions = [
            red_flag_words(alert.red_flag_key, language).action
            for alert in alerts
            if alert.red_flag_key and Urgency[alert.urgency] == Urgency.EMERGENCY
        ]
        return [*dict.fromkeys(actions), phrase("emergency", language)]
    return [phrase("follow", language)]


def whom_to_call(
    alerts: Sequence[Heard], review: Review | None, organization: Organization, language: str
) -> dict[str, Any]:
    """Return the phones, and whether to use them now."""
    nobody_looks = review is not None and review.by is None
    now = nobody_looks or any(Urgency[alert.urgency] in _URGENT for alert in alerts)
    return {
        "now": now,
        "phone_day": organization.phone_day,
        "phone_24h": organization.phone_24h,
        "text": phrase(
            "call_now" if now else "call",
            language,
            phone_day=organization.phone_day,
            phone_24h=organization.phone_24h,
        ),
    }
