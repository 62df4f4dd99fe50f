"""Who waits for a time, what was offered to whom, and why."""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import F, Q

from accounts.models import User
from appointments.models.booking import Appointment, Hold
from appointments.models.supply import Location, VisitType
from core.models import BaseModel
from patients.models import Patient

_NOBODY = Q(ended_by__isnull=True)


class WaitlistEntry(BaseModel):
    """She waits for a visit, or for an earlier time than that of a visit of hers.

    FHIR Appointment with status `waitlist`. Without windows any time will do, without
    locations any place. `urgency` is a FHIR request priority; only staff set urgent, with a
    reason. `passed_over` is why the last look for an opening ended without an offer although
    something fitted, by the codes of `appointments.waiting`.
    """

    class Urgency(models.TextChoices):
        ROUTINE = "routine"
        URGENT = "urgent"

    class Status(models.TextChoices):
        ACTIVE = "active", "Waiting"
        FULFILLED = "fulfilled"
        WITHDRAWN = "withdrawn"
        EXPIRED = "expired"

    class Ending(models.TextChoices):
        ACCEPTED = "offer-accepted", "An offer was accepted"
        BOOKED = "booked-otherwise", "A fitting visit was booked otherwise"
        ASKED = "asked", "She or the clinic took it back"
        VISIT_OVER = "visit-over", "The visit has begun or was cancelled by her"
        WINDOWS_OVER = "windows-over", "Every window is past"
        NOT_HERE = "not-here", "No longer looked after here"
        DECEASED = "deceased", "Deceased"
        INACTIVE = "inactive", "Record closed"

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="+")
    visit_type = models.ForeignKey(VisitType, models.PROTECT, related_name="+")
    appointment = models.ForeignKey(
        Appointment,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="waitlist_entries",
        help_text="The visit that she has; she wants an earlier time than it",
    )
    locations = models.ManyToManyField(Location, blank=True, related_name="+")
    minimum_notice_minutes = models.PositiveIntegerField(default=0)
    urgency = models.CharField(max_length=8, choices=Urgency.choices, default=Urgency.ROUTINE)
    urgency_reason = models.CharField(max_length=300, blank=True)
    urgency_set_at = models.DateTimeField(null=True, blank=True)
    urgency_set_by = models.ForeignKey(
        User, models.PROTECT, null=True, blank=True, related_name="+"
    )
    made_at = models.DateTimeField()
    made_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    made_via = models.CharField(max_length=8, choices=Appointment.Via.choices)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.ACTIVE)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    ending = models.CharField(max_length=16, choices=Ending.choices, blank=True)
    passed_over = models.CharField(max_length=40, blank=True)
    passed_over_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "waitlist entry"
        verbose_name_plural = "waitlist"
        constraints = [
            models.UniqueConstraint(
                fields=["patient", "visit_type"],
                condition=Q(status="active", appointment__isnull=True),
                name="waitlist_entry_active_once",
            ),
            models.UniqueConstraint(
                fields=["patient", "appointment"],
                condition=Q(status="active"),
                name="waitlist_entry_active_once_for_visit",
            ),
            models.CheckConstraint(
                condition=Q(minimum_notice_minutes__lte=43200), name="waitlist_entry_notice"
            ),
            models.CheckConstraint(
                condition=Q(
                    urgency="urgent", urgency_set_at__isnull=False, urgency_set_by__isnull=False
                )
                & ~Q(urgency_reason="")
                | Q(
                    urgency="routine",
                    urgency_reason="",
                    urgency_set_at__isnull=True,
                    urgency_set_by__isnull=True,
                ),
                name="waitlist_entry_urgent_for_a_reason",
            ),
            models.CheckConstraint(
                condition=Q(status="active", ended_at__isnull=True, ending="") & _NOBODY
                | Q(
                    status="fulfilled",
                    ended_at__isnull=False,
                    ending__in=["offer-accepted", "booked-otherwise"],
                )
                | Q(
                    status="withdrawn",
                    ended_at__isnull=False,
                    ended_by__isnull=False,
                    ending="asked",
                )
                | Q(
                    status="expired",
                    ended_at__isnull=False,
                    ending__in=["visit-over", "windows-over", "not-here", "deceased", "inactive"],
                )
                & _NOBODY,
                name="waitlist_entry_ended_somehow",
            ),
            models.CheckConstraint(
                condition=Q(passed_over="", passed_over_at__isnull=True)
                | ~Q(passed_over="") & Q(passed_over_at__isnull=False),
                name="waitlist_entry_passed_over_at_a_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["visit_type", "made_at"],
                condition=Q(status="active"),
                name="waitlist_entry_line",
            ),
            models.Index(fields=["patient", "made_at", "id"], name="waitlist_entry_by_patient"),
        ]

    def __str__(self) -> str:
        return f"waitlist entry {str(self.id)[-6:]}"


