"""The ledger as staff see it: what was planned for whom, what became of it, and why."""

from django.contrib import admin
from unfold.decorators import display

from core.areas import Area
from notifications.models import Notification
from notifications.purposes import WHY_NOT
from patients.admin_base import StaffModelAdmin


@admin.register(Notification)
class NotificationAdmin(StaffModelAdmin):
    """Read-only: the drain alone moves rows. The address and the words are not shown."""

    area = Area.NOTIFICATIONS
    list_display = ("send_after", "purpose", "channel", "state_label", "why_not", "attempts")
    list_filter = ("state", "purpose", "channel")
    ordering = ("-send_after", "-id")
    fields = (
        "purpose",
        "occurrence",
        "channel",
        "template",
        "template_version",
        "language",
        "must_reach",
        "bypasses_quiet_hours",
        "planned_at",
        "send_after",
        "expires_at",
        "state",
        "why_not",
        "attempts",
        "settled_at",
    )
    readonly_fields = ("why_not",)

    @display(  # type: ignore[untyped-decorator]
        description="state",
        label={
            "sent": "success",
            "planned": "info",
            "claimed": "info",
            "skipped": "warning",
            "failed": "danger",
            "unknown": "danger",
        },
    )
    def state_label(self, row: Notification) -> str:
        return row.state

    @admin.display(description="why not")
    def why_not(self, row: Notification) -> str:
        return WHY_NOT.get(row.reason.partition(":")[0], row.reason)
