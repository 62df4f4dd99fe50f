"""How a visit comes about when she cannot simply book it: she asks, or a clinician orders it."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from accounts.models import User
from appointments.models.supply import Location, Resource, VisitType
from core.crypto import EncryptedBinaryField
from core.models import BaseModel
from patients.models import Patient


class Ticket(BaseModel):
    """Permission to book visits of one type herself. FHIR ServiceRequest.

    `earliest` and `latest` are dates at the place of the visit, both included. Each live visit
    that was booked with it has one of the numbers 1 to `uses`; a cancelled visit gives its
    number back. `note` says for what, in words for her. Once ordered it is only cancelled.
    """

    class Origin(models.TextChoices):
        ORDER = "order", "A clinician's order"
        CLINIC_CHANGE = "clinic-change", "The clinic cancelled a visit"

    class Priority(models.TextChoices):
        """FHIR request-priority."""

        ROUTINE = "routine"
        URGENT = "urgent"
        ASAP = "asap", "As soon as possible"
        STAT = "stat", "At once"

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="+")
    visit_type = models.ForeignKey(VisitType, models.PROTECT, related_name="+")
    origin = models.CharField(max_length=16, choices=Origin.choices, default=Origin.ORDER)
    priority = models.CharField(max_length=8, choices=Priority.choices, default=Priority.ROUTINE)
    ordered_at = models.DateTimeField()
    ordered_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    earliest = models.DateField(help_text="First day she may choose, at the place of the visit")
    latest = models.DateField(help_text="Last day she may choose")
    uses = models.PositiveSmallIntegerField(default=1, help_text="How many visits it is good for")
    note = EncryptedBinaryField(null=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)
    cancelled_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    cancel_reason = models.CharField(max_length=160, blank=True)

    class Meta:
        verbose_name = "ticket"
        constraints = [
            models.CheckConstraint(
                condition=Q(earliest__lte=F("latest")), name="ticket_earliest_before_latest"
            ),
            models.CheckConstraint(condition=Q(uses__gte=1, uses__lte=52), name="ticket_uses"),
            models.CheckConstraint(
                condition=Q(priority__in=["routine", "urgent", "asap", "stat"]),
                name="ticket_priority",
            ),
            models.CheckConstraint(
                condition=Q(origin__in=["order", "clinic-change"]), name="ticket_origin"
            ),
            models.CheckConstraint(
                condition=Q(cancelled_at__isnull=True, cancelled_by__isnull=True, cancel_reason="")
                | Q(cancelled_at__isnull=False, cancelled_by__isnull=False) & ~Q(cancel_reason=""),
                name="ticket_cancelled_by_somebody_for_a_reason",
            ),
        ]
        indexes = [
            models.Index(fields=["patient", "visit_type", "latest"], name="ticket_by_patient"),
        ]

    def __str__(self) -> str:
        return f"ticket {str(self.id)[-6:]}"


class VisitRequest(BaseModel):
    """She asks for a visit; staff find a time or answer. FHIR Appointment `proposed`.

    `note` and `answer` are free text, encrypted. What becomes of it is the clinic's
    AppointmentResponse; then nothing of it changes any more.
    """

    class State(models.TextChoices):
        OPEN = "open"
        BOOKED = "booked"
        ANSWERED = "answered"
        DECLINED = "declined"
        WITHDRAWN = "withdrawn"

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="+")
    visit_type = models.ForeignKey(VisitType, models.PROTECT, related_name="+")
    location = models.ForeignKey(Location, models.PROTECT, null=True, blank=True, related_name="+")
    practitioner = models.ForeignKey(
        Resource, models.PROTECT, null=True, blank=True, related_name="+"
    )
    note = EncryptedBinaryField(null=True)
    made_at = models.DateTimeField()
    made_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    made_via = models.CharField(max_length=8, choices=[("patient", "Patient"), ("proxy", "Proxy")])
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    answer = EncryptedBinaryField(null=True)
    appointment = models.OneToOneField(
        "appointments.Appointment", models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        verbose_name = "visit request"
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["open", "booked", "answered", "declined", "withdrawn"]),
                name="visit_request_state",
            ),
            models.CheckConstraint(
                condition=Q(state="open", decided_at__isnull=True, decided_by__isnull=True)
                | ~Q(state="open") & Q(decided_at__isnull=False, decided_by__isnull=False),
                name="visit_request_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(state="booked", appointment__isnull=False)
                | ~Q(state="booked") & Q(appointment__isnull=True),
                name="visit_request_booked_has_a_visit",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["answered", "declined"], answer__isnull=False)
                | ~Q(state__in=["answered", "declined"]) & Q(answer__isnull=True),
                name="visit_request_answered_has_words",
            ),
            models.UniqueConstraint(
                fields=["patient", "visit_type"],
                condition=Q(state="open"),
                name="visit_request_open_once",
            ),
        ]
        indexes = [
            models.Index(fields=["patient", "made_at", "id"], name="visit_request_by_patient"),
            models.Index(
                fields=["made_at"], condition=Q(state="open"), name="visit_request_by_age"
            ),
        ]

    def __str__(self) -> str:
        return f"request {str(self.id)[-6:]}"


class PreferredWindow(BaseModel):
    """When a requested visit would suit her. Dates are at the place of the visit.

    No `weekdays` are all of them; 1 is Monday.
    """

    append_only = True

    class PartOfDay(models.TextChoices):
        ANY = "any", "Any time"
        MORNING = "morning", "Before noon"
        AFTERNOON = "afternoon", "Noon to five"
        EVENING = "evening", "From five"

    request = models.ForeignKey(VisitRequest, models.CASCADE, related_name="windows")
    first = models.DateField()
    last = models.DateField()
    weekdays = ArrayField(models.PositiveSmallIntegerField(), default=list, blank=True)
    part_of_day = models.CharField(max_length=10, choices=PartOfDay.choices, default=PartOfDay.ANY)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(first__lte=F("last")), name="preferred_window_first_before_last"
            ),
            models.CheckConstraint(
                condition=Q(weekdays__contained_by=[1, 2, 3, 4, 5, 6, 7]),
                name="preferred_window_weekdays",
            ),
            models.CheckConstraint(
                condition=Q(part_of_day__in=["any", "morning", "afternoon", "evening"]),
                name="preferred_window_part_of_day",
            ),
        ]
        indexes = [models.Index(fields=["request"], name="preferred_window_of_request")]

    def __str__(self) -> str:
        return f"window {str(self.id)[-6:]}"
