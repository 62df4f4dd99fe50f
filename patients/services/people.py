"""Who looks after her, who may act for her, and whether she may be contacted."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from accounts.models import Organization, User
from accounts.roles import Role
from accounts.scopes import Scope
from accounts.services import end_access
from core import events
from core.errors import DomainError, FieldError, InvalidInput, NotFound
from core.models import AuditEvent
from patients.ages import is_adult, mailbox
from patients.models import CaregiverGrant, CareTeamMember, ContactPause, Enrolment, Patient
from patients.services.writing import Change, locked_patient, writing


class AlreadyEnrolled(DomainError):
    code = "already-enrolled"
    title = "She is enrolled there already."


class AlreadyGranted(DomainError):
    """One open grant a caregiver: revoke it, or let it end, before giving another."""

    code = "already-granted"
    title = "This person may act for her already. Change or end that first."


class SharedMailbox(DomainError):
    """What is sent to a minor must not reach her guardian."""

    code = "shared-mailbox"
    title = "A minor and her guardian need e-mail addresses of their own."


class AlreadyOnTeam(DomainError):
    code = "already-on-care-team"
    title = "This person is on the care team in that role already."


def enrol(*, patient_id: UUID, organization: Organization, now: datetime) -> Enrolment:
    """Let another organization look after her too. Raises: NotFound, AlreadyEnrolled."""
    change = Change("patients.enrol", AuditEvent.Action.CREATE, "Enrolment")
    with writing(change, now=now):
        patient = locked_patient(patient_id)
        if patient.enrolments.filter(organization=organization, ends_at__isnull=True).exists():
            raise AlreadyEnrolled()
        made = Enrolment.objects.create(patient=patient, organization=organization, starts_at=now)
        change.patient_id, change.resource_id = patient.pk, made.pk
    return made


def end_enrolment(*, enrolment_id: UUID, now: datetime) -> None:
    """End an enrolment: that organization's staff reach her record no more. Raises: NotFound."""
    change = Change("patients.enrolment.end", AuditEvent.Action.UPDATE, "Enrolment")
    with writing(change, now=now):
        row = Enrolment.objects.select_for_update().filter(id=enrolment_id).first()
        if row is None:
            raise NotFound()
        row.ends_at = now
        row.save(update_fields=["ends_at"])
        change.patient_id, change.resource_id = row.patient_id, row.pk


def add_to_care_team(
    *, patient_id: UUID, user: User, role: Role, now: datetime, valid_until: datetime | None = None
) -> CareTeamMember:
    """Put a member of staff on her care team. Raises: NotFound, AlreadyOnTeam."""
    change = Change("patients.care-team.add", AuditEvent.Action.CREATE, "CareTeamMember")
    with writing(change, now=now):
        patient = locked_patient(patient_id)
        if patient.care_team.filter(user=user, role=role, valid_until__isnull=True).exists():
            raise AlreadyOnTeam()
        made = CareTeamMember.objects.create(
            patient=patient, user=user, role=role, valid_from=now, valid_until=valid_until
        )
        change.patient_id, change.resource_id = patient.pk, made.pk
    return made


# --- who may act for her ---


def grant_caregiver(
    *,
    patient_id: UUID,
    caregiver: User,
    scopes: Iterable[Scope | str],
    granted_by: User,
    now: datetime,
    valid_until: datetime | None = None,
    hidden_resources: Sequence[UUID] = (),
    basis: CaregiverGrant.Basis | str = CaregiverGrant.Basis.INVITED,
) -> CaregiverGrant:
    """Let `caregiver` act for her within `scopes`.

    Only an adult invites; a guardian is recorded for a minor alone, and what she may see follows
    the minor's age (`patients.ages`). A guardian's grant that age has ended gives way to a new
    one. Raises: NotFound, InvalidInput, AlreadyGranted, SharedMailbox.
    """
    wanted = sorted({str(scope) for scope in scopes})
    if not wanted or not set(wanted) <= {str(scope) for scope in Scope}:
        raise InvalidInput(errors=(FieldError("scopes", "unknown", "Choose what she may do."),))
    change = Change("patients.grant.give", AuditEvent.Action.CREATE, "CaregiverGrant")
    with writing(change, now=now):
        patient = locked_patient(patient_id)
        if patient.user_id == caregiver.pk:
            raise InvalidInput(errors=(FieldError("caregiver", "self", "That is she herself."),))
        adult = is_adult(patient.birth_date, zone=patient.zone, now=now)
        _check_basis(patient, caregiver, basis, adult=adult)
        standing = patient.grants.filter(caregiver=caregiver, revoked_at__isnull=True)
        if adult:
            standing.filter(basis=CaregiverGrant.Basis.GUARDIAN).update(revoked_at=now)
        if standing.exists():
            raise AlreadyGranted()
        made = CaregiverGrant.objects.create(
            patient=patient,
            caregiver=caregiver,
            basis=basis,
            scopes=wanted,
            hidden_resources=list(hidden_resources),
            valid_from=now,
            valid_until=valid_until,
            granted_by=granted_by,
        )
        change.patient_id, change.resource_id = patient.pk, made.pk
        change.event = events.GrantChanged(subject_id=made.pk, patient_id=patient.pk, revoked=False)
    return made


