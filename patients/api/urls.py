"""API addresses of this app, under /api/v1/."""

from django.urls import path

from patients.api.record_views import AccessLogView, ChangesView, MeView, RecordView
from patients.api.staff_views import FindPatientView, RegisterPatientView

urlpatterns = [
    path("me", MeView.as_view(), name="me"),
    path("patients/<str:patient_ref>", RecordView.as_view(), name="patient-record"),
    path("patients/<str:patient_ref>/changes", ChangesView.as_view(), name="patient-changes"),
    path("patients/<str:patient_ref>/access-log", AccessLogView.as_view(), name="access-log"),
    path("staff/patients", RegisterPatientView.as_view(), name="staff-register-patient"),
    path("staff/patients/$find", FindPatientView.as_view(), name="staff-find-patient"),
]
