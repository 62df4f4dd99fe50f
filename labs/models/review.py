"""What staff say about results: who reviewed them, comments, and the templates of comments."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from accounts.models import Organization, User
from core.models import BaseModel
from labs.models.results import DiagnosticReport, Observation
from patients.models import Patient


class ReviewRole(models.TextChoices):
    """The roles that may speak about a result."""

    CLINICIAN = "clinician", "Clinician"
    NURSE = "nurse", "Nurse"


class Review(BaseModel):
    """A named person opened and reviewed a report as it stood. FHIR Provenance.

    `seen` maps the `identity_key` of each result on the page to its version: a result counts
    as reviewed only in a version that stands there, whatever the clocks of two transactions say.
    """

    append_only = True

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="+", db_index=False)
    report = models.ForeignKey(DiagnosticReport, models.PROTECT, related_name="+", db_index=False)
    report_version = models.PositiveIntegerField()
    seen = models.JSONField(default=dict)
    seen_digest = models.CharField(max_length=64)
    reviewer = models.ForeignKey(User, models.PROTECT, related_name="+", db_index=False)
    reviewer_role = models.CharField(max_length=16, choices=ReviewRole.choices)
    reviewed_at = models.DateTimeField()

    class Meta:
        constraints = [
            # A derived result may come without a new version of its report: another look.
            models.UniqueConstraint(
                fields=["patient", "report", "report_version", "seen_digest", "reviewer"],
                name="review_once",
            ),
            models.CheckConstraint(
                condition=Q(reviewer_role__in=ReviewRole.values), name="review_by_a_role"
            ),
        ]
        indexes = [
            models.Index(fields=["patient", "report", "-reviewed_at"], name="review_of_report")
        ]

    def __str__(self) -> str:
        return f"review {str(self.id)[-6:]}"


class Comment(BaseModel):
    """What a member of staff wrote for the patient about a report or one of its results.

    `identity_key` names the result; empty = the report as a whole. `seen` maps the results it
    speaks of to the versions the author saw. The text is never changed: a correction is a new
    row that `replaces` the old one. FHIR Annotation.
    """

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="+", db_index=False)
    report = models.ForeignKey(DiagnosticReport, models.PROTECT, related_name="+", db_index=False)
    identity_key = models.CharField(max_length=64, blank=True)
    seen = models.JSONField(default=dict)
    author = models.ForeignKey(User, models.PROTECT, related_name="+", db_index=False)
    author_role = models.CharField(max_length=16, choices=ReviewRole.choices)
    language = models.CharField(max_length=8)
    text = models.TextField()
    published_at = models.DateTimeField()
    replaces = models.OneToOneField(
        "self", models.PROTECT, null=True, blank=True, related_name="replaced_by"
    )
    reason = models.CharField(max_length=300, blank=True, help_text="why it replaces the other")
    superseded_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    withdrawn_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    withdrawal_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(text=""), name="comment_says_something"),
            models.CheckConstraint(
                condition=Q(author_role__in=ReviewRole.values), name="comment_by_a_role"
            ),
            models.CheckConstraint(
                condition=Q(replaces__isnull=True, reason="")
                | (Q(replaces__isnull=False) & ~Q(reason="")),
                name="comment_replaces_with_reason",
            ),
            models.CheckConstraint(
                condition=Q(
                    withdrawn_at__isnull=True, withdrawn_by__isnull=True, withdrawal_reason=""
                )
                | (
                    Q(withdrawn_at__isnull=False, withdrawn_by__isnull=False)
                    & ~Q(withdrawal_reason="")
                ),
                name="comment_withdrawn_with_reason",
            ),
            models.CheckConstraint(
                condition=Q(superseded_at__isnull=True) | Q(withdrawn_at__isnull=True),
                name="comment_superseded_or_withdrawn",
            ),
        ]
        indexes = [
            models.Index(fields=["patient", "report", "published_at"], name="comment_of_report")
        ]

    def __str__(self) -> str:
        return f"comment {str(self.id)[-6:]}"


class CommentTemplate(BaseModel):
    """Words that a clinic uses again; `text` has named placeholders (`labs/placeholders.py`).

    A version is used once another person approved it; a change is a new version.
    """

    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+")
    key = models.SlugField(max_length=40)
    language = models.CharField(max_length=8, default="en")
    version = models.PositiveIntegerField(default=1)
    title = models.CharField(max_length=120)
    text = models.TextField(max_length=2000)
    written_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    written_at = models.DateTimeField()
    is_active = models.BooleanField(default=False)
    approved_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    approved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "key", "language", "version"],
                name="comment_template_version_once",
            ),
            models.UniqueConstraint(
                fields=["organization", "key", "language"],
                condition=Q(is_active=True),
                name="comment_template_one_active",
            ),
            models.CheckConstraint(
                condition=Q(approved_by__isnull=True, approved_at__isnull=True)
                | Q(approved_by__isnull=False, approved_at__isnull=False),
                name="comment_template_approved_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(approved_by__isnull=True) | ~Q(approved_by=F("written_by")),
                name="comment_template_approved_by_another",
            ),
            models.CheckConstraint(
                condition=Q(is_active=False) | Q(approved_at__isnull=False),
                name="comment_template_active_once_approved",
            ),
            models.CheckConstraint(
                condition=~Q(title="") & ~Q(text=""), name="comment_template_complete"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key} {self.language} {self.version}"


class DerivedObstacle(BaseModel):
    """Why no corrected calcium stands beside a total calcium.

    `inputs` are the results that the reasons speak of, the calcium among them: whoever may not
    see all of them sees no reason.
    """

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="+", db_index=False)
    calcium = models.ForeignKey(Observation, models.PROTECT, related_name="+", db_index=False)
    method = models.CharField(max_length=60)
    obstacles = ArrayField(models.CharField(max_length=40))
    inputs = ArrayField(models.UUIDField())
    found_at = models.DateTimeField()
    superseded_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["patient", "calcium"],
                condition=Q(superseded_at__isnull=True),
                name="derived_obstacle_current_once",
            ),
            models.CheckConstraint(
                condition=~Q(obstacles=[]) & ~Q(inputs=[]), name="derived_obstacle_says_why"
            ),
        ]

    def __str__(self) -> str:
        return f"obstacle {str(self.id)[-6:]}"
