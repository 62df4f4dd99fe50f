"""How much waits in each queue of results; row security limits what a viewer counts."""

from typing import Any

from django.db.models import QuerySet

from labs.models import DiagnosticReport, IntakeItem, Observation
from labs.reviews import counting, is_reviewed, result_is_reviewed

COUNTED_UP_TO = 500

# The reasons of the intake queue that each shortcut gathers.
TROUBLES = {
    "codes": ("Codes that are not mapped", ("unknown-code", "loinc-conflict", "loinc-check-digit")),
    "units": ("Units that are not known", ("unknown-unit", "unit-unknown", "unit-missing")),
    "disagree": ("Flag and range disagree", ("discrepancy", "flags-contradict")),
}


def unreviewed(reports: QuerySet[DiagnosticReport]) -> QuerySet[DiagnosticReport]:
    """Return the reports that nobody reviewed as they stand; taken back ones need nobody."""
    return reports.filter(~is_reviewed()).exclude(status="entered-in-error")


def unreviewed_reports() -> str:
    return _how_many(unreviewed(DiagnosticReport.objects.all()))


def unreviewed_discrepancies() -> str:
    """Count results where the laboratory's flag and ours differ, until somebody reviewed them."""
    found: QuerySet[Observation] = counting().filter(discrepancy=True)
    return _how_many(found.filter(~result_is_reviewed()))


def open_troubles(kind: str) -> str:
    reasons = TROUBLES[kind][1]
    return _how_many(IntakeItem.objects.filter(cleared_at__isnull=True, reason__in=reasons))


def _how_many(rows: QuerySet[Any]) -> str:
    """Return a count in words: "0", "12", "more than 500"."""
    counted = rows.order_by()[: COUNTED_UP_TO + 1].count()
    return f"more than {COUNTED_UP_TO}" if counted > COUNTED_UP_TO else str(counted)
