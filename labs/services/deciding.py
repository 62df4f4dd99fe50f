"""Two people decide whose results a sender means; a decision holds for the identical tuple only.

Callers run as the member of staff who decides: row security shows her the queue. The patient
index is asked as `system("lab-intake")`, because laboratory staff hold no charts.
"""

from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from accounts.models import Membership, User
from accounts.roles import Role
from core import audit
from core.areas import Area
from core.db import identity, system
from core.errors import DomainError, FieldError, InvalidInput, NotFound
from core.models import AuditEvent
from labs.hl7.oru import PatientGroup, PatientIdentity
from labs.models import InboundMessage, IntakeItem, MatchDecision, Observation, SendingLaboratory
from labs.services.filing import FilingPass, open_pass
from labs.services.intake import reprocess
from labs.services.matching import (
    DECIDABLE,
    Claim,
    claim_of,
    has_look_alike,
    holder_of_number,
    match_group,
    take_turn,
)
from patients.models import Enrolment, Patient
from worklist.models import Urgency, WorkItem
from worklist.services import Fact, raise_item

_LIMITS = {"authority": 120, "identifier": 80, "family_name_key": 100}


class NotDecidable(DomainError):
    """The doubt is not one that a decision settles, or there is none any more."""

    code = "match-not-decidable"
    title = "A decision cannot settle this: process the message again, or see what the row says."


class LookAlikeLock(DomainError):
    code = "match-look-alike"
    title = "Another active patient has this name and birth date. No decision overrides that."


class NumberOfAnother(DomainError):
    code = "match-number-of-another"
    title = "This number belongs to another active patient. Put the patient index right first."


class AlreadyProposed(DomainError):
    code = "match-already-proposed"
    title = "There is a decision about exactly these particulars already."


class OwnProposal(DomainError):
    """Two people stand behind a decision."""

    code = "match-own-proposal"
    title = "Somebody else than the person who proposed it must confirm it."


class AlreadyConfirmed(DomainError):
    code = "match-already-confirmed"
    title = "This decision is confirmed already."


class AlreadyRevoked(DomainError):
    code = "match-already-revoked"
    title = "This decision was revoked. Propose a new one."


def propose_match(
    *, item_id: UUID, patient_id: UUID, actor: User, reason: str, now: datetime
) -> MatchDecision:
    """Propose that the person in doubt behind a queue row is this patient.

    Raises: NotFound (no open row, or no active patient in the actor's reach), InvalidInput,
    NotDecidable, LookAlikeLock, NumberOfAnother, AlreadyProposed.
    """
    reason = _said(reason, "reason")
    with transaction.atomic():
        item = open_item(item_id)
        laboratory = item.laboratory
        assert laboratory is not None  # rows about a person come from an accepted message
        with identity(system("lab-intake")):
            pid = identity_in_doubt(item, now=now)
            claim = claim_of(pid, laboratory)
            still_in_doubt = DECIDABLE.issuperset(match_group(pid, laboratory).reasons or ("",))
            if claim is None or not still_in_doubt or not _fits(claim):
                raise NotDecidable()
            _check_patient(patient_id, claim, actor=actor, now=now)
        decision = MatchDecision(
            **asdict(claim),
            patient_id=patient_id,
            message_id=item.message_id,
            reason=reason,
            decided_by=actor,
            decided_at=now,
        )
        try:
            with transaction.atomic():
                decision.save(force_insert=True)
        except IntegrityError as error:
            if "match_decision_open_once" not in str(error):
                raise
            raise AlreadyProposed() from None
        _audit(decision, "propose", AuditEvent.Action.CREATE, now)
    return decision


def confirm_match(*, decision_id: UUID, actor: User, now: datetime) -> list[FilingPass]:
    """Confirm as the second person and file the messages that waited for it, oldest first.

    All of it happens or none. Raises: NotFound, OwnProposal, AlreadyConfirmed, AlreadyRevoked,
    LookAlikeLock, NumberOfAnother.
    """
    with transaction.atomic():
        decision = _locked(decision_id)
        if decision.confirmed_at is not None:
            raise AlreadyConfirmed()
        if decision.decided_by_id == actor.pk:
            raise OwnProposal()
        claim = claim_decided(decision)
        take_turn(claim, alone=True)
        with identity(system("lab-intake")):
            _check_patient(decision.patient_id, claim, actor=actor, now=now)
        decision.confirmed_by, decision.confirmed_at = actor, now
        decision.save(update_fields=["confirmed_by", "confirmed_at"])
        _audit(decision, "confirm", AuditEvent.Action.UPDATE, now)
        with identity(system("lab-intake")):
            waiting = waiting_messages(claim, now=now)
        return [reprocess(message_id=one, actor=actor, now=now) for one in waiting]


def revoke_match(*, decision_id: UUID, actor: User, reason: str, now: datetime) -> list[UUID]:
    """Stop remembering a decision, or drop a proposal; return the results that it had filed.

    Moves no result: a nurse gets a work item that names them. Raises: NotFound, InvalidInput,
    AlreadyRevoked.
    """
    reason = _said(reason, "revocation_reason")
    with transaction.atomic():
        decision = _locked(decision_id)
        take_turn(claim_decided(decision), alone=True)
        decision.revoked_by, decision.revoked_at = actor, now
        decision.revocation_reason = reason
        decision.save(update_fields=["revoked_by", "revoked_at", "revocation_reason"])
        _audit(decision, "revoke", AuditEvent.Action.UPDATE, now)
        with identity(system("lab-intake")):
            filed = results_filed_by(decision, now=now)
            laboratory = SendingLaboratory.objects.get(id=decision.laboratory_id)
        for result_id in filed:
            raise_item(
                patient_id=decision.patient_id,
                concern="result.match-revoked",
                title="Check whose results these are: their matching was revoked",
                urgency=Urgency.SAME_DAY,
                owner_team=WorkItem.Team.NURSE,
                organization_id=laboratory.organization_id,
                fact=Fact("observation", result_id, "filed by a matching decision now revoked"),
                now=now,
            )
    return filed


