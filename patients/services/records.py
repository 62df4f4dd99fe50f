"""Open a record, correct it, give it numbers and facts of the disease profile."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import IntegrityError, connection, transaction

from accounts.models import Organization, User
from accounts.services import open_account
from core import events
from core.errors import DomainError, FieldError, InvalidInput
from core.models import AuditEvent
from patients.models import Enrolment, Patient, PatientIdentifier, ProfileFact
from patients.names import normalised_family_name
from patients.services.writing import Change, locked_patient, writing

_OLDEST_YEARS = 130


class IdentifierInUse(DomainError):
    """Another patient has this number of this authority."""

    code = "identifier-in-use"
    title = "This number belongs to another patient already."


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
    observation_id: UUID | None = None
    report_id: UUID | None = None


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
    change = Change("patients.register", AuditEvent.Action.CREATE, "Patient")
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
    change: Change,
    demographics: Demographics,
    organization: Organization,
    *,
    key: str,
    identifiers: Sequence[NewIdentifier],
    user: User | None,
    now: datetime,
) -> Registered:
    with writing(change, now=now):
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
    change = Change("patients.correct", AuditEvent.Action.UPDATE, "Patient")
    with writing(change, now=now):
        patient = locked_patient(patient_id)
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
    change = Change("patients.identifier.add", AuditEvent.Action.CREATE, "Patient")
    with writing(change, now=now):
        patient = locked_patient(patient_id)
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
    change = Change("patients.fact.record", AuditEvent.Action.CREATE, "ProfileFact")
    with writing(change, now=now):
        patient = locked_patient(patient_id)
        counting = ProfileFact.objects.filter(
            patient=patient, kind=fact.kind, code=fact.code, superseded_at__isnull=True
        )
        is_history = _is_older(fact, counting.first())
        if not is_history:
            counting.update(superseded_at=now)
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
            superseded_at=now if is_history else None,
            observation_id=fact.observation_id,
            report_id=fact.report_id,
        )
        change.patient_id, change.resource_id = patient.pk, made.pk
        if is_history:
            return made
        change.event = events.ProfileChanged(
            subject_id=made.pk, patient_id=patient.pk, kind=made.kind, code=made.code
        )
    return made


def _is_older(fact: NewFact, counting: ProfileFact | None) -> bool:
    """Say whether a fact from a result speaks of an earlier day than the one that counts.

    A fact without a day speaks of the day on which it was recorded.
    """
    if counting is None or fact.observation_id is None or fact.starts_on is None:
        return False
    return fact.starts_on < (counting.starts_on or counting.recorded_at.date())


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
