"""Documents that arrive with results."""

from collections.abc import Sequence
from datetime import datetime

from core.areas import Area
from core.attachments import attachment_of
from core.models import Attachment
from labs.documents import Documents, SentDocument
from labs.models import Document, Observation


def store_documents(sent: Sequence[tuple[Observation, Documents]], *, now: datetime) -> None:
    """Insert what each stored version brought; at most two statements, none without documents."""
    made = [
        _document(row, document, position, now=now)
        for row, documents in sent
        for position, document in enumerate(documents.sent, start=1)
    ]
    if not made:
        return
    Attachment.objects.bulk_create([row.attachment for row in made if row.attachment is not None])
    Document.objects.bulk_create(made)


def _document(
    row: Observation, document: SentDocument, position: int, *, now: datetime
) -> Document:
    assert row.report_id is not None  # only what a patient entered has none
    kept = None
    if document.content is not None:
        kept = attachment_of(
            patient_id=row.patient_id, area=Area.LABS, content=document.content, now=now
        )
    return Document(
        patient_id=row.patient_id,
        report_id=row.report_id,
        observation=row,
        position=position,
        title=row.display_name,
        attachment=kept,
        reference=document.reference.encode() if kept is None else None,
        filed_at=now,
    )
