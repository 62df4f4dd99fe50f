"""Calcium that rises within its range is looked at the same day.

Above the range it is a work item already (`labs/services/alarms.py`).
Source: rules for laboratory results, section 8: a rise above the reference change value that is
the second in a row, same method, final, one unit (`clinical.trend.getting_worse`). A figure for
normal variation is known for total calcium only (data/rcv.csv), so other kinds raise nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final, cast
from uuid import UUID

from django.db.models import UUIDField

from clinical.analytes import by_key
from clinical.states import RULE_VERSION
from clinical.trend import Direction
from core.prepared import Given, Prepared
from labs.models import Observation, SendingLaboratory
from labs.selectors import SERIES_COLUMNS
from labs.trends import trend_of
from worklist.models import Urgency, WorkItem
from worklist.services import Fact, raise_item

RISING: Final = "calcium_total"
_LOOKED_AT = 12
"""Results back from the newest: three make a rise, the others may be of another method."""


@lru_cache(maxsize=1)
def _latest_first() -> Prepared:
    return Prepared(
        Observation.objects.current()
        .laboratory_made()
        .filter(
            patient_id=cast(UUID, Given("patient", UUIDField())),
            analyte_key=RISING,
            withdrawn_at__isnull=True,
        )
        .order_by("-effective_at", "-id")
        .values(*SERIES_COLUMNS)[:_LOOKED_AT]
    )


def raise_for_rising_calcium(
    rows: Sequence[Observation], *, laboratory: SendingLaboratory, now: datetime
) -> None:
    """Raise "calcium is rising" where the newest of `rows` is her newest and rises so."""
    calciums = [row for row in rows if row.analyte_key == RISING]
    if not calciums:
        return
    newest = max(calciums, key=lambda row: (row.effective_at, str(row.id)))
    latest_first = _latest_first().rows(patient=newest.patient_id)
    trend = trend_of(by_key(RISING), list(reversed(latest_first)))
    change = trend.series.change
    if change is None or change.direction is not Direction.UP or not trend.series.getting_worse:
        return
    if trend.points[-1].result_id != str(newest.id):
        return
    raise_item(
        patient_id=newest.patient_id,
        concern="calcium",
        title="Calcium is rising: review today",
        urgency=Urgency.SAME_DAY,
        owner_team=WorkItem.Team.NURSE,
        organization_id=laboratory.organization_id,
        fact=Fact(
            kind="observation-rising",
            reference=newest.id,
            summary=f"{newest.display_name[:60]}: rising beyond normal variation",
            rule_id="calcium.rising",
            rule_version=RULE_VERSION,
        ),
        now=now,
    )
