"""What is shown when no address matches or something breaks: problem+json under /api/."""

from django.http import HttpRequest, HttpResponse
from django.views import defaults

from core.api import problems


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith("/api/"):
        return problems.not_found(request, exception)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if request.path.startswith("/api/"):
        return problems.server_error(request)
    return defaults.server_error(request)
