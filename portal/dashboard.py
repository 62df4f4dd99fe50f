"""The first page of the staff site: how much work is due, and whether notices go out."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Model, Q
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from appointments.due import due_at_the_desk
from appointments.models import VisitRequest, WaitlistEntry
from core.areas import Area
from core.clock import utc_now
from labs import queues
from labs.models import DiagnosticReport, IntakeItem, Observation
from notifications.models import Notification
from patients.viewer import Viewer
from worklist.models import WorkItem
from worklist.selectors import critical_results

UNMATCHED = "intake.unmatched"
# A planned notice that is this late means that nobody sends.
LATE_NOTICE = timedelta(minutes=5)
OLD_REQUEST = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of the page; `alarming` ones are shown in colour and in words."""

    title: str
    value: str
    note: str
    alarming: bool
    href: str = ""


def due_work(viewer: Viewer, *, now: datetime) -> list[Figure]:
    """Return what the viewer's areas let her count; row security limits the rows."""
    figures: list[Figure] = []
    if viewer.may(Area.WORKLIST) or viewer.may(Area.INTAKE):
        figures += _open_items(now=now)
    if viewer.may(Area.WORKLIST):
        figures.append(_critical_results())
    if viewer.may(Area.LABS):
        figures += _results(viewer, now=now)
    if viewer.may(Area.INTAKE):
        figures += _intake()
    if viewer.may(Area.APPOINTMENTS):
        figures += _visits(viewer, now=now)
    if viewer.may(Area.NOTIFICATIONS):
        figures.append(_oldest_unsent(now=now))
    return figures


def _open_items(*, now: datetime) -> list[Figure]:
    counts = WorkItem.objects.filter(closed_at__isnull=True).aggregate(
        overdue=Count("id", filter=Q(due_at__lt=now, acknowledged_at__isnull=True)),
        soon=Count("id", filter=Q(due_at__gte=now, due_at__lt=now + timedelta(hours=24))),
        unmatched=Count("id", filter=Q(concern=UNMATCHED)),
    )
    link = _list_of(WorkItem)
    return [
        Figure(
            "Overdue, nobody has taken it",
            str(counts["overdue"]),
            "Past the due time and not acknowledged.",
            counts["overdue"] > 0,
            link,
        ),
        Figure(
            "Due in the next 24 hours",
            str(counts["soon"]),
            "Open items by due time.",
            False,
            link,
        ),
        Figure(
            "Results nobody could be matched to",
            str(counts["unmatched"]),
            "Kept in the queue; they are in no record yet.",
            counts["unmatched"] > 0,
            link,
        ),
    ]


def _critical_results() -> Figure:
    waiting = WorkItem.objects.filter(critical_results(), closed_at__isnull=True).count()
    return Figure(
        "Critical results",
        str(waiting),
        "Open emergencies that a laboratory result is a reason for.",
        waiting > 0,
        f"{_list_of(WorkItem)}?critical=yes",
    )


def _results(viewer: Viewer, *, now: datetime) -> list[Figure]:
    reports, disagree = queues.unreviewed_reports(), queues.unreviewed_discrepancies()
    changed = queues.reports_changed_since_read(user_id=viewer.user_id, now=now)
    return [
        Figure(
            "Changed after you read them",
            changed,
            "A result that you read was corrected or withdrawn since; read the report again.",
            changed != "0",
            f"{_list_of(DiagnosticReport)}?changed=yes",
        ),
        Figure(
            "Reports nobody has reviewed",
            reports,
            "As they stand now; the most serious first, then the oldest.",
            False,
            f"{_list_of(DiagnosticReport)}?reviewed=no",
        ),
        Figure(
            "Flag and range disagree",
            disagree,
            "Results whose flag and ours differ, in reports that nobody has reviewed.",
            disagree != "0",
            f"{_list_of(Observation)}?discrepancy__exact=1&reviewed=no",
        ),
    ]


def _intake() -> list[Figure]:
    return [
        Figure(
            words,
            counted := queues.open_troubles(kind),
            "Open rows of the intake queue; each says what clears it.",
            counted != "0",
            f"{_list_of(IntakeItem)}?trouble={kind}",
        )
        for kind, (words, _) in queues.TROUBLES.items()
    ]


def _visits(viewer: Viewer, *, now: datetime) -> list[Figure]:
    due = due_at_the_desk(viewer, now=now)
    waits = timedelta(0) if due.oldest_request is None else now - due.oldest_request
    return [
        Figure(
            "Should be here by now",
            str(due.late),
            "Visits that began ten minutes ago or more; nobody has arrived for them.",
            due.late > 0,
            reverse("admin:appointments_appointment_board"),
        ),
        Figure(
            "Visits in the next 24 hours",
            str(due.soon),
            f"{due.soon_unfinished} of them with an eCheck-in that is not complete.",
            False,
            reverse("admin:appointments_appointment_calendar"),
        ),
        Figure(
            "Requests nobody has answered",
            str(due.requests),
            f"The oldest waits {waits.days} days." if waits.days else "None is older than a day.",
            waits > OLD_REQUEST,
            _list_of(VisitRequest),
        ),
        Figure(
            "Waiting for a time",
            str(due.waiting),
            f"{due.offers_open} of them are being asked about an opening now.",
            False,
            _list_of(WaitlistEntry),
        ),
    ]


def _oldest_unsent(*, now: datetime) -> Figure:
    oldest = Notification.objects.filter(
        state__in=[Notification.State.PLANNED, Notification.State.CLAIMED], send_after__lte=now
    ).aggregate(oldest=Min("send_after"))["oldest"]
    late = timedelta(0) if oldest is None else now - oldest
    minutes = int(late.total_seconds() // 60)
    return Figure(
        "Oldest notice not sent yet",
        "none waiting" if oldest is None else f"{minutes} min",
        "Notices whose time has come; more than 5 minutes means sending has stopped.",
        late > LATE_NOTICE,
        _list_of(Notification),
    )


def _list_of(model: type[Model]) -> str:
    try:
        return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    except NoReverseMatch:
        return ""


def callback(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the figures to the page; called by the theme."""
    context["figures"] = due_work(request.viewer, now=utc_now())  # type: ignore[attr-defined]
    return context
