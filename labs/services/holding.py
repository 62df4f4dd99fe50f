"""Keep results from the patient until a named time, and let them go again.

A hold is the decision of a clinician of her care team, or her own request. Each step moves the
release of the results, their change-feed lines and the audit event in one transaction.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from accounts.models import Membership, User
from accounts.roles import Role
from core import audit
from core.areas import Area
from core.db import identity, system
from core.errors import DomainError, FieldError, Forbidden, InvalidInput, NotFound
from core.models import AuditEvent, Change
from labs.models import DiagnosticReport, Observation, ReleaseHold
from labs.services.announcing import announce_released, record_changes
from labs.services.derived import release_with
from labs.services.release import (
    Release,
    active_holds,
    as_without_hold,
    backstop_of,
    covers,
    later_of,
    release_columns,
)
from labs.services.releasing import AS_RELEASE, refresh_visibility
from labs.services.reports import seen_at
from labs.services.result_notices import withdraw_what_is_no_news
from labs.services.rows import withheld
from labs.services.turns import take_turn
from patients.models import CareTeamMember
from patients.viewer import Viewer

_COLUMNS = (
    *("visible_from", "release_basis", "release_rule_version", "released_by", "announced_at"),
)
Basis = Observation.ReleaseBasis


class AlreadyLifted(DomainError):
    """Somebody lifted the hold, or its time is over."""

    code = "hold-ended"
    title = "This hold has ended already."


class NothingToRelease(DomainError):
    code = "nothing-to-release"
    title = "Every result of this report that may be shown is visible to her already."


class HeldByRequest(DomainError):
    """Her own wish is hers to take back."""

    code = "held-by-her-request"
    title = "She asked for this hold herself. Only she can end it before its time."


@dataclass
class _Moved:
    """Results whose release moved: what she saw before and does not now, and the reverse."""

    lost: list[Observation] = field(default_factory=list)
    shown: list[Observation] = field(default_factory=list)
    changed: list[Observation] = field(default_factory=list)


def hold(
    *,
    report_id: UUID,
    identity_key: str = "",
    reason_code: str,
    words: str,
    backstop_at: datetime,
    actor: User,
    now: datetime,
    tells_of_delay: bool = False,
) -> ReleaseHold:
    """Hold a report, or one result of it, as a clinician of her care team.

    `tells_of_delay`: she may read that some tests of the visit wait, the same whatever is held.
    Runs as the actor. What she could see already is gone from her pages; whether she had seen it
    is for `labs.holds.who_saw`. Raises: NotFound, Forbidden, InvalidInput.
    """
    if reason_code == ReleaseHold.Reason.PATIENT_REQUEST:
        raise _invalid("reason_code", "not-yours", "Only she can ask for it herself.")
    if reason_code not in ReleaseHold.Reason.values or not words.strip():
        raise _invalid("words", "required", "A hold needs a reason in words.")
    with transaction.atomic():
        report = _report(report_id)
        require_decider(actor, report.patient_id, now=now)
        return _place(
            report,
            identity_key=identity_key,
            reason_code=reason_code,
            words=words.strip()[:300],
            backstop_at=backstop_at,
            actor_id=actor.pk,
            now=now,
            tells_of_delay=tells_of_delay,
        )


def request_hold(*, viewer: Viewer, report_id: UUID, until: datetime, now: datetime) -> ReleaseHold:
    """Hold a report that she can see, at her own request. Runs as the patient.

    Raises: NotFound (also for a caregiver, and for a report that she cannot see), InvalidInput.
    """
    if viewer.kind != "patient" or viewer.user_id is None:
        raise NotFound()
    report = _report(report_id)
    if not seen_at(report, now):
        raise NotFound()
    return _place(
        report,
        identity_key="",
        reason_code=ReleaseHold.Reason.PATIENT_REQUEST,
        words="",
        backstop_at=until,
        actor_id=viewer.user_id,
        now=now,
    )


def lift(*, hold_id: UUID, actor: User, reason: str, now: datetime) -> ReleaseHold:
    """End a hold as a clinician of her care team; what no hold or rule keeps is visible at once.

    Raises: NotFound, Forbidden, HeldByRequest, AlreadyLifted, InvalidInput.
    """
    if not reason.strip():
        raise _invalid("lift_reason", "required", "Say why the hold ends.")
    with transaction.atomic():
        placed = _locked(hold_id)
        require_decider(actor, placed.patient_id, now=now)
        if placed.reason_code == ReleaseHold.Reason.PATIENT_REQUEST:
            raise HeldByRequest()
        _end([placed], actor_id=actor.pk, reason=reason.strip()[:300], now=now)
        release = Release(now, Basis.PERSON, "", actor.pk)
        _end_of_hold(placed, release, now=now)
        _audit("lift", placed, now=now)
    return placed


def take_back(*, viewer: Viewer, hold_id: UUID, now: datetime) -> ReleaseHold:
    """End her own request. Runs as the patient. Raises: NotFound, AlreadyLifted."""
    if viewer.kind != "patient" or viewer.user_id is None:
        raise NotFound()
    placed = _locked(hold_id)
    _end([placed], actor_id=viewer.user_id, reason="", now=now)
    release = Release(now, Basis.PATIENT_REQUEST, "")
    _end_of_hold(placed, release, now=now)
    return placed


def release_now(*, report_id: UUID, actor: User, reason: str, now: datetime) -> int:
    """Make every result of a report visible at once, ending its holds; return how many moved.

    Her own request stays. Raises: NotFound, Forbidden, InvalidInput, NothingToRelease.
    """
    if not reason.strip():
        raise _invalid("reason", "required", "Say why it is released now.")
    with transaction.atomic():
        report = _report(report_id)
        require_decider(actor, report.patient_id, now=now)
        take_turn(report.patient_id)
        keys = _keys_of(report)
        ending = [
            one
            for one in active_holds(report.patient_id, now=now)
            if one.reason_code != ReleaseHold.Reason.PATIENT_REQUEST
            and (one.report_id == report.id or one.identity_key in keys)
        ]
        _end(ending, actor_id=actor.pk, reason=reason.strip()[:300], now=now)
        release = Release(now, Basis.PERSON, "", actor.pk)
        moved = _let_go(
            report, lambda row: row.report_id == report.id, lambda row: release, now=now
        )
        if not moved.shown:
            raise NothingToRelease()
        audit.record(
            action=AuditEvent.Action.UPDATE,
            operation="labs.release.person",
            now=now,
            area=Area.LABS,
            patient_id=report.patient_id,
            resource="Observation",
            resource_ids=[row.id for row in moved.shown],
        )
    return len(moved.shown)


def require_decider(actor: User, patient_id: UUID, *, now: datetime) -> None:
    """Raises: Forbidden unless the actor is a clinician on her care team now."""
    is_clinician = (
        Membership.objects.active_at(now)
        .filter(user=actor, role=Role.CLINICIAN, organization__is_active=True)
        .exists()
    )
    on_team = CareTeamMember.objects.filter(
        Q(valid_until__isnull=True) | Q(valid_until__gt=now),
        patient_id=patient_id,
        user=actor,
        valid_from__lte=now,
    ).exists()
    if not (is_clinician and on_team):
        raise Forbidden()


def _report(report_id: UUID) -> DiagnosticReport:
    report = DiagnosticReport.objects.filter(id=report_id).first()
    if report is None:
        raise NotFound()
    return report


def _place(
    report: DiagnosticReport,
    *,
    identity_key: str,
    reason_code: str,
    words: str,
    backstop_at: datetime,
    actor_id: UUID,
    now: datetime,
    tells_of_delay: bool = False,
) -> ReleaseHold:
    if not now < backstop_at <= now + settings.RELEASE_HOLD_AT_MOST:
        days = settings.RELEASE_HOLD_AT_MOST.days
        raise _invalid("backstop_at", "out-of-bounds", f"Within {days} days from now.")
    take_turn(report.patient_id)
    if identity_key and identity_key not in _keys_of(report):
        raise NotFound()
    placed = ReleaseHold(
        patient_id=report.patient_id,
        report=report,
        identity_key=identity_key,
        reason_code=reason_code,
        words=words,
        placed_by_id=actor_id,
        placed_at=now,
        backstop_at=backstop_at,
        tells_of_delay=tells_of_delay,
    )
    placed.save(force_insert=True)
    with identity(system(AS_RELEASE)):
        holds = active_holds(report.patient_id, now=now)
        moved = _move(
            report.patient_id,
            lambda row: _covered(placed, row),
            lambda row: later_of(
                release_columns(row), backstop_of(holds, row.report_id, row.identity_key)
            ),
            now=now,
        )
        _tell(report, moved, now=now)
    _audit("hold", placed, now=now)
    return placed


def _keys_of(report: DiagnosticReport) -> set[str]:
    with identity(system(AS_RELEASE)):
        return set(
            Observation.objects.current()
            .filter(patient_id=report.patient_id, report_id=report.id)
            .values_list("identity_key", flat=True)
        )


def _covered(placed: ReleaseHold, row: Observation) -> bool:
    return covers(placed, row.report_id, row.identity_key)


def _locked(hold_id: UUID) -> ReleaseHold:
    found = ReleaseHold.objects.filter(id=hold_id).first()
    if found is None:
        raise NotFound()
    take_turn(found.patient_id)
    with identity(system(AS_RELEASE)):
        # The patient herself does not see a report that she hides.
        return ReleaseHold.objects.select_related("report").get(id=hold_id)


def _end(holds: list[ReleaseHold], *, actor_id: UUID, reason: str, now: datetime) -> None:
    for placed in holds:
        if placed.lifted_at is not None or placed.backstop_at <= now:
            raise AlreadyLifted()
        placed.lifted_at, placed.lifted_by_id, placed.lift_reason = now, actor_id, reason
        placed.save(update_fields=["lifted_at", "lifted_by", "lift_reason"])


def _end_of_hold(placed: ReleaseHold, release: Release, *, now: datetime) -> None:
    """Give what the hold kept this release, but not before a rule lets it go.

    Ending a hold is no decision against a rule: `release_now` is.
    """

    def decided(row: Observation) -> Release:
        if row.release_basis != Basis.BACKSTOP:
            return release_columns(row)
        by_rule = as_without_hold(row)
        assert by_rule.visible_from is not None
        return by_rule if by_rule.visible_from > now else release

    _let_go(placed.report, lambda row: _covered(placed, row), decided, now=now)


def _let_go(
    report: DiagnosticReport,
    chosen: Callable[[Observation], bool],
    release: Callable[[Observation], Release],
    *,
    now: datetime,
) -> _Moved:
    """Give the chosen results that still wait this release, as far as no other hold forbids."""
    with identity(system(AS_RELEASE)):
        holds = active_holds(report.patient_id, now=now)

        def decided(row: Observation) -> Release:
            if not withheld(row, now=now) or row.visible_from is None:
                return release_columns(row)
            return later_of(release(row), backstop_of(holds, row.report_id, row.identity_key))

        moved = _move(report.patient_id, chosen, decided, now=now)
        _tell(report, moved, now=now)
    return moved


def _move(
    patient_id: UUID,
    chosen: Callable[[Observation], bool],
    decided: Callable[[Observation], Release],
    *,
    now: datetime,
) -> _Moved:
    """Decide the chosen results anew, then what is worked out from them: never before its inputs.

    What has no time at all (early, withdrawn) stays so.
    """
    current = list(
        Observation.objects.current().filter(
            patient_id=patient_id,
            report_id__isnull=False,
            withdrawn_at__isnull=True,
            visible_from__isnull=False,
        )
    )
    by_id = {row.id: row for row in current}
    moved = _Moved()
    for row in current:
        if chosen(row):
            _set(row, decided(row), moved, now=now)
    touched = {row.id for row in moved.changed}
    for row in current:
        inputs = [by_id[one] for one in row.derived_from if one in by_id]
        if not touched.intersection(row.derived_from) or not inputs:
            continue
        of_inputs = release_with(*inputs)
        assert of_inputs.visible_from is not None
        own = decided(row)
        if own.visible_from is None or own.visible_from < of_inputs.visible_from:
            own = of_inputs
        _set(row, own, moved, now=now)
    Observation.objects.bulk_update(moved.changed, _COLUMNS)
    return moved


def _set(row: Observation, release: Release, moved: _Moved, *, now: datetime) -> None:
    if release == release_columns(row):
        return
    seen_before = not withheld(row, now=now)
    row.visible_from, row.release_basis = release.visible_from, release.basis
    row.release_rule_version, row.released_by_id = release.rule_version, release.released_by_id
    seen = not withheld(row, now=now)
    row.announced_at = release.announced_at(now)
    if row not in moved.changed:
        moved.changed.append(row)
    if seen_before and not seen:
        moved.lost.append(row)
    if seen and not seen_before:
        moved.shown.append(row)


def _tell(report: DiagnosticReport, moved: _Moved, *, now: datetime) -> None:
    patient_id = report.patient_id
    # The report itself, too: what is said of its delay may change although no result moved.
    reports = {row.report_id for row in moved.changed if row.report_id is not None} | {report.id}
    heads = refresh_visibility(patient_id, reports, now=now)
    lines: list[tuple[str, UUID, str]] = [
        ("Observation", row.id, Change.Kind.GONE) for row in moved.lost
    ]
    for head in heads:
        if not any(row.report_id == head.id for row in moved.lost):
            continue
        kind = Change.Kind.UPSERT if seen_at(head, now) else Change.Kind.GONE
        lines.append(("DiagnosticReport", head.id, kind))
        # A notice of it would tell that it exists.
        withdraw_what_is_no_news(head, now=now)
    record_changes(patient_id=patient_id, lines=lines, now=now)
    announce_released(heads=heads, rows=moved.shown, now=now)


def _invalid(name: str, code: str, words: str) -> InvalidInput:
    return InvalidInput(words, errors=(FieldError(name, code, words),))


def _audit(step: str, placed: ReleaseHold, *, now: datetime) -> None:
    audit.record(
        action=AuditEvent.Action.UPDATE,
        operation=f"{audit.STAFF_ONLY}labs.release.{step}",
        now=now,
        area=Area.LABS,
        patient_id=placed.patient_id,
        resource="ReleaseHold",
        resource_ids=[placed.id],
        reason_code=placed.reason_code,
    )
