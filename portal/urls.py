"""Addresses of the project. Personal data lives under /api/v1/patients/{me|id}/."""

from django.contrib import admin
from django.urls import include, path

from portal.health import alive, ready
from portal.metrics import metrics
from portal.views import home

handler404 = "portal.errors.not_found"
handler500 = "portal.errors.server_error"

api_v1 = [
    path("", include("accounts.api.urls")),
    path("", include("patients.api.urls")),
    path("", include("notifications.api.urls")),
    path("", include("worklist.api.urls")),
    path("", include("labs.api.urls")),
    path("", include("appointments.api.urls")),
    path("", include("symptoms.api.urls")),
    path("", include("education.api.urls")),
]

urlpatterns = [
    path("api/v1/", include(api_v1)),
    path("fhir/", include("labs.api.fhir_urls")),
    path("", home, name="home"),
    path("healthz", alive),
    path("readyz", ready),
    path("metrics", metrics),
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("o/", include("accounts.oauth_urls")),
    path("", include("appointments.urls")),
    path("", include("education.urls")),
]
