"""What is booked: the visit, its history, and the time it claims.

Double booking is refused by the exclusion constraints of the two claim tables, whatever code
writes them. A resource's claim carries no patient, so everybody may see which time is taken
and nobody by whom; a patient's claim lies behind row security.
"""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import F, Q

from accounts.models import User
from appointments.models.supply import Location, Resource, Schedule, VisitType
from core.models import BaseModel
from patients.models import Patient


class Appointment(BaseModel):
    """A visit of one patient. FHIR Appointment, with its status codes.

    `sequence` rises when the time changes or the visit is cancelled (iCalendar SEQUENCE);
    `version` with every change. `local_date` and `local_time` are what the wall clock of
    `zone` was booked to show, so that a change of a zone's rules can be followed. With a
    `ticket`, `ticket_use` is which of its uses this visit has while it is live.
    """

    class Status(models.TextChoices):
        PROPOSED = "proposed"
        PENDING = "pending"
        BOOKED = "booked"
        ARRIVED = "arrived"
        FULFILLED = "fulfilled"
        CANCELLED = "cancelled"
        NOSHOW = "noshow", "No show"
        ENTERED_IN_ERROR = "entered-in-error"
        CHECKED_IN = "checked-in"
        WAITLIST = "waitlist"

    class Via(models.TextChoices):
        PATIENT = "patient"
        PROXY = "proxy"
        STAFF = "staff"
        SYSTEM = "system"

    class CancellationReason(models.TextChoices):
        """HL7 code system appointment-cancellation-reason."""

        PORTAL = "pat-cpp", "Patient: cancelled in the portal"
        PATIENT = "pat", "Patient"
        FEELING_BETTER = "pat-fb", "Patient: feeling better"
        TRANSPORT = "pat-lt", "Patient: no transport"
        MEMBER_TERMINATED = "pat-mt", "Patient: member terminated"
        DECEASED = "pat-dec", "Patient: deceased"
        PROVIDER = "prov", "Provider"
        PROVIDER_PERSONAL = "prov-pers", "Provider: personal"
        EQUIPMENT = "maint", "Equipment maintenance or repair"
        WEATHER = "oth-weath", "Weather"
        ERROR = "oth-err", "Registration error"
        OTHER = "other"

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="appointments")
    status = models.CharField(max_length=16, choices=Status.choices)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    zone = models.CharField(max_length=64, help_text="IANA time zone of the location")
    local_date = models.DateField()
    local_time = models.TimeField()
    schedule = models.ForeignKey(Schedule, models.PROTECT, related_name="appointments")
    location = models.ForeignKey(Location, models.PROTECT, related_name="appointments")
    visit_type = models.ForeignKey(VisitType, models.PROTECT, related_name="appointments")
    sequence = models.PositiveSmallIntegerField(default=0)
    version = models.PositiveIntegerField(default=1)
    booked_at = models.DateTimeField()
    booked_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    created_via = models.CharField(max_length=8, choices=Via.choices)
    ticket = models.ForeignKey(
        "appointments.Ticket", models.PROTECT, null=True, blank=True, related_name="bookings"
    )
    ticket_use = models.PositiveSmallIntegerField(null=True, blank=True)
    started_at = models.DateTimeField(
        null=True, blank=True, help_text="She is with somebody since; FHIR Encounter in-progress"
    )
    confirmed_at = models.DateTimeField(null=True, blank=True)
    confirmed_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    cancelled_at = models.DateTimeField(null=True, blank=True)
    cancelled_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    cancellation_reason = models.CharField(
        max_length=12, choices=CancellationReason.choices, blank=True
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(starts_at__lt=F("ends_at")), name="appointment_start_before_end"
            ),
            models.CheckConstraint(condition=~Q(zone=""), name="appointment_has_zone"),
            models.CheckConstraint(
                condition=Q(
                    status__in=[
                        "proposed",
                        "pending",
                        "booked",
                        "arrived",
                        "fulfilled",
                        "cancelled",
                        "noshow",
                        "entered-in-error",
                        "checked-in",
                        "waitlist",
                    ]
                ),
                name="appointment_status_is_fhir",
            ),
            models.CheckConstraint(
                condition=Q(
                    status="cancelled",
                    cancelled_at__isnull=False,
                    cancelled_by__isnull=False,
                )
                & ~Q(cancellation_reason="")
                | ~Q(status="cancelled")
                & Q(cancelled_at__isnull=True, cancelled_by__isnull=True, cancellation_reason=""),
                name="appointment_cancelled_by_somebody_for_a_reason",
            ),
            models.CheckConstraint(
                condition=Q(started_at__isnull=True)
                | Q(status__in=["arrived", "fulfilled", "entered-in-error"]),
                name="appointment_started_after_arrival",
            ),
            models.CheckConstraint(
                condition=Q(confirmed_at__isnull=True, confirmed_by__isnull=True)
                | Q(confirmed_at__isnull=False, confirmed_by__isnull=False),
                name="appointment_confirmed_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(ticket__isnull=True, ticket_use__isnull=True)
                | Q(ticket__isnull=False, ticket_use__isnull=False, ticket_use__gte=1),
                name="appointment_ticket_has_a_use",
            ),
            models.UniqueConstraint(
                fields=["ticket", "ticket_use"],
                condition=~Q(status__in=["cancelled", "entered-in-error"]),
                name="appointment_ticket_use_once",
            ),
        ]
        indexes = [
            models.Index(fields=["patient", "starts_at", "id"], name="appointment_by_patient"),
            models.Index(fields=["location", "local_date"], name="appointment_by_day"),
        ]

    def __str__(self) -> str:
        return f"appointment {str(self.id)[-6:]}"


