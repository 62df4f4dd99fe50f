"""From when a result is hers to see, and when she wants to be told of it."""

from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q

from accounts.models import Organization, User
from core.models import BaseModel
from labs.models.results import DiagnosticReport
from labs.models.senders import SendingLaboratory
from labs.release_rules import ResultClass, Timing
from labs.telling_rules import BACKSTOP_AT_MOST, When
from patients.models import Patient

CLASSES = [(value.value, value.value.replace("_", " ")) for value in ResultClass]
HOLD_CEILING = timedelta(days=60)
"""No site's own maximum may be longer (our choice)."""


def _exactly_one(*names: str) -> Q:
    """Return the condition that one of these texts is given and the others are empty."""
    found = Q()
    for given in names:
        one = ~Q(**{given: ""})
        for other in names:
            if other != given:
                one &= Q(**{other: ""})
        found |= one
    return found


class ReleaseRule(BaseModel):
    """A named, versioned rule that delays results of one kind; in force once approved.

    For every laboratory of the organization or for one. About a class of results, one analyte or
    one LOINC code. `amount` counts elapsed hours, or local days until `at_time`, both from when
    the result was final. Dates are days of the organization, the last one excluded.
    """

    organization = models.ForeignKey(Organization, models.PROTECT, related_name="release_rules")
    laboratory = models.ForeignKey(
        SendingLaboratory, models.PROTECT, null=True, blank=True, related_name="release_rules",
        help_text="empty = every laboratory of the organization",
    )  # fmt: skip
    name = models.SlugField(max_length=30)
    version = models.PositiveSmallIntegerField(default=1)
    result_class = models.CharField(max_length=20, choices=CLASSES, blank=True)
    analyte_key = models.CharField(max_length=40, blank=True)
    loinc = models.CharField(max_length=10, blank=True)
    timing = models.CharField(
        max_length=14, choices=[(value.value, value.value.replace("_", " ")) for value in Timing]
    )
    amount = models.PositiveSmallIntegerField(help_text="hours, or local days")
    at_time = models.TimeField(default="00:00", help_text="the local hour of that day")
    reason = models.CharField(max_length=300, help_text="the law or policy that asks for it")
    tells_of_delay = models.BooleanField(
        default=False,
        help_text="she may read that some tests of the visit are not released yet, and until when",
    )
    valid_from = models.DateField()
    valid_until = models.DateField(null=True, blank=True)
    author = models.ForeignKey(User, models.PROTECT, related_name="+")
    approved_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    approved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "name", "version"], name="release_rule_version_once"
            ),
            models.CheckConstraint(
                condition=_exactly_one("result_class", "analyte_key", "loinc"),
                name="release_rule_about_one_thing",
            ),
            models.CheckConstraint(
                condition=Q(timing="elapsed_hours", amount__lte=720)
                | Q(timing="local_day", amount__lte=30),
                name="release_rule_thirty_days_at_most",
            ),
            models.CheckConstraint(
                condition=~Q(name="") & ~Q(reason=""), name="release_rule_says_why"
            ),
            models.CheckConstraint(
                condition=Q(valid_until__isnull=True) | Q(valid_from__lt=F("valid_until")),
                name="release_rule_dates",
            ),
            models.CheckConstraint(
                condition=Q(approved_by__isnull=True, approved_at__isnull=True)
                | (
                    Q(approved_by__isnull=False, approved_at__isnull=False)
                    & ~Q(approved_by=F("author"))
                ),
                name="release_rule_approved_by_another",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}-{self.version}"

    def clean(self) -> None:
        """Refuse a laboratory of another organization, and a rule about none or two things."""
        faults: dict[str, Any] = {}
        sender = self.laboratory
        if sender is not None and sender.organization_id != self.organization_id:
            faults["laboratory"] = "not a laboratory of this organization"
        if sum(map(bool, (self.result_class, self.analyte_key, self.loinc))) != 1:
            faults["result_class"] = "name a class, an analyte or a LOINC code, and only one"
        if faults:
            raise ValidationError(faults)


