"""Notices of results and comments: who is told of what, once, and whether it still is news.

She and the caregivers whose grant reaches her results are told; her wishes say when
(`labs.services.telling`). All of it is in turn with filing and holding, so that of a comment and
a result that come together one notice is left.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from accounts.scopes import Scope
from core.db import identity, system
from core.events.registry import Delivered
from labs.disclosure import readers_of_changed
from labs.models import Comment, DiagnosticReport, Observation, ReportVersion
from labs.services.reports import seen_at
from labs.services.telling import (
    COMMENT,
    NOT_WANTED,
    Plan,
    plan_comment,
    plan_results,
    readable,
    record_to_tell,
    replan,
    shown_results,
    times_of,
    zone_of,
)
from labs.services.turns import take_turn, try_turn
from notifications.models import Notification
from notifications.purposes import Purpose
from notifications.selectors import caregivers_to_tell, channels_of_many
from notifications.services import Draft, plan_many
from patients.models import Patient

MERGED: Final = "merged"
"""Why the ledger did not send: another row, named behind the colon, tells of it too."""
GONE: Final = "no-longer-applies"
LOOK_AGAIN: Final = timedelta(seconds=30)
"""How long a notice waits for another one that is being handed over, or for the turn."""
_RESULT: Final = "result:"
State = Notification.State


def on_results_filed(delivered: Delivered) -> None:
    """Plan to tell, discreetly, that there is something new to read, when she wants it.

    One notice a report version and release, however often the event comes. What was held or
    withdrawn since the event is not planned; it is asked again just before sending.
    """
    if delivered.patient_id is None:
        return
    corrected = delivered.payload["corrected"]
    occurrence = f"{_RESULT}{delivered.subject_id}:{delivered.payload['report_version']}"
    if release := delivered.payload.get("release", ""):
        occurrence = f"{occurrence}:{release}"
    with identity(system("notifications")):
        take_turn(delivered.patient_id)
        report = _report(delivered.patient_id, delivered.subject_id)
        if report is None:
            return
        if not corrected and not _results_are_news(occurrence, report, now=delivered.now):
            return
        patient = record_to_tell(delivered.patient_id)
        # From the event, not from now: one delivered too late is settled as expired.
        at = delivered.occurred_at
        if corrected:
            purpose, plan = Purpose.RESULT_CORRECTED, Plan(at, at)
        else:
            purpose = Purpose.RESULT
            plan = plan_results(report, released_at=at, zone=zone_of(patient), now=delivered.now)
        drafts = _drafts(report, patient, purpose, occurrence, plan, now=delivered.now)
        if not corrected:
            told = [
                row for row in _of_report(report) if _is_comment(row) and _left_since(row, plan.at)
            ]
            drafts = _merged(drafts, told)
        plan_many(drafts, now=delivered.now)
        _merge_waiting_comments(report, occurrence, now=delivered.now)


def on_report_reviewed(delivered: Delivered) -> None:
    """A clinician reviewed a report: who waits for that is told now."""
    if delivered.patient_id is None:
        return
    with identity(system("notifications")):
        take_turn(delivered.patient_id)
        replan(
            patient_id=delivered.patient_id,
            report_id=delivered.subject_id,
            now=delivered.occurred_at,
        )


def on_comment_published(delivered: Delivered) -> None:
    """Tell that there is something new to read, unless a notice of the results does that.

    The words never say that it is a comment. Who waits for a comment is told now, once.
    """
    if delivered.patient_id is None:
        return
    with identity(system("notifications")):
        take_turn(delivered.patient_id)
        report = _report(delivered.patient_id, UUID(delivered.payload["report_id"]))
        comments = Comment.objects.filter(id=delivered.subject_id, patient_id=delivered.patient_id)
        if report is None or not seen_at(report, delivered.now):
            return
        if not readable(comments, shown_results(report, now=delivered.now), now=delivered.now):
            return
        replan(patient_id=report.patient_id, report_id=report.id, now=delivered.occurred_at)
        patient = record_to_tell(report.patient_id)
        at = delivered.occurred_at
        plan = plan_comment(report, published_at=at, zone=zone_of(patient), now=delivered.now)
        occurrence = f"{COMMENT}{delivered.subject_id}"
        drafts = _drafts(report, patient, Purpose.RESULT, occurrence, plan, now=delivered.now)
        told = [
            row
            for row in _of_report(report)
            if not _is_comment(row) and (row.state == State.PLANNED or _left_since(row, at))
        ]
        plan_many(_merged(drafts, told), now=delivered.now)


def still_news(row: Notification, *, now: datetime) -> DiagnosticReport | None:
    """Return the report of a result notice while what the notice is about may be read, else None.

    A notice of what was held or withdrawn would tell that it exists; one of a comment that was
    withdrawn leads to nothing. That something changed which she saw stays true, also of a report
    that was withdrawn whole: whoever had read it hears that.
    """
    report = _report(row.patient_id, row.subject_id)
    if report is not None and _read_what_was_withdrawn(row, report):
        return report
    if report is None or not seen_at(report, now):
        return None
    if row.purpose == Purpose.RESULT_CORRECTED:
        return report
    if _is_comment(row):
        news = _comments_are_news([row], report, now=now)
    else:
        news = _results_are_news(row.occurrence, report, now=now)
        news = news or _comments_are_news(
            [one for one in _of_report(report) if one.reason == f"{MERGED}:{row.id}"],
            report,
            now=now,
        )
    return report if news else None


def _read_what_was_withdrawn(row: Notification, report: DiagnosticReport) -> bool:
    if row.purpose != Purpose.RESULT_CORRECTED or report.status != "entered-in-error":
        return False
    return row.recipient_id in readers_of_changed(report)


@dataclass(frozen=True, slots=True)
class ToldBy:
    """Another notice that tells of the same; `surely`: it left, else its fate is not known yet."""

    id: UUID | None
    surely: bool


def told_by_another(row: Notification, *, now: datetime) -> ToldBy | None:
    """Say whether a notice of the same news left, or may be leaving; asked before `row` leaves.

    Planning merges what waits. What another worker had taken by then meets here: of a result and
    a comment on the same report, one at a time looks, and the second sees where the first is. Must
    run in the transaction that hands `row` over. Never waits: the row is locked already, and who
    has the turn may want that row.
    """
    if row.purpose != Purpose.RESULT:
        return None
    if not try_turn(row.patient_id):
        return ToldBy(None, surely=False)
    same_person = Notification.objects.filter(
        patient_id=row.patient_id,
        subject_id=row.subject_id,
        purpose=Purpose.RESULT,
        recipient_id=row.recipient_id,
        channel=row.channel,
    )
    others = [one for one in same_person if _is_comment(one) != _is_comment(row)]
    for one in others:
        if _left_since(one, row.planned_at):
            return ToldBy(one.id, surely=True)
    # Claimed alone is no reason: that one will look here, too, and then see this one.
    handed = [one for one in others if one.state == State.CLAIMED and one.provider_reference]
    return ToldBy(handed[0].id, surely=False) if handed else None


def withdraw_what_is_no_news(report: DiagnosticReport, *, now: datetime) -> int:
    """Skip the waiting notices of a report that lead to nothing now; return how many."""
    with identity(system("notifications")):
        gone = [
            row.id
            for row in _of_report(report)
            if row.state == State.PLANNED and still_news(row, now=now) is None
        ]
        return Notification.objects.filter(id__in=gone, state=State.PLANNED).update(
            state=State.SKIPPED, reason=GONE, settled_at=now
        )


def _drafts(
    report: DiagnosticReport,
    patient: Patient,
    purpose: Purpose,
    occurrence: str,
    plan: Plan,
    *,
    now: datetime,
) -> list[Draft]:
    """Return a draft for everybody who is told, on each of her channels."""
    recipients = {
        user.pk: user
        for user in caregivers_to_tell(patient.id, scope=Scope.LABS_READ, about=report.id, at=now)
    }
    if patient.user is not None:
        recipients[patient.user.pk] = patient.user
    made = []
    for recipient_id, channels in channels_of_many([*recipients.values()], purpose).items():
        recipient = recipients[recipient_id]
        times = times_of(plan, recipient=recipient, patient=patient)
        made += [
            Draft(
                recipient=recipient,
                patient_id=patient.id,
                purpose=purpose,
                occurrence=occurrence,
                channel=channel,
                subject_id=report.id,
                send_after=times.send_after,
                expires_at=times.expires_at,
                bypasses_quiet_hours=times.bypasses_quiet_hours,
                skip_reason="" if plan.wanted else NOT_WANTED,
                may_fail=recipient.pk != patient.user_id,
            )
            for channel in channels
        ]
    return made


def _merged(drafts: Sequence[Draft], others: Iterable[Notification]) -> list[Draft]:
    """Let those drafts go unsent of which another row tells the same person on that channel."""
    told = {(row.recipient_id, row.channel): row.id for row in others}
    return [
        draft
        if draft.skip_reason or (draft.recipient.pk, draft.channel) not in told
        else replace(draft, skip_reason=f"{MERGED}:{told[draft.recipient.pk, draft.channel]}")
        for draft in drafts
    ]


def _merge_waiting_comments(report: DiagnosticReport, occurrence: str, *, now: datetime) -> None:
    """Let the waiting notices of comments go unsent where one of the results waits, too."""
    rows = _of_report(report)
    for result in rows:
        if result.occurrence != occurrence or result.state != State.PLANNED:
            continue
        same = [
            row.id
            for row in rows
            if _is_comment(row)
            and (row.recipient_id, row.channel) == (result.recipient_id, result.channel)
        ]
        Notification.objects.filter(id__in=same, state=State.PLANNED).update(
            state=State.SKIPPED, reason=f"{MERGED}:{result.id}", settled_at=now
        )


def _is_comment(row: Notification) -> bool:
    return row.occurrence.startswith(COMMENT)


def _left_since(row: Notification, at: datetime) -> bool:
    return row.state == State.SENT and row.settled_at is not None and row.settled_at >= at


def _report(patient_id: UUID, report_id: UUID) -> DiagnosticReport | None:
    return DiagnosticReport.objects.filter(id=report_id, patient_id=patient_id).first()


def _of_report(report: DiagnosticReport) -> list[Notification]:
    return list(
        Notification.objects.filter(
            patient_id=report.patient_id,
            subject_id=report.id,
            purpose__in=(Purpose.RESULT, Purpose.RESULT_CORRECTED),
        )
    )


def _results_are_news(occurrence: str, report: DiagnosticReport, *, now: datetime) -> bool:
    """Say whether what a filing or release brought, or something newer, may be read."""
    if not seen_at(report, now):
        return False
    told = [row.announced_at for row in shown_results(report, now=now) if row.announced_at]
    version, _, release = occurrence.removeprefix(f"{_RESULT}{report.id}:").partition(":")
    if release:
        # The occurrence names whole seconds, rounded.
        since = datetime.fromtimestamp(int(release), UTC) - timedelta(seconds=1)
        return any(at >= since for at in told)
    filed_at = (
        ReportVersion.objects.filter(
            patient_id=report.patient_id, report_id=report.id, version=int(version)
        )
        .values_list("filed_at", flat=True)
        .get()
    )
    if any(at >= filed_at for at in told):
        return True
    # A version that brought no result tells of the order itself: pending or cancelled.
    return not Observation.objects.filter(
        patient_id=report.patient_id, report_id=report.id, filed_at=filed_at
    ).exists()


def _comments_are_news(
    rows: Sequence[Notification], report: DiagnosticReport, *, now: datetime
) -> bool:
    ids = [UUID(row.occurrence.removeprefix(COMMENT)) for row in rows]
    comments = Comment.objects.filter(id__in=ids, patient_id=report.patient_id)
    return bool(ids and readable(comments, shown_results(report, now=now), now=now))
