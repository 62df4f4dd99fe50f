"""What she tells before a visit: the eCheck-in, its answers, and what she consents to."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from accounts.models import Organization, User
from appointments.models.booking import Appointment
from core.crypto import EncryptedBinaryField
from core.models import BaseModel
from patients.models import Patient


class Section(models.TextChoices):
    DEMOGRAPHICS = "demographics"
    MEDICINES = "medicines"
    ALLERGIES = "allergies"
    SYMPTOMS = "symptoms"
    CONSENTS = "consents"


class ConsentText(BaseModel):
    """A text that a clinic asks people to agree to before a visit. A new wording is a new row."""

    organization = models.ForeignKey(Organization, models.PROTECT, related_name="consent_texts")
    code = models.SlugField(max_length=40)
    version = models.PositiveSmallIntegerField()
    title = models.CharField(max_length=160)
    text = models.TextField()
    valid_from = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "code", "version"], name="consent_text_version_once"
            ),
            models.UniqueConstraint(
                fields=["organization", "code"],
                condition=Q(retired_at__isnull=True),
                name="consent_text_one_in_force",
            ),
            models.CheckConstraint(condition=~Q(text=""), name="consent_text_says_something"),
        ]

    def __str__(self) -> str:
        return f"{self.title} ({self.version})"


class PreVisit(BaseModel):
    """The eCheck-in of one visit. It is complete when every section asked for is answered."""

    appointment = models.OneToOneField(Appointment, models.PROTECT, related_name="pre_visit")
    patient = models.ForeignKey(Patient, models.PROTECT, related_name="+")
    sections = ArrayField(
        models.CharField(max_length=12, choices=Section.choices),
        help_text="What the visit asked for when she began",
    )
    began_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True, blank=True)
    completed_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        verbose_name = "eCheck-in"
        verbose_name_plural = "eCheck-ins"
        constraints = [
            models.CheckConstraint(
                condition=Q(completed_at__isnull=True, completed_by__isnull=True)
                | Q(completed_at__isnull=False, completed_by__isnull=False),
                name="pre_visit_completed_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(sections__len__gte=1)
                & Q(sections__contained_by=[str(section) for section in Section]),
                name="pre_visit_sections_known",
            ),
        ]
        indexes = [models.Index(fields=["patient", "began_at"], name="pre_visit_by_patient")]

    def __str__(self) -> str:
        return f"eCheck-in {str(self.id)[-6:]}"


class PreVisitAnswer(BaseModel):
    """What she said in one section. Said again, it is a new row and this one is superseded."""

    pre_visit = models.ForeignKey(PreVisit, models.PROTECT, related_name="answers")
    patient = models.ForeignKey(Patient, models.PROTECT, related_name="+")
    section = models.CharField(max_length=12, choices=Section.choices)
    # JSON of what the section's shape says.
    answer = EncryptedBinaryField()
    answered_at = models.DateTimeField()
    answered_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    via = models.CharField(max_length=8, choices=Appointment.Via.choices)
    superseded_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "eCheck-in answer"
        constraints = [
            models.UniqueConstraint(
                fields=["pre_visit", "section"],
                condition=Q(superseded_at__isnull=True),
                name="pre_visit_answer_current_once",
            ),
            models.CheckConstraint(
                condition=Q(section__in=[str(section) for section in Section]),
                name="pre_visit_answer_section_known",
            ),
        ]
        indexes = [models.Index(fields=["patient", "answered_at"], name="pre_visit_answer_patient")]

    def __str__(self) -> str:
        return f"answer {str(self.id)[-6:]}"
