"""When she is told of results: her wishes, the notices they move, and their history.

The patient's wish governs every notice about her results, her caregivers' too. It never moves
what is visible, nor a correction of something she may have read, nor any work of staff.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from accounts.models import User
from core.areas import Area
from core.db import identity, system
from core.errors import NotFound
from core.events.registry import Delivered
from core.feed import record_change
from core.models import Change
from labs.models import DiagnosticReport, Observation, TellingWish
from labs.release_rules import ResultClass, result_class
from labs.services.turns import take_turn
from labs.telling_rules import When, Wish, in_hours, tell_at
from notifications.models import Notification
from notifications.purposes import RULES, Purpose
from notifications.selectors import channels_for, quiet_of, user_of_patient
from notifications.services import Draft, plan_many
from patients.viewer import Viewer

NOT_WANTED: Final = "not-wanted"
"""Why the ledger did not send: she chose not to be told."""
_BASE = Wish()
# Whoever wants one of these told later wants a report with it told later.
_STRONGEST_FIRST = (
    ResultClass.PATHOLOGY_AND_SCANS,
    ResultClass.TUMOUR_MARKERS,
    ResultClass.LABS,
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A wish and when she made it; None = nobody chose, the portal's usual way."""

    wish: Wish
    chosen_at: datetime | None


def wishes_of(patient_id: UUID) -> dict[ResultClass, Chosen]:
    """Return the wish for every class that counts now, in one statement."""
    stored = {
        row.result_class: Chosen(_wish(row), row.chosen_at)
        for row in TellingWish.objects.filter(patient_id=patient_id, superseded_at__isnull=True)
    }
    return {each: stored.get(each, Chosen(_BASE, None)) for each in ResultClass}


def _wish(row: TellingWish) -> Wish:
    return Wish(
        when=When(row.when),
        hours_from=row.hours_from,
        hours_until=row.hours_until,
        on_date=row.on_date,
        days_after=row.days_after,
        backstop_days=row.backstop_days,
    )


def choose(*, viewer: Viewer, wishes: Mapping[ResultClass, Wish], now: datetime) -> None:
    """Keep her wishes and move the notices that wait. Runs as the patient.

    What does not change keeps its row. Raises: NotFound for anybody but herself.
    """
    if viewer.kind != "patient" or viewer.patient_id is None or viewer.user_id is None:
        raise NotFound()
    take_turn(viewer.patient_id)
    known = wishes_of(viewer.patient_id)
    for each, wish in wishes.items():
        if known[each].chosen_at is not None and known[each].wish == wish:
            continue
        TellingWish.objects.filter(
            patient_id=viewer.patient_id, result_class=each, superseded_at__isnull=True
        ).update(superseded_at=now)
        row = TellingWish(
            patient_id=viewer.patient_id,
            result_class=each,
            when=wish.when,
            hours_from=wish.hours_from,
            hours_until=wish.hours_until,
            on_date=wish.on_date,
            days_after=wish.days_after,
            backstop_days=wish.backstop_days,
            chosen_by_id=viewer.user_id,
            chosen_at=now,
        )
        row.save(force_insert=True)
        record_change(
            patient_id=viewer.patient_id,
            area=Area.LABS,
            resource="TellingWish",
            resource_id=row.id,
            kind=Change.Kind.UPSERT,
            now=now,
        )
    replan(patient_id=viewer.patient_id, now=now)


