"""Files of a record: kept encrypted, and handed out so that no program runs them."""

import hashlib
from datetime import datetime
from uuid import UUID

from django.http.response import HttpResponseBase

from core.errors import DomainError
from core.media import extension_of, media_type_of
from core.models import Attachment


class AttachmentRefused(DomainError):
    """A file that is empty, or larger than what is kept."""

    code = "attachment-size"
    title = "A file must have 1 byte to 10 MB."
    status = 413


def attachment_of(*, patient_id: UUID, area: str, content: bytes, now: datetime) -> Attachment:
    """Return the unsaved row for a file. Raises: AttachmentRefused."""
    if not 0 < len(content) <= Attachment.MAX_BYTES:
        raise AttachmentRefused()
    return Attachment(
        patient_id=patient_id,
        area=area,
        media_type=media_type_of(content),
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        content=content,
        stored_at=now,
    )


def make_harmless(response: HttpResponseBase, *, media_type: str) -> None:
    """Set the headers under which a browser saves a file and never runs it.

    The file name is neutral: it is stored in places that this system does not guard.
    """
    response["Content-Type"] = media_type
    response["Content-Disposition"] = f'attachment; filename="document.{extension_of(media_type)}"'
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cache-Control"] = "no-store, private"
