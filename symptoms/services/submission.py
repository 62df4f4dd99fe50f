"""Take her answers: keep them, judge them, raise what a person must read, and answer honestly."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from clinical.states import RULE_VERSION
from clinical.symptom_rules import SymptomAlert as RuleHit
from clinical.symptom_rules import Urgency, evaluate, red_flags, symptoms
from core.areas import Area
from core.errors import DomainError, Forbidden
from core.events import CheckInSubmitted, publish
from core.feed import record_change
from notifications.services import page_on_call, withdraw
from patients.viewer import Viewer
from symptoms import reply
from symptoms.answers import Given, Sent, as_check_in, composites, read_answers
from symptoms.models import (
    Answer,
    CheckIn,
    Composite,
    QuestionnaireResponse,
    SymptomAlert,
)
from symptoms.phrases import phrase
from symptoms.selectors import check_in_of, earlier_check_ins
from worklist.calendar import Review, StaffedCalendar, review_of
from worklist.models import Urgency as WorkUrgency
from worklist.models import WorkItem
from worklist.selectors import staffed_calendar
from worklist.services import DUE_WITHIN, Fact, raise_item

_MODES = {
    "patient": QuestionnaireResponse.Mode.SELF,
    "proxy": QuestionnaireResponse.Mode.PROXY,
    "staff": QuestionnaireResponse.Mode.PHONE,
}
HER_WORD = "her_word"
"""The alert that she raised herself, by saying that it cannot wait."""


class AlreadyAnswered(DomainError):
    """Somebody answered this check-in; what was said is kept and never edited."""

    code = "check-in-answered"
    title = "This check-in is answered already."


class QuestionnaireChanged(DomainError):
    """The questions the client showed are not those of this check-in."""

    code = "questionnaire-changed"
    title = "These are not the questions of this check-in. Read it again."


class ClientIdReused(DomainError):
    """The client's id belongs to another report."""

    code = "client-id-reused"
    title = "This client_id was used for another report."


@dataclass(frozen=True, slots=True)
class _Alert:
    """A rule that was met, from the rules or from her own word."""

    symptom_key: str
    red_flag_key: str
    reason: str
    concern: str
    urgency: Urgency


@dataclass(frozen=True, slots=True)
class Submission:
    """A stored response and everything its answer needs. `is_new` False: sent before."""

    response: QuestionnaireResponse
    check_in: CheckIn
    given: list[Given]
    alerts: list[reply.Heard]
    review: Review | None
    watched_now: bool
    is_new: bool

    def as_reply(self, *, zone: str, language: str) -> dict[str, Any]:
        """Return the answer of the API."""
        organization = self.check_in.plan.organization
        warnings = [phrase("late", language)] if self.response.is_late else []
        if not self.check_in.version.reviewed_by:
            warnings.append(phrase("unreviewed", language))
        return {
            "id": str(self.response.id),
            "check_in_id": str(self.check_in.id),
            "mode": self.response.mode,
            "is_late": self.response.is_late,
            "heard": reply.what_we_heard(
                list(self.check_in.version.items.all()), self.given, language
            ),
            "alerts": reply.alert_words(self.alerts, organization, language),
            "review": reply.review_words(
                self.review,
                organization,
                watched_now=self.watched_now,
                zone=zone,
                language=language,
            ),
            "meanwhile": reply.meanwhile(self.alerts, language),
            "call": reply.whom_to_call(self.alerts, self.review, organization, language),
            "warnings": warnings,
        }


def _check_version(check_in: CheckIn, questionnaire_version: int | None) -> None:
    if questionnaire_version not in (None, check_in.version.version):
        raise QuestionnaireChanged()


def _judged(
    given: Sequence[Given], *, check_in: CheckIn, viewer: Viewer, now: datetime
) -> list[_Alert]:
    """Return every rule the answers meet, the most urgent first."""
    today = now.astimezone(ZoneInfo(viewer.zone)).date()
    previous, baseline = earlier_check_ins(check_in.patient_id, before=now)
    hits = evaluate(as_check_in(given, completed_on=today), previous=previous, baseline=baseline)
    alerts = [_from_rule(hit) for hit in hits]
    if any(answer.attribute == "can_wait" and answer.value == 0 for answer in given):
        alerts.append(_Alert("", "", HER_WORD, "asked-for-a-call", Urgency.SAME_DAY))
    return alerts


def _from_rule(hit: RuleHit) -> _Alert:
    return _Alert(
        hit.symptom_key or "", hit.red_flag_key or "", hit.reason, hit.concern, hit.urgency
    )