def _check_basis(patient: Patient, caregiver: User, basis: str, *, adult: bool) -> None:
    """Raises: InvalidInput, SharedMailbox."""
    if basis not in CaregiverGrant.Basis.values:
        raise InvalidInput(errors=(FieldError("basis", "unknown", "Invited, or guardian."),))
    guardian = basis == CaregiverGrant.Basis.GUARDIAN
    if guardian and adult:
        raise InvalidInput(errors=(FieldError("basis", "adult", "She is of age: she invites."),))
    if not guardian and not adult:
        raise InvalidInput(errors=(FieldError("basis", "minor", "She is a minor."),))
    if guardian and patient.user and mailbox(patient.user.email) == mailbox(caregiver.email):
        raise SharedMailbox()


def revoke_grant(*, grant_id: UUID, now: datetime) -> None:
    """End a grant now. The caregiver's tokens go with it. Raises: NotFound."""
    change = Change("patients.grant.revoke", AuditEvent.Action.UPDATE, "CaregiverGrant")
    with writing(change, now=now):
        grant = (
            CaregiverGrant.objects.select_for_update()
            .filter(id=grant_id, revoked_at__isnull=True)
            .first()
        )
        if grant is None:
            raise NotFound()
        grant.revoked_at = now
        grant.save(update_fields=["revoked_at"])
        end_access(user=grant.caregiver)
        change.patient_id, change.resource_id = grant.patient_id, grant.pk
        change.event = events.GrantChanged(
            subject_id=grant.pk, patient_id=grant.patient_id, revoked=True
        )


# --- contact ---


def pause_contact(
    *,
    patient_id: UUID,
    reason: ContactPause.Reason | str,
    starts_at: datetime,
    recorded_by: User | None,
    now: datetime,
    ends_at: datetime | None = None,
) -> ContactPause:
    """Send her nothing from `starts_at` until `ends_at` (None: until resumed).

    Raises: NotFound, InvalidInput.
    """
    if ends_at is not None and ends_at <= starts_at:
        raise InvalidInput(
            errors=(FieldError("ends_at", "before-start", "Ends before it starts."),)
        )
    change = Change("patients.contact.pause", AuditEvent.Action.CREATE, "ContactPause")
    with writing(change, now=now):
        patient = locked_patient(patient_id)
        made = ContactPause.objects.create(
            patient=patient,
            reason=reason,
            starts_at=starts_at,
            ends_at=ends_at,
            recorded_by=recorded_by,
        )
        change.patient_id, change.resource_id = patient.pk, made.pk
        change.event = events.ContactChanged(subject_id=made.pk, patient_id=patient.pk, paused=True)
    return made


def resume_contact(*, patient_id: UUID, now: datetime) -> int:
    """End every pause in force; return how many. Raises: NotFound."""
    change = Change("patients.contact.resume", AuditEvent.Action.UPDATE, "Patient")
    with writing(change, now=now):
        patient = locked_patient(patient_id)
        ended = (
            ContactPause.objects.filter(patient=patient, starts_at__lt=now)
            .filter(Q(ends_at__isnull=True) | Q(ends_at__gt=now))
            .update(ends_at=now)
        )
        change.patient_id = change.resource_id = patient.pk
        change.event = events.ContactChanged(
            subject_id=patient.pk, patient_id=patient.pk, paused=False
        )
    return ended


def record_death(*, patient_id: UUID, deceased_at: datetime, now: datetime) -> Patient:
    """Record that she died: no message leaves from this transaction on, her account is frozen.

    The record stays for staff. Raises: NotFound, InvalidInput.
    """
    if deceased_at > now:
        raise InvalidInput(errors=(FieldError("deceased_at", "future", "This is in the future."),))
    change = Change("patients.death.record", AuditEvent.Action.UPDATE, "Patient")
    with writing(change, now=now):
        patient = locked_patient(patient_id)
        patient.deceased_at = deceased_at
        patient.save(update_fields=["deceased_at"])
        if patient.user is not None:
            end_access(user=patient.user)
        change.patient_id = change.resource_id = patient.pk
        change.fields = ["deceased_at"]
        change.event = events.DeathRecorded(subject_id=patient.pk, patient_id=patient.pk)
    return patient