class WaitlistWindow(BaseModel):
    """Times that suit her, by the clock of the clinic. Dates are both included.

    A visit must start at or after `time_from` and before `time_until`; None is open.
    """

    append_only = True

    entry = models.ForeignKey(WaitlistEntry, models.CASCADE, related_name="windows")
    first_on = models.DateField(null=True, blank=True)
    last_on = models.DateField(null=True, blank=True)
    iso_weekdays = ArrayField(
        models.PositiveSmallIntegerField(),
        default=list,
        blank=True,
        help_text="1 is Monday; none: every day",
    )
    time_from = models.TimeField(null=True, blank=True)
    time_until = models.TimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(first_on__isnull=True)
                | Q(last_on__isnull=True)
                | Q(first_on__lte=F("last_on")),
                name="waitlist_window_dates",
            ),
            models.CheckConstraint(
                condition=Q(time_from__isnull=True)
                | Q(time_until__isnull=True)
                | Q(time_from__lt=F("time_until")),
                name="waitlist_window_times",
            ),
            models.CheckConstraint(
                condition=Q(iso_weekdays__contained_by=[1, 2, 3, 4, 5, 6, 7]),
                name="waitlist_window_weekdays",
            ),
        ]
        indexes = [models.Index(fields=["entry"], name="waitlist_window_of_entry")]

    def __str__(self) -> str:
        return f"window {str(self.id)[-6:]}"


class WaitlistOffer(BaseModel):
    """One opening offered to one person, and kept for her until she answers or the time ends.

    FHIR AppointmentResponse. The hold keeps the time, so accepting does not fail before
    `answer_until`. `rank` is her place among those whom it fitted; `reason` is for staff.
    `during` is the visit offered: nobody is offered two visits at the same time.
    """

    class Status(models.TextChoices):
        OPEN = "open"
        ACCEPTED = "accepted"
        DECLINED = "declined"
        EXPIRED = "expired", "Not answered"
        WITHDRAWN = "withdrawn", "Taken back"

    entry = models.ForeignKey(WaitlistEntry, models.PROTECT, related_name="offers")
    patient = models.ForeignKey(Patient, models.PROTECT, related_name="+")
    hold = models.OneToOneField(Hold, models.PROTECT, related_name="waitlist_offer")
    during = DateTimeRangeField()
    offered_at = models.DateTimeField()
    answer_until = models.DateTimeField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN)
    rank = models.PositiveSmallIntegerField()
    reason = models.JSONField()
    settled_at = models.DateTimeField(null=True, blank=True)
    answered_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    answered_via = models.CharField(max_length=8, choices=Appointment.Via.choices, blank=True)
    appointment = models.ForeignKey(
        Appointment, models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        verbose_name = "waitlist offer"
        constraints = [
            models.UniqueConstraint(
                fields=["patient", "entry"],
                condition=Q(status="open"),
                name="waitlist_offer_open_once",
            ),
            ExclusionConstraint(
                name="waitlist_offer_one_place_at_a_time",
                expressions=[
                    ("patient", RangeOperators.EQUAL),
                    ("during", RangeOperators.OVERLAPS),
                ],
                condition=Q(status="open"),
            ),
            models.CheckConstraint(
                condition=Q(offered_at__lt=F("answer_until")),
                name="waitlist_offer_leaves_time_to_answer",
            ),
            models.CheckConstraint(
                condition=Q(
                    during__isempty=False, during__lower_inf=False, during__upper_inf=False
                ),
                name="waitlist_offer_bounded",
            ),
            models.CheckConstraint(condition=Q(rank__gte=1), name="waitlist_offer_rank"),
            models.CheckConstraint(
                condition=Q(status="open", settled_at__isnull=True)
                | ~Q(status="open") & Q(settled_at__isnull=False),
                name="waitlist_offer_settled_when_over",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["accepted", "declined"], answered_by__isnull=False)
                & ~Q(answered_via="")
                | Q(
                    status__in=["open", "expired", "withdrawn"],
                    answered_by__isnull=True,
                    answered_via="",
                ),
                name="waitlist_offer_answered_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(status="accepted", appointment__isnull=False)
                | ~Q(status="accepted") & Q(appointment__isnull=True),
                name="waitlist_offer_accepted_is_a_visit",
            ),
        ]
        indexes = [
            models.Index(
                fields=["answer_until"], condition=Q(status="open"), name="waitlist_offer_due"
            ),
            models.Index(fields=["patient", "offered_at", "id"], name="waitlist_offer_by_patient"),
            models.Index(fields=["entry", "offered_at"], name="waitlist_offer_of_entry"),
        ]

    def __str__(self) -> str:
        return f"waitlist offer {str(self.id)[-6:]}"
