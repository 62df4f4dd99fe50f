"""Her own notification history: what was sent, what was not, and why."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.scopes import Scope
from core.api.paging import keyset_page, page_limit
from core.areas import Area
from core.timeobject import time_object, time_object_or_none
from notifications.api.serializers import NoticeListSerializer
from notifications.models import Notification
from notifications.purposes import RULES, WHY_NOT, Purpose
from notifications.selectors import notifications_for
from notifications.wording import template_text
from patients.api.views import PatientView
from patients.viewer import Viewer


def _row(row: Notification, viewer: Viewer) -> dict[str, Any]:
    zone, language = viewer.zone, viewer.language
    subject = template_text(row.template, row.template_version, row.language).splitlines()[0]
    return {
        "id": row.id,
        "purpose": row.purpose,
        "channel": row.channel,
        "state": row.state,
        "why": RULES[Purpose(row.purpose)].words,
        "why_not": _why_not(row),
        "reason": row.reason or None,
        "subject": subject,
        "planned_at": time_object(row.planned_at, zone, language),
        "send_after": time_object(row.send_after, zone, language),
        "settled_at": time_object_or_none(row.settled_at, zone, language),
    }


def _why_not(row: Notification) -> str | None:
    if row.state == Notification.State.SKIPPED:
        return WHY_NOT.get(row.reason.partition(":")[0], "It no longer applied.")
    if row.state == Notification.State.FAILED:
        return "It could not be delivered."
    if row.state == Notification.State.UNKNOWN:
        return "We do not know whether it arrived, so we did not send it again."
    return None


class NotificationsView(PatientView):
    area = Area.NOTIFICATIONS
    operation = "notifications.history"
    resource = "Communication"
    scopes = {"GET": Scope.SYMPTOMS_READ}

    @extend_schema(operation_id="listNotifications", responses=NoticeListSerializer)
    def get(self, request: Request) -> Response:
        page = keyset_page(
            notifications_for(self.viewer),
            order=("-planned_at", "-id"),
            bound_to=f"notifications.history:{self.viewer.key}",
            cursor=request.query_params.get("cursor"),
            limit=page_limit(request.query_params.get("limit")),
        )
        self.seen = [row.id for row in page.rows]
        return Response(
            {
                "items": [_row(row, self.viewer) for row in page.rows],
                "next": page.next,
                "as_of": self.now,
                "warnings": [],
            }
        )
