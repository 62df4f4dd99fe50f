"""Open and keep a record's frame: who she is, who looks after her, who may act for her.

Each write is one transaction with its audit event, its line in the change feed and its domain
event. Rows are written as the system's `registration`; who may call is decided by the caller
(view, admin, command), and the audit event names the person whose identity was in force.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import IntegrityError, connection, transaction
from django.db.models import Q

from accounts.models import Organization, User
from accounts.roles import Role
from accounts.scopes import Scope
from accounts.services import end_access, open_account
from core import audit, events, feed
from core.areas import Area
from core.db import identity, system
from core.errors import DomainError, FieldError, InvalidInput, NotFound
from core.models import AuditEvent
from patients.models import (
    CaregiverGrant,
    CareTeamMember,
    ContactPause,
    Enrolment,
    Patient,
    PatientIdentifier,
    ProfileFact,
)
from patients.names import normalised_family_name

_OLDEST_YEARS = 130


class IdentifierInUse(DomainError):
    """Another patient has this number of this authority."""

    code = "identifier-in-use"
    title = "This number belongs to another patient already."


class AlreadyEnrolled(DomainError):
    code = "already-enrolled"
    title = "She is enrolled there already."


class AlreadyGranted(DomainError):
    """One open grant a caregiver: revoke it, or let it end, before giving another."""

    code = "already-granted"
    title = "This person may act for her already. Change or end that first."


class AlreadyOnTeam(DomainError):
    code = "already-on-care-team"
    title = "This person is on the care team in that role already."


@dataclass(frozen=True, slots=True)
class NewIdentifier:
    """A number and the authority that gave it; `type` from HL7 table 0203."""

    authority: str
    value: str
    type: str = "MR"


@dataclass(frozen=True, slots=True)
class Demographics:
    """Who she is, as she or her papers say. `zone` is an IANA zone."""

    given_name: str
    family_name: str
    birth_date: date
    sex: str = Patient.Sex.UNKNOWN
    language: str = "en"
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Registered:
    """The new record, and how many other people share its birth date and family name."""

    patient: Patient
    look_alikes: int


@dataclass(frozen=True, slots=True)
class NewFact:
    """One fact of the disease profile. "not-tested" is a fact; absence of a row is not."""

    kind: ProfileFact.Kind | str
    code: str
    result: ProfileFact.Result | str
    source: str
    detail: str = ""
    starts_on: date | None = None
    ends_on: date | None = None


@dataclass(slots=True)
class _Change:
    """What a write tells the others, filled while it runs."""

    operation: str
    action: str
    resource: str
    patient_id: UUID | None = None
    resource_id: UUID | None = None
    fields: list[str] = field(default_factory=list)
    event: events.DomainEvent | None = None


@contextmanager
def _writing(change: _Change, *, now: datetime) -> Iterator[_Change]:
    """Run the block as `registration`, then write feed, event and audit beside it."""
    with transaction.atomic():
        with identity(system("registration")):
            yield change
            if change.patient_id is None or change.resource_id is None:
                raise RuntimeError("a write names its patient and row")
            feed.record_change(
                patient_id=change.patient_id,
                area=Area.RECORD,
                resource=change.resource,
                resource_id=change.resource_id,
                kind="upsert",
                now=now,
            )
            if change.event is not None:
                events.publish(change.event, now=now)
        audit.record(
            action=change.action,
            operation=change.operation,
            now=now,
            area=Area.RECORD,
            patient_id=change.patient_id,
            resource=change.resource,
            resource_ids=[change.resource_id],
            fields=change.fields,
        )


# --- the record ---


def register_patient(
    *,
    demographics: Demographics,
    organization: Organization,
    now: datetime,
    identifiers: Sequence[NewIdentifier] = (),
    user: User | None = None,
    email: str = "",
) -> Registered:
    """Open a record and enrol it at `organization`.

    `user` is the account she signs in with; `email` opens one without a password, which she
    sets from the reset mail. A look-alike is no error: twins and namesakes exist. It is told
    to the desk, and results then need a human to be filed (DECISIONS 5).
    Raises: InvalidInput, IdentifierInUse, EmailInUse.
    """
    key = _check(demographics, now=now)
    change = _Change("patients.register", AuditEvent.Action.CREATE, "Patient")
    with transaction.atomic():
        if email:
            user = open_account(
                email=email,
                given_name=demographics.given_name.strip(),
                family_name=demographics.family_name.strip(),
                language=demographics.language,
                zone=demographics.zone,
                now=now,
            )
        return _open_record(
            change, demographics, organization, key=key, identifiers=identifiers, user=user, now=now
        )


def _open_record(
    change: _Change,
    demographics: Demographics,
    organization: Organization,
    *,
    key: str,
    identifiers: Sequence[NewIdentifier],
    user: User | None,
    now: datetime,
) -> Registered:
    with _writing(change, now=now):
        look_alikes = _look_alikes(key, demographics.birth_date)
        patient = Patient(
            user=user,
            given_name=demographics.given_name.strip(),
            family_name=demographics.family_name.strip(),
            birth_date=demographics.birth_date,
            sex=demographics.sex,
            language=demographics.language,
            zone=demographics.zone,
            registered_at=now,
        )
        patient.save(force_insert=True)
        _add_identifiers(patient, identifiers, now=now)
        Enrolment.objects.create(patient=patient, organization=organization, starts_at=now)
        change.patient_id = change.resource_id = patient.pk
        change.event = events.PatientRegistered(subject_id=patient.pk, patient_id=patient.pk)
    return Registered(patient=patient, look_alikes=look_alikes)


def correct_demographics(*, patient_id: UUID, demographics: Demographics, now: datetime) -> Patient:
    """Correct who she is; only changed fields are written. Raises: NotFound, InvalidInput."""
    _check(demographics, now=now)
    change = _Change("patients.correct", AuditEvent.Action.UPDATE, "Patient")
    with _writing(change, now=now):
        patient = _locked(patient_id)
        for name in Demographics.__dataclass_fields__:
            value = getattr(demographics, name)
            if getattr(patient, name) != value:
                setattr(patient, name, value)
                change.fields.append(name)
        if change.fields:
            patient.save(update_fields=change.fields)
        change.patient_id = change.resource_id = patient.pk
    return patient


def add_identifier(*, patient_id: UUID, identifier: NewIdentifier, now: datetime) -> None:
    """Give a patient another number. Raises: NotFound, InvalidInput, IdentifierInUse."""
    change = _Change("patients.identifier.add", AuditEvent.Action.CREATE, "Patient")
    with _writing(change, now=now):
        patient = _locked(patient_id)
        _add_identifiers(patient, [identifier], now=now)
        change.patient_id = change.resource_id = patient.pk


def record_fact(
    *, patient_id: UUID, fact: NewFact, recorded_by: User | None, now: datetime
) -> ProfileFact:
    """Record one fact of the profile; the fact it replaces stays, superseded.

    Raises: NotFound, InvalidInput.
    """
    if not fact.source.strip():
        raise InvalidInput(errors=(FieldError("source", "required", "Say where this is from."),))
    if fact.starts_on and fact.ends_on and fact.starts_on > fact.ends_on:
        raise InvalidInput(
            errors=(FieldError("ends_on", "before-start", "Ends before it starts."),)
        )
    change = _Change("patients.fact.record", AuditEvent.Action.CREATE, "ProfileFact")
    with _writing(change, now=now):
        patient = _locked(patient_id)
        ProfileFact.objects.filter(
            patient=patient, kind=fact.kind, code=fact.code, superseded_at__isnull=True
        ).update(superseded_at=now)
        made = ProfileFact.objects.create(
            patient=patient,
            kind=fact.kind,
            code=fact.code,
            result=fact.result,
            detail=fact.detail,
            starts_on=fact.starts_on,
            ends_on=fact.ends_on,
            source=fact.source,
            recorded_by=recorded_by,
            recorded_at=now,
        )
        change.patient_id, change.resource_id = patient.pk, made.pk
        change.event = events.ProfileChanged(
            subject_id=made.pk, patient_id=patient.pk, kind=made.kind, code=made.code
        )
    return made


# --- who looks after her ---


def enrol(*, patient_id: UUID, organization: Organization, now: datetime) -> Enrolment:
    """Let another organization look after her too. Raises: NotFound, AlreadyEnrolled."""
    change = _Change("patients.enrol", AuditEvent.Action.CREATE, "Enrolment")
    with _writing(change, now=now):
        patient = _locked(patient_id)
        if patient.enrolments.filter(organization=organization, ends_at__isnull=True).exists():
            raise AlreadyEnrolled()
        made = Enrolment.objects.create(patient=patient, organization=organization, starts_at=now)
        change.patient_id, change.resource_id = patient.pk, made.pk
    return made


def end_enrolment(*, enrolment_id: UUID, now: datetime) -> None:
    """End an enrolment: that organization's staff reach her record no more. Raises: NotFound."""
    change = _Change("patients.enrolment.end", AuditEvent.Action.UPDATE, "Enrolment")
    with _writing(change, now=now):
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
    change = _Change("patients.care-team.add", AuditEvent.Action.CREATE, "CareTeamMember")
    with _writing(change, now=now):
        patient = _locked(patient_id)
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
) -> CaregiverGrant:
    """Let `caregiver` act for her within `scopes`.

    Raises: NotFound, InvalidInput, AlreadyGranted.
    """
    wanted = sorted({str(scope) for scope in scopes})
    if not wanted or not set(wanted) <= {str(scope) for scope in Scope}:
        raise InvalidInput(errors=(FieldError("scopes", "unknown", "Choose what she may do."),))
    change = _Change("patients.grant.give", AuditEvent.Action.CREATE, "CaregiverGrant")
    with _writing(change, now=now):
        patient = _locked(patient_id)
        if patient.user_id == caregiver.pk:
            raise InvalidInput(errors=(FieldError("caregiver", "self", "That is she herself."),))
        if patient.grants.filter(caregiver=caregiver, revoked_at__isnull=True).exists():
            raise AlreadyGranted()
        made = CaregiverGrant.objects.create(
            patient=patient,
            caregiver=caregiver,
            scopes=wanted,
            hidden_resources=list(hidden_resources),
            valid_from=now,
            valid_until=valid_until,
            granted_by=granted_by,
        )
        change.patient_id, change.resource_id = patient.pk, made.pk
        change.event = events.GrantChanged(subject_id=made.pk, patient_id=patient.pk, revoked=False)
    return made


