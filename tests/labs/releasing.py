"""Rules, holds and ticks for the tests of release."""

from datetime import date, datetime, timedelta
from typing import Any

from accounts.models import Organization, User
from core.db import identity, system
from core.models import Change, Event
from labs import selectors
from labs.models import DiagnosticReport, Observation, ReleaseHold, ReleaseRule
from labs.services import holding
from patients.viewer import staff_viewer
from tests.cast import Cast
from tests.labs.messages import Obr, Obx, oru, send
from tests.tokens import viewer_of

MARKER: dict[str, str] = {
    "code": "6875-9",
    "name": "CA 15-3",
    "unit": "U/mL",
    "range": "0-31",
}
# Nobody says when it was final: it counts from when it is filed.
NO_TIME = {"resulted": "", "collected": "20261120081500+0100"}
WEEK = timedelta(days=7)


def approved_rule(
    clinic: Organization, author: User, approver: User, **changes: Any
) -> ReleaseRule:
    """Put a rule in force: tumour markers after 72 hours, unless `changes` say otherwise."""
    known: dict[str, Any] = {
        "name": "markers",
        "result_class": "tumour_markers",
        "timing": "elapsed_hours",
        "amount": 72,
        "reason": "An invented law.",
        "valid_from": date(2026, 1, 1),
        "author": author,
        "approved_by": approver,
        "approved_at": datetime.fromisoformat("2026-01-01T00:00Z"),
    }
    with identity(system("registration")):
        return ReleaseRule.objects.create(organization=clinic, **{**known, **changes})


def deliver(now: datetime, *lines: Obx, **order: Any) -> None:
    """File one order for Anna."""
    send(oru(Obr(lines, **{**NO_TIME, **order})), now)


def the_result(loinc: str = "1742-6", **lookup: Any) -> Observation:
    """Return the one current result of a code."""
    with identity(system("lab-intake")):
        return Observation.objects.current().get(loinc=loinc, **lookup)


def the_report(**lookup: Any) -> DiagnosticReport:
    with identity(system("lab-intake")):
        return DiagnosticReport.objects.get(**lookup)


def place(cast: Cast, report: DiagnosticReport, now: datetime, **changes: Any) -> ReleaseHold:
    """Hold as the clinician of Anna's care team."""
    known: dict[str, Any] = {
        "reason_code": "discuss_first",
        "words": "Her scan is on Monday.",
        "backstop_at": now + WEEK,
        "actor": cast.clinician,
    }
    known |= changes
    with identity(staff_viewer(user=known["actor"], now=now).identity):
        return holding.hold(report_id=report.id, now=now, **known)


def lift(cast: Cast, placed: ReleaseHold, now: datetime, reason: str = "We spoke.") -> ReleaseHold:
    with identity(staff_viewer(user=cast.clinician, now=now).identity):
        return holding.lift(hold_id=placed.id, actor=cast.clinician, reason=reason, now=now)


def feed_lines() -> list[tuple[str, str]]:
    """Return (resource, kind) of every line of the change feed, in order."""
    with identity(system("release")):
        found = Change.objects.filter(area="labs").order_by("id")
        return [(line.resource, line.kind) for line in found]


def filed_events() -> list[dict[str, Any]]:
    with identity(system("events")):
        found = Event.objects.filter(type="labs.result.filed").order_by("id")
        return [event.payload for event in found]


def seen(cast: Cast, now: datetime) -> list[str]:
    """Return what Anna's own reading shows at `now`."""
    viewer = viewer_of(cast.anna_user)
    with identity(system("lab-intake")):
        page = selectors.results_page(
            viewer, wanted=selectors.ResultFilter(), cursor=None, limit=50, now=now
        )
        series = selectors.series_rows(
            viewer,
            patient_id=cast.anna.id,
            analyte_key="ca_15_3",
            since=now - timedelta(days=900),
            now=now,
        )
    values = [row["value_text"] for row in page.rows]
    assert {row["value_text"] for row in series} <= set(values)
    return sorted(values)


def rule_for_markers(cast: Cast, **changes: Any) -> ReleaseRule:
    return approved_rule(cast.clinic, cast.clinician, cast.nurse, **changes)
