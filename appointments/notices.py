"""Asked just before a notice about a visit leaves: does the visit still stand as it says?"""

from datetime import datetime

from appointments.models import Appointment
from appointments.reminder_rules import LAST_USE, is_overtaken
from appointments.services.reminding import STANDING, occurrence
from notifications.models import Notification
from notifications.purposes import Purpose
from notifications.rechecks import Skip


def recheck_visit_notice(row: Notification, now: datetime) -> Skip | None:
    """Return None when the visit is booked for the time that the notice was planned for."""
    visit = Appointment.objects.filter(id=row.subject_id, patient_id=row.patient_id).first()
    if visit is None or visit.status not in STANDING:
        return Skip("no-longer-applies")
    prefix = occurrence(visit.id, visit.sequence)
    if not row.occurrence.startswith(prefix):
        return Skip("no-longer-applies")
    if row.purpose != Purpose.VISIT_REMINDER:
        return None
    if now >= visit.starts_at - LAST_USE:
        return Skip("expired")
    rung = row.occurrence.removeprefix(prefix)
    zone = row.recipient.zone
    if is_overtaken(rung, starts_at=visit.starts_at, zone=zone, now=now):
        return Skip("overtaken")
    return None
