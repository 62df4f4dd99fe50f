"""API addresses of this app, under /api/v1/."""

from django.urls import URLPattern, URLResolver, path

from notifications.api import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("patients/<str:patient_ref>/notifications", views.NotificationsView.as_view()),
]
