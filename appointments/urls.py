"""Addresses that a browser or a calendar program opens, each by a token of its own."""

from django.urls import path

from appointments import web

urlpatterns = [
    path("v/<str:token>", web.visit_link, name="visit_link"),
    path("calendar/<str:token>.ics", web.calendar_feed, name="calendar_feed"),
]
