"""Who sends results, and what staff settled about each sender."""

import ipaddress
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q

from accounts.models import Organization, User
from clinical.flags import FLAG_STATES
from clinical.units import unit_of_ucum
from core.models import BaseModel
from labs.models.fields import ExactNumberField
from patients.models import Patient


class SendingLaboratory(BaseModel):
    """A registered laboratory: how it proves itself and how its messages are read.

    Over HTTPS it proves itself with the OAuth client `client_id`, over MLLP by coming from one
    of `peer_networks`; an empty list means that it may not use MLLP. `unit_aliases` maps a
    spelling to UCUM, `flag_meanings` its own flag codes to portal states.
    `off_scale_means_panic`: what its < and > in OBX-8 mean; null = not asked yet.
    """

    key = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=200)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="laboratories")
    client_id = models.CharField(max_length=100, unique=True, null=True, blank=True)
    peer_networks = ArrayField(
        models.CharField(max_length=43), default=list, blank=True, help_text="CIDR, for MLLP"
    )
    zone = models.CharField(max_length=64, help_text="IANA zone of times sent without an offset")
    decimal_comma = models.BooleanField(default=False)
    unit_aliases = models.JSONField(default=dict, blank=True)
    flag_meanings = models.JSONField(default=dict, blank=True)
    default_authority = models.CharField(
        max_length=120, blank=True, help_text="for patient numbers sent without an authority"
    )
    allowed_authorities = ArrayField(
        models.CharField(max_length=120),
        default=list,
        blank=True,
        help_text="whose patient numbers it may use; empty = all",
    )
    off_scale_means_panic = models.BooleanField(null=True, blank=True)
    is_gateway = models.BooleanField(
        default=False, help_text="an interface engine: sends under names that nobody registered"
    )
    reuses_control_ids = models.BooleanField(default=False)
    shows_preliminary = models.BooleanField(
        default=False, help_text="patients see its early results"
    )
    is_active = models.BooleanField(default=True)

    class Meta:
        verbose_name_plural = "sending laboratories"
        constraints = [
            models.CheckConstraint(condition=~Q(zone=""), name="laboratory_has_zone"),
            models.CheckConstraint(
                condition=Q(client_id__isnull=True) | ~Q(client_id=""),
                name="laboratory_client_null_not_empty",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a zone, network, unit or state that intake could not use."""
        faults: dict[str, list[str]] = {}
        self._check(faults, "zone", [self.zone], ZoneInfo)
        self._check(faults, "peer_networks", self.peer_networks, ipaddress.ip_network)
        self._check(faults, "unit_aliases", self.unit_aliases.values(), unit_of_ucum)
        known = {str(state) for state in FLAG_STATES}
        strange = [str(value) for value in self.flag_meanings.values() if value not in known]
        if strange:
            faults["flag_meanings"] = [f"not a state of a flag: {', '.join(strange)}"]
        if faults:
            raise ValidationError(faults)

    @staticmethod
    def _check(faults: dict[str, list[str]], field: str, values: Any, read: Any) -> None:
        for value in values:
            try:
                read(value)
            except (ValueError, KeyError, OSError):
                faults.setdefault(field, []).append(f"not usable: {value}")


class SenderName(BaseModel):
    """One pair of MSH-3 and MSH-4 under which a laboratory sends. It names one laboratory."""

    laboratory = models.ForeignKey(SendingLaboratory, models.CASCADE, related_name="names")
    application = models.CharField(max_length=180, blank=True)
    facility = models.CharField(max_length=180, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["application", "facility"], name="sender_name_one_laboratory"
            ),
            models.CheckConstraint(
                condition=~Q(application="") | ~Q(facility=""), name="sender_name_not_empty"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.application}|{self.facility}"


class CodeMap(BaseModel):
    """What a laboratory's own test code means in LOINC. FHIR ConceptMap."""

    laboratory = models.ForeignKey(SendingLaboratory, models.CASCADE, related_name="code_maps")
    local_code = models.CharField(max_length=80)
    local_system = models.CharField(max_length=80, blank=True)
    loinc = models.CharField(max_length=10)
    mapped_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    mapped_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["laboratory", "local_code", "local_system"], name="code_map_once"
            ),
            models.CheckConstraint(
                condition=~Q(local_code="") & ~Q(loinc=""), name="code_map_complete"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.local_code} = {self.loinc}"


class ConfiguredRange(BaseModel):
    """A range that staff entered for one laboratory and analyte; it judges only once approved.

    Ages are completed years, `age_from_years` included and `age_to_years` excluded. `sex` empty
    means any. Dates are the days of collection for which it holds, the last one excluded.
    """

    class Sex(models.TextChoices):
        ANY = "", "any"
        FEMALE = "female"
        MALE = "male"

    laboratory = models.ForeignKey(
        SendingLaboratory, models.PROTECT, related_name="configured_ranges"
    )
    analyte_key = models.CharField(max_length=40)
    loinc = models.CharField(max_length=10, blank=True, help_text="empty = every code of it")
    sex = models.CharField(max_length=6, choices=Sex.choices, blank=True, default=Sex.ANY)
    age_from_years = models.PositiveSmallIntegerField(default=0)
    age_to_years = models.PositiveSmallIntegerField(null=True, blank=True)
    unit = models.CharField(max_length=40, help_text="UCUM")
    low = ExactNumberField(null=True, blank=True)
    high = ExactNumberField(null=True, blank=True)
    source = models.CharField(max_length=200, help_text="where the laboratory states it")
    valid_from = models.DateField()
    valid_until = models.DateField(null=True, blank=True)
    entered_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    approved_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    approved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(low__isnull=False) | Q(high__isnull=False),
                name="configured_range_has_a_bound",
            ),
            models.CheckConstraint(
                condition=Q(low__isnull=True) | Q(high__isnull=True) | Q(low__lte=F("high")),
                name="configured_range_low_below_high",
            ),
            models.CheckConstraint(
                condition=Q(approved_by__isnull=True, approved_at__isnull=True)
                | Q(approved_by__isnull=False, approved_at__isnull=False),
                name="configured_range_approved_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(approved_by__isnull=True)
                | Q(entered_by__isnull=True)
                | ~Q(approved_by=F("entered_by")),
                name="configured_range_approved_by_another",
            ),
            models.CheckConstraint(
                condition=Q(age_to_years__isnull=True) | Q(age_from_years__lt=F("age_to_years")),
                name="configured_range_ages",
            ),
            models.CheckConstraint(
                condition=Q(valid_until__isnull=True) | Q(valid_from__lt=F("valid_until")),
                name="configured_range_dates",
            ),
            models.CheckConstraint(
                condition=~Q(unit="") & ~Q(source=""), name="configured_range_complete"
            ),
        ]
        indexes = [
            models.Index(fields=["laboratory", "analyte_key"], name="configured_range_lookup")
        ]

    def __str__(self) -> str:
        return f"{self.analyte_key} {str(self.id)[-6:]}"

    def clean(self) -> None:
        """Refuse a unit that intake could not use."""
        try:
            unit_of_ucum(self.unit)
        except KeyError as error:
            raise ValidationError({"unit": "not a UCUM unit of this system"}) from error


