"""The ledger: one row for each thing the portal says to one person on one channel."""

from django.db import models
from django.db.models import Q

from accounts.models import User
from core.models import BaseModel


class Notification(BaseModel):
    """A message as a row with states. FHIR Communication.

    planned → claimed → sent | failed | skipped(reason) | unknown. The provider gets the row's
    id as idempotency key. Words live in templates; the row holds ids and codes only.
    `patient_id` is the record it is about; `recipient` the person told.
    """

    class State(models.TextChoices):
        PLANNED = "planned"
        CLAIMED = "claimed"
        SENT = "sent"
        FAILED = "failed"
        SKIPPED = "skipped"
        UNKNOWN = "unknown"

    class Channel(models.TextChoices):
        EMAIL = "email"
        SMS = "sms"
        PUSH = "push"
        INBOX = "inbox"

    recipient = models.ForeignKey(User, models.PROTECT, related_name="+")
    patient_id = models.UUIDField()
    purpose = models.CharField(max_length=40)
    occurrence = models.CharField(max_length=160)
    channel = models.CharField(max_length=8, choices=Channel.choices)
    template = models.CharField(max_length=60)
    template_version = models.PositiveSmallIntegerField(default=1)
    language = models.CharField(max_length=8, default="en")
    context = models.JSONField(default=dict)
    subject_id = models.UUIDField()
    must_reach = models.BooleanField(default=False)
    bypasses_quiet_hours = models.BooleanField(default=False)
    send_after = models.DateTimeField()
    expires_at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.PLANNED)
    reason = models.CharField(max_length=120, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    planned_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)
    provider_reference = models.CharField(max_length=120, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["recipient", "patient_id", "purpose", "occurrence", "channel"],
                name="notification_once",
            ),
            models.CheckConstraint(
                condition=Q(send_after__lt=models.F("expires_at")),
                name="notification_sends_before_it_expires",
            ),
            models.CheckConstraint(
                condition=(Q(state="claimed") & Q(lease_until__isnull=False))
                | (~Q(state="claimed") & Q(lease_until__isnull=True)),
                name="notification_lease_while_claimed",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["planned", "claimed"], settled_at__isnull=True)
                | Q(state__in=["sent", "failed", "skipped", "unknown"], settled_at__isnull=False),
                name="notification_settled_when_done",
            ),
            models.CheckConstraint(
                condition=~Q(state="skipped") | ~Q(reason=""),
                name="notification_skipped_says_why",
            ),
        ]
        indexes = [
            models.Index(
                fields=["send_after"],
                condition=Q(state__in=["planned", "claimed"]),
                name="notification_due",
            ),
            models.Index(fields=["patient_id", "planned_at"], name="notification_by_patient"),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} {str(self.id)[-6:]}"


class ChannelPreference(BaseModel):
    """How one person wants to be told about one purpose: which channel, how much detail."""

    class Detail(models.TextChoices):
        DISCREET = "discreet"
        PLAIN = "plain"
        FULL = "full"

    user = models.ForeignKey(User, models.CASCADE, related_name="channel_preferences")
    purpose = models.CharField(max_length=40)
    channel = models.CharField(max_length=8, choices=Notification.Channel.choices)
    enabled = models.BooleanField(default=True)
    detail = models.CharField(max_length=8, choices=Detail.choices, default=Detail.DISCREET)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "purpose", "channel"], name="channel_preference_once"
            )
        ]


class QuietHours(BaseModel):
    """When a person must not be disturbed, in her own zone; never less than 21:00 to 08:00."""

    user = models.OneToOneField(User, models.CASCADE, related_name="quiet_hours")
    starts = models.TimeField()
    ends = models.TimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(starts__lte="21:00", starts__gt="12:00")
                & Q(ends__gte="08:00", ends__lt="12:00"),
                name="quiet_hours_cover_the_night",
            )
        ]