def look_at_answers(
    *,
    viewer: Viewer,
    check_in_id: UUID,
    answers: Sequence[Sent],
    questionnaire_version: int | None,
    now: datetime,
) -> dict[str, Any]:
    """Say what the answers so far would mean, before she sends them. Stores nothing.

    Raises: NotFound, InvalidInput, QuestionnaireChanged.
    """
    check_in = check_in_of(viewer, check_in_id, now=now)
    _check_version(check_in, questionnaire_version)
    given = read_answers(list(check_in.version.items.all()), answers, partial=True)
    alerts = [_heard(a) for a in _judged(given, check_in=check_in, viewer=viewer, now=now)]
    organization = check_in.plan.organization
    return {
        "emergency": any(alert.urgency == Urgency.EMERGENCY.name for alert in alerts),
        "alerts": reply.alert_words(alerts, organization, viewer.language),
        "meanwhile": reply.meanwhile(alerts, viewer.language),
        "call": reply.whom_to_call(alerts, None, organization, viewer.language),
        "stored": False,
    }


def _heard(alert: _Alert) -> reply.Heard:
    return reply.Heard(alert.symptom_key, alert.red_flag_key, alert.urgency.name)


def submit_check_in(
    *,
    viewer: Viewer,
    check_in_id: UUID,
    client_id: UUID,
    answers: Sequence[Sent],
    questionnaire_version: int | None,
    now: datetime,
) -> Submission:
    """Store her answers once, judge them, and raise work items in the same transaction.

    The same `client_id` again returns what was stored. A late answer is accepted and marked.
    Runs inside the viewer's identity.
    Raises: NotFound, InvalidInput, QuestionnaireChanged, AlreadyAnswered, ClientIdReused,
    Forbidden for background work, which answers for nobody.
    """
    check_in = check_in_of(viewer, check_in_id, now=now, for_update=True)
    calendar = staffed_calendar(check_in.plan.organization, now=now)
    sent_before = _sent_before(check_in, client_id)
    if sent_before is not None:
        return _again(sent_before, check_in, calendar, now)
    _check_version(check_in, questionnaire_version)
    if check_in.status == CheckIn.Status.ANSWERED:
        raise AlreadyAnswered()
    given = read_answers(list(check_in.version.items.all()), answers)
    alerts = _judged(given, check_in=check_in, viewer=viewer, now=now)
    response = _store(check_in, given, viewer=viewer, client_id=client_id, now=now)
    items = _raise_items(alerts, response, check_in, calendar, now)
    _record_alerts(alerts, items, response, now)
    _after(check_in, response, alerts, now)
    review = _review([alert.urgency for alert in alerts], calendar, response, now)
    if review is not None and review.by is None:
        _page(alerts, items, check_in, now)
    return Submission(
        response=response,
        check_in=check_in,
        given=given,
        alerts=[_heard(alert) for alert in alerts],
        review=review,
        watched_now=calendar.staffed_at(now),
        is_new=True,
    )


def _sent_before(check_in: CheckIn, client_id: UUID) -> QuestionnaireResponse | None:
    found = QuestionnaireResponse.objects.filter(
        patient_id=check_in.patient_id, client_id=client_id
    ).first()
    if found is not None and found.check_in_id != check_in.id:
        raise ClientIdReused()
    return found


def _again(
    response: QuestionnaireResponse, check_in: CheckIn, calendar: StaffedCalendar, now: datetime
) -> Submission:
    """Return a stored response as its first answer would read now."""
    stored = Answer.objects.filter(patient_id=response.patient_id, response=response)
    order = {item.link_id: item.position for item in check_in.version.items.all()}
    given = sorted(
        (Given(a.link_id, a.symptom_key, a.attribute, a.value, a.code) for a in stored),
        key=lambda answer: order[answer.link_id],
    )
    rows = SymptomAlert.objects.filter(patient_id=response.patient_id, response=response)
    alerts = [reply.Heard(row.symptom_key, row.red_flag_key, row.urgency) for row in rows]
    return Submission(
        response=response,
        check_in=check_in,
        given=given,
        alerts=alerts,
        review=_review([Urgency[a.urgency] for a in alerts], calendar, response, now),
        watched_now=calendar.staffed_at(now),
        is_new=False,
    )


def _store(
    check_in: CheckIn,
    given: Sequence[Given],
    *,
    viewer: Viewer,
    client_id: UUID,
    now: datetime,
) -> QuestionnaireResponse:
    today = now.astimezone(ZoneInfo(viewer.zone)).date()
    if viewer.user_id is None:
        raise Forbidden()
    response = QuestionnaireResponse(
        patient_id=check_in.patient_id,
        check_in=check_in,
        version=check_in.version,
        client_id=client_id,
        mode=_MODES[viewer.kind],
        entered_by_id=viewer.user_id,
        is_late=now >= check_in.expires_at,
        answered_on=today,
        submitted_at=now,
    )
    response.save(force_insert=True)
    Answer.objects.bulk_create(
        [
            Answer(
                response=response,
                patient_id=check_in.patient_id,
                link_id=answer.link_id,
                symptom_key=answer.symptom_key,
                attribute=answer.attribute,
                value=answer.value,
                code=answer.code,
                answered_at=now,
            )
            for answer in given
        ]
    )
    grades = composites(as_check_in(given, completed_on=today).answers)
    Composite.objects.bulk_create(
        [
            Composite(
                response=response, patient_id=check_in.patient_id, symptom_key=key, grade=grade
            )
            for key, grade in grades.items()
        ]
    )
    return response


