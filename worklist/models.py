"""What staff must do: work items with evidence, an owner and a clock. FHIR Task."""

from django.db import models
from django.db.models import F, Q

from accounts.models import Organization, User
from core.models import BaseModel


class Urgency(models.TextChoices):
    """How soon a human must look; real time, never moved by weekend or holiday (DECISIONS 11)."""

    EMERGENCY = "EMERGENCY", "Emergency: 15 minutes"
    SAME_DAY = "SAME_DAY", "Same day: 2 hours"
    WITHIN_24H = "WITHIN_24H", "Within 24 hours"
    ROUTINE = "ROUTINE", "Routine: business calendar"


class WorkItem(BaseModel):
    """Something a person of the staff must look at. One open item a patient and concern.

    `concern` is a key of clinical/data/concerns.csv (liver, calcium, cord …) or an operational
    one (`intake.unmatched`). `patient_id` is null while nobody knows whose it is; then
    `dedupe_key` alone keeps one item.
    """

    class Team(models.TextChoices):
        NURSE = "nurse"
        CLINICIAN = "clinician"
        FRONT_DESK = "front_desk"
        LABORATORY = "laboratory"

    patient_id = models.UUIDField(null=True)
    organization = models.ForeignKey(Organization, models.PROTECT, null=True, related_name="+")
    concern = models.CharField(max_length=40)
    dedupe_key = models.CharField(max_length=120, blank=True)
    title = models.CharField(max_length=160)
    urgency = models.CharField(max_length=12, choices=Urgency.choices)
    owner_team = models.CharField(max_length=12, choices=Team.choices)
    owner = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    raised_at = models.DateTimeField()
    due_at = models.DateTimeField()
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(
        User, models.PROTECT, null=True, blank=True, related_name="+"
    )
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    closure_code = models.CharField(max_length=40, blank=True)
    closure_note = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["patient_id", "concern", "dedupe_key"],
                condition=Q(closed_at__isnull=True),
                nulls_distinct=False,
                name="work_item_open_once",
            ),
            models.CheckConstraint(
                condition=Q(acknowledged_at__isnull=True, acknowledged_by__isnull=True)
                | Q(acknowledged_at__isnull=False, acknowledged_by__isnull=False),
                name="work_item_acknowledged_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(closed_at__isnull=True, closed_by__isnull=True, closure_code="")
                | (Q(closed_at__isnull=False) & ~Q(closure_code="")),
                name="work_item_closed_with_code",
            ),
            models.CheckConstraint(
                condition=Q(raised_at__lte=F("due_at")), name="work_item_due_after_raised"
            ),
        ]
        indexes = [
            models.Index(
                fields=["due_at"], condition=Q(closed_at__isnull=True), name="work_item_queue"
            ),
            models.Index(fields=["patient_id", "raised_at"], name="work_item_by_patient"),
        ]

    def __str__(self) -> str:
        return f"{self.concern} {str(self.id)[-6:]}"


class Evidence(BaseModel):
    """Why the item exists: one row a fact, joined by code and id, never by value."""

    append_only = True

    item = models.ForeignKey(WorkItem, models.CASCADE, related_name="evidence")
    kind = models.CharField(max_length=40)
    reference = models.UUIDField()
    summary = models.CharField(max_length=200)
    rule_id = models.CharField(max_length=60, blank=True)
    rule_version = models.CharField(max_length=20, blank=True)
    added_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["item", "kind", "reference"], name="evidence_joins_once"
            )
        ]


class Escalation(BaseModel):
    """The item was not acknowledged in time and went one step up."""

    append_only = True

    item = models.ForeignKey(WorkItem, models.CASCADE, related_name="escalations")
    step = models.PositiveSmallIntegerField()
    to_team = models.CharField(max_length=16)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "step"], name="escalation_step_once")
        ]
