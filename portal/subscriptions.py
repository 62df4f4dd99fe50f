"""Which part hears of which event: the one place where features meet."""

from appointments.events import WaitlistOfferOver
from core.events import (
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentRescheduled,
    CommentPublished,
    GrantChanged,
    ReportReviewed,
    ResultsFiled,
    VisitRequestAnswered,
    subscribe,
)
from notifications.events import NoticeNotReached
from worklist.events import WorkItemEscalated


def subscribe_all() -> None:
    """Register every subscriber; called once when the project starts."""
    from appointments.services import offering, reminding
    from labs.services import result_notices
    from notifications import services as notifications
    from worklist import services as worklist

    subscribe(ResultsFiled, "notifications.result-notice", result_notices.on_results_filed)
    subscribe(CommentPublished, "notifications.comment-notice", result_notices.on_comment_published)
    subscribe(ReportReviewed, "labs.told-after-review", result_notices.on_report_reviewed)
    subscribe(WorkItemEscalated, "notifications.page-on-call", notifications.on_work_item_escalated)
    subscribe(
        VisitRequestAnswered,
        "notifications.request-answered",
        notifications.on_visit_request_answered,
    )
    subscribe(NoticeNotReached, "worklist.call-her", worklist.on_notice_not_reached)
    subscribe(AppointmentBooked, "appointments.booked-notice", reminding.on_booked)
    subscribe(AppointmentRescheduled, "appointments.moved-notice", reminding.on_rescheduled)
    subscribe(AppointmentCancelled, "appointments.cancelled-notice", reminding.on_cancelled)
    subscribe(GrantChanged, "appointments.caregiver-reminders", reminding.on_grant_changed)
    subscribe(AppointmentBooked, "appointments.waitlist-booked", offering.on_visit_booked)
    subscribe(AppointmentRescheduled, "appointments.waitlist-moved", offering.on_visit_changed)
    subscribe(AppointmentCancelled, "appointments.waitlist-cancelled", offering.on_visit_changed)
    subscribe(WaitlistOfferOver, "appointments.waitlist-offer-over", offering.on_offer_over)