def open_item(item_id: UUID) -> IntakeItem:
    """Return an open row of the queue about a person. Raises: NotFound, NotDecidable."""
    item = (
        IntakeItem.objects.select_related("message", "laboratory")
        .filter(id=item_id, cleared_at__isnull=True)
        .first()
    )
    if item is None:
        raise NotFound()
    if item.reason not in DECIDABLE:
        raise NotDecidable()
    return item


def identity_in_doubt(item: IntakeItem, *, now: datetime) -> PatientIdentity | None:
    """Return what the message says about the person whom the row is about."""
    work = open_pass(item.message, actor=None, now=now)
    groups = [group for group in work.oru.groups if _position(group) == item.obr_position]
    segment = bytes(item.segment or b"").decode()
    found = [group.pid for group in groups if group.pid and group.pid.raw == segment]
    return found[0] if found else None


def _position(group: PatientGroup) -> int | None:
    return group.reports[0].position if group.reports else None


def claim_decided(decision: MatchDecision) -> Claim:
    return Claim(
        decision.laboratory_id,
        decision.authority,
        decision.identifier,
        decision.family_name_key,
        decision.birth_date,
    )


def patients_in_reach(actor: User, *, now: datetime) -> QuerySet[Patient]:
    """Return the active patients enrolled where `actor` is laboratory staff.

    Runs as `system("lab-intake")`.
    """
    works_at = Membership.objects.active_at(now).filter(
        user=actor, role=Role.LABORATORY, organization__is_active=True
    )
    enrolled = Enrolment.objects.filter(
        Q(ends_at__isnull=True) | Q(ends_at__gt=now),
        organization_id__in=works_at.values("organization_id"),
        starts_at__lte=now,
    )
    return Patient.objects.filter(is_active=True, id__in=enrolled.values("patient_id"))


def waiting_messages(claim: Claim, *, now: datetime) -> list[UUID]:
    """Return the messages that wait in the queue for this very tuple, oldest first."""
    in_doubt = IntakeItem.objects.filter(
        laboratory_id=claim.laboratory_id, reason__in=DECIDABLE, cleared_at__isnull=True
    )
    messages = (
        InboundMessage.objects.filter(id__in=in_doubt.values("message_id"))
        .select_related("laboratory")
        .order_by("received_at", "id")
    )
    return [
        message.id
        for message in messages.iterator(chunk_size=50)
        if _groups_of(claim, message, now=now)
    ]


def results_filed_by(decision: MatchDecision, *, now: datetime) -> list[UUID]:
    """Return the results of this very tuple that were filed while the decision held.

    Read again from the messages, so it also finds what the index would have settled by then.
    """
    if decision.confirmed_at is None:
        return []
    claim = claim_decided(decision)
    rows = Observation.objects.laboratory_made().filter(
        patient_id=decision.patient_id,
        laboratory_id=decision.laboratory_id,
        message_id__isnull=False,
        filed_at__gte=decision.confirmed_at,
    )
    by_message: dict[UUID, list[tuple[UUID, int | None]]] = {}
    for row_id, message_id, obx_index in rows.order_by("filed_at", "id").values_list(
        "id", "message_id", "obx_index"
    ):
        by_message.setdefault(message_id, []).append((row_id, obx_index))
    found: list[UUID] = []
    for message in InboundMessage.objects.select_related("laboratory").filter(id__in=by_message):
        groups = _groups_of(claim, message, now=now)
        lines = {
            line.obx_index
            for group in groups
            for report in group.reports
            for line in report.observations
        }
        found += [row_id for row_id, obx_index in by_message[message.id] if obx_index in lines]
    return found


def _groups_of(claim: Claim, message: InboundMessage, *, now: datetime) -> list[PatientGroup]:
    laboratory = message.laboratory
    assert laboratory is not None
    groups = open_pass(message, actor=None, now=now).oru.groups
    return [group for group in groups if claim_of(group.pid, laboratory) == claim]


def _check_patient(patient_id: UUID, claim: Claim, *, actor: User, now: datetime) -> None:
    patient = patients_in_reach(actor, now=now).filter(id=patient_id).first()
    if patient is None:
        raise NotFound("No active patient of your organization.")
    if holder_of_number(claim) not in (None, patient.id):
        raise NumberOfAnother()
    if has_look_alike(patient, claim):
        raise LookAlikeLock()


def _fits(claim: Claim) -> bool:
    return all(len(getattr(claim, name)) <= limit for name, limit in _LIMITS.items())


def _said(reason: str, field: str) -> str:
    reason = reason.strip()
    if not reason:
        raise InvalidInput(
            "Say why.", errors=(FieldError(field, "required", "A decision needs its reason."),)
        )
    return reason[:300]


def _locked(decision_id: UUID) -> MatchDecision:
    decision = MatchDecision.objects.select_for_update().filter(id=decision_id).first()
    if decision is None:
        raise NotFound()
    if decision.revoked_at is not None:
        raise AlreadyRevoked()
    return decision


def _audit(decision: MatchDecision, step: str, action: AuditEvent.Action, now: datetime) -> None:
    audit.record(
        action=action,
        operation=f"labs.match.{step}",
        now=now,
        area=Area.INTAKE,
        patient_id=decision.patient_id,
        resource="MatchDecision",
        resource_ids=[decision.id],
    )