def revoke_grant(*, grant_id: UUID, now: datetime) -> None:
    """End a grant now. The caregiver's tokens go with it. Raises: NotFound."""
    change = _Change("patients.grant.revoke", AuditEvent.Action.UPDATE, "CaregiverGrant")
    with _writing(change, now=now):
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
    change = _Change("patients.contact.pause", AuditEvent.Action.CREATE, "ContactPause")
    with _writing(change, now=now):
        patient = _locked(patient_id)
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
    change = _Change("patients.contact.resume", AuditEvent.Action.UPDATE, "Patient")
    with _writing(change, now=now):
        patient = _locked(patient_id)
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
    change = _Change("patients.death.record", AuditEvent.Action.UPDATE, "Patient")
    with _writing(change, now=now):
        patient = _locked(patient_id)
        patient.deceased_at = deceased_at
        patient.save(update_fields=["deceased_at"])
        if patient.user is not None:
            end_access(user=patient.user)
        change.patient_id = change.resource_id = patient.pk
        change.fields = ["deceased_at"]
        change.event = events.DeathRecorded(subject_id=patient.pk, patient_id=patient.pk)
    return patient


# --- helpers ---


def _locked(patient_id: UUID) -> Patient:
    patient = Patient.objects.select_for_update().filter(id=patient_id, is_active=True).first()
    if patient is None:
        raise NotFound()
    return patient


