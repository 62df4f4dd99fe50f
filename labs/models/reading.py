"""What people add to results by reading them: who has opened a report, and what a patient's own
usual value of a test is."""

from django.db import models
from django.db.models import Q

from accounts.models import User
from core.models import BaseModel
from labs.models.fields import ExactNumberField
from labs.models.results import DiagnosticReport, Observation
from patients.models import Patient


class ReportSeen(BaseModel):
    """This person has opened this report; what became visible in it since is new to her.

    One row for each reader and report: a caregiver's reading leaves the patient's mark alone.
    """

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="+", db_index=False)
    report = models.ForeignKey(DiagnosticReport, models.PROTECT, related_name="+", db_index=False)
    user = models.ForeignKey(User, models.PROTECT, related_name="+", db_index=False)
    seen_at = models.DateTimeField(help_text="when what she read was put together")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["patient", "user", "report"], name="report_seen_once")
        ]


class ChangedResult(Observation):
    """A version of a result that a later one corrected or withdrew; for auditors."""

    class Meta:
        proxy = True
        verbose_name = "changed result"


class AnalyteBaseline(BaseModel):
    """What a test usually is in this patient, set by a clinician. The newest row counts.

    `value` in `unit_ucum`; both empty = there is no baseline any more. CTCAE grades of later
    results are worked out against it.
    """

    append_only = True

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="+", db_index=False)
    analyte_key = models.CharField(max_length=40)
    value = ExactNumberField(null=True)
    unit_ucum = models.CharField(max_length=40, blank=True)
    observation = models.ForeignKey(
        Observation,
        models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        help_text="the result it was taken from; null = typed in",
    )
    set_by = models.ForeignKey(User, models.PROTECT, related_name="+", db_index=False)
    set_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(value__isnull=False, value__gt=0) & ~Q(unit_ucum="")
                | Q(value__isnull=True, unit_ucum="", observation__isnull=True),
                name="baseline_has_value_and_unit",
            )
        ]
        indexes = [
            models.Index(
                fields=["patient", "analyte_key", "-set_at", "-id"], name="baseline_newest"
            )
        ]
