"""REL-3: her preference, by class of result and by when it was final, in the record."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from core.db import identity
from labs.release_rules import ResultClass
from labs.services import telling
from labs.telling_rules import When, Wish
from tests.cast import Cast
from tests.labs.messages import Obx, laboratory
from tests.labs.releasing import MARKER, deliver, the_report
from tests.tokens import viewer_of

pytestmark = pytest.mark.django_db

BERLIN = ZoneInfo("Europe/Berlin")
DAY = timedelta(days=1)
# Noon, night, and nights in which her clocks change.
FINAL = (
    datetime(2026, 11, 20, 11, 0, tzinfo=UTC),
    datetime(2026, 11, 20, 23, 30, tzinfo=UTC),
    datetime(2026, 3, 28, 23, 30, tzinfo=UTC),
    datetime(2026, 10, 24, 23, 30, tzinfo=UTC),
)
LINES = {
    ResultClass.LABS: Obx("31"),
    ResultClass.TUMOUR_MARKERS: Obx("28", **MARKER),
    ResultClass.PATHOLOGY_AND_SCANS: Obx("Benign.", code="22637-3", type="TX", unit="", range=""),
}
WISHES = {
    When.NOW: Wish(When.NOW),
    When.IN_MY_HOURS: Wish(When.IN_MY_HOURS),
    When.AFTER_COMMENT: Wish(When.AFTER_COMMENT),
    When.ON_DATE: Wish(When.ON_DATE, days_after=2),
    When.NEVER: Wish(When.NEVER, backstop_days=None),
}


def expected(when: When, final: datetime) -> datetime | None:
    """Return when she is told, worked out by hand from her words; None: not at all."""
    local = final.astimezone(BERLIN)
    day = local.date()
    if when is When.NOW:
        return final
    if when is When.AFTER_COMMENT:
        return final + 7 * DAY  # nobody comments: the backstop
    if when is When.ON_DATE:
        return datetime(day.year, day.month, day.day, 8, tzinfo=BERLIN) + 2 * DAY
    if when is When.IN_MY_HOURS:
        # The night ones fall after midnight: the same morning.
        return max(final, datetime(day.year, day.month, day.day, 8, tzinfo=BERLIN))
    return None


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("each", ResultClass)
def test_each_preference_holds_for_its_class_whenever_it_is_final(
    cast: Cast, when: When, each: ResultClass
) -> None:
    laboratory(cast.clinic)
    viewer = viewer_of(cast.anna_user)
    usual = dict.fromkeys(ResultClass, Wish(When.NOW))
    with identity(viewer.identity):
        telling.choose(viewer=viewer, wishes=usual | {each: WISHES[when]}, now=FINAL[0])
    for number, final in enumerate(FINAL):
        for kind, line in LINES.items():
            filler = f"FL{number}{kind}"
            # In words: the report's own code says so (LOINC 11526-1, pathology study).
            code = "11526-1^Pathology^LN" if kind is ResultClass.PATHOLOGY_AND_SCANS else "P^P^L"
            deliver(final, line, filler=filler, code=code)
            report = the_report(filler_key__contains=filler)
            with identity(viewer.identity):
                plan = telling.plan_results(
                    report, released_at=final, zone="Europe/Berlin", now=final
                )
            told = expected(when if kind is each else When.NOW, final)
            assert (plan.at if plan.wanted else None) == told, (kind, final)
