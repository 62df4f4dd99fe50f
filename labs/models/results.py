"""Reports and results. Every patient table here carries the patient in its hot indexes."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from accounts.models import User
from clinical.states import PortalState, Tier
from clinical.values import ValueKind
from clinical.verdict import Basis
from core.models import BaseModel
from labs.models.fields import ExactNumberField
from labs.models.intake import InboundMessage
from labs.models.senders import SendingLaboratory
from patients.models import Patient


class FhirStatus(models.TextChoices):
    """FHIR ObservationStatus and DiagnosticReportStatus, the codes that laboratories reach."""

    REGISTERED = "registered"
    PARTIAL = "partial"
    PRELIMINARY = "preliminary"
    FINAL = "final"
    AMENDED = "amended"
    CORRECTED = "corrected"
    CANCELLED = "cancelled"
    ENTERED_IN_ERROR = "entered-in-error"
    UNKNOWN = "unknown"


CHANGED = Q(superseded_at__isnull=False, is_stale=False) & (
    ~Q(status__in=["registered", "preliminary"]) | Q(withdrawn_at__isnull=False)
)
"""A version that was corrected or withdrawn; an early result that became final was completed."""


class DiagnosticReport(BaseModel):
    """A panel that a laboratory reported for a patient. FHIR DiagnosticReport.

    The row is the head: it shows the newest version; `versions` keeps every one. `filler_key`
    is what the laboratory calls the order. `visible_from` is the earliest release among its
    current results (its own when it has none); null = not for the patient. While results of a
    newer version are kept from her, the head stays as `shown_version` left it (null: the newest).
    `not_released_until`: until when at the latest tests of this visit wait, where it may be said.
    `awaits_review`: nobody reviewed it as it stands; `worst_rank`: how loudly its results are
    drawn, 0 to 3 (`labs/queues.py`).
    """

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="reports")
    laboratory = models.ForeignKey(SendingLaboratory, models.PROTECT, related_name="reports")
    filler_key = models.CharField(max_length=300)
    placer_number = models.CharField(max_length=200, blank=True)
    code = models.CharField(max_length=80, blank=True)
    code_system = models.CharField(max_length=80, blank=True)
    loinc = models.CharField(max_length=10, blank=True)
    name = models.CharField(max_length=300)
    category = models.CharField(max_length=10, blank=True, help_text="HL7 table 0074")
    version = models.PositiveIntegerField()
    status = models.CharField(max_length=16, choices=FhirStatus.choices)
    collected_at = models.DateTimeField(null=True)
    resulted_at = models.DateTimeField(null=True)
    effective_at = models.DateTimeField(help_text="collected, else the best time known")
    filed_at = models.DateTimeField()
    corrected = models.BooleanField(default=False)
    visible_from = models.DateTimeField(null=True)
    shown_version = models.PositiveIntegerField(null=True)
    not_released_until = models.DateTimeField(null=True)
    awaits_review = models.BooleanField(default=True)
    worst_rank = models.SmallIntegerField(default=1)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["patient", "laboratory", "filler_key", "code"], name="report_once"
            ),
            models.CheckConstraint(
                condition=~Q(status="entered-in-error") | Q(visible_from__isnull=True),
                name="report_retracted_not_shown",
            ),
        ]
        indexes = [
            models.Index(fields=["patient", "-effective_at", "-id"], name="report_latest"),
            models.Index(
                fields=["-worst_rank", "effective_at", "id"],
                condition=Q(awaits_review=True),
                include=["patient"],
                name="report_unreviewed",
            ),
            models.Index(
                fields=["-effective_at", "-id"], include=["patient"], name="report_newest"
            ),
        ]

    def __str__(self) -> str:
        return f"report {str(self.id)[-6:]}"


class ReportVersion(BaseModel):
    """One state of a report as a message left it."""

    append_only = True

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="+")
    report = models.ForeignKey(DiagnosticReport, models.PROTECT, related_name="versions")
    version = models.PositiveIntegerField()
    status = models.CharField(max_length=16, choices=FhirStatus.choices)
    status_sent = models.CharField(max_length=10, blank=True, help_text="OBR-25")
    collected_at = models.DateTimeField(null=True)
    received_at_lab = models.DateTimeField(null=True)
    resulted_at = models.DateTimeField(null=True)
    lab_comment = models.TextField(blank=True)
    is_stale = models.BooleanField(default=False, help_text="older than what was stored already")
    message = models.ForeignKey(InboundMessage, models.PROTECT, related_name="+")
    obr_position = models.PositiveIntegerField()
    filed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["patient", "report", "version"], name="report_version_once"
            )
        ]


class ObservationQuerySet(models.QuerySet["Observation"]):
    def current(self) -> "ObservationQuerySet":
        """The version of each result that counts."""
        return self.filter(superseded_at__isnull=True)

    def laboratory_made(self) -> "ObservationQuerySet":
        """Without what we worked out ourselves and what patients entered."""
        return self.filter(origin=Observation.Origin.LABORATORY)


class Observation(BaseModel):
    """One version of one result. FHIR Observation.

    Versions of one result share `identity_key` (sender, order, code, sub-id, specimen or
    collection time). The database lets nobody change a version: only `superseded_at`,
    `withdrawn_at`, the release columns and `announced_at` may move. A version that came too late
    is superseded from the start (`is_stale`).

    What a patient or her caregiver entered herself (`origin` patient) has no laboratory, report or
    message and is never comparable: grades, changes, derived values and alarms pass it by.
    `filed_by` is who entered it, `performer` where she says it was measured.

    `value_text` is what the laboratory wrote; `value_low`/`value_high` the interval it means
    (equal for a plain number), in `unit_ucum`. `range_low`/`range_high` are the bounds sent,
    `range_used_*` those that judged. The verdict columns are `clinical.verdict.Verdict`.
    `visible_from` null = never shown to the patient.
    """

    class Origin(models.TextChoices):
        LABORATORY = "laboratory"
        DERIVED = "derived"
        PATIENT = "patient"

    class EffectiveBasis(models.TextChoices):
        OBSERVED = "observed", "OBX-14"
        COLLECTED = "collected", "OBR-7"
        SPECIMEN = "specimen", "SPM-17"
        RESULTED = "resulted", "OBR-22"
        MESSAGE = "message", "MSH-7"
        RECEIVED = "received", "time of receipt"
        ENTERED = "entered", "day that the patient gave"

    class ReleaseBasis(models.TextChoices):
        NONE = "", "not released"
        RULE = "rule"
        PERSON = "person"
        PATIENT_REQUEST = "patient_request"
        BACKSTOP = "backstop"

    # What it is. Foreign keys bring no index of their own where one with the patient serves.
    patient = models.ForeignKey(
        Patient, models.PROTECT, related_name="observations", db_index=False
    )
    report = models.ForeignKey(
        DiagnosticReport, models.PROTECT, null=True, related_name="observations", db_index=False
    )
    laboratory = models.ForeignKey(
        SendingLaboratory, models.PROTECT, null=True, related_name="+", db_index=False
    )
    origin = models.CharField(max_length=10, choices=Origin.choices, default=Origin.LABORATORY)
    identity_key = models.CharField(max_length=64)
    version = models.PositiveIntegerField()
    supersedes = models.ForeignKey(
        "self", models.PROTECT, null=True, related_name="superseded_by", db_index=False
    )
    superseded_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)
    is_stale = models.BooleanField(default=False)
    content_hash = models.CharField(max_length=64)
    ordering_at = models.DateTimeField(null=True, help_text="OBR-22, else MSH-7")
    # what was measured
    analyte_key = models.CharField(max_length=40, blank=True)
    loinc = models.CharField(max_length=10, blank=True)
    code = models.CharField(max_length=200, blank=True)
    code_text = models.CharField(max_length=500, blank=True)
    code_system = models.CharField(max_length=200, blank=True)
    alt_code = models.CharField(max_length=200, blank=True)
    alt_text = models.CharField(max_length=500, blank=True)
    alt_system = models.CharField(max_length=200, blank=True)
    display_name = models.CharField(max_length=500)
    sub_id = models.CharField(max_length=200, blank=True)
    specimen = models.CharField(max_length=200, blank=True)
    specimen_type = models.CharField(max_length=200, blank=True, help_text="SPM-4")
    body_site = models.CharField(max_length=200, blank=True, help_text="SPM-8")
    position = models.PositiveIntegerField(help_text="OBX index: the order within the report")
    # what came out
    value_type = models.CharField(max_length=10, blank=True, help_text="OBX-2")
    value_text = models.TextField(blank=True)
    value_kind = models.CharField(max_length=12, choices=[(k.value, k.name) for k in ValueKind])
    value_low = ExactNumberField(null=True)
    value_high = ExactNumberField(null=True)
    comparator = models.CharField(max_length=2, blank=True)
    unit_text = models.CharField(max_length=100, blank=True)
    unit_system = models.CharField(max_length=100, blank=True)
    unit_ucum = models.CharField(max_length=40, blank=True)
    unit_dimension = models.CharField(max_length=40, blank=True)
    range_text = models.CharField(max_length=500, blank=True)
    range_low = ExactNumberField(null=True)
    range_high = ExactNumberField(null=True)
    flags = ArrayField(models.CharField(max_length=20), default=list)
    status_sent = models.CharField(max_length=10, blank=True, help_text="OBX-11")
    status = models.CharField(max_length=16, choices=FhirStatus.choices)
    effective_at = models.DateTimeField()
    effective_basis = models.CharField(max_length=9, choices=EffectiveBasis.choices)
    issued_at = models.DateTimeField(null=True, help_text="OBR-22")
    method = models.CharField(max_length=200, blank=True)
    performer = models.CharField(max_length=300, blank=True)
    lab_comment = models.TextField(blank=True)
    # what we say about it
    state = models.CharField(max_length=16, choices=[(s.value, s.name) for s in PortalState])
    tier = models.CharField(max_length=9, choices=[(t.value, t.name) for t in Tier])
    rule_id = models.CharField(max_length=60)
    rule_version = models.CharField(max_length=20)
    basis = models.CharField(max_length=16, choices=[(b.value, b.name) for b in Basis])
    reason = models.CharField(max_length=500)
    computed_state = models.CharField(max_length=16)
    flag_state = models.CharField(max_length=16, blank=True)
    discrepancy = models.BooleanField(default=False)
    staff_critical = models.BooleanField(default=False)
    comparable = models.BooleanField(default=False)
    review_codes = ArrayField(models.CharField(max_length=40), default=list)
    range_used_low = ExactNumberField(null=True)
    range_used_high = ExactNumberField(null=True)
    range_low_inclusive = models.BooleanField(default=True)
    range_high_inclusive = models.BooleanField(default=True)
    # where it came from
    message = models.ForeignKey(
        InboundMessage, models.PROTECT, null=True, related_name="observations"
    )
    obx_index = models.PositiveIntegerField(null=True)
    parser_version = models.CharField(max_length=20)
    filed_by = models.ForeignKey(
        User,
        models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        help_text="null = intake itself",
    )
    filed_at = models.DateTimeField()
    derived_method = models.CharField(max_length=60, blank=True)
    derived_from = ArrayField(models.UUIDField(), default=list)
    # who may see it from when
    visible_from = models.DateTimeField(null=True)
    release_basis = models.CharField(
        max_length=15, choices=ReleaseBasis.choices, blank=True, default=ReleaseBasis.NONE
    )
    release_rule_version = models.CharField(max_length=40, blank=True)
    released_by = models.ForeignKey(
        User, models.PROTECT, null=True, related_name="+", db_index=False
    )
    announced_at = models.DateTimeField(null=True)

    objects = ObservationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["patient", "identity_key"],
                condition=Q(superseded_at__isnull=True),
                name="observation_current_once",
            ),
            models.UniqueConstraint(
                fields=["patient", "identity_key", "version"], name="observation_version_once"
            ),
            models.CheckConstraint(
                condition=Q(visible_from__isnull=True, release_basis="", released_by__isnull=True)
                | (Q(visible_from__isnull=False) & ~Q(release_basis="")),
                name="observation_release_has_basis",
            ),
            models.CheckConstraint(
                condition=(Q(release_basis="person") & Q(released_by__isnull=False))
                | (~Q(release_basis="person") & Q(released_by__isnull=True)),
                name="observation_released_by_a_person_only_then",
            ),
            models.CheckConstraint(
                condition=~Q(release_basis__in=["rule", "backstop"]) | ~Q(release_rule_version=""),
                name="observation_release_rule_named",
            ),
            models.CheckConstraint(
                condition=Q(visible_from__isnull=True) | ~Q(state__in=["HELD", "RETRACTED"]),
                name="observation_held_never_shown",
            ),
            models.CheckConstraint(
                condition=~Q(state="IN_RANGE")
                | (
                    Q(basis__in=["lab_range", "configured_range"])
                    & (Q(range_used_low__isnull=False) | Q(range_used_high__isnull=False))
                ),
                name="observation_in_range_needs_a_range",
            ),
            models.CheckConstraint(
                condition=(Q(origin="patient") & Q(message__isnull=True))
                | (~Q(origin="patient") & Q(message__isnull=False)),
                name="observation_from_a_message",
            ),
            models.CheckConstraint(
                condition=Q(
                    origin="patient",
                    report__isnull=True,
                    laboratory__isnull=True,
                    filed_by__isnull=False,
                    comparable=False,
                    staff_critical=False,
                    discrepancy=False,
                )
                | (~Q(origin="patient") & Q(report__isnull=False, laboratory__isnull=False)),
                name="observation_entered_moves_nobody",
            ),
            models.CheckConstraint(
                condition=(Q(origin="derived") & ~Q(derived_method="") & ~Q(derived_from=[]))
                | (~Q(origin="derived") & Q(derived_method="", derived_from=[])),
                name="observation_derived_names_inputs",
            ),
            models.CheckConstraint(
                condition=Q(is_stale=False)
                | Q(superseded_at__isnull=False, visible_from__isnull=True),
                name="observation_stale_is_history",
            ),
            models.CheckConstraint(
                condition=~Q(parser_version="") & ~Q(rule_version=""),
                name="observation_names_its_versions",
            ),
        ]
        indexes = [
            models.Index(
                fields=["patient", "-effective_at", "-id"],
                condition=Q(superseded_at__isnull=True),
                name="observation_latest",
            ),
            models.Index(
                fields=["patient", "analyte_key", "effective_at"],
                condition=Q(superseded_at__isnull=True),
                name="observation_series",
            ),
            models.Index(fields=["patient", "report"], name="observation_of_report"),
            # What was corrected or withdrawn: few rows among all.
            models.Index(
                fields=["-superseded_at", "-id"],
                condition=CHANGED,
                include=["patient"],
                name="observation_changed",
            ),
            # The lists of the staff site, the newest first.
            models.Index(
                fields=["-effective_at", "-id"],
                condition=Q(superseded_at__isnull=True),
                include=["patient"],
                name="observation_newest",
            ),
            models.Index(
                fields=["-effective_at", "-id"],
                condition=Q(superseded_at__isnull=True, discrepancy=True),
                include=["patient"],
                name="observation_disagrees",
            ),
            models.Index(
                fields=["visible_from"],
                condition=Q(announced_at__isnull=True, visible_from__isnull=False),
                name="observation_release_due",
            ),
        ]

    def __str__(self) -> str:
        return f"observation {str(self.id)[-6:]}"
