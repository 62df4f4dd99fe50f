"""The front page: where to sign in, and where to go once signed in."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def home(request: HttpRequest) -> HttpResponse:
    """Show the way; the page holds nothing personal."""
    return render(request, "portal/home.html")
