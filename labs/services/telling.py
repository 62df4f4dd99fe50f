"""When she is told of results: her wishes, the notices they move, and their history.

The patient's wish governs every notice about her results, her caregivers' too. It never moves
what is visible, nor a correction of something she may have read, nor any work of staff.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.models import User
from core.areas import Area
from core.db import identity, system
from core.errors import NotFound
from core.feed import record_change
from core.models import Change
from labs.models import Comment, DiagnosticReport, Observation, Review, TellingWish
from labs.release_rules import ResultClass, result_class
from labs.services.turns import take_turn
from labs.telling_rules import When, Wish, in_hours, tell_at
from notifications.models import Notification
from notifications.purposes import RULES, Purpose
from notifications.selectors import quiet_of
from patients.models import Patient
from patients.viewer import Viewer

NOT_WANTED: Final = "not-wanted"
"""Why the ledger did not send: she chose not to be told."""
COMMENT: Final = "comment:"
"""How the occurrence of a notice of a comment begins."""
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


@dataclass(frozen=True, slots=True)
class Plan:
    """When she is told; `latest`: when at the latest, whatever is waited for."""

    at: datetime
    latest: datetime
    wanted: bool = True
    at_once: bool = False
    wish: Wish = _BASE


def shown_results(report: DiagnosticReport, *, now: datetime) -> list[Observation]:
    """Return the current results of a report that she may read now."""
    return list(
        Observation.objects.current()
        .filter(
            patient_id=report.patient_id,
            report_id=report.id,
            withdrawn_at__isnull=True,
            visible_from__lte=now,
        )
        .only("analyte_key", "identity_key", "filed_at", "announced_at")
    )


def plan_results(
    report: DiagnosticReport, *, released_at: datetime, zone: str, now: datetime
) -> Plan:
    """Return when she wants to be told of results released at `released_at`. `zone`: hers."""
    shown = shown_results(report, now=now)
    return _plan(
        wish_for(report, shown),
        released_at=released_at,
        commented_at=_commented_at(report, shown, now=now),
        zone=zone,
    )


def plan_comment(
    report: DiagnosticReport, *, published_at: datetime, zone: str, now: datetime
) -> Plan:
    """Return when she wants to be told of a comment: not before she is told of the results."""
    chosen = wish_for(report, shown_results(report, now=now))
    released_at = min(report.visible_from or published_at, published_at)
    plan = _plan(chosen, released_at=released_at, commented_at=published_at, zone=zone)
    at = max(plan.at, published_at)
    if chosen.wish.when is When.IN_MY_HOURS:
        at = in_hours(chosen.wish, at, zone)
    return replace(plan, at=at, latest=max(plan.latest, at))


def _plan(
    chosen: Chosen, *, released_at: datetime, commented_at: datetime | None, zone: str
) -> Plan:
    wish = chosen.wish
    at = tell_at(wish, released_at=released_at, commented_at=commented_at, zone=zone)
    if at is None:
        return Plan(released_at, released_at, wanted=False, wish=wish)
    latest = at
    if wish.when is When.AFTER_COMMENT and wish.backstop_days is not None:
        latest = max(at, released_at + timedelta(days=wish.backstop_days))
    # The night is disturbed only where she herself chose "now" (DECISIONS 23).
    at_once = wish.when is When.NOW and chosen.chosen_at is not None
    return Plan(at, latest, at_once=at_once, wish=wish)


def _commented_at(
    report: DiagnosticReport, shown: Sequence[Observation], *, now: datetime
) -> datetime | None:
    """Return when this state of what she sees was first reviewed or commented on.

    An earlier word does not count, nor one that she cannot read or that was taken back. What she
    does not see moves nothing.
    """
    since = max((row.filed_at for row in shown), default=report.filed_at)
    about = Q(patient_id=report.patient_id, report_id=report.id)
    reviewed = Review.objects.filter(about, reviewed_at__gte=since, reviewed_at__lte=now)
    comments = readable(Comment.objects.filter(about, published_at__gte=since), shown, now=now)
    said = [
        *reviewed.values_list("reviewed_at", flat=True),
        *(one.published_at for one in comments),
    ]
    return min(said, default=None)


def readable(
    comments: QuerySet[Comment], shown: Sequence[Observation], *, now: datetime
) -> list[Comment]:
    """Return those of `comments` on a report that she may read: all that they speak of is shown."""
    keys = {row.identity_key for row in shown}
    counting = comments.filter(
        superseded_at__isnull=True, withdrawn_at__isnull=True, published_at__lte=now
    )
    return [comment for comment in counting if set(comment.seen) <= keys]


def wish_for(report: DiagnosticReport, shown: Sequence[Observation]) -> Chosen:
    """Return the wish that a report falls under, by the results of it that she can see."""
    classes = {
        result_class(category=report.category, report_loinc=report.loinc, analyte_key=key)
        for key in ("", *(row.analyte_key for row in shown))
    }
    strongest = next(each for each in _STRONGEST_FIRST if each in classes)
    return wishes_of(report.patient_id)[strongest]


def row_plan(row: Notification, report: DiagnosticReport, *, zone: str, now: datetime) -> Plan:
    """Return when a planned row of the ledger is wanted, by her wishes and what is said now."""
    if row.occurrence.startswith(COMMENT):
        return plan_comment(report, published_at=row.planned_at, zone=zone, now=now)
    return plan_results(report, released_at=row.planned_at, zone=zone, now=now)


@dataclass(frozen=True, slots=True)
class Times:
    """When one recipient is told by a plan; in UTC."""

    send_after: datetime
    expires_at: datetime
    bypasses_quiet_hours: bool


def times_of(plan: Plan, *, recipient: User, patient: Patient) -> Times:
    """Return the times of one recipient: her caregivers' never before her own.

    Only she herself may choose to be disturbed at night.
    """
    hers = recipient.pk == patient.user_id
    at = plan.at
    if not hers and not plan.at_once and patient.user is not None:
        at = quiet_of(patient.user).first_allowed(at)
    return Times(at, max(at, plan.latest) + RULES[Purpose.RESULT].kept_for, hers and plan.at_once)


def zone_of(patient: Patient) -> str:
    """Return the zone in which her hours are counted."""
    return patient.user.zone if patient.user is not None else patient.zone


def replan(*, patient_id: UUID, now: datetime, report_id: UUID | None = None) -> int:
    """Move the waiting notices of new results to where her wishes want them; count the moved."""
    with identity(system("notifications")):
        patient = record_to_tell(patient_id)
        waiting = Notification.objects.filter(
            patient_id=patient_id, purpose=Purpose.RESULT, state=Notification.State.PLANNED
        )
        if report_id is not None:
            waiting = waiting.filter(subject_id=report_id)
        rows = list(
            waiting.select_for_update(of=("self",)).select_related("recipient__quiet_hours")
        )
        reports = DiagnosticReport.objects.in_bulk({row.subject_id for row in rows})
        for row in rows:
            report = reports.get(row.subject_id)
            if report is not None and report.patient_id == patient_id:
                _replan(row, report, patient, now=now)
        Notification.objects.bulk_update(
            rows,
            ["send_after", "expires_at", "bypasses_quiet_hours", "state", "reason", "settled_at"],
        )
    return len(rows)


def _replan(
    row: Notification, report: DiagnosticReport, patient: Patient, *, now: datetime
) -> None:
    plan = row_plan(row, report, zone=zone_of(patient), now=now)
    if not plan.wanted:
        row.state, row.reason, row.settled_at = Notification.State.SKIPPED, NOT_WANTED, now
        return
    moved = replace(plan, at=max(plan.at, now))
    times = times_of(moved, recipient=row.recipient, patient=patient)
    row.bypasses_quiet_hours = times.bypasses_quiet_hours
    row.send_after = times.send_after
    if not times.bypasses_quiet_hours:
        row.send_after = quiet_of(row.recipient).first_allowed(times.send_after)
    row.expires_at = max(row.send_after + RULES[Purpose.RESULT].kept_for, times.expires_at)


def record_to_tell(patient_id: UUID) -> Patient:
    """Return the record with her own sign-in and its quiet hours."""
    return Patient.objects.select_related("user__quiet_hours").get(id=patient_id)


def not_yet(row: Notification, report: DiagnosticReport, *, now: datetime) -> datetime | None:
    """Return until when a due notice must still wait, asked just before it leaves.

    Raises: NotWanted when she chose not to be told meanwhile.
    """
    if row.purpose != Purpose.RESULT:
        return None
    zone = zone_of(record_to_tell(row.patient_id))
    plan = row_plan(row, report, zone=zone, now=now)
    if not plan.wanted:
        raise NotWanted()
    at = max(plan.at, now)
    if plan.wish.when is When.IN_MY_HOURS:
        at = in_hours(plan.wish, at, zone)
    return at if at > now else None


class NotWanted(Exception):
    """She chose not to be told of results of this class."""
