"""A series of visits that a clinician lays down, and which visits have been booked for it."""

from django.db import models
from django.db.models import F, Q

from accounts.models import User
from appointments.models.booking import Appointment
from appointments.models.supply import Location, VisitType
from core.models import BaseModel
from patients.models import Patient


class CarePlan(BaseModel):
    """Treatment in cycles: the main visit of each so many days after the last. FHIR CarePlan.

    The main visit of the first cycle is on `first_on` or up to `tolerance_days` later; each
    further one `every_days` after the one before, give or take `tolerance_days`. Dates are at
    the place of the visit. Once laid down it is only revoked; another plan takes its place.
    """

    class Status(models.TextChoices):
        """FHIR request-status; that it is completed follows from its visits."""

        ACTIVE = "active"
        REVOKED = "revoked"

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="+")
    name = models.CharField(max_length=120, help_text="What she reads: “Infusions”")
    location = models.ForeignKey(
        Location,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Where all of it takes place; empty for wherever there is room",
    )
    first_on = models.DateField(help_text="Day of the first main visit")
    every_days = models.PositiveSmallIntegerField(help_text="From one main visit to the next")
    cycles = models.PositiveSmallIntegerField()
    tolerance_days = models.PositiveSmallIntegerField(
        default=0, help_text="How many days a main visit may be off"
    )
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.ACTIVE)
    laid_down_at = models.DateTimeField()
    laid_down_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    revoke_reason = models.CharField(max_length=160, blank=True)

    class Meta:
        verbose_name = "care plan"
        constraints = [
            models.CheckConstraint(
                condition=Q(cycles__gte=1, cycles__lte=26), name="care_plan_cycles"
            ),
            models.CheckConstraint(
                condition=Q(every_days__gte=1, every_days__lte=120), name="care_plan_every"
            ),
            models.CheckConstraint(
                condition=Q(tolerance_days__lte=14, tolerance_days__lt=F("every_days")),
                name="care_plan_tolerance",
            ),
            models.CheckConstraint(
                condition=Q(
                    status="active",
                    revoked_at__isnull=True,
                    revoked_by__isnull=True,
                    revoke_reason="",
                )
                | Q(status="revoked", revoked_at__isnull=False, revoked_by__isnull=False)
                & ~Q(revoke_reason=""),
                name="care_plan_revoked_by_somebody_for_a_reason",
            ),
        ]
        indexes = [models.Index(fields=["patient", "laid_down_at"], name="care_plan_by_patient")]

    def __str__(self) -> str:
        return f"care plan {str(self.id)[-6:]}"


class PlanStep(BaseModel):
    """One visit of every cycle. Steps follow each other in `position`; the last is the main one.

    It is from `days_before_least` to `days_before_most` days before the main visit, and starts
    at least `gap_minutes` after the step before it ends.
    """

    append_only = True

    plan = models.ForeignKey(CarePlan, models.CASCADE, related_name="steps")
    position = models.PositiveSmallIntegerField()
    visit_type = models.ForeignKey(VisitType, models.PROTECT, related_name="+")
    days_before_least = models.PositiveSmallIntegerField(default=0)
    days_before_most = models.PositiveSmallIntegerField(default=0)
    gap_minutes = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["plan", "position"], name="plan_step_position_once"),
            models.CheckConstraint(
                condition=Q(days_before_least__lte=F("days_before_most"), days_before_most__lte=14),
                name="plan_step_days_before",
            ),
            models.CheckConstraint(condition=Q(gap_minutes__lte=1440), name="plan_step_gap"),
        ]

    def __str__(self) -> str:
        return f"step {self.position}"


class PlannedVisit(BaseModel):
    """The visit of one step of one cycle. `replaced_at`: it was cancelled, and another booked."""

    plan = models.ForeignKey(CarePlan, models.PROTECT, related_name="planned_visits")
    patient = models.ForeignKey(Patient, models.PROTECT, related_name="+")
    step = models.ForeignKey(PlanStep, models.PROTECT, related_name="+")
    cycle = models.PositiveSmallIntegerField()
    appointment = models.OneToOneField(Appointment, models.PROTECT, related_name="planned")
    replaced_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["plan", "cycle", "step"],
                condition=Q(replaced_at__isnull=True),
                name="planned_visit_once",
            ),
            models.CheckConstraint(
                condition=Q(cycle__gte=1, cycle__lte=26), name="planned_visit_cycle"
            ),
        ]
        indexes = [
            models.Index(fields=["patient", "plan"], name="planned_visit_by_patient"),
        ]

    def __str__(self) -> str:
        return f"planned visit {str(self.id)[-6:]}"
