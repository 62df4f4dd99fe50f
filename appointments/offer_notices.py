"""Asked just before the notice of an offer leaves: can she still answer it?"""

from datetime import datetime

from appointments.models import WaitlistOffer
from notifications.models import Notification
from notifications.rechecks import Skip


def recheck_offer_notice(row: Notification, now: datetime) -> Skip | None:
    """Return None while the offer is open."""
    is_open = WaitlistOffer.objects.filter(
        id=row.subject_id,
        patient_id=row.patient_id,
        status=WaitlistOffer.Status.OPEN,
        answer_until__gt=now,
    ).exists()
    return None if is_open else Skip("no-longer-applies")
