"""A clinician of the care team decides what a marker result means for the profile."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from accounts.models import User
from accounts.roles import Role
from clinical.markers import Reading
from clinical.specimens import sampled
from core import audit
from core.areas import Area
from core.errors import DomainError, FieldError, InvalidInput, NotFound
from core.models import AuditEvent
from labs.models import BiomarkerProposal
from labs.services.rows import withheld
from patients.models import CareTeamMember, ProfileFact
from patients.services import NewFact, record_fact

Decision = BiomarkerProposal.Decision
RESULT_OF = {
    Reading.POSITIVE: ProfileFact.Result.POSITIVE,
    Reading.LOW: ProfileFact.Result.LOW,
    Reading.ULTRALOW: ProfileFact.Result.ULTRALOW,
    Reading.ZERO: ProfileFact.Result.NEGATIVE,
    Reading.NEGATIVE: ProfileFact.Result.NEGATIVE,
    Reading.EQUIVOCAL: ProfileFact.Result.EQUIVOCAL,
    Reading.UNCERTAIN: ProfileFact.Result.UNCERTAIN,
}


class MarkerDecided(DomainError):
    """Somebody else was quicker, or a newer version came."""

    code = "marker-decided"
    title = "This proposal is decided already, or a newer result replaced it."


class MarkerUnread(DomainError):
    code = "marker-unread"
    title = "This result could not be read. Say what it means, or refuse it."


class MarkerNotReleased(DomainError):
    """Her profile would tell a result that is still held back."""

    code = "marker-not-released"
    title = "The result is not released to her yet. Decide when it is."


def accept_marker(*, proposal_id: UUID, actor: User, now: datetime) -> BiomarkerProposal:
    """Make the proposal a fact of her profile as it was read.

    Raises: NotFound (also for who is not a clinician of her care team), MarkerDecided,
    MarkerUnread, MarkerNotReleased.
    """
    with transaction.atomic():
        proposal = _open(proposal_id, actor, now=now)
        if not proposal.reading:
            raise MarkerUnread()
        result = RESULT_OF[Reading(proposal.reading)]
        return _record(
            proposal, Decision.ACCEPTED, result, proposal.detail, "", actor=actor, now=now
        )


def change_marker(
    *, proposal_id: UUID, result: str, detail: str, reason: str, actor: User, now: datetime
) -> BiomarkerProposal:
    """Make it a fact that says something else, with the reason.

    Raises: as `accept_marker`; InvalidInput without a known result or a reason.
    """
    missing = tuple(
        FieldError(name, "required", "Say this.")
        for name, given in (
            ("decided_result", result in ProfileFact.Result.values),
            ("reason", reason.strip()),
        )
        if not given
    )
    if missing:
        raise InvalidInput("A change needs a result and a reason.", errors=missing)
    with transaction.atomic():
        proposal = _open(proposal_id, actor, now=now)
        return _record(
            proposal, Decision.CHANGED, result, detail[:120], reason, actor=actor, now=now
        )


def refuse_marker(
    *, proposal_id: UUID, reason: str, actor: User, now: datetime
) -> BiomarkerProposal:
    """Leave her profile as it is. Raises: NotFound, MarkerDecided, InvalidInput."""
    if not reason.strip():
        raise InvalidInput(
            "A refusal needs a reason.", errors=(FieldError("reason", "required", "Say why."),)
        )
    with transaction.atomic():
        proposal = _open(proposal_id, actor, now=now)
        return _decide(proposal, Decision.REFUSED, reason, actor=actor, now=now)


def _open(proposal_id: UUID, actor: User, *, now: datetime) -> BiomarkerProposal:
    proposal = (
        BiomarkerProposal.objects.select_for_update(of=("self",))
        .select_related("observation", "report__laboratory")
        .filter(id=proposal_id)
        .first()
    )
    if proposal is None or not _on_care_team(proposal.patient_id, actor, now=now):
        raise NotFound()
    if proposal.decision != Decision.OPEN:
        raise MarkerDecided()
    return proposal


def _on_care_team(patient_id: UUID, actor: User, *, now: datetime) -> bool:
    return (
        CareTeamMember.objects.filter(
            patient_id=patient_id, user=actor, role=Role.CLINICIAN, valid_from__lte=now
        )
        .filter(Q(valid_until__isnull=True) | Q(valid_until__gt=now))
        .exists()
    )


def _record(
    proposal: BiomarkerProposal,
    decision: str,
    result: str,
    detail: str,
    reason: str,
    *,
    actor: User,
    now: datetime,
) -> BiomarkerProposal:
    if withheld(proposal.observation, now=now):
        raise MarkerNotReleased()
    proposal.fact = record_fact(
        patient_id=proposal.patient_id,
        fact=NewFact(
            kind=ProfileFact.Kind.MARKER,
            code=proposal.marker,
            result=result,
            source=_source(proposal),
            detail=detail,
            starts_on=proposal.collected_on,
            observation_id=proposal.observation_id,
            report_id=proposal.report_id,
        ),
        recorded_by=actor,
        now=now,
    )
    proposal.decided_result, proposal.decided_detail = result, detail
    return _decide(proposal, decision, reason, actor=actor, now=now)


def _source(proposal: BiomarkerProposal) -> str:
    """Return where a fact comes from; a result of a metastasis is not one of the primary."""
    result = proposal.observation
    words = sampled(result.specimen_type, result.body_site)
    source = f"Report of {proposal.report.laboratory.name}, confirmed by a clinician"
    return f"{words}: {source}"[:120] if words else source[:120]


def _decide(
    proposal: BiomarkerProposal, decision: str, reason: str, *, actor: User, now: datetime
) -> BiomarkerProposal:
    proposal.decision, proposal.reason = decision, reason.strip()[:300]
    proposal.decided_at, proposal.decided_by = now, actor
    proposal.save(
        update_fields=[
            "decision",
            "reason",
            "decided_at",
            "decided_by",
            "decided_result",
            "decided_detail",
            "fact",
        ]
    )
    # A decision about a result that is held would tell of it in her own list of who looked.
    hidden = audit.STAFF_ONLY if withheld(proposal.observation, now=now) else ""
    audit.record(
        action=AuditEvent.Action.UPDATE,
        operation=f"{hidden}labs.biomarker.{decision}",
        now=now,
        area=Area.LABS,
        patient_id=proposal.patient_id,
        resource="BiomarkerProposal",
        resource_ids=[proposal.id],
    )
    return proposal
