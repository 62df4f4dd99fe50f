"""Whose record it is: the patient, who may act for her, and who looks after her."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from accounts.models import Organization, User
from core.models import BaseModel
from patients.ages import ADULT_AT
from patients.names import normalised_family_name


class Patient(BaseModel):
    """A person with a record. FHIR Patient.

    `family_name_key` is the family name as matching compares it. A deceased patient keeps
    her record and is never contacted.
    """

    class Sex(models.TextChoices):
        FEMALE = "female"
        MALE = "male"
        OTHER = "other"
        UNKNOWN = "unknown"

    user = models.OneToOneField(
        User, models.PROTECT, null=True, blank=True, related_name="patient_record"
    )
    family_name = models.CharField(max_length=100)
    given_name = models.CharField(max_length=100)
    family_name_key = models.CharField(max_length=100, editable=False)
    birth_date = models.DateField()
    sex = models.CharField(max_length=8, choices=Sex.choices, default=Sex.UNKNOWN)
    language = models.CharField(max_length=8, default="en")
    zone = models.CharField(max_length=64, default="UTC", help_text="IANA time zone")
    is_active = models.BooleanField(default=True)
    deceased_at = models.DateTimeField(null=True, blank=True)
    registered_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(family_name_key=""), name="patient_has_name_key"),
        ]
        indexes = [
            models.Index(fields=["birth_date", "family_name_key"], name="patient_look_alike"),
        ]

    def __str__(self) -> str:
        # Django's admin log stores this text: never a name.
        return f"patient {str(self.id)[-6:]}"

    @property
    def display_name(self) -> str:
        return f"{self.given_name} {self.family_name}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.family_name_key = normalised_family_name(self.family_name)
        fields = kwargs.get("update_fields")
        if fields is not None and "family_name" in fields:
            kwargs["update_fields"] = {*fields, "family_name_key"}
        super().save(*args, **kwargs)


class PatientIdentifier(BaseModel):
    """A number that an authority gave the patient, such as a hospital's record number."""

    patient = models.ForeignKey(Patient, models.CASCADE, related_name="identifiers")
    authority = models.CharField(max_length=120)
    value = models.CharField(max_length=80)
    type = models.CharField(max_length=8, default="MR", help_text="HL7 table 0203")
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["authority", "value"],
                condition=Q(valid_until__isnull=True),
                name="identifier_names_one_patient",
            ),
            models.CheckConstraint(
                condition=~Q(value="") & ~Q(authority=""), name="identifier_complete"
            ),
        ]

    def __str__(self) -> str:
        return f"identifier {str(self.id)[-6:]}"


class ProfileFact(BaseModel):
    """One dated fact of the disease profile, with its source. A change is a new row.

    `kind` says what is known (site, subtype marker, course, treatment); "not tested" is a
    fact of its own and never the same as "negative". A fact that rests on a result names it
    (`observation_id`, `report_id`); `starts_on` is then the day of the sample and
    `recorded_by` the clinician who confirmed it.
    """

    class Kind(models.TextChoices):
        SITE = "site"
        MARKER = "marker"
        COURSE = "course"
        TREATMENT = "treatment"
        BASELINE = "baseline"

    class Result(models.TextChoices):
        PRESENT = "present"
        ABSENT = "absent"
        POSITIVE = "positive"
        NEGATIVE = "negative"
        LOW = "low"
        ULTRALOW = "ultralow"
        EQUIVOCAL = "equivocal"
        UNCERTAIN = "uncertain"
        NOT_TESTED = "not-tested"
        UNKNOWN = "unknown"

    patient = models.ForeignKey(Patient, models.CASCADE, related_name="profile_facts")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    code = models.CharField(max_length=60)
    result = models.CharField(max_length=12, choices=Result.choices)
    detail = models.CharField(max_length=120, blank=True)
    starts_on = models.DateField(null=True, blank=True)
    ends_on = models.DateField(null=True, blank=True)
    source = models.CharField(max_length=120)
    recorded_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    recorded_at = models.DateTimeField()
    superseded_at = models.DateTimeField(null=True, blank=True)
    observation_id = models.UUIDField(null=True, blank=True)
    report_id = models.UUIDField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(observation_id__isnull=True, report_id__isnull=True)
                | Q(
                    observation_id__isnull=False,
                    report_id__isnull=False,
                    starts_on__isnull=False,
                    recorded_by__isnull=False,
                ),
                name="profile_fact_evidence_dated_and_confirmed",
            ),
            models.UniqueConstraint(
                fields=["patient", "kind", "code"],
                condition=Q(superseded_at__isnull=True),
                name="profile_fact_current_once",
            ),
            models.CheckConstraint(
                condition=Q(ends_on__isnull=True)
                | Q(starts_on__isnull=True)
                | Q(starts_on__lte=F("ends_on")),
                name="profile_fact_dates",
            ),
        ]