def _check(demographics: Demographics, *, now: datetime) -> str:
    """Return the family name's key. Raises: InvalidInput."""
    errors: list[FieldError] = []
    key = normalised_family_name(demographics.family_name)
    if not key:
        errors.append(FieldError("family_name", "no-letters", "Send a name with letters."))
    if not demographics.given_name.strip():
        errors.append(FieldError("given_name", "required", "Send a given name."))
    born = demographics.birth_date
    if born > now.date():
        errors.append(FieldError("birth_date", "future", "This is in the future."))
    elif now.year - born.year > _OLDEST_YEARS:
        errors.append(FieldError("birth_date", "too-early", "This is too long ago."))
    try:
        ZoneInfo(demographics.zone)
    except (ZoneInfoNotFoundError, ValueError):
        errors.append(
            FieldError("zone", "unknown-zone", "Send an IANA zone such as Europe/Berlin.")
        )
    if errors:
        raise InvalidInput(errors=tuple(errors))
    return key


def _look_alikes(key: str, birth_date: date) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT look_alikes(%s, %s)", [key, birth_date])
        return int(cursor.fetchone()[0])


def _add_identifiers(
    patient: Patient, identifiers: Sequence[NewIdentifier], *, now: datetime
) -> None:
    for index, identifier in enumerate(identifiers):
        if not identifier.value.strip() or not identifier.authority.strip():
            raise InvalidInput(
                errors=(FieldError(f"identifiers.{index}", "incomplete", "Number and authority."),)
            )
        try:
            with transaction.atomic():
                PatientIdentifier.objects.create(
                    patient=patient,
                    authority=identifier.authority.strip(),
                    value=identifier.value.strip(),
                    type=identifier.type,
                    valid_from=now,
                )
        except IntegrityError:
            # The database's text names the number; our refusal does not.
            raise IdentifierInUse(
                errors=(FieldError(f"identifiers.{index}", "in-use", IdentifierInUse.title),)
            ) from None
