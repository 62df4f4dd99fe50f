"""The texts that a clinic asks people about before a visit."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Max

from accounts.models import Organization
from appointments.models import ConsentText
from core.ids import uuid7


@transaction.atomic
def publish_consent(
    *, organization_id: UUID, code: str, title: str, text: str, now: datetime
) -> ConsentText:
    """Put a wording in force, in place of the one before under the same code.

    Whoever agreed to the earlier wording is asked again at her next eCheck-in; what she said
    stays with the version that she read.
    """
    # Two editors at once: the second becomes the version after the first.
    Organization.objects.select_for_update().get(id=organization_id)
    earlier = ConsentText.objects.filter(organization_id=organization_id, code=code)
    newest = earlier.aggregate(newest=Max("version"))["newest"] or 0
    earlier.filter(retired_at__isnull=True).update(retired_at=now)
    return ConsentText.objects.create(
        id=uuid7(now),
        organization_id=organization_id,
        code=code,
        version=newest + 1,
        title=title,
        text=text,
        valid_from=now,
    )


def retire_consent(*, text_id: UUID, now: datetime) -> None:
    """Ask about a text no longer. Doing it again changes nothing."""
    ConsentText.objects.filter(id=text_id, retired_at__isnull=True).update(retired_at=now)