class BookingRule(models.TextChoices):
    """What staff may set aside for a reason; hours, the past and taken time they may not."""

    LEAD_TIME = "lead-time", "Sooner than usual"
    HORIZON = "horizon", "Further ahead than usual"
    OVERBOOK = "overbook", "Overbooked"


class AppointmentHistory(BaseModel):
    """What an appointment was after one change, and who changed it. Rows are only added.

    `overrides` are the rules that staff set aside for this change, with their reason.
    """

    append_only = True

    class Action(models.TextChoices):
        BOOK = "book"
        RESCHEDULE = "reschedule"
        CONFIRM = "confirm"
        START = "start"
        CANCEL = "cancel"
        STATUS = "status"

    appointment = models.ForeignKey(Appointment, models.PROTECT, related_name="history")
    patient = models.ForeignKey(Patient, models.PROTECT, related_name="+")
    version = models.PositiveIntegerField()
    action = models.CharField(max_length=12, choices=Action.choices)
    status = models.CharField(max_length=16, choices=Appointment.Status.choices)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    at = models.DateTimeField()
    actor = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    via = models.CharField(max_length=8, choices=Appointment.Via.choices)
    reason = models.CharField(max_length=12, blank=True)
    overrides = ArrayField(
        models.CharField(max_length=12, choices=BookingRule.choices), default=list, blank=True
    )
    override_reason = models.CharField(max_length=160, blank=True)

    class Meta:
        verbose_name_plural = "appointment history"
        constraints = [
            models.UniqueConstraint(
                fields=["appointment", "version"], name="appointment_history_version_once"
            ),
            models.CheckConstraint(
                condition=Q(overrides=[], override_reason="")
                | ~Q(overrides=[]) & ~Q(override_reason=""),
                name="appointment_history_override_has_a_reason",
            ),
            models.CheckConstraint(
                condition=Q(overrides__contained_by=[str(rule) for rule in BookingRule]),
                name="appointment_history_overrides",
            ),
        ]
        indexes = [models.Index(fields=["patient", "at"], name="appointment_history_patient")]

    def __str__(self) -> str:
        return f"history {str(self.id)[-6:]}"


class Block(BaseModel):
    """Staff keep a resource free of visits for a time."""

    resource = models.ForeignKey(Resource, models.PROTECT, related_name="blocks")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=120)
    made_at = models.DateTimeField()
    made_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(starts_at__lt=F("ends_at")), name="block_start_before_end"
            ),
            models.CheckConstraint(
                condition=Q(lifted_at__isnull=True, lifted_by__isnull=True)
                | Q(lifted_at__isnull=False, lifted_by__isnull=False),
                name="block_lifted_by_somebody",
            ),
        ]
        indexes = [models.Index(fields=["resource", "starts_at"], name="block_by_resource")]

    def __str__(self) -> str:
        return f"block {str(self.id)[-6:]}"


