"""A site that is closed for a time."""

from django.db import models
from django.db.models import F, Q

from accounts.models import User
from appointments.models.supply import Location
from core.models import BaseModel


class SiteClosure(BaseModel):
    """Nobody is seen at a location from `starts_at` until `ends_at`.

    While it is not lifted the database refuses visits and holds of that place and time. It says
    nothing about the people who work there: they may work elsewhere.
    """

    location = models.ForeignKey(Location, models.PROTECT, related_name="closures")
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
                condition=Q(starts_at__lt=F("ends_at")), name="site_closure_start_before_end"
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="site_closure_has_a_reason"),
            models.CheckConstraint(
                condition=Q(lifted_at__isnull=True, lifted_by__isnull=True)
                | Q(lifted_at__isnull=False, lifted_by__isnull=False),
                name="site_closure_lifted_by_somebody",
            ),
        ]
        indexes = [
            models.Index(
                fields=["location", "ends_at"],
                condition=Q(lifted_at__isnull=True),
                name="site_closure_by_place",
            ),
        ]

    def __str__(self) -> str:
        return f"closure {str(self.id)[-6:]}"
