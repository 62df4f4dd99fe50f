"""Calendar addresses in use: the desk ends one when she has lost the phone that reads it."""

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.roles import Role
from appointments import services
from appointments.admin.own import ClinicClock
from appointments.models import CalendarFeed
from core.areas import Area
from core.clock import utc_now
from core.errors import NotFound
from patients.admin_base import StaffModelAdmin, viewer_of

UNREAD_FOR = timedelta(days=90)


class UseFilter(admin.SimpleListFilter):
    """Those in use, unless asked otherwise."""

    title = "use"
    parameter_name = "use"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("unread", "Not read for 90 days"), ("ended", "Ended")]

    def choices(self, changelist: Any) -> Any:
        for choice in super().choices(changelist):
            if choice["query_string"] == changelist.get_query_string(remove=[self.parameter_name]):
                choice["display"] = "In use"
            yield choice

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[CalendarFeed]
    ) -> QuerySet[CalendarFeed]:
        if self.value() == "ended":
            return queryset.filter(revoked_at__isnull=False)
        live = queryset.filter(revoked_at__isnull=True)
        if self.value() == "unread":
            return live.exclude(last_read_at__gte=utc_now() - UNREAD_FOR)
        return live


@admin.register(CalendarFeed)
class CalendarFeedAdmin(ClinicClock, StaffModelAdmin):
    """Nobody reads an address here: only that there is one, and since when."""

    area = Area.APPOINTMENTS
    writable = True
    writing_roles = frozenset({Role.FRONT_DESK, Role.NURSE})
    list_display = ("who", "whose", "titles", "made_at", "last_read_at", "revoked_at")
    list_filter = (UseFilter, "titles")
    list_select_related = ("patient",)
    ordering = ("-made_at", "-id")
    actions = ("end",)
    fields = ("who", "whose", "titles", "made_at", "last_read_at", "revoked_at", "revoked_by")
    readonly_fields = fields

    @admin.display(description="Whose")
    def whose(self, feed: CalendarFeed) -> str:
        return "Patient" if feed.user_id == feed.patient.user_id else "Caregiver"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.action(description="End the address", permissions=["change"])
    def end(self, request: HttpRequest, queryset: QuerySet[CalendarFeed]) -> None:
        ended = 0
        for feed in queryset:
            try:
                services.revoke_feed(viewer=viewer_of(request), feed_id=feed.id, now=utc_now())
            except NotFound:
                continue  # It had ended already.
            self.log_change(request, feed, [{"changed": {"fields": ["revoked_at"]}}])
            ended += 1
        messages.success(request, f"{ended} ended.")
