"""Addresses of the FHIR door, under /fhir/R4: the base takes bundles, a type its resource."""

from django.urls import path

from labs.api.fhir import FhirView

urlpatterns = [
    path("R4", FhirView.as_view()),
    path("R4/", FhirView.as_view()),
    path("R4/<str:resource_type>", FhirView.as_view()),
]
