"""Documents that came with results: reports as files, and where a laboratory keeps others."""

from django.db import models
from django.db.models import Q

from core.crypto import EncryptedBinaryField
from core.models import Attachment, BaseModel
from labs.models.results import DiagnosticReport, Observation
from patients.models import Patient


class Document(BaseModel):
    """One document of one version of a result. FHIR DocumentReference.

    It is seen exactly where its result is seen: release, correction and withdrawal are the
    result's. `attachment` null: the sender only said where it lies (`reference`, for staff);
    nobody fetches it.
    """

    append_only = True

    patient = models.ForeignKey(Patient, models.PROTECT, related_name="+", db_index=False)
    report = models.ForeignKey(
        DiagnosticReport, models.PROTECT, related_name="documents", db_index=False
    )
    observation = models.ForeignKey(Observation, models.PROTECT, related_name="documents")
    position = models.PositiveSmallIntegerField()
    title = models.CharField(max_length=500)
    attachment = models.OneToOneField(
        Attachment, models.PROTECT, null=True, related_name="document"
    )
    reference = EncryptedBinaryField(null=True)
    filed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["patient", "observation", "position"], name="document_position_once"
            ),
            models.CheckConstraint(
                condition=Q(attachment__isnull=True, reference__isnull=False)
                | Q(attachment__isnull=False, reference__isnull=True),
                name="document_bytes_or_reference",
            ),
        ]
        indexes = [models.Index(fields=["patient", "report"], name="document_of_report")]
