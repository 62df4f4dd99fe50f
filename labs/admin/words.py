"""Words that several pages of the staff site share."""

from datetime import datetime

from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

from clinical.states import Tier
from clinical.trend import ExclusionReason
from patients.admin_base import person
from patients.models import Patient

NOT_RELEASED = "not released"
WAITING = "Nobody yet"
TIER_LABELS: dict[Tier, str] = {
    Tier.URGENT: "Urgent",
    Tier.ATTENTION: "Attention",
    Tier.NEUTRAL: "Not rated",
    Tier.FINE: "In range",
}
EXCLUDED_BECAUSE: dict[ExclusionReason, str] = {
    ExclusionReason.NOT_FINAL: "not final",
    ExclusionReason.NOT_NUMERIC: "not one number",
    ExclusionReason.NOT_COMPARABLE: "in doubt: unit, size or status",
    ExclusionReason.UNIT_OTHER_FAMILY: "its unit does not convert exactly",
}


TYPED_IN = "typed in by the patient or a caregiver, not by a laboratory"


def whose(patient: Patient) -> str:
    """Return name and birth date, which a page on results begins with; never for a log."""
    return f"{person(patient)}, born {date_format(patient.birth_date, 'j F Y')}"


def link(address: str, words: str) -> SafeString:
    """Return a link that looks like one."""
    return format_html(
        '<a class="text-primary-600 dark:text-primary-500 underline" href="{}">{}</a>',
        address,
        words,
    )


def clock_words(at: datetime) -> str:
    """Return an instant by the clock of the reader, as every page shows it."""
    return date_format(localtime(at), "DATETIME_FORMAT")


def released_words(visible_from: datetime | None, now: datetime) -> str:
    if visible_from is None:
        return NOT_RELEASED
    day = clock_words(visible_from)
    return day if visible_from <= now else f"from {day}"
