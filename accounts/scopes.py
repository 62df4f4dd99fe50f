"""The scope words: one enum for OAuth, caregiver grants and the permission matrix."""

from collections.abc import Iterable
from enum import StrEnum

from core.areas import Area


class Scope(StrEnum):
    APPOINTMENTS_READ = "appointments.read"
    APPOINTMENTS_WRITE = "appointments.write"
    LABS_READ = "labs.read"
    SYMPTOMS_READ = "symptoms.read"
    SYMPTOMS_WRITE = "symptoms.write"
    MESSAGES_READ = "messages.read"
    MESSAGES_WRITE = "messages.write"
    EDUCATION_READ = "education.read"
    BILLING_READ = "billing.read"
    BILLING_WRITE = "billing.write"
    EXPORT = "export"


# What a laboratory's client may ask for; no person and no grant can hold it.
LAB_SUBMIT = "labs.submit"
# What a tool of the staff may ask for; the person's roles still decide what it reaches.
STAFF = "staff"

SCOPE_WORDS: dict[str, str] = {
    Scope.APPOINTMENTS_READ: "See your appointments",
    Scope.APPOINTMENTS_WRITE: "Book, move and cancel your appointments",
    Scope.LABS_READ: "See your test results",
    Scope.SYMPTOMS_READ: "See how you said you feel",
    Scope.SYMPTOMS_WRITE: "Send how you feel, and results from elsewhere",
    Scope.MESSAGES_READ: "Read your messages",
    Scope.MESSAGES_WRITE: "Write messages for you",
    Scope.EDUCATION_READ: "See what you saved to read",
    Scope.BILLING_READ: "See your bills",
    Scope.BILLING_WRITE: "Pay your bills",
    Scope.EXPORT: "Download your record",
    LAB_SUBMIT: "Deliver laboratory results",
    STAFF: "Work as a member of staff",
}


_SCOPES = frozenset(str(scope) for scope in Scope)


def areas_of(scopes: Iterable[str]) -> frozenset[str]:
    """Return the areas that `scopes` reach, the record's own frame included."""
    named = {scope.partition(".")[0] for scope in scopes if scope in _SCOPES}
    return frozenset(named | {Area.RECORD, Area.NOTIFICATIONS}) if named else frozenset()