class Hold(BaseModel):
    """An opening that is kept for one patient until `expires_at`, with nobody's help.

    Its time is claimed like a visit's; the claims expire with it, so what is not used is free
    without anything running. An offer from the waitlist is a hold too. Of FHIR Appointment
    with status `proposed`, as IHE scheduling's `$hold` returns it.
    """

    class Purpose(models.TextChoices):
        BOOKING = "booking"
        OFFER = "offer"

    class Ending(models.TextChoices):
        BOOKED = "booked"
        RELEASED = "released"

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="+")
    schedule = models.ForeignKey(Schedule, models.PROTECT, related_name="+")
    location = models.ForeignKey(Location, models.PROTECT, related_name="+")
    visit_type = models.ForeignKey(VisitType, models.PROTECT, related_name="+")
    purpose = models.CharField(max_length=8, choices=Purpose.choices, default=Purpose.BOOKING)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    zone = models.CharField(max_length=64, help_text="IANA time zone of the location")
    made_at = models.DateTimeField()
    made_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    made_via = models.CharField(max_length=8, choices=Appointment.Via.choices)
    expires_at = models.DateTimeField()
    renewed_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ending = models.CharField(max_length=8, choices=Ending.choices, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(starts_at__lt=F("ends_at")), name="hold_start_before_end"
            ),
            models.CheckConstraint(condition=~Q(zone=""), name="hold_has_zone"),
            models.CheckConstraint(
                condition=Q(made_at__lt=F("expires_at")), name="hold_made_before_it_expires"
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, ending="")
                | Q(ended_at__isnull=False, ending__in=["booked", "released"]),
                name="hold_ended_somehow",
            ),
        ]
        indexes = [
            models.Index(
                fields=["patient", "expires_at"],
                condition=Q(ended_at__isnull=True),
                name="hold_live_by_patient",
            ),
        ]

    def __str__(self) -> str:
        return f"hold {str(self.id)[-6:]}"


def _bounded(field: str) -> Q:
    """A range with both ends, the lower one inclusive, and something between them."""
    return Q(
        **{
            f"{field}__isempty": False,
            f"{field}__lower_inf": False,
            f"{field}__upper_inf": False,
            f"{field}__lower_inc": True,
            f"{field}__upper_inc": False,
        }
    )


class ResourceClaim(BaseModel):
    """Time of one resource, in one lane, that nothing else may take while it is active.

    `during` includes the buffers. `held_for` is the appointment, hold or block that needs
    the time; it has no foreign key and means nothing without that row.
    """

    class Kind(models.TextChoices):
        HOLD = "hold"
        BOOKING = "booking"
        BLOCK = "block"

    resource = models.ForeignKey(Resource, models.PROTECT, related_name="claims")
    lane = models.PositiveSmallIntegerField(default=0)
    during = DateTimeRangeField()
    kind = models.CharField(max_length=8, choices=Kind.choices)
    active = models.BooleanField(default=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    held_for = models.UUIDField()
    made_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            ExclusionConstraint(
                name="resource_claim_no_overlap",
                expressions=[
                    ("resource", RangeOperators.EQUAL),
                    ("lane", RangeOperators.EQUAL),
                    ("during", RangeOperators.OVERLAPS),
                ],
                condition=Q(active=True),
            ),
            models.CheckConstraint(condition=_bounded("during"), name="resource_claim_bounded"),
            models.CheckConstraint(
                condition=Q(kind="hold", expires_at__isnull=False)
                | Q(kind__in=["booking", "block"], expires_at__isnull=True),
                name="resource_claim_only_holds_expire",
            ),
            models.CheckConstraint(
                condition=Q(active=True, ended_at__isnull=True)
                | Q(active=False, ended_at__isnull=False),
                name="resource_claim_ended_when_inactive",
            ),
        ]
        indexes = [
            models.Index(fields=["held_for"], name="resource_claim_held_for"),
            models.Index(
                fields=["resource", "expires_at"],
                condition=Q(active=True, kind="hold"),
                name="resource_claim_holds",
            ),
        ]

    def __str__(self) -> str:
        return f"claim {str(self.id)[-6:]}"


class PatientClaim(BaseModel):
    """Time of one patient that her other visits may not take. For bookings only."""

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="+")
    appointment = models.ForeignKey(Appointment, models.PROTECT, related_name="patient_claims")
    during = DateTimeRangeField()
    active = models.BooleanField(default=True)

    class Meta:
        constraints = [
            ExclusionConstraint(
                name="patient_claim_no_overlap",
                expressions=[
                    ("patient", RangeOperators.EQUAL),
                    ("during", RangeOperators.OVERLAPS),
                ],
                condition=Q(active=True),
            ),
            models.CheckConstraint(condition=_bounded("during"), name="patient_claim_bounded"),
            models.UniqueConstraint(
                fields=["appointment"],
                condition=Q(active=True),
                name="patient_claim_active_once",
            ),
        ]

    def __str__(self) -> str:
        return f"claim {str(self.id)[-6:]}"
