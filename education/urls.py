"""Addresses of the pages that a browser opens."""

from django.urls import path

from education import web

urlpatterns = [path("learn/<slug:slug>", web.learn, name="learn")]
