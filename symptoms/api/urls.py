"""API addresses of this app, under /api/v1/."""

from django.urls import URLPattern, URLResolver, path

from symptoms.api import views
from symptoms.api.plan_views import CheckInPlansView

_RECORD = "patients/<str:patient_ref>"

urlpatterns: list[URLPattern | URLResolver] = [
    path(f"{_RECORD}/check-in-plans", CheckInPlansView.as_view()),
    path(f"{_RECORD}/check-ins", views.CheckInsView.as_view()),
    path(f"{_RECORD}/check-ins/<uuid:check_in_id>", views.CheckInView.as_view()),
    path(f"{_RECORD}/check-ins/<uuid:check_in_id>/$check", views.CheckInLookView.as_view()),
    path(f"{_RECORD}/check-ins/<uuid:check_in_id>/responses", views.ResponsesView.as_view()),
    path(f"{_RECORD}/symptoms/<slug:symptom_key>/trend", views.SymptomTrendView.as_view()),
]
