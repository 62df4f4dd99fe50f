"""API addresses of this app, under /api/v1/."""

from django.urls import URLPattern, URLResolver, path

from appointments.api import (
    calendars,
    holds,
    operations,
    ordering,
    planning,
    prechecking,
    requesting,
    views,
    waitlist,
)

_PATIENT = "patients/<str:patient_ref>"
_VISIT = f"{_PATIENT}/appointments/<uuid:appointment_id>"
_PLAN = f"{_PATIENT}/care-plans/<uuid:plan_id>"

urlpatterns: list[URLPattern | URLResolver] = [
    path(f"{_PATIENT}/opening-days", views.OpeningDayListView.as_view()),
    path(f"{_PATIENT}/openings", views.OpeningListView.as_view()),
    path(f"{_PATIENT}/appointments", views.AppointmentListView.as_view()),
    path(f"{_PATIENT}/appointments/$find", operations.FindOperation.as_view()),
    path(f"{_PATIENT}/appointments/$hold", operations.HoldOperation.as_view()),
    path(f"{_PATIENT}/appointments/$book", operations.BookOperation.as_view()),
    path(f"{_VISIT}", views.AppointmentDetailView.as_view()),
    path(f"{_VISIT}/$cancel", views.CancelView.as_view()),
    path(
        f"{_VISIT}/$reschedule",
        views.RescheduleView.as_view(),
    ),
    path(f"{_VISIT}/$confirm", views.ConfirmView.as_view()),
    path(f"{_VISIT}/echeckin", prechecking.PreVisitView.as_view()),
    path(f"{_VISIT}/echeckin/$complete", prechecking.PreVisitCompleteView.as_view()),
    path(f"{_VISIT}/echeckin/<slug:section>", prechecking.PreVisitSectionView.as_view()),
    path(f"{_PATIENT}/holds", holds.HoldListView.as_view()),
    path(f"{_PATIENT}/holds/<uuid:hold_id>", holds.HoldDetailView.as_view()),
    path(f"{_PATIENT}/holds/<uuid:hold_id>/$renew", holds.RenewView.as_view()),
    path(f"{_PATIENT}/waitlist", waitlist.WaitlistListView.as_view()),
    path(f"{_PATIENT}/waitlist/<uuid:entry_id>", waitlist.WaitlistDetailView.as_view()),
    path(f"{_PATIENT}/waitlist/<uuid:entry_id>/$withdraw", waitlist.LeaveView.as_view()),
    path(f"{_PATIENT}/waitlist-offers", waitlist.OfferListView.as_view()),
    path(f"{_PATIENT}/waitlist-offers/<uuid:offer_id>/$accept", waitlist.AcceptOfferView.as_view()),
    path(
        f"{_PATIENT}/waitlist-offers/<uuid:offer_id>/$decline", waitlist.DeclineOfferView.as_view()
    ),
    path(f"{_PATIENT}/tickets", ordering.TicketListView.as_view()),
    path(f"{_PATIENT}/care-plans", planning.CarePlanListView.as_view()),
    path(f"{_PLAN}", planning.CarePlanDetailView.as_view()),
    path(f"{_PLAN}/$propose", planning.CarePlanProposeView.as_view()),
    path(f"{_PLAN}/$book", planning.CarePlanBookView.as_view()),
    path(f"{_PLAN}/$propose-move", planning.CarePlanProposeMoveView.as_view()),
    path(f"{_PLAN}/$move", planning.CarePlanMoveView.as_view()),
    path(f"{_PATIENT}/visit-requests", requesting.VisitRequestListView.as_view()),
    path(
        f"{_PATIENT}/visit-requests/<uuid:request_id>", requesting.VisitRequestDetailView.as_view()
    ),
    path(
        f"{_PATIENT}/visit-requests/<uuid:request_id>/$withdraw",
        requesting.VisitRequestWithdrawView.as_view(),
    ),
    path(f"{_PATIENT}/visit-types", views.VisitTypeListView.as_view()),
    path(f"{_PATIENT}/locations", views.LocationListView.as_view()),
    path(
        f"{_PATIENT}/appointments/<uuid:appointment_id>/calendar",
        calendars.CalendarFileView.as_view(),
    ),
    path(f"{_PATIENT}/calendar-feeds", calendars.CalendarFeedListView.as_view()),
    path(f"{_PATIENT}/calendar-feeds/<uuid:feed_id>", calendars.CalendarFeedDetailView.as_view()),
    path("visit-links/$resolve", calendars.VisitLinkView.as_view()),
]
