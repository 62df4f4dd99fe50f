"""Tables that every app writes to: audit, events, the change feed, idempotency."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.expressions import RawSQL

from core.crypto import EncryptedBinaryField
from core.ids import new_id


class BaseModel(models.Model):
    """A row with a time-ordered id. `append_only` rows can be neither changed nor deleted."""

    append_only = False

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        # The admin's own log stores this text: never a name, never a value.
        return f"{self._meta.verbose_name} {str(self.id)[-6:]}"


class AuditEvent(BaseModel):
    """Who looked at, changed or was refused what. FHIR AuditEvent.

    Holds ids, codes and field names, never values, and has no foreign keys: it must outlive
    what it speaks of. The table is partitioned by month of `occurred_at`.
    """

    append_only = True

    class Outcome(models.TextChoices):
        SUCCESS = "success"
        DENIED = "denied"
        FAILED = "failed"

    class Action(models.TextChoices):
        READ = "R", "Read"
        CREATE = "C", "Create"
        UPDATE = "U", "Update"
        DELETE = "D", "Delete"
        EXECUTE = "E", "Execute"

    occurred_at = models.DateTimeField()
    action = models.CharField(max_length=1, choices=Action.choices)
    operation = models.CharField(max_length=80)
    outcome = models.CharField(max_length=8, choices=Outcome.choices)
    actor_kind = models.CharField(max_length=8)
    actor_id = models.UUIDField(null=True)
    client_id = models.CharField(max_length=100, blank=True)
    patient_id = models.UUIDField(null=True)
    area = models.CharField(max_length=16, blank=True)
    resource = models.CharField(max_length=60, blank=True)
    resource_ids = ArrayField(models.UUIDField(), default=list)
    fields = ArrayField(models.CharField(max_length=60), default=list)
    purpose = models.CharField(max_length=40, blank=True)
    reason_code = models.CharField(max_length=60, blank=True)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        # The migration creates the partitioned table and its indexes in SQL.
        indexes = [
            models.Index(fields=["patient_id", "-occurred_at"], name="audit_patient_time"),
            models.Index(fields=["occurred_at"], name="audit_time"),
        ]


class Event(BaseModel):
    """Something that happened, written in the transaction in which it happened (outbox)."""

    append_only = True

    type = models.CharField(max_length=60)
    version = models.PositiveSmallIntegerField()
    subject_id = models.UUIDField()
    patient_id = models.UUIDField(null=True)
    occurred_at = models.DateTimeField()
    payload = models.JSONField(default=dict)
    request_id = models.CharField(max_length=64, blank=True)


class Delivery(BaseModel):
    """One event for one subscriber: at least once, unordered, dead after eight tries."""

    class State(models.TextChoices):
        PENDING = "pending"
        CLAIMED = "claimed"
        DONE = "done"
        DEAD = "dead"

    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="deliveries")
    subscriber = models.CharField(max_length=80)
    state = models.CharField(max_length=8, choices=State.choices, default=State.PENDING)
    tries = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=80, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["event", "subscriber"], name="delivery_once"),
            models.CheckConstraint(
                condition=models.Q(state="claimed", lease_until__isnull=False)
                | (~models.Q(state="claimed") & models.Q(lease_until__isnull=True)),
                name="delivery_lease_while_claimed",
            ),
            models.CheckConstraint(condition=models.Q(tries__lte=8), name="delivery_tries_capped"),
        ]
        indexes = [
            models.Index(
                fields=["due_at"],
                condition=models.Q(state__in=["pending", "claimed"]),
                name="delivery_open_by_due",
            )
        ]


class TransactionIdField(models.BigIntegerField):
    """PostgreSQL's xid8: the 64-bit id of the writing transaction."""

    def db_type(self, connection: object) -> str:
        return "xid8"


class Change(BaseModel):
    """One line of the delta feed: this resource of this patient changed or is gone."""

    append_only = True

    class Kind(models.TextChoices):
        UPSERT = "upsert"
        GONE = "gone"

    xid = TransactionIdField()
    patient_id = models.UUIDField()
    area = models.CharField(max_length=16)
    resource = models.CharField(max_length=40)
    resource_id = models.UUIDField()
    kind = models.CharField(max_length=6, choices=Kind.choices)
    at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["patient_id", "area", "xid", "id"], name="change_page"),
            models.Index(fields=["at"], name="change_at"),
        ]

    @staticmethod
    def writing_transaction() -> RawSQL:
        return RawSQL("pg_current_xact_id()", ())


class IdempotencyRecord(BaseModel):
    """The stored answer to one keyed POST. Patient data: encrypted, kept two days at most."""

    owner_key = models.CharField(max_length=64)
    user_id = models.UUIDField(null=True)
    patient_id = models.UUIDField(null=True)
    body_digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    content_type = models.CharField(max_length=80)
    headers = models.JSONField(default=dict)
    answer = EncryptedBinaryField()
    stored_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner_key"], name="idempotency_key_once"),
            models.CheckConstraint(
                condition=models.Q(status__gte=200, status__lt=300),
                name="idempotency_stores_successes",
            ),
        ]
        indexes = [models.Index(fields=["stored_at"], name="idempotency_stored_at")]


class Attachment(BaseModel):
    """A file about a patient: bytes as they came, encrypted at rest. FHIR Attachment.

    `media_type` is what the bytes are, by their first ones, never what somebody said of them.
    `size` and `sha256` speak of the plain bytes. A corrected file is a new row.
    """

    append_only = True

    MAX_BYTES = 10_000_000

    patient_id = models.UUIDField()
    area = models.CharField(max_length=16)
    media_type = models.CharField(max_length=40)
    size = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)
    content = EncryptedBinaryField()
    stored_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(size__gte=1, size__lte=10_000_000),
                name="attachment_size_in_bounds",
            ),
            models.CheckConstraint(
                condition=models.Q(sha256__regex=r"^[0-9a-f]{64}$"), name="attachment_has_hash"
            ),
        ]
        indexes = [models.Index(fields=["patient_id", "area"], name="attachment_of_patient")]
