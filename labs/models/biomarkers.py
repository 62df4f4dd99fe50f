"""Tumour markers found in results, waiting for a clinician of the care team."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from accounts.models import User
from clinical.markers import Marker, Reading, Unread
from core.models import BaseModel
from labs.models.results import DiagnosticReport, Observation
from patients.models import Patient, ProfileFact


class BiomarkerProposal(BaseModel):
    """What a result seems to say about a marker. Only a clinician makes it a fact of the profile.

    `reading` empty: the result could not be read, and `unread` says why. `rests_on` are the
    versions of results behind it; `collected_on` is the local day of the laboratory. A decision
    is made once: accepted, changed (`decided_result`) or refused by a clinician, or replaced when
    a newer version or a deciding test came.
    """

    class Decision(models.TextChoices):
        OPEN = "", "open"
        ACCEPTED = "accepted"
        CHANGED = "changed"
        REFUSED = "refused"
        REPLACED = "replaced"

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="+", db_index=False)
    report = models.ForeignKey(DiagnosticReport, models.PROTECT, related_name="+", db_index=False)
    observation = models.OneToOneField(Observation, models.PROTECT, related_name="proposal")
    rests_on = ArrayField(models.UUIDField())
    marker = models.CharField(max_length=8, choices=[(m.value, m.name) for m in Marker])
    reading = models.CharField(
        max_length=10, blank=True, choices=[(r.value, r.name) for r in Reading]
    )
    unread = models.CharField(
        max_length=20, blank=True, choices=[(u.value, u.name) for u in Unread]
    )
    source_text = models.TextField(blank=True)
    detail = models.CharField(max_length=120, blank=True)
    rule_version = models.CharField(max_length=20)
    specimen = models.CharField(max_length=200, blank=True)
    collected_on = models.DateField()
    proposed_at = models.DateTimeField()
    decision = models.CharField(
        max_length=8, choices=Decision.choices, blank=True, default=Decision.OPEN
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        User, models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    decided_result = models.CharField(max_length=12, blank=True, choices=ProfileFact.Result.choices)
    decided_detail = models.CharField(max_length=120, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    fact = models.OneToOneField(
        ProfileFact, models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=(Q(reading="") & ~Q(unread="")) | (~Q(reading="") & Q(unread="")),
                name="biomarker_read_or_says_why",
            ),
            models.CheckConstraint(
                condition=Q(decision="", decided_at__isnull=True)
                | (~Q(decision="") & Q(decided_at__isnull=False)),
                name="biomarker_decided_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(decision__in=["", "replaced"], decided_by__isnull=True)
                | (~Q(decision__in=["", "replaced"]) & Q(decided_by__isnull=False)),
                name="biomarker_decided_by_a_person",
            ),
            models.CheckConstraint(
                condition=(
                    Q(decision__in=["accepted", "changed"], fact__isnull=False)
                    & ~Q(decided_result="")
                )
                | (
                    ~Q(decision__in=["accepted", "changed"])
                    & Q(fact__isnull=True, decided_result="")
                ),
                name="biomarker_fact_after_a_decision",
            ),
            models.CheckConstraint(
                condition=~Q(decision="accepted") | ~Q(reading=""),
                name="biomarker_unread_never_accepted",
            ),
            models.CheckConstraint(
                condition=~Q(decision__in=["changed", "refused"]) | ~Q(reason=""),
                name="biomarker_change_says_why",
            ),
        ]
        indexes = [
            models.Index(fields=["proposed_at"], condition=Q(decision=""), name="biomarker_queue"),
            models.Index(fields=["patient", "marker"], name="biomarker_of_patient"),
        ]
