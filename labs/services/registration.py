"""Fill the patient index that results are matched against."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from accounts.models import Organization
from core import audit
from core.areas import Area
from core.db import identity, system
from core.models import AuditEvent
from patients.models import Enrolment, Patient, PatientIdentifier
from patients.names import normalised_family_name


@dataclass(frozen=True, slots=True)
class NewPatient:
    number: str
    authority: str
    family_name: str
    given_name: str
    birth_date: date
    sex: str


def register_for_matching(
    *, people: Sequence[NewPatient], organization: Organization | None, now: datetime
) -> int:
    """Register everybody whose number is not known yet; return how many were added.

    One transaction: a failure leaves nobody half registered.
    """
    with identity(system("registration")):
        known = set(
            PatientIdentifier.objects.filter(
                authority__in={p.authority for p in people},
                value__in={p.number for p in people},
                valid_until__isnull=True,
            ).values_list("authority", "value")
        )
        wanted = {(p.authority, p.number): p for p in people}
        new = [person for key, person in wanted.items() if key not in known]
        patients = [
            Patient(
                family_name=person.family_name[:100],
                given_name=person.given_name[:100],
                family_name_key=normalised_family_name(person.family_name)[:100],
                birth_date=person.birth_date,
                sex=person.sex,
                registered_at=now,
                zone=organization.zone if organization else "UTC",
            )
            for person in new
        ]
        Patient.objects.bulk_create(patients, batch_size=1000)
        PatientIdentifier.objects.bulk_create(
            [
                PatientIdentifier(
                    patient=patient,
                    authority=person.authority,
                    value=person.number,
                    valid_from=now,
                )
                for person, patient in zip(new, patients, strict=True)
            ],
            batch_size=1000,
        )
        if organization is not None:
            Enrolment.objects.bulk_create(
                [Enrolment(patient=p, organization=organization, starts_at=now) for p in patients],
                batch_size=1000,
            )
        if patients:
            audit.record(
                action=AuditEvent.Action.CREATE,
                operation="patients.register",
                now=now,
                area=Area.RECORD,
                resource="Patient",
                resource_ids=[patient.id for patient in patients],
            )
    return len(new)