class Enrolment(BaseModel):
    """The patient is looked after by an organization. FHIR EpisodeOfCare."""

    patient = models.ForeignKey(Patient, models.CASCADE, related_name="enrolments")
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="enrolments")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["patient", "organization"],
                condition=Q(ends_at__isnull=True),
                name="enrolment_open_once",
            ),
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True) | Q(starts_at__lt=F("ends_at")),
                name="enrolment_start_before_end",
            ),
        ]
        indexes = [models.Index(fields=["organization", "patient"], name="enrolment_by_clinic")]


class CareTeamMember(BaseModel):
    """A member of staff who looks after this patient, in a role, for a time. FHIR CareTeam."""

    patient = models.ForeignKey(Patient, models.CASCADE, related_name="care_team")
    user = models.ForeignKey(User, models.PROTECT, related_name="care_teams")
    role = models.CharField(max_length=16)
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["patient", "user", "role"],
                condition=Q(valid_until__isnull=True),
                name="care_team_open_once",
            ),
            models.CheckConstraint(
                condition=Q(valid_until__isnull=True) | Q(valid_from__lt=F("valid_until")),
                name="care_team_from_before_until",
            ),
        ]
        indexes = [models.Index(fields=["user", "patient"], name="care_team_by_user")]


class AgeBand(BaseModel):
    """From which birthday on a guardian keeps which areas of a minor's record; see `ages`.

    `guardian_areas` may be `*`, every area. The rows are the clinic's setting.
    """

    from_years = models.PositiveSmallIntegerField(unique=True)
    guardian_areas = ArrayField(models.CharField(max_length=16), default=list, blank=True)

    class Meta:
        verbose_name = "age band"
        constraints = [
            models.CheckConstraint(
                condition=Q(from_years__lt=ADULT_AT) | Q(guardian_areas=[]),
                name="age_band_adults_have_no_guardian",
            ),
        ]


class CaregiverGrant(BaseModel):
    """Somebody may act for her: why, scopes, time, and what stays hidden. FHIR Consent.

    What a guardian's grant gives follows the patient's age; one that she gave does not.
    """

    class Basis(models.TextChoices):
        INVITED = "invited", "Invited by her"
        GUARDIAN = "guardian", "Guardian of a minor"

    basis = models.CharField(max_length=8, choices=Basis.choices, default=Basis.INVITED)
    patient = models.ForeignKey(Patient, models.CASCADE, related_name="grants")
    caregiver = models.ForeignKey(User, models.PROTECT, related_name="grants")
    scopes = ArrayField(models.CharField(max_length=24))
    hidden_resources = ArrayField(models.UUIDField(), default=list, blank=True)
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField(null=True, blank=True)
    granted_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["patient", "caregiver"],
                condition=Q(revoked_at__isnull=True),
                name="grant_open_once",
            ),
            models.CheckConstraint(condition=~Q(scopes=[]), name="grant_has_scopes"),
            models.CheckConstraint(
                condition=Q(basis__in=["invited", "guardian"]), name="grant_basis_known"
            ),
            models.CheckConstraint(
                condition=Q(valid_until__isnull=True) | Q(valid_from__lt=F("valid_until")),
                name="grant_from_before_until",
            ),
        ]
        indexes = [models.Index(fields=["caregiver", "patient"], name="grant_by_caregiver")]


class ContactPause(BaseModel):
    """She asked to be left alone for a while, or is in hospital. Nothing is sent meanwhile."""

    class Reason(models.TextChoices):
        IN_HOSPITAL = "in-hospital"
        HOLIDAY = "holiday"
        GRIEF = "grief"
        HOSPICE = "hospice"
        OTHER = "other"

    patient = models.ForeignKey(Patient, models.CASCADE, related_name="contact_pauses")
    reason = models.CharField(max_length=12, choices=Reason.choices)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    recorded_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True) | Q(starts_at__lt=F("ends_at")),
                name="pause_start_before_end",
            )
        ]
        indexes = [models.Index(fields=["patient", "starts_at"], name="pause_by_patient")]
