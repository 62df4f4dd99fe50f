"""Whose result it is: two identifiers agree on one patient, or a person decides."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.db import connection
from django.db.models import Q

from labs.hl7.oru import PatientIdentity, identity_gaps
from labs.models import MatchDecision, SendingLaboratory
from patients.models import Patient
from patients.names import normalised_family_name

_SEX = {"F": "female", "M": "male"}
# Doubts that a remembered decision of two people can settle. The look-alike lock is not one.
_SETTLED_BY_DECISION = frozenset(
    {"unknown-patient", "name-differs", "birth-date-differs", "sex-differs"}
)


@dataclass(frozen=True, slots=True)
class Match:
    """The one patient, or the reasons why nobody was taken. `settled_by` names a decision."""

    patient: Patient | None
    reasons: tuple[str, ...] = ()
    settled_by: UUID | None = None


@dataclass(frozen=True, slots=True)
class _Particulars:
    numbers: tuple[tuple[str, str], ...]
    family_key: str
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
    if pid is None:
        return Match(None, ("no-pid",))
    gaps = identity_gaps(pid, default_authority=laboratory.default_authority)
    if gaps or pid.birth_date is None:
        return Match(None, gaps)
    numbers = _numbers(pid, laboratory)
    if not numbers:
        return Match(None, ("authority-not-allowed",))
    who = _Particulars(numbers, normalised_family_name(pid.family), pid.birth_date)
    if not who.family_key:
        return Match(None, ("pid-name-missing",))
    candidates = {found.patient_id: found for found in _candidates(who)}
    if len(candidates) > 1:
        return Match(None, ("identifiers-disagree",))
    patient: Patient | None = None
    reasons: tuple[str, ...] = ("unknown-patient",)
    if candidates:
        candidate = next(iter(candidates.values()))
        patient = Patient.objects.get(id=candidate.patient_id)
        reasons = _disagreements(candidate, patient, pid.sex)
    if not reasons:
        return Match(patient)
    if _SETTLED_BY_DECISION.issuperset(reasons):
        return _remembered(laboratory, who) or Match(None, reasons)
    return Match(None, reasons)


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


def _candidates(who: _Particulars) -> list[_Candidate]:
    """Ask the one definer function that may look for a patient before she is known."""
    authorities, values = zip(*who.numbers, strict=True)
    with connection.cursor() as cursor:
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


def _remembered(laboratory: SendingLaboratory, who: _Particulars) -> Match | None:
    """Return the patient that two people settled for exactly these particulars."""
    if len(who.numbers) != 1:
        return None
    authority, value = who.numbers[0]
    decision = MatchDecision.objects.filter(
        laboratory=laboratory,
        authority=authority,
        identifier=value,
        family_name_key=who.family_key,
        birth_date=who.birth_date,
        confirmed_at__isnull=False,
        revoked_at__isnull=True,
    ).first()
    if decision is None:
        return None
    patient = Patient.objects.filter(id=decision.patient_id, is_active=True).first()
    if patient is None:
        return None
    same_as_her = Q(birth_date=patient.birth_date, family_name_key=patient.family_name_key)
    same_as_sent = Q(birth_date=who.birth_date, family_name_key=who.family_key)
    others = Patient.objects.filter(same_as_her | same_as_sent, is_active=True)
    if others.exclude(id=patient.id).exists():
        return Match(None, ("look-alike",))
    return Match(patient, settled_by=decision.id)