class ReleaseHold(BaseModel):
    """One decision to keep results from the patient until a named time. FHIR: security label.

    About a whole report, or one result of it when `identity_key` is given; results that come
    later under the same report or identity are held, too. It ends at `backstop_at` by itself, or
    when somebody lifts it. `patient_request`: she asked for it herself. Words are for staff only.
    `reminded_at`: when staff were told that the backstop is near.
    """

    class Reason(models.TextChoices):
        DISCUSS_FIRST = "discuss_first", "to be discussed with her first"
        RISK_OF_HARM = "risk_of_harm", "risk of serious harm"
        IN_DOUBT = "in_doubt", "the result is in doubt"
        PATIENT_REQUEST = "patient_request", "she asked for it"

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="release_holds")
    report = models.ForeignKey(
        DiagnosticReport, models.PROTECT, related_name="holds", db_index=False
    )
    identity_key = models.CharField(max_length=64, blank=True)
    reason_code = models.CharField(max_length=15, choices=Reason.choices)
    words = models.CharField(max_length=300, blank=True)
    tells_of_delay = models.BooleanField(
        default=False,
        help_text="she may read that some tests of the visit are not released yet, and until when",
    )
    placed_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    placed_at = models.DateTimeField()
    backstop_at = models.DateTimeField()
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    lift_reason = models.CharField(max_length=300, blank=True)
    reminded_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(backstop_at__gt=F("placed_at"))
                & Q(backstop_at__lte=F("placed_at") + HOLD_CEILING),
                name="release_hold_has_a_backstop",
            ),
            models.CheckConstraint(
                condition=Q(reason_code="patient_request") | ~Q(words=""),
                name="release_hold_says_why",
            ),
            models.CheckConstraint(
                condition=Q(lifted_at__isnull=True, lifted_by__isnull=True, lift_reason="")
                | Q(
                    lifted_at__isnull=False,
                    lifted_at__gte=F("placed_at"),
                    lifted_by__isnull=False,
                ),
                name="release_hold_lifted_by_somebody",
            ),
        ]
        indexes = [
            models.Index(fields=["patient", "-backstop_at"], name="release_hold_of_patient"),
            models.Index(
                fields=["backstop_at"],
                condition=Q(lifted_at__isnull=True, reminded_at__isnull=True),
                name="release_hold_to_remind",
            ),
        ]

    def __str__(self) -> str:
        return f"hold {str(self.id)[-6:]}"


class TellingWish(BaseModel):
    """When she wants to be told of results of one class; the newest row counts, all are kept.

    Hours are local to her. It moves notices only: never what is visible, never staff work.
    """

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="telling_wishes")
    result_class = models.CharField(max_length=20, choices=CLASSES)
    when = models.CharField(max_length=13, choices=[(w.value, w.value) for w in When])
    hours_from = models.TimeField()
    hours_until = models.TimeField()
    on_date = models.DateField(null=True)
    days_after = models.PositiveSmallIntegerField(null=True)
    backstop_days = models.PositiveSmallIntegerField(null=True)
    chosen_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    chosen_at = models.DateTimeField()
    superseded_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["patient", "result_class"],
                condition=Q(superseded_at__isnull=True),
                name="telling_wish_current_once",
            ),
            models.CheckConstraint(
                condition=Q(hours_from__lt=F("hours_until")), name="telling_wish_hours"
            ),
            models.CheckConstraint(
                condition=Q(when="never", backstop_days__isnull=True)
                | (
                    ~Q(when="never")
                    & Q(
                        backstop_days__isnull=False,
                        backstop_days__gte=1,
                        backstop_days__lte=BACKSTOP_AT_MOST,
                    )
                ),
                name="telling_wish_has_a_backstop",
            ),
            models.CheckConstraint(
                condition=(
                    Q(when="on_date")
                    & (
                        Q(on_date__isnull=False, days_after__isnull=True)
                        | Q(
                            on_date__isnull=True,
                            days_after__isnull=False,
                            days_after__lte=BACKSTOP_AT_MOST,
                        )
                    )
                )
                | (~Q(when="on_date") & Q(on_date__isnull=True, days_after__isnull=True)),
                name="telling_wish_has_its_day",
            ),
        ]

    def __str__(self) -> str:
        return f"wish {str(self.id)[-6:]}"
