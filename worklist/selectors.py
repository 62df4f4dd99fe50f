"""Reads of the worklist, and of the calendar that due times come from."""

from datetime import datetime, timedelta

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from accounts.models import DutyShift, Holiday, OpeningHours, Organization
from core.db import identity, system
from patients.viewer import Viewer
from worklist.calendar import HORIZON, Hours, Span, StaffedCalendar
from worklist.models import Evidence, Urgency, WorkItem


def staffed_calendar(organization: Organization, *, now: datetime) -> StaffedCalendar:
    """Return the calendar of an organization from the day before `now` on."""
    since, until = now - timedelta(days=2), now + HORIZON + timedelta(days=2)
    return StaffedCalendar(
        zone=organization.zone,
        hours=tuple(
            Hours(row.iso_weekday, row.opens, row.closes)
            for row in OpeningHours.objects.filter(organization=organization)
        ),
        holidays=frozenset(
            Holiday.objects.filter(
                organization=organization, date__gte=since.date(), date__lte=until.date()
            ).values_list("date", flat=True)
        ),
        shifts=tuple(
            Span(row.starts_at, row.ends_at)
            for row in DutyShift.objects.filter(
                organization=organization, on_call=False, ends_at__gt=since, starts_at__lt=until
            )
        ),
    )


def open_items_for(viewer: Viewer) -> QuerySet[WorkItem]:
    """Return the open items the viewer may work on, the most pressing first.

    Row security narrows them to her patients; without the worklist area there are none.
    """
    if not viewer.may("worklist"):
        return WorkItem.objects.none()
    return WorkItem.objects.filter(closed_at__isnull=True).order_by("due_at", "id")


def critical_results() -> Q:
    """Return what picks the emergencies that a laboratory result is a reason for."""
    of_a_result = Evidence.objects.filter(item=OuterRef("pk"), kind="observation")
    return Q(Exists(of_a_result), urgency=Urgency.EMERGENCY)


def overdue_by_urgency(*, now: datetime) -> dict[str, int]:
    """Return how many open items are past their due time, by urgency; for the metrics."""
    with identity(system("metrics")):
        counted = (
            WorkItem.objects.filter(closed_at__isnull=True, due_at__lt=now)
            .order_by()
            .values_list("urgency")
            .annotate(n=Count("id"))
        )
        return dict(counted)
