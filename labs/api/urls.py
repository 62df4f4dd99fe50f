"""API addresses of laboratory results, under /api/v1/."""

from django.urls import path

from labs.api import own_entries, views
from labs.api.document_views import DocumentContentView
from labs.api.exporting import ResultsExportView
from labs.api.holds import EndHoldView, HoldsView
from labs.api.intake import MessageView
from labs.api.staff_views import FindMessageView
from labs.api.telling import TellingView

PATIENT = "patients/<str:patient_ref>/"

urlpatterns = [
    path("labs/messages", MessageView.as_view()),
    path("staff/lab-messages/$find", FindMessageView.as_view()),
    path(f"{PATIENT}reports", views.ReportListView.as_view()),
    path(f"{PATIENT}reports/<uuid:report_id>", views.ReportView.as_view()),
    path(f"{PATIENT}documents/<uuid:document_id>/content", DocumentContentView.as_view()),
    path(f"{PATIENT}reports/<uuid:report_id>/seen", own_entries.ReportSeenView.as_view()),
    path(f"{PATIENT}outside-results", own_entries.OutsideResultsView.as_view()),
    path(f"{PATIENT}outside-results/<uuid:result_id>", own_entries.OutsideResultView.as_view()),
    path(f"{PATIENT}hold-requests", HoldsView.as_view()),
    path(f"{PATIENT}hold-requests/<uuid:hold_id>/end", EndHoldView.as_view()),
    path(f"{PATIENT}telling", TellingView.as_view()),
    path(f"{PATIENT}results", views.ResultListView.as_view()),
    path(f"{PATIENT}results/export.<str:format>", ResultsExportView.as_view()),
    path(f"{PATIENT}analytes", views.AnalyteListView.as_view()),
    path(f"{PATIENT}analytes/<slug:analyte_key>/trend", views.TrendView.as_view()),
    path(
        f"{PATIENT}analytes/<slug:analyte_key>/trend.<str:format>",
        views.TrendPictureView.as_view(),
    ),
]