class MatchDecision(BaseModel):
    """Staff settled whose results a sender means by exactly these particulars.

    Made by two people, revocable, never stronger than the look-alike lock. Holds for the
    identical tuple only. Its particulars are never rewritten: another decision follows it.
    `message` is the one in doubt when it was proposed.
    """

    laboratory = models.ForeignKey(
        SendingLaboratory, models.PROTECT, related_name="match_decisions"
    )
    authority = models.CharField(max_length=120)
    identifier = models.CharField(max_length=80)
    family_name_key = models.CharField(max_length=100)
    birth_date = models.DateField()
    patient = models.ForeignKey(Patient, models.PROTECT, related_name="match_decisions")
    message = models.ForeignKey(
        "labs.InboundMessage", models.PROTECT, null=True, blank=True, related_name="+"
    )
    reason = models.CharField(max_length=300)
    decided_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    decided_at = models.DateTimeField()
    confirmed_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    confirmed_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    revoked_at = models.DateTimeField(null=True, blank=True)
    revocation_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["laboratory", "authority", "identifier", "family_name_key", "birth_date"],
                condition=Q(revoked_at__isnull=True),
                name="match_decision_open_once",
            ),
            models.CheckConstraint(
                condition=Q(confirmed_by__isnull=True, confirmed_at__isnull=True)
                | Q(confirmed_by__isnull=False, confirmed_at__isnull=False),
                name="match_decision_confirmed_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(confirmed_by__isnull=True) | ~Q(confirmed_by=F("decided_by")),
                name="match_decision_by_two_people",
            ),
            models.CheckConstraint(
                condition=Q(revoked_by__isnull=True, revoked_at__isnull=True, revocation_reason="")
                | (
                    Q(revoked_by__isnull=False, revoked_at__isnull=False) & ~Q(revocation_reason="")
                ),
                name="match_decision_revoked_by_somebody",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="match_decision_says_why"),
        ]

    def __str__(self) -> str:
        return f"decision {str(self.id)[-6:]}"
