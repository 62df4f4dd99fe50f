"""Why the portal writes to somebody: every purpose, and what holds for it."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from accounts.scopes import Scope


class Purpose(StrEnum):
    CHECK_IN = "check-in"
    VISIT_BOOKED = "visit-booked"
    VISIT_REMINDER = "visit-reminder"
    VISIT_CHANGED = "visit-changed"
    VISIT_OFFER = "visit-offer"
    RESULT = "result"
    RESULT_CORRECTED = "result-corrected"
    REPLY = "reply"
    SECURITY_CODE = "security-code"
    ON_CALL_PAGE = "on-call-page"


@dataclass(frozen=True, slots=True)
class PurposeRule:
    """What holds for a purpose.

    `scope` is what a caregiver's grant must hold for her to be told. `must_reach`: a row that
    did not arrive becomes a work item. `may_bypass_quiet_hours`: the documented list of
    DECISIONS 23, and paging, whose recipient is on duty. `to_staff`: the recipient works
    here, so a patient's wish to be left alone does not concern it. `needs_recheck`: the
    feature must say, just before sending, that it still holds; a row whose feature is silent
    waits.
    """

    template: str
    words: str
    scope: Scope | None = None
    must_reach: bool = False
    may_bypass_quiet_hours: bool = False
    to_staff: bool = False
    needs_recheck: bool = False
    kept_for: timedelta = timedelta(days=7)


RULES: dict[Purpose, PurposeRule] = {
    Purpose.CHECK_IN: PurposeRule(
        "check_in", "A check-in was waiting for you", Scope.SYMPTOMS_READ, needs_recheck=True
    ),
    Purpose.VISIT_BOOKED: PurposeRule(
        "visit", "A date was booked", Scope.APPOINTMENTS_READ, needs_recheck=True
    ),
    Purpose.VISIT_REMINDER: PurposeRule(
        "visit", "A date was coming up", Scope.APPOINTMENTS_READ, needs_recheck=True
    ),
    Purpose.VISIT_CHANGED: PurposeRule(
        "visit_changed",
        "A date was moved or cancelled",
        Scope.APPOINTMENTS_READ,
        must_reach=True,
        may_bypass_quiet_hours=True,
    ),
    Purpose.VISIT_OFFER: PurposeRule(
        "visit", "An earlier date became free", Scope.APPOINTMENTS_READ, needs_recheck=True
    ),
    Purpose.RESULT: PurposeRule(
        "something_new",
        "Something new was ready to read",
        Scope.LABS_READ,
        may_bypass_quiet_hours=True,
        needs_recheck=True,
    ),
    Purpose.RESULT_CORRECTED: PurposeRule(
        "something_changed",
        "Something you may have read was changed",
        Scope.LABS_READ,
        must_reach=True,
        needs_recheck=True,
    ),
    Purpose.REPLY: PurposeRule(
        "something_new",
        "There was an answer to your message",
        Scope.MESSAGES_READ,
        may_bypass_quiet_hours=True,
    ),
    Purpose.SECURITY_CODE: PurposeRule(
        "security_code",
        "You asked for a code",
        may_bypass_quiet_hours=True,
        kept_for=timedelta(minutes=10),
    ),
    Purpose.ON_CALL_PAGE: PurposeRule(
        "task_waiting",
        "A task was waiting while you were on call",
        may_bypass_quiet_hours=True,
        to_staff=True,
        kept_for=timedelta(hours=12),
    ),
}


# What she reads in her history when nothing was sent, by the reason the ledger keeps.
WHY_NOT: dict[str, str] = {
    "already-answered": "You had answered already.",
    "channel-unavailable": "This way of sending is not set up here.",
    "channel-off": "You turned this kind of message off.",
    "check-in-cancelled": "The check-in was cancelled.",
    "deceased": "Messages are stopped.",
    "expired": "It was too late for it to be of use.",
    "grant-ended": "The permission it depended on had ended.",
    "inactive": "The account is closed.",
    "no-address": "We had no address to send it to.",
    "merged": "Another message told of it, too.",
    "not-wanted": "You chose not to be told of these.",
    "no-longer-applies": "It no longer applied.",
    "paused": "You asked to be left alone for a while.",
    "overtaken": "A later reminder said the same.",
    "quiet-hours": "It would have disturbed you at night.",
    "recipient-inactive": "The account is closed.",
    "stale": "It was planned too late to be of use.",
}
