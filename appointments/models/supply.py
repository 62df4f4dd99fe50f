"""What can be booked: places, people and things, kinds of visit, and their hours.

Nothing here speaks of a patient. Openings are not stored: they are worked out from these
rows and from what is claimed (`appointments.slots`).
"""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import (
    ArrayField,
    DateRangeField,
    IntegerRangeField,
    RangeOperators,
)
from django.db import models
from django.db.models import F, Func, Q, Value

from accounts.models import Organization
from core.models import BaseModel


class SecondOfDay(Func):
    """A time of day as seconds since midnight: PostgreSQL has no range of times of day."""

    template = "(extract(epoch FROM %(expressions)s))::integer"
    output_field = models.IntegerField()


class Location(BaseModel):
    """Where a visit takes place; its zone is the zone of every visit there. FHIR Location."""

    organization = models.ForeignKey(Organization, models.PROTECT, related_name="locations")
    name = models.CharField(max_length=160)
    zone = models.CharField(max_length=64, help_text="IANA time zone")
    address = models.TextField(blank=True)
    phone = models.CharField(max_length=40, blank=True)
    directions = models.TextField(blank=True)
    is_active = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(zone=""), name="location_has_zone"),
            models.UniqueConstraint(fields=["organization", "name"], name="location_name_once"),
        ]

    def __str__(self) -> str:
        return self.name


class Resource(BaseModel):
    """A person, room, chair or scanner that a visit needs. FHIR Practitioner, Location, Device.

    `lanes` is how many visits it takes side by side: 1 for a person or a scanner, more for
    a room with several places. `overbook_lanes` are as many more that only staff who may override
    rules fill, each with a reason.
    """

    class Kind(models.TextChoices):
        PRACTITIONER = "practitioner"
        ROOM = "room"
        CHAIR = "chair"
        SCANNER = "scanner"

    organization = models.ForeignKey(Organization, models.PROTECT, related_name="resources")
    location = models.ForeignKey(
        Location,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="resources",
        help_text="Where it stands; empty for somebody who works in several places",
    )
    kind = models.CharField(max_length=12, choices=Kind.choices)
    name = models.CharField(max_length=120)
    lanes = models.PositiveSmallIntegerField(default=1)
    overbook_lanes = models.PositiveSmallIntegerField(
        "places to overbook",
        default=0,
        help_text="So many visits more at a time, which only nurses and clinicians fill, each "
        "with a reason. Nobody else is ever offered them.",
    )
    is_active = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(lanes__gte=1, lanes__lte=50), name="resource_lanes"),
            models.CheckConstraint(
                condition=Q(overbook_lanes__lte=10), name="resource_overbook_lanes"
            ),
        ]
        indexes = [models.Index(fields=["location", "kind"], name="resource_by_place")]

    @property
    def all_lanes(self) -> int:
        """Return how many places it has, those for overbooking among them."""
        return self.lanes + self.overbook_lanes

    def __str__(self) -> str:
        return self.name


class VisitType(BaseModel):
    """A kind of visit: how long, how, how it is booked. FHIR HealthcareService.

    Buffers are time that the resources are kept before and after her visit. Lead time and
    horizon bound how soon and how far ahead a visit may start.
    """

    class Modality(models.TextChoices):
        IN_PERSON = "in-person", "In person"
        VIDEO = "video"
        PHONE = "phone"

    class BookingPolicy(models.TextChoices):
        VIEW = "view", "Shown only; the clinic books"
        REQUEST = "request", "She asks, the clinic books"
        DIRECT = "direct", "She books"
        TICKET = "ticket", "She books with a clinician's order"

    organization = models.ForeignKey(Organization, models.PROTECT, related_name="visit_types")
    code = models.SlugField(max_length=40)
    name = models.CharField(max_length=120)
    modality = models.CharField(max_length=12, choices=Modality.choices, default=Modality.IN_PERSON)
    duration_minutes = models.PositiveSmallIntegerField()
    buffer_before_minutes = models.PositiveSmallIntegerField(default=0)
    buffer_after_minutes = models.PositiveSmallIntegerField(default=0)
    lead_time_minutes = models.PositiveIntegerField(default=0)
    horizon_days = models.PositiveSmallIntegerField(default=90)
    cancel_cutoff_minutes = models.PositiveIntegerField(
        default=0, help_text="She can cancel online until so long before the start"
    )
    booking_policy = models.CharField(
        max_length=8, choices=BookingPolicy.choices, default=BookingPolicy.VIEW
    )
    preparation = models.TextField(blank=True)
    checkin_sections = ArrayField(
        models.CharField(
            max_length=12,
            choices=[
                ("demographics", "Address and contacts"),
                ("medicines", "Medicines"),
                ("allergies", "Allergies"),
                ("symptoms", "Symptoms"),
                ("consents", "Consents"),
            ],
        ),
        default=list,
        blank=True,
        help_text="What she is asked before the visit; none: no eCheck-in",
    )
    checkin_opens_hours = models.PositiveSmallIntegerField(
        default=72, help_text="The eCheck-in opens so long before the start"
    )
    waitlist_open = models.BooleanField(
        default=True, help_text="Patients can wait for a time of this kind"
    )
    waitlist_answer_minutes = models.PositiveSmallIntegerField(
        default=120, help_text="Time to answer an offer, not counting her quiet hours"
    )
    waitlist_order = models.CharField(
        max_length=16,
        choices=[
            ("urgency", "Urgent first, then who waits longest"),
            ("waiting", "Who waits longest"),
            ("without-visit", "Urgent first, then who has no visit, then who waits longest"),
        ],
        default="urgency",
    )
    is_active = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "code"], name="visit_type_code_once"),
            models.CheckConstraint(
                condition=Q(duration_minutes__gte=5, duration_minutes__lte=1440),
                name="visit_type_duration",
            ),
            models.CheckConstraint(
                condition=Q(buffer_before_minutes__lte=240, buffer_after_minutes__lte=240),
                name="visit_type_buffers",
            ),
            models.CheckConstraint(
                condition=Q(horizon_days__gte=1, horizon_days__lte=730),
                name="visit_type_horizon",
            ),
            models.CheckConstraint(
                condition=Q(lead_time_minutes__lt=F("horizon_days") * 1440),
                name="visit_type_lead_time_within_horizon",
            ),
            models.CheckConstraint(
                condition=Q(checkin_opens_hours__gte=1, checkin_opens_hours__lte=720),
                name="visit_type_checkin_window",
            ),
            models.CheckConstraint(
                condition=Q(waitlist_answer_minutes__gte=15, waitlist_answer_minutes__lte=2880),
                name="visit_type_waitlist_answer",
            ),
            models.CheckConstraint(
                condition=Q(waitlist_order__in=["urgency", "waiting", "without-visit"]),
                name="visit_type_waitlist_order",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class VisitTypeNeed(BaseModel):
    """Beside the schedule's own resource, a visit of this type takes one of this kind."""

    visit_type = models.ForeignKey(VisitType, models.CASCADE, related_name="needs")
    kind = models.CharField(max_length=12, choices=Resource.Kind.choices)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["visit_type", "kind"], name="visit_type_need_once")
        ]

    def __str__(self) -> str:
        return self.kind


