"""What came in, byte for byte, and what became of it."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from accounts.models import User
from core.crypto import EncryptedBinaryField
from core.models import BaseModel
from labs.models.senders import SendingLaboratory


class InboundMessage(BaseModel):
    """One message as received and how it was answered. Never changed, never deleted.

    `receipt` is decided before the answer leaves: accepted (to be filed), test-area (not meant
    for production), refused (AE or AR), duplicate (the same message again) or set-aside (the
    control id of another message). What filing made of an accepted one stands in `filings`.
    `size` and `sha256` speak of all bytes received, `raw` holds at most the limit of the door.
    `control_key` (a hash of MSH-3, MSH-4 and MSH-10, or of what names a FHIR body) and
    `body_hash` find replays.
    """

    append_only = True

    class Door(models.TextChoices):
        MLLP = "mllp", "MLLP"
        HTTPS = "https", "HTTPS"
        FILE = "file", "file"
        FHIR = "fhir", "FHIR"

    class Ack(models.TextChoices):
        ACCEPTED = "AA"
        ERROR = "AE"
        REJECTED = "AR"

    class Receipt(models.TextChoices):
        ACCEPTED = "accepted"
        TEST_AREA = "test-area"
        REFUSED = "refused"
        DUPLICATE = "duplicate"
        SET_ASIDE = "set-aside"

    laboratory = models.ForeignKey(
        SendingLaboratory, models.PROTECT, null=True, related_name="messages"
    )
    door = models.CharField(max_length=5, choices=Door.choices)
    peer = models.GenericIPAddressField(null=True)
    received_at = models.DateTimeField()
    raw = EncryptedBinaryField()
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    body_hash = models.CharField(max_length=64)
    truncated = models.BooleanField(default=False)
    sending_application = models.CharField(max_length=255, blank=True)
    sending_facility = models.CharField(max_length=255, blank=True)
    control_id = models.CharField(max_length=255, blank=True)
    control_key = models.CharField(max_length=64)
    message_type = models.CharField(max_length=40, blank=True)
    ack_code = models.CharField(max_length=2, choices=Ack.choices)
    receipt = models.CharField(max_length=9, choices=Receipt.choices)
    reasons = ArrayField(models.CharField(max_length=40), default=list)
    parser_version = models.CharField(max_length=20)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(sha256__regex="^[0-9a-f]{64}$") & ~Q(parser_version=""),
                name="message_has_hash_and_parser",
            ),
            # One accepted message a control id; a second one with another body is set aside.
            models.UniqueConstraint(
                fields=["laboratory", "control_key"],
                condition=Q(receipt="accepted"),
                name="message_accepted_once",
            ),
            models.UniqueConstraint(
                fields=["laboratory", "control_key", "body_hash"],
                condition=Q(receipt__in=["accepted", "set-aside"]),
                name="message_kept_once",
            ),
            models.CheckConstraint(
                condition=(Q(receipt="refused") & Q(ack_code__in=["AE", "AR"]))
                | (~Q(receipt="refused") & Q(ack_code="AA")),
                name="message_answer_fits_receipt",
            ),
            models.CheckConstraint(
                condition=Q(receipt="refused") | Q(laboratory__isnull=False),
                name="message_unknown_sender_refused",
            ),
            models.CheckConstraint(
                condition=~Q(receipt="refused") | ~Q(reasons=[]),
                name="message_refused_says_why",
            ),
        ]
        indexes = [
            models.Index(fields=["laboratory", "control_key"], name="message_by_control_key"),
            models.Index(fields=["-received_at"], name="message_by_time"),
        ]

    def __str__(self) -> str:
        return f"message {str(self.id)[-6:]}"


class UnfiledMessage(BaseModel):
    """An accepted message that is not filed yet; the row goes in the transaction that files it.

    After three failures `parked_at` is set: the message waits for a person.
    """

    message = models.OneToOneField(InboundMessage, models.PROTECT, related_name="unfiled")
    received_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0)
    try_after = models.DateTimeField()
    error_code = models.CharField(max_length=80, blank=True)
    parked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(tries__lte=3), name="unfiled_tries_capped"),
            models.CheckConstraint(
                condition=Q(parked_at__isnull=True) | Q(tries=3), name="unfiled_parked_after_tries"
            ),
        ]
        indexes = [
            models.Index(
                fields=["try_after"], condition=Q(parked_at__isnull=True), name="unfiled_due"
            )
        ]


class Filing(BaseModel):
    """One pass over a stored message: what was filed and what was not. The newest one counts.

    `filed_by` null means intake itself; a person re-processed it otherwise.
    """

    append_only = True

    class Outcome(models.TextChoices):
        STORED = "stored"
        QUEUED = "queued"

    message = models.ForeignKey(InboundMessage, models.PROTECT, related_name="filings")
    sequence = models.PositiveSmallIntegerField()
    outcome = models.CharField(max_length=6, choices=Outcome.choices)
    reasons = ArrayField(models.CharField(max_length=40), default=list)
    lines_filed = models.PositiveIntegerField()
    lines_queued = models.PositiveIntegerField()
    parser_version = models.CharField(max_length=20)
    rule_version = models.CharField(max_length=20)
    filed_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    filed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["message", "sequence"], name="filing_sequence_once"),
            models.CheckConstraint(
                condition=Q(outcome="stored") | ~Q(reasons=[]), name="filing_queued_says_why"
            ),
        ]


class IntakeItem(BaseModel):
    """Something in a message that a person must settle: it could not be placed or judged.

    `obr_position` and `obx_index` count through the message, from 1; null = the whole message
    or patient group. `segment` is the offending segment. `observation_id` is set when the line
    was filed and only its judgement is in doubt. `action` says what clears it.
    """

    message = models.ForeignKey(InboundMessage, models.PROTECT, related_name="items")
    laboratory = models.ForeignKey(SendingLaboratory, models.PROTECT, null=True, related_name="+")
    reason = models.CharField(max_length=40)
    words = models.CharField(max_length=300)
    action = models.CharField(max_length=200, blank=True)
    code = models.CharField(max_length=80, blank=True, help_text="the code or unit in question")
    segment = EncryptedBinaryField(null=True)
    obr_position = models.PositiveIntegerField(null=True)
    obx_index = models.PositiveIntegerField(null=True)
    observation_id = models.UUIDField(null=True)
    raised_at = models.DateTimeField()
    cleared_at = models.DateTimeField(null=True, blank=True)
    cleared_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    clearance = models.CharField(max_length=40, blank=True)
    note = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["message", "reason", "obr_position", "obx_index"],
                condition=Q(cleared_at__isnull=True),
                nulls_distinct=False,
                name="intake_item_open_once",
            ),
            models.CheckConstraint(
                condition=Q(cleared_at__isnull=True, cleared_by__isnull=True, clearance="")
                | (Q(cleared_at__isnull=False, cleared_by__isnull=False) & ~Q(clearance="")),
                name="intake_item_cleared_by_somebody",
            ),
        ]
        indexes = [
            models.Index(
                fields=["reason", "raised_at"],
                condition=Q(cleared_at__isnull=True),
                name="intake_item_queue",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reason} {str(self.id)[-6:]}"
