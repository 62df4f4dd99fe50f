"""What each portal state means and what to do, in plain English (grade 6 or below).

Public: `text_for(state) -> PatientText`, `Contact`, `acknowledged_text(...)`,
`reviewed_text(...)`, `reviewed_before_text(...)`, `NOT_REVIEWED`, `RESULT_NOTE`, `PROMISES`,
`not_released_text(latest)`.

No text says that somebody watches. Only after a named member of staff acknowledged a
critical result may `acknowledged_text` be shown, and only after a review `reviewed_text`.
The words are ours and were not tested with patients.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

from clinical.states import PortalState

PROMISES = ("your team has", "is looking", "will contact")
"""Words that no text may contain: they promise a watcher."""

RESULT_NOTE = (
    "Marks compare your number with the lab's usual range. Many people with cancer have "
    "numbers outside it. Ask your care team what yours mean."
)


def not_released_text(latest: date) -> str:
    """Return the one line about tests that wait; the same whatever waits and why."""
    day = f"{latest.day} {latest:%B %Y}"
    return f"Some tests of this visit are not released yet; latest {day}."


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom to call: day phone, the hours it is answered, and the 24-hour phone."""

    phone: str
    hours: str
    phone_24h: str


@dataclass(frozen=True, slots=True)
class PatientText:
    """Two short texts with the placeholders {phone}, {hours} and {phone_24h}."""

    meaning: str
    what_to_do: str

    def filled(self, contact: Contact) -> "PatientText":
        """Return the texts with the phone numbers of one organization."""
        return PatientText(_fill(self.meaning, contact), _fill(self.what_to_do, contact))


def _fill(text: str, contact: Contact) -> str:
    return (
        text.replace("{phone_24h}", contact.phone_24h)
        .replace("{phone}", contact.phone)
        .replace("{hours}", contact.hours)
    )


_CALL_NOW = (
    "Call your care team now: {phone}. Outside {hours}: {phone_24h}. "
    "Do not wait for a message here."
)
_ASK = "Ask about it at your next visit. If you feel unwell, call {phone}."
_CALL_TODAY = "Call your care team today: {phone}. If you feel unwell outside {hours}: {phone_24h}."
_NOTHING = "You do not have to do anything. If you feel unwell, call {phone}."

_S = PortalState
_TEXTS: Mapping[PortalState, PatientText] = MappingProxyType(
    {
        _S.IN_RANGE: PatientText(
            "Your number is inside the range for this lab.",
            "You do not have to do anything about this number. If you feel unwell, call {phone}.",
        ),
        _S.LOW: PatientText("Your number is below the range for this lab.", _ASK),
        _S.HIGH: PatientText("Your number is above the range for this lab.", _ASK),
        _S.LOW_SIGNIFICANT: PatientText(
            "The lab marked your number as clearly below its range.", _CALL_TODAY
        ),
        _S.HIGH_SIGNIFICANT: PatientText(
            "The lab marked your number as clearly above its range.", _CALL_TODAY
        ),
        _S.CRITICAL_LOW: PatientText("Well below the lab's range.", _CALL_NOW),
        _S.CRITICAL_HIGH: PatientText("Well above the lab's range.", _CALL_NOW),
        _S.CRITICAL: PatientText("The lab says that this result needs care now.", _CALL_NOW),
        _S.ABNORMAL: PatientText("The lab marked this as not the usual result.", _ASK),
        _S.OFF_SCALE_LOW: PatientText(
            "Your number is below what the test can read, or it is very low.", _CALL_TODAY
        ),
        _S.OFF_SCALE_HIGH: PatientText(
            "Your number is above what the test can read, or it is very high.", _CALL_NOW
        ),
        _S.INDETERMINATE: PatientText(
            "We cannot tell if this result is inside the range for this lab.", _ASK
        ),
        _S.NO_RANGE: PatientText(
            "We do not have a range for this result, so we cannot rate it.", _ASK
        ),
        _S.UNKNOWN_UNIT: PatientText(
            "The lab did not make clear in which unit it gave this number. We cannot rate it.",
            _ASK,
        ),
        _S.UNIT_MISMATCH: PatientText(
            "The unit of this number does not fit the test. We cannot rate it.", _ASK
        ),
        _S.NON_NUMERIC: PatientText("The lab gave this result in words, not as a number.", _ASK),
        _S.IMPLAUSIBLE: PatientText(
            "This number is far from what the test can give. It may be an error.",
            "Do not act on this number by itself. " + _CALL_TODAY,
        ),
        _S.PRELIMINARY: PatientText(
            "This is an early result. It can still change.",
            "Wait for the final result. If you feel unwell, call {phone}.",
        ),
        _S.PENDING: PatientText("This test is not done yet.", _NOTHING),
        _S.CANCELLED: PatientText(
            "The lab gave no result for this test.",
            "Ask your care team if the test must be done again: {phone}.",
        ),
        _S.RETRACTED: PatientText(
            "The lab took this result back. It does not count.",
            "If you saw it before, do not go by it. Questions? Call {phone}.",
        ),
        _S.INVALID: PatientText(
            "The lab could not report this test.",
            "Ask your care team if the test must be done again: {phone}.",
        ),
        _S.HELD: PatientText("This result is not out yet.", _NOTHING),
        _S.NEEDS_REVIEW: PatientText(
            "The lab used a mark that we do not know. So we cannot rate this result.",
            _CALL_TODAY,
        ),
    }
)


def text_for(state: PortalState) -> PatientText:
    """Return what a state means and what to do, with placeholders."""
    return _TEXTS[state]


def acknowledged_text(*, role: str, time_text: str) -> str:
    """Return the line that may follow once a named member of staff opened the result."""
    return f"{role} opened this on {time_text}."


NOT_REVIEWED = "Nobody has marked this as reviewed yet."


def reviewed_text(*, role: str, time_text: str) -> str:
    """Return the line that a named member of staff's review gives, and nothing else may."""
    return f"Opened and reviewed by a {role} on {time_text}."


def reviewed_before_text(*, role: str, time_text: str) -> str:
    """Return the line for a review of what stood here before it was corrected."""
    return (
        f"A {role} reviewed this on {time_text}, before it was corrected. "
        "Nobody has marked the corrected result as reviewed yet."
    )
