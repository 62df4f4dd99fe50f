"""Reads of what she asked for and of her tickets. All start from the viewer."""

from typing import cast

from django.db.models import Count, Q, QuerySet

from appointments.models import Ticket, VisitRequest
from appointments.wishes import PartOfDay, Window
from patients.viewer import Viewer

_GIVEN_BACK = ["cancelled", "entered-in-error"]


def requests_for(viewer: Viewer) -> QuerySet[VisitRequest]:
    """Return the requests in reach: hers for a patient or caregiver, by row security for staff."""
    if viewer.patient_id is not None:
        return VisitRequest.objects.filter(patient_id=viewer.patient_id)
    return VisitRequest.objects.all()


def windows_of(asked: VisitRequest) -> list[Window]:
    return [
        Window(
            first=row.first,
            last=row.last,
            weekdays=frozenset(row.weekdays),
            part_of_day=cast(PartOfDay, row.part_of_day),
        )
        for row in sorted(asked.windows.all(), key=lambda row: (row.first, row.last, row.id))
    ]


def tickets_for(viewer: Viewer) -> QuerySet[Ticket]:
    """Return the tickets in reach, each with `used`: how many live visits it has."""
    found = Ticket.objects.annotate(
        used=Count("bookings", filter=~Q(bookings__status__in=_GIVEN_BACK))
    )
    return found if viewer.patient_id is None else found.filter(patient_id=viewer.patient_id)


def words(stored: bytes | memoryview | None) -> str:
    """Return free text as it was written, empty when there is none."""
    return bytes(stored or b"").decode()
