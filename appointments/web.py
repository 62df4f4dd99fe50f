"""Pages by token, outside the API: the link in a message, and what a calendar program reads.

Mail scanners and previews open every link, so opening one changes nothing.
"""

import hashlib
from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_safe

from appointments import capabilities, services
from appointments.calendar_files import MEDIA_TYPE
from appointments.link_words import words
from appointments.services.links import LINK_SCOPES, OpenedLink, Standing
from core import audit
from core.areas import Area
from core.clock import utc_now
from core.crypto import keyed_digest
from core.db import identity
from core.errors import NotFound
from core.models import AuditEvent
from core.timeobject import time_object
from notifications.models import Notification
from notifications.purposes import Purpose
from notifications.selectors import wants_detail
from patients.selectors import viewer_in
from patients.viewer import Viewer

_OPEN = "appointments.links.open"
_ANSWER = "appointments.links.answer"
_FEED = "appointments.feed.read"


def _private(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "no-store, private"
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response


def _denied(operation: str, now: datetime) -> None:
    audit.record_denial(
        operation=operation, now=now, reason_code="not-found", actor_kind="none", actor_id=None
    )


# --- the link in a message --------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def visit_link(request: HttpRequest, token: str) -> HttpResponse:
    """Show what a link in a message is about, and take the answer to it."""
    now = utc_now()
    link = capabilities.find_link(token, now=now)
    viewer = viewer_in(link.user_id, link.patient_id, scopes=LINK_SCOPES) if link else None
    if link is None or viewer is None or not viewer.scopes:
        _denied(_ANSWER if request.method == "POST" else _OPEN, now)
        return _page(request, "en", {"message": words("en")["unknown"]}, status=404)
    says = words(viewer.language)
    refusal = ""
    with identity(viewer.identity):
        if request.method == "POST":
            refusal = _answered(request, viewer, link, says, now=now)
            if not refusal:
                return _private(HttpResponseRedirect(request.path))
        shown = services.read_link(viewer=viewer, link=link, now=now)
        audit.record(
            action=AuditEvent.Action.READ,
            operation=_OPEN,
            now=now,
            area=Area.APPOINTMENTS,
            resource="Appointment",
            resource_ids=[link.appointment_id],
        )
        facts = _facts(request, shown, link, viewer.language)
        return _page(request, viewer.language, {**facts, "refusal": refusal})


def _answered(
    request: HttpRequest,
    viewer: Viewer,
    link: capabilities.FoundLink,
    says: dict[str, str],
    *,
    now: datetime,
) -> str:
    """Do what was asked for; return why it was not done, or an empty text.

    What changed meanwhile is no refusal: the page says what holds now.
    """
    answer = request.POST.get("answer")
    if answer != "come" and (answer != "cancel" or request.POST.get("sure") != "yes"):
        return says["not_sure"]
    try:
        services.answer_link(viewer=viewer, link=link, coming=answer == "come", now=now)
    except services.TooLateToCancel:
        return says["too_late"]
    except (services.LinkOutdated, services.StatusConflict, NotFound):
        return ""
    audit.record(
        action=AuditEvent.Action.UPDATE,
        operation=_ANSWER,
        now=now,
        area=Area.APPOINTMENTS,
        resource="Appointment",
        resource_ids=[link.appointment_id],
    )
    return ""


def _facts(
    request: HttpRequest, shown: OpenedLink, link: capabilities.FoundLink, language: str
) -> dict[str, Any]:
    """Return what the page may say: the time only if she lets messages say more, or signed in."""
    visit = shown.visit
    signed_in = request.user.is_authenticated and request.user.pk == link.user_id
    is_told_when = shown.standing in (Standing.OPEN, Standing.CONFIRMED) and (
        signed_in or wants_detail(link.user_id, Purpose.VISIT_REMINDER, Notification.Channel.EMAIL)
    )
    return {
        "message": words(language)[shown.standing],
        "may_confirm": shown.may_answer and shown.standing is Standing.OPEN,
        "may_cancel": shown.may_cancel,
        "may_answer": shown.may_answer,
        "signed_in": signed_in,
        "time": time_object(visit.starts_at, visit.zone, language)["text"] if is_told_when else "",
        "kind": visit.visit_type.name if is_told_when and signed_in else "",
        "place": visit.location.name if is_told_when and signed_in else "",
    }


def _page(
    request: HttpRequest, language: str, facts: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    context = {**facts, "words": words(language), "language": language, "here": request.path}
    return _private(render(request, "appointments/visit_link.html", context, status=status))


# --- what a calendar program reads ------------------------------------------------------------


@require_safe
def calendar_feed(request: HttpRequest, token: str) -> HttpResponseBase:
    """Return the calendar behind an address, as long as its person may see the record."""
    now = utc_now()
    feed = capabilities.find_feed(token)
    viewer = None
    if feed is not None:
        viewer = viewer_in(feed.user_id, feed.patient_id, scopes=services.FEED_SCOPES)
    if feed is None or viewer is None or not viewer.scopes:
        _denied(_FEED, now)
        raise Http404
    with identity(viewer.identity):
        calendar = services.read_feed(viewer=viewer, feed_id=feed.id, now=now)
        audit.record(
            action=AuditEvent.Action.READ,
            operation=_FEED,
            now=now,
            area=Area.APPOINTMENTS,
            resource="Appointment",
            resource_ids=calendar.appointment_ids,
        )
    tag = keyed_digest("feed", viewer.key, hashlib.sha256(calendar.content).hexdigest())[:32]
    sent = {part.strip() for part in request.headers.get("If-None-Match", "").split(",")}
    if f'"{tag}"' in sent:
        response = HttpResponse(status=304)
    else:
        response = HttpResponse(calendar.content, content_type=MEDIA_TYPE)
        response["Content-Disposition"] = 'inline; filename="calendar.ics"'
    response["ETag"] = f'"{tag}"'
    return _private(response)
