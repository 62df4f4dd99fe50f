"""Whose result it is: two identifiers agree on one patient, or a person decides."""

from dataclasses import asdict, dataclass
from datetime import date
from functools import lru_cache
from typing import cast
from uuid import UUID

from django.db import connection
from django.db.models import Q, UUIDField

from core.prepared import Given, Prepared, prepared_cursor
from labs.hl7.oru import PatientIdentity, identity_gaps
from labs.models import MatchDecision, SendingLaboratory
from patients.models import Patient
from patients.names import normalised_family_name

_SEX = {"F": "female", "M": "male"}
DECIDABLE = frozenset({"unknown-patient", "name-differs", "birth-date-differs", "sex-differs"})
"""Doubts that a remembered decision of two people can settle. The look-alike lock is not one."""


@dataclass(frozen=True, slots=True)
class Match:
    """The one patient, or the reasons why nobody was taken. `settled_by` names a decision."""

    patient: Patient | None
    reasons: tuple[str, ...] = ()
    settled_by: UUID | None = None


@dataclass(frozen=True, slots=True)
class Particulars:
    """What a message says about a person, as far as matching compares it."""

    numbers: tuple[tuple[str, str], ...]
    family_key: str
    birth_date: date


@dataclass(frozen=True, slots=True)
class Claim:
    """The identical tuple that a decision speaks of."""

    laboratory_id: UUID
    authority: str
    identifier: str
    family_name_key: str
    birth_date: date


@dataclass(frozen=True, slots=True)
class _Candidate:
    patient_id: UUID
    name_agrees: bool
    birth_date_agrees: bool
    look_alike: bool


def match_group(pid: PatientIdentity | None, laboratory: SendingLaboratory) -> Match:
    """Return the active patient on whom number with authority, birth date and family name agree.

    Anything missing, differing or doubled, and any look-alike (another active patient with the
    same name and birth date), leaves it to a person. Runs as `system("lab-intake")`.
    """
    who, gaps = read_particulars(pid, laboratory)
    if who is None or pid is None:
        return Match(None, gaps)
    candidates = {found.patient_id: found for found in _candidates(who)}
    if len(candidates) > 1:
        return Match(None, ("identifiers-disagree",))
    patient: Patient | None = None
    reasons: tuple[str, ...] = ("unknown-patient",)
    if candidates:
        candidate = next(iter(candidates.values()))
        [patient] = _patient().objects(patient=candidate.patient_id)
        assert patient is not None
        reasons = _disagreements(candidate, patient, pid.sex)
    if not reasons:
        return Match(patient)
    if DECIDABLE.issuperset(reasons):
        return _remembered(laboratory, who, patient) or Match(None, reasons)
    return Match(None, reasons)


def read_particulars(
    pid: PatientIdentity | None, laboratory: SendingLaboratory
) -> tuple[Particulars | None, tuple[str, ...]]:
    """Return what can be compared, or None and the reasons why nothing can."""
    if pid is None:
        return None, ("no-pid",)
    gaps = identity_gaps(pid, default_authority=laboratory.default_authority)
    if gaps or pid.birth_date is None:
        return None, gaps
    numbers = _numbers(pid, laboratory)
    if not numbers:
        return None, ("authority-not-allowed",)
    family_key = normalised_family_name(pid.family)
    if not family_key:
        return None, ("pid-name-missing",)
    return Particulars(numbers, family_key, pid.birth_date), ()


def claim_of(pid: PatientIdentity | None, laboratory: SendingLaboratory) -> Claim | None:
    """Return the tuple that a decision about `pid` would hold for; None with several numbers."""
    who, _ = read_particulars(pid, laboratory)
    return None if who is None else _claim(laboratory, who)


def _claim(laboratory: SendingLaboratory, who: Particulars) -> Claim | None:
    if len(who.numbers) != 1:
        return None
    authority, identifier = who.numbers[0]
    return Claim(laboratory.id, authority, identifier, who.family_key, who.birth_date)


def holder_of_number(claim: Claim) -> UUID | None:
    """Return the active patient to whom the index gives the number."""
    number = ((claim.authority, claim.identifier),)
    who = Particulars(number, claim.family_name_key, claim.birth_date)
    return next((found.patient_id for found in _candidates(who)), None)


def has_look_alike(patient: Patient, claim: Claim) -> bool:
    """Say whether another active patient has her name and birth date, or those sent."""
    same_as_her = Q(birth_date=patient.birth_date, family_name_key=patient.family_name_key)
    same_as_sent = Q(birth_date=claim.birth_date, family_name_key=claim.family_name_key)
    others = Patient.objects.filter(same_as_her | same_as_sent, is_active=True)
    return others.exclude(id=patient.id).exists()


def take_turn(claim: Claim, *, alone: bool) -> None:
    """Let messages of this tuple wait while it is confirmed or revoked, and the reverse.

    Messages in doubt share the lock, who decides has it alone; it ends with the transaction.
    So no message is queued unseen beside a confirmation.
    """
    function = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(hashtextextended(%s, 2))", [repr(claim)])


def _numbers(pid: PatientIdentity, laboratory: SendingLaboratory) -> tuple[tuple[str, str], ...]:
    allowed = set(laboratory.allowed_authorities)
    numbers = (
        (found.authority or laboratory.default_authority, found.value.strip())
        for found in pid.identifiers
        if found.value.strip("0 ")
    )
    return tuple(
        dict.fromkeys(
            (authority, value)
            for authority, value in numbers
            if authority and (not allowed or authority in allowed)
        )
    )


@lru_cache(maxsize=1)
def _patient() -> Prepared:
    return Prepared(Patient.objects.filter(id=cast(UUID, Given("patient", UUIDField()))))


def _candidates(who: Particulars) -> list[_Candidate]:
    """Ask the one definer function that may look for a patient before she is known."""
    authorities, values = zip(*who.numbers, strict=True)
    with prepared_cursor() as cursor:
        cursor.execute(
            "SELECT m.* FROM unnest(%s::text[], %s::text[]) AS n(authority, value), "
            "LATERAL match_patient(n.authority, n.value, %s, %s) AS m",
            [list(authorities), list(values), who.family_key, who.birth_date],
        )
        return [_Candidate(*row) for row in cursor.fetchall()]


def _disagreements(candidate: _Candidate, patient: Patient, sex_sent: str) -> tuple[str, ...]:
    sex = _SEX.get(sex_sent.strip().upper(), "")
    known = patient.sex if patient.sex in _SEX.values() else ""
    checks = (
        ("name-differs", not candidate.name_agrees),
        ("birth-date-differs", not candidate.birth_date_agrees),
        ("sex-differs", bool(sex and known and sex != known)),
        ("look-alike", candidate.look_alike),
    )
    return tuple(code for code, found in checks if found)


def _remembered(
    laboratory: SendingLaboratory, who: Particulars, holder: Patient | None
) -> Match | None:
    """Return the patient that two people settled for exactly these particulars.

    A number that the index gives to somebody else is not settled by an older decision.
    """
    claim = _claim(laboratory, who)
    if claim is None:
        return None
    take_turn(claim, alone=False)
    decision = MatchDecision.objects.filter(
        **asdict(claim), confirmed_at__isnull=False, revoked_at__isnull=True
    ).first()
    if decision is None or (holder is not None and holder.id != decision.patient_id):
        return None
    patient = Patient.objects.filter(id=decision.patient_id, is_active=True).first()
    if patient is None:
        return None
    if has_look_alike(patient, claim):
        return Match(None, ("look-alike",))
    return Match(patient, settled_by=decision.id)
