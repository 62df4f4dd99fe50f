"""What a patient's tickets for one kind of visit allow now. One statement."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from core.prepared import prepared_cursor

# A visit that was cancelled or entered in error has given its use back.
_PERMITS = """
SELECT t.id, t.earliest, t.latest, t.uses,
  ARRAY(SELECT a.ticket_use FROM appointments_appointment a
    WHERE a.ticket_id = t.id AND a.status NOT IN ('cancelled', 'entered-in-error')),
  EXISTS (SELECT 1 FROM appointments_appointment a
    WHERE a.ticket_id = t.id AND a.status = 'booked' AND a.starts_at > %(now)s)
FROM appointments_ticket t
JOIN appointments_visittype v ON v.id = t.visit_type_id
WHERE t.patient_id = %(patient)s AND t.visit_type_id = %(visit_type)s AND t.cancelled_at IS NULL
  AND (v.booking_policy = 'ticket'
    OR t.origin = 'clinic-change' AND v.booking_policy IN ('request', 'direct'))
ORDER BY t.latest, t.earliest, t.id
"""


# Booking policies under which a ticket lets her book what she otherwise could not.
WITH_TICKETS = ("ticket", "request")


@dataclass(frozen=True, slots=True)
class Permit:
    """A ticket that was not cancelled. `movable`: a visit of it is still ahead."""

    ticket_id: UUID
    earliest: date
    latest: date
    uses: int
    used: frozenset[int]
    movable: bool

    def covers(self, on: date) -> bool:
        return self.earliest <= on <= self.latest

    def free_uses(self) -> Iterator[int]:
        return (use for use in range(1, self.uses + 1) if use not in self.used)

    @property
    def good(self) -> bool:
        """Whether a visit can be booked or moved with it."""
        return self.movable or len(self.used) < self.uses


def permits_for(*, patient_id: UUID, visit_type_id: UUID, now: datetime) -> Sequence[Permit]:
    """Return her tickets for this kind of visit, the first to end first, expired ones too.

    An order counts where tickets are asked for; one for a visit that the clinic cancelled also
    where she would otherwise have to ask.
    """
    with prepared_cursor() as cursor:
        cursor.execute(_PERMITS, {"patient": patient_id, "visit_type": visit_type_id, "now": now})
        return [
            Permit(ticket_id, earliest, latest, uses, frozenset(used), movable)
            for ticket_id, earliest, latest, uses, used, movable in cursor.fetchall()
        ]