def on_results_filed(delivered: Delivered) -> None:
    """Plan to tell her, discreetly, that there is something new to read, when she wants it.

    One notice a report version and release, however often the event comes. Whether the report may
    be seen is asked again just before sending.
    """
    if delivered.patient_id is None:
        return
    purpose = Purpose.RESULT_CORRECTED if delivered.payload["corrected"] else Purpose.RESULT
    with identity(system("notifications")):
        user = user_of_patient(delivered.patient_id)
        if user is None:
            return
        report = DiagnosticReport.objects.filter(
            id=delivered.subject_id, patient_id=delivered.patient_id
        ).first()
        # From the event, not from now: one delivered too late is settled as expired.
        plan = _plan_of(
            report, user, purpose=purpose, released_at=delivered.occurred_at, now=delivered.now
        )
        channels = channels_for(user, purpose)
    occurrence = f"result:{delivered.subject_id}:{delivered.payload['report_version']}"
    release = delivered.payload.get("release", "")
    plan_many(
        [
            Draft(
                recipient=user,
                patient_id=delivered.patient_id,
                purpose=purpose,
                occurrence=f"{occurrence}:{release}" if release else occurrence,
                channel=channel,
                subject_id=delivered.subject_id,
                send_after=plan.at,
                expires_at=plan.at + RULES[purpose].kept_for,
                bypasses_quiet_hours=plan.at_once,
                skip_reason="" if plan.wanted else NOT_WANTED,
            )
            for channel in channels
        ],
        now=delivered.now,
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    at: datetime
    wanted: bool = True
    at_once: bool = False


def _plan_of(
    report: DiagnosticReport | None,
    user: User,
    *,
    purpose: str,
    released_at: datetime,
    now: datetime,
) -> _Plan:
    if purpose != Purpose.RESULT or report is None:
        return _Plan(released_at)
    chosen = wish_for(report, now=now)
    at = tell_at(
        chosen.wish,
        released_at=released_at,
        commented_at=_commented_at(report),
        zone=user.zone,
    )
    if at is None:
        return _Plan(released_at, wanted=False)
    # The night is disturbed only where she herself chose "now" (DECISIONS 23).
    return _Plan(at, at_once=chosen.wish.when is When.NOW and chosen.chosen_at is not None)


def _commented_at(report: DiagnosticReport) -> datetime | None:
    """Return when this state of the report was commented on; an earlier word does not count."""
    if report.commented_at is None or report.commented_at < report.filed_at:
        return None
    return report.commented_at


def wish_for(report: DiagnosticReport, *, now: datetime) -> Chosen:
    """Return the wish that a report falls under, by the results of it that she can see."""
    keys = (
        Observation.objects.current()
        .filter(
            patient_id=report.patient_id,
            report_id=report.id,
            withdrawn_at__isnull=True,
            visible_from__lte=now,
        )
        .values_list("analyte_key", flat=True)
    )
    classes = {
        result_class(category=report.category, report_loinc=report.loinc, analyte_key=key)
        for key in ("", *keys)
    }
    strongest = next(each for each in _STRONGEST_FIRST if each in classes)
    return wishes_of(report.patient_id)[strongest]


def on_report_reviewed(delivered: Delivered) -> None:
    """A clinician reviewed a report: who waits for that is told now."""
    told_after(report_id=delivered.subject_id, now=delivered.occurred_at)


def on_comment_published(delivered: Delivered) -> None:
    """A clinician commented on a report: who waits for that is told now."""
    told_after(report_id=UUID(delivered.payload["report_id"]), now=delivered.occurred_at)


def told_after(*, report_id: UUID, now: datetime) -> None:
    """Note that a clinician reviewed or commented on a report; move the notices that waited.

    Runs as any identity. Raises: NotFound.
    """
    with identity(system("release")):
        report = DiagnosticReport.objects.filter(id=report_id).first()
        if report is None:
            raise NotFound()
        report.commented_at = max(report.commented_at or now, now)
        report.save(update_fields=["commented_at"])
    replan(patient_id=report.patient_id, report_id=report_id, now=now)


def replan(*, patient_id: UUID, now: datetime, report_id: UUID | None = None) -> int:
    """Move the waiting notices of new results to where her wishes want them; count the moved."""
    with identity(system("notifications")):
        waiting = Notification.objects.filter(
            patient_id=patient_id, purpose=Purpose.RESULT, state=Notification.State.PLANNED
        )
        if report_id is not None:
            waiting = waiting.filter(subject_id=report_id)
        rows = list(
            waiting.select_for_update(of=("self",)).select_related("recipient__quiet_hours")
        )
        reports = {
            report.id: report
            for report in DiagnosticReport.objects.filter(
                patient_id=patient_id, id__in={row.subject_id for row in rows}
            )
        }
        for row in rows:
            _replan(row, reports.get(row.subject_id), now=now)
        Notification.objects.bulk_update(
            rows,
            ["send_after", "expires_at", "bypasses_quiet_hours", "state", "reason", "settled_at"],
        )
    return len(rows)


def _replan(row: Notification, report: DiagnosticReport | None, *, now: datetime) -> None:
    plan = _plan_of(report, row.recipient, purpose=row.purpose, released_at=row.planned_at, now=now)
    if not plan.wanted:
        row.state, row.reason, row.settled_at = Notification.State.SKIPPED, NOT_WANTED, now
        return
    at = max(plan.at, now)
    row.bypasses_quiet_hours = plan.at_once
    row.send_after = at if plan.at_once else quiet_of(row.recipient).first_allowed(at)
    row.expires_at = row.send_after + RULES[Purpose.RESULT].kept_for


def not_yet(row: Notification, report: DiagnosticReport, *, now: datetime) -> datetime | None:
    """Return until when a due notice must still wait, asked just before it leaves.

    Raises: NotWanted when she chose not to be told meanwhile.
    """
    if row.purpose != Purpose.RESULT:
        return None
    wish = wish_for(report, now=now).wish
    if wish.when is When.NEVER:
        raise NotWanted()
    if wish.when is not When.IN_MY_HOURS:
        return None
    allowed = in_hours(wish, now, row.recipient.zone)
    return allowed if allowed > now else None


class NotWanted(Exception):
    """She chose not to be told of results of this class."""