class Schedule(BaseModel):
    """The hours of one resource at one location for some visit types. FHIR Schedule."""

    resource = models.ForeignKey(Resource, models.PROTECT, related_name="schedules")
    location = models.ForeignKey(Location, models.PROTECT, related_name="schedules")
    visit_types = models.ManyToManyField(VisitType, related_name="schedules")
    name = models.CharField(max_length=120, blank=True)
    is_active = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["resource", "location", "name"], name="schedule_name_once"
            )
        ]

    def __str__(self) -> str:
        return self.name or f"schedule {str(self.id)[-6:]}"


class Availability(BaseModel):
    """Hours of every week between two dates, in the location's wall-clock time.

    `iso_weekday` 1 is Monday. A visit may start at `starts` and then every
    `slot_step_minutes`, and must end by `ends`. `valid_until` is the last day; None is open.
    """

    schedule = models.ForeignKey(Schedule, models.CASCADE, related_name="availabilities")
    iso_weekday = models.PositiveSmallIntegerField()
    starts = models.TimeField()
    ends = models.TimeField()
    slot_step_minutes = models.PositiveSmallIntegerField()
    valid_from = models.DateField()
    valid_until = models.DateField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "availabilities"
        constraints = [
            models.CheckConstraint(
                condition=Q(iso_weekday__gte=1, iso_weekday__lte=7), name="availability_weekday"
            ),
            models.CheckConstraint(
                condition=Q(starts__lt=F("ends")), name="availability_start_before_end"
            ),
            models.CheckConstraint(
                condition=Q(slot_step_minutes__gte=5, slot_step_minutes__lte=480),
                name="availability_step",
            ),
            models.CheckConstraint(
                condition=Q(valid_until__isnull=True) | Q(valid_from__lte=F("valid_until")),
                name="availability_dates",
            ),
            ExclusionConstraint(
                name="availability_no_overlap",
                expressions=[
                    ("schedule", RangeOperators.EQUAL),
                    ("iso_weekday", RangeOperators.EQUAL),
                    (
                        Func(
                            SecondOfDay("starts"),
                            SecondOfDay("ends"),
                            function="int4range",
                            output_field=IntegerRangeField(),
                        ),
                        RangeOperators.OVERLAPS,
                    ),
                    (
                        Func(
                            F("valid_from"),
                            F("valid_until"),
                            Value("[]"),
                            function="daterange",
                            output_field=DateRangeField(),
                        ),
                        RangeOperators.OVERLAPS,
                    ),
                ],
            ),
        ]

    def __str__(self) -> str:
        return f"availability {str(self.id)[-6:]}"


class AvailabilityException(BaseModel):
    """One date that differs: closed (all day, or from one time to another), or extra hours.

    Extra hours hold on a holiday too, because somebody set them for that very day; closed
    time is closed whatever else is set.
    """

    class Kind(models.TextChoices):
        CLOSED = "closed"
        EXTRA = "extra"

    schedule = models.ForeignKey(Schedule, models.CASCADE, related_name="exceptions")
    date = models.DateField()
    kind = models.CharField(max_length=8, choices=Kind.choices)
    starts = models.TimeField(null=True, blank=True)
    ends = models.TimeField(null=True, blank=True)
    slot_step_minutes = models.PositiveSmallIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    kind="extra",
                    starts__isnull=False,
                    ends__isnull=False,
                    slot_step_minutes__gte=5,
                    slot_step_minutes__lte=480,
                    slot_step_minutes__isnull=False,
                )
                | Q(kind="closed", slot_step_minutes__isnull=True)
                & (
                    Q(starts__isnull=True, ends__isnull=True)
                    | Q(starts__isnull=False, ends__isnull=False)
                ),
                name="availability_exception_shape",
            ),
            models.CheckConstraint(
                condition=Q(starts__isnull=True) | Q(starts__lt=F("ends")),
                name="availability_exception_start_before_end",
            ),
        ]
        indexes = [models.Index(fields=["schedule", "date"], name="availability_exception_day")]

    def __str__(self) -> str:
        return f"exception {str(self.id)[-6:]}"
