"""How much waits in each queue of results; row security limits what a viewer counts.

Whether a report waits for a review, and how loudly, is worked out when it is filed or reviewed
(`refresh_queue_marks`): a page that asked this of every report read the whole store.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db.models import (
    Case,
    Exists,
    IntegerField,
    Max,
    OuterRef,
    QuerySet,
    Subquery,
    UUIDField,
    When,
)  # fmt: skip
from django.db.models import Value as Constant
from django.db.models.functions import Coalesce

from clinical.states import Tier
from core.db import identity, system
from core.prepared import Given, PreparedUpdate
from labs.models import DiagnosticReport, IntakeItem, Observation, ReportSeen
from labs.models.results import CHANGED
from labs.reviews import counting, is_reviewed, result_is_reviewed
from worklist.models import Evidence

COUNTED_UP_TO = 500
WAITING_UP_TO = 1000
CHANGED_WITHIN = timedelta(days=30)
RANK = {Tier.URGENT: 3, Tier.ATTENTION: 2, Tier.NEUTRAL: 1, Tier.FINE: 0}
# What nobody rated, and a report without results, is not fine.
UNRATED = RANK[Tier.NEUTRAL]

# The reasons of the intake queue that each shortcut gathers.
TROUBLES = {
    "codes": ("Codes that are not mapped", ("unknown-code", "loinc-conflict", "loinc-check-digit")),
    "units": ("Units that are not known", ("unknown-unit", "unit-unknown", "unit-missing")),
    "disagree": ("Flag and range disagree", ("discrepancy", "flags-contradict")),
}


def _rank() -> Case:
    """Rank a result by how loudly it is drawn; a critical one that is held counts as urgent."""
    whens = [When(staff_critical=True, then=Constant(RANK[Tier.URGENT]))]
    whens += [When(tier=str(tier), then=Constant(number)) for tier, number in RANK.items()]
    return Case(*whens, default=Constant(UNRATED), output_field=IntegerField())


def _worst_rank() -> Subquery:
    """Return the rank of the most serious result that counts in a report; null without one."""
    worst = (
        counting()
        .filter(patient_id=OuterRef("patient_id"), report_id=OuterRef("pk"))
        .order_by()
        .values("report_id")
        .annotate(worst=Max(_rank()))
        .values("worst")
    )
    return Subquery(worst)


@lru_cache(maxsize=1)
def _marks() -> PreparedUpdate:
    return PreparedUpdate(
        DiagnosticReport.objects.filter(
            patient_id=cast(UUID, Given("patient", UUIDField())),
            id__any_of=Given("reports", ArrayField(UUIDField())),
        ),
        awaits_review=Case(
            When(status="entered-in-error", then=Constant(False)),
            When(is_reviewed(), then=Constant(False)),
            default=Constant(True),
        ),
        worst_rank=Coalesce(_worst_rank(), Constant(UNRATED)),
    )


def refresh_queue_marks(report_ids: Iterable[UUID], *, patient_id: UUID) -> None:
    """Work out again whether these reports of one patient wait for a review; one statement.

    Called in the transaction that filed results of them or reviewed them.
    """
    ids = set(report_ids)
    if not ids:
        return
    with identity(system("lab-intake")):
        _marks().run(patient=patient_id, reports=list(ids))


def unreviewed(reports: QuerySet[DiagnosticReport]) -> QuerySet[DiagnosticReport]:
    """Return the reports that nobody reviewed as they stand; taken back ones need nobody."""
    return reports.filter(awaits_review=True)


def unreviewed_reports() -> str:
    return _how_many(unreviewed(DiagnosticReport.objects.all()))


def unreviewed_discrepancies() -> str:
    """Count results where the laboratory's flag and ours differ, until somebody reviewed them."""
    found: QuerySet[Observation] = counting().filter(discrepancy=True, report__awaits_review=True)
    return _how_many(found.filter(~result_is_reviewed()))


def waiting_reports() -> list[UUID]:
    """Return the reports with a result whose open work item nobody has taken yet."""
    untaken = Evidence.objects.filter(
        kind="observation", item__closed_at__isnull=True, item__acknowledged_at__isnull=True
    )
    # In two steps: the planner would start from the results, and they are many.
    results = list(untaken.values_list("reference", flat=True)[:WAITING_UP_TO])
    found = Observation.objects.filter(id__in=results, report__isnull=False)
    return list(found.values_list("report_id", flat=True).distinct())


def changed_since_read(
    reports: QuerySet[DiagnosticReport], *, user_id: UUID | None, now: datetime
) -> QuerySet[DiagnosticReport]:
    """Return the reports of which this person read a result that was changed afterwards."""
    read: QuerySet[Any] = ReportSeen.objects.filter(
        patient_id=OuterRef("patient_id"),
        report_id=OuterRef("report_id"),
        user=user_id,
        seen_at__lt=OuterRef("superseded_at"),
        seen_at__gte=OuterRef("filed_at"),
    )
    changed = Observation.objects.filter(CHANGED, superseded_at__gt=now - CHANGED_WITHIN)
    return reports.filter(pk__in=changed.filter(Exists(read)).values("report_id"))


def reports_changed_since_read(*, user_id: UUID | None, now: datetime) -> str:
    return _how_many(changed_since_read(DiagnosticReport.objects.all(), user_id=user_id, now=now))


def open_troubles(kind: str) -> str:
    reasons = TROUBLES[kind][1]
    return _how_many(IntakeItem.objects.filter(cleared_at__isnull=True, reason__in=reasons))


def _how_many(rows: QuerySet[Any]) -> str:
    """Return a count in words: "0", "12", "more than 500"."""
    counted = rows.order_by()[: COUNTED_UP_TO + 1].count()
    return f"more than {COUNTED_UP_TO}" if counted > COUNTED_UP_TO else str(counted)