def _due_at(urgency: Urgency, calendar: StaffedCalendar, now: datetime) -> datetime:
    """Return when somebody must have looked: real time, or staffed time for ROUTINE."""
    window = DUE_WITHIN.get(WorkUrgency(urgency.name))
    if window is not None:
        return now + window
    routine = DUE_WITHIN[WorkUrgency.WITHIN_24H]
    return calendar.after_staffed_time(now, routine / 3) or now + routine * 3


def _title(alert: _Alert) -> str:
    if alert.red_flag_key:
        return red_flags()[alert.red_flag_key].plain_text[:160]
    if alert.symptom_key:
        return f"{symptoms()[alert.symptom_key].label}: {alert.reason.replace('_', ' ')}"
    return "She says that this cannot wait"


def _raise_items(
    alerts: Sequence[_Alert],
    response: QuestionnaireResponse,
    check_in: CheckIn,
    calendar: StaffedCalendar,
    now: datetime,
) -> dict[_Alert, WorkItem]:
    items: dict[_Alert, WorkItem] = {}
    for alert in alerts:
        key = alert.red_flag_key or alert.symptom_key or HER_WORD
        items[alert] = raise_item(
            patient_id=check_in.patient_id,
            concern=alert.concern,
            title=_title(alert),
            urgency=WorkUrgency(alert.urgency.name),
            owner_team=WorkItem.Team.NURSE,
            fact=Fact(
                kind=f"answer:{key}"[:40],
                reference=response.id,
                summary=_title(alert),
                rule_id=f"{alert.reason}:{key}"[:60],
                rule_version=RULE_VERSION,
            ),
            now=now,
            due_at=_due_at(alert.urgency, calendar, now),
            organization_id=check_in.plan.organization_id,
        )
    return items


def _record_alerts(
    alerts: Sequence[_Alert],
    items: dict[_Alert, WorkItem],
    response: QuestionnaireResponse,
    now: datetime,
) -> None:
    SymptomAlert.objects.bulk_create(
        [
            SymptomAlert(
                response=response,
                patient_id=response.patient_id,
                symptom_key=alert.symptom_key,
                red_flag_key=alert.red_flag_key,
                reason=alert.reason,
                concern=alert.concern,
                urgency=alert.urgency.name,
                rule_version=RULE_VERSION,
                work_item_id=items[alert].id,
                raised_at=now,
            )
            for alert in alerts
        ]
    )


def _after(
    check_in: CheckIn,
    response: QuestionnaireResponse,
    alerts: Sequence[_Alert],
    now: datetime,
) -> None:
    """Close the check-in, call off its reminders, and tell the other parts."""
    check_in.status, check_in.cancelled_reason = CheckIn.Status.ANSWERED, ""
    check_in.settled_at = now
    check_in.save(update_fields=["status", "cancelled_reason", "settled_at"])
    withdraw(
        subject_id=check_in.id,
        patient_id=check_in.patient_id,
        reason="already-answered",
        now=now,
    )
    publish(
        CheckInSubmitted(
            subject_id=response.id,
            patient_id=check_in.patient_id,
            check_in_id=check_in.id,
            alerts=tuple(dict.fromkeys(alert.concern for alert in alerts)),
        ),
        now=now,
    )
    for resource, resource_id in (
        ("CheckIn", check_in.id),
        ("QuestionnaireResponse", response.id),
    ):
        record_change(
            patient_id=check_in.patient_id,
            area=Area.SYMPTOMS,
            resource=resource,
            resource_id=resource_id,
            kind="upsert",
            now=now,
        )


def _review(
    urgencies: Sequence[Urgency],
    calendar: StaffedCalendar,
    response: QuestionnaireResponse,
    now: datetime,
) -> Review | None:
    """Return who covers the first due time; None when nothing needs reading."""
    if not urgencies:
        return None
    due_at = min(_due_at(urgency, calendar, response.submitted_at) for urgency in urgencies)
    return review_of(calendar, due_at=max(due_at, now), now=now)


def _page(
    alerts: Sequence[_Alert], items: dict[_Alert, WorkItem], check_in: CheckIn, now: datetime
) -> None:
    """Page who is on call about each item that nobody on duty will read in time."""
    urgent = {items[a].id for a in alerts if a.urgency > Urgency.ROUTINE}
    for item_id in sorted(urgent):
        page_on_call(
            organization_id=check_in.plan.organization_id,
            patient_id=check_in.patient_id,
            item_id=item_id,
            step="raised",
            now=now,
        )
