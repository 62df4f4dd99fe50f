"""Addresses that somebody may use because she has them: each its own token, stored hashed."""

from django.db import models
from django.db.models import F, Q

from accounts.models import User
from appointments.models.booking import Appointment
from core.models import BaseModel
from patients.models import Patient

_HASHED = Q(token_hash__regex="^[0-9a-f]{64}$")  # noqa: S106


class VisitLink(BaseModel):
    """The link in one message about a visit, made when the message leaves.

    It speaks of the visit as it was at `sequence`, and ends when the visit starts. Each
    message (`notification_id`) has one: a second try replaces the token of the first.
    """

    appointment = models.ForeignKey(Appointment, models.PROTECT, related_name="+")
    patient = models.ForeignKey(Patient, models.PROTECT, related_name="+")
    user = models.ForeignKey(User, models.PROTECT, related_name="+")
    sequence = models.PositiveSmallIntegerField()
    notification_id = models.UUIDField()
    token_hash = models.CharField(max_length=64)
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["token_hash"], name="visit_link_token_once"),
            models.UniqueConstraint(
                fields=["patient", "notification_id"], name="visit_link_message_once"
            ),
            models.CheckConstraint(condition=_HASHED, name="visit_link_token_is_hashed"),
            models.CheckConstraint(
                condition=Q(made_at__lt=F("expires_at")), name="visit_link_made_before_it_expires"
            ),
        ]

    def __str__(self) -> str:
        return f"link {str(self.id)[-6:]}"


class CalendarFeed(BaseModel):
    """An address at which a calendar program reads the visits of one record, for one person.

    `titles` discreet shows that there is an appointment and nothing more; full is her choice.
    """

    class Titles(models.TextChoices):
        DISCREET = "discreet"
        FULL = "full"

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="+")
    user = models.ForeignKey(User, models.PROTECT, related_name="+")
    titles = models.CharField(max_length=8, choices=Titles.choices, default=Titles.DISCREET)
    token_hash = models.CharField(max_length=64)
    made_at = models.DateTimeField()
    last_read_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["token_hash"], name="calendar_feed_token_once"),
            models.CheckConstraint(condition=_HASHED, name="calendar_feed_token_is_hashed"),
            models.CheckConstraint(
                condition=Q(titles__in=["discreet", "full"]), name="calendar_feed_titles"
            ),
            models.CheckConstraint(
                condition=Q(revoked_at__isnull=True, revoked_by__isnull=True)
                | Q(revoked_at__isnull=False, revoked_by__isnull=False),
                name="calendar_feed_revoked_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(revoked_at__isnull=True) | Q(made_at__lte=F("revoked_at")),
                name="calendar_feed_made_before_it_is_revoked",
            ),
        ]
        indexes = [
            models.Index(
                fields=["patient", "user"],
                condition=Q(revoked_at__isnull=True),
                name="calendar_feed_live",
            )
        ]

    def __str__(self) -> str:
        return f"feed {str(self.id)[-6:]}"
