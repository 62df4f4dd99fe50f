"""The laboratory's desk: what came in, and what a person must settle.

Message text is shown on a page of its own only; each look is recorded.
"""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import action, display

from accounts.admin_base import RoleTabularInline
from core.areas import Area
from core.clock import utc_now
from core.errors import DomainError
from labs.admin.filters import TroubleFilter
from labs.admin.steps import StepsAdmin
from labs.admin.words import link
from labs.hl7.charset import decode
from labs.models import Filing, InboundMessage, IntakeItem
from labs.queues import TROUBLES
from labs.services.intake import reprocess
from labs.services.matching import DECIDABLE
from labs.services.settling import clear_item
from patients.admin_base import StaffModelAdmin


def readable(raw: bytes | memoryview | None) -> str:
    """Return message bytes as lines of text."""
    if not raw:
        return ""
    text, _, _ = decode(bytes(raw), "")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def as_text(raw: bytes | memoryview | None) -> str:
    return format_html(
        '<pre style="white-space: pre-wrap; overflow-wrap: anywhere">{}</pre>', readable(raw)
    )


class OpenFilter(admin.SimpleListFilter):
    """Open rows unless asked otherwise: it is a queue."""

    title = "standing"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("cleared", "Cleared"), ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        yield {**first, "display": "Open"}
        yield from others

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "all":
            return queryset
        return queryset.filter(cleared_at__isnull=self.value() != "cleared")


@admin.register(IntakeItem)
class IntakeItemAdmin(StepsAdmin):
    """The queue, oldest first. The buttons below the form settle a row."""

    area = Area.INTAKE
    told = "note"
    list_display = ("raised_at", "reason", "words", "code", "laboratory", "remedy", "cleared_at")
    list_filter = (OpenFilter, TroubleFilter, "reason", "laboratory")
    list_select_related = ("laboratory",)
    ordering = ("raised_at", "id")
    actions_submit_line = ("settle", "process_again")
    fields = (
        *("reason", "words", "action", "remedy", "whose", "code", "laboratory", "the_message"),
        "obr_position",
        *("obx_index", "segment_text", "raised_at", "cleared_at", "cleared_by", "clearance"),
        "note",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[IntakeItem]:
        items: QuerySet[IntakeItem] = super().get_queryset(request)
        match = request.resolver_match
        if match is not None and match.url_name == "labs_intakeitem_changelist":
            return items.defer("segment")
        return items

    def is_open(self, obj: IntakeItem) -> bool:
        return obj.cleared_at is None

    @action(description="Settled")
    def settle(self, request: HttpRequest, item: IntakeItem) -> None:
        clear_item(
            item_id=item.pk,
            actor=request.user,  # type: ignore[arg-type]
            now=utc_now(),
            note=item.note,
        )

    @action(description="Process the message again")
    def process_again(self, request: HttpRequest, item: IntakeItem) -> None:
        process([item.message_id], request)

    @display(description="message")
    def the_message(self, item: IntakeItem) -> str:
        address = reverse("admin:labs_inboundmessage_change", args=[item.message_id])
        return link(address, "open")

    @display(description="whose results")
    def whose(self, item: IntakeItem) -> str:
        if item.reason not in DECIDABLE or item.cleared_at is not None:
            return "-"
        address = reverse("admin:labs_matchdecision_propose", args=[item.pk])
        return link(address, "compare with the patient index and decide")

    @display(description="what clears it")
    def remedy(self, item: IntakeItem) -> str:
        """Link to the page where it is put right; the message is processed again afterwards."""
        if item.cleared_at is not None:
            return "-"
        if item.reason in TROUBLES["codes"][1]:
            asked = urlencode({"laboratory": item.laboratory_id, "local_code": item.code})
            return link(f"{reverse('admin:labs_codemap_add')}?{asked}", "map this code")
        if item.reason in TROUBLES["units"][1] and item.laboratory_id is not None:
            address = reverse("admin:labs_sendinglaboratory_change", args=[item.laboratory_id])
            return link(address, "units of this laboratory")
        return self.whose(item)

    @display(description="segment")
    def segment_text(self, item: IntakeItem) -> str:
        return as_text(item.segment) if item.segment else "-"


def process(message_ids: Any, request: HttpRequest) -> None:
    """File messages again, and say for each what became of it."""
    for message_id in message_ids:
        try:
            work = reprocess(
                message_id=message_id,
                actor=request.user,  # type: ignore[arg-type]
                now=utc_now(),
            )
        except DomainError as refusal:
            messages.error(request, refusal.detail)
            continue
        reasons = ", ".join(dict.fromkeys(work.reasons))
        messages.success(request, f"Processed again: {work.outcome}. {reasons}".strip())


class FilingInline(RoleTabularInline):
    model = Filing
    fields = ("sequence", "outcome", "reasons", "lines_filed", "lines_queued", "filed_at")
    readonly_fields = fields
    ordering = ("sequence",)


class ItemInline(RoleTabularInline):
    model = IntakeItem
    fk_name = "message"
    fields = ("reason", "words", "code", "obr_position", "obx_index", "cleared_at", "clearance")
    readonly_fields = fields
    ordering = ("raised_at", "id")
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[IntakeItem]:
        items: QuerySet[IntakeItem] = super().get_queryset(request)
        return items.defer("segment")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(InboundMessage)
class InboundMessageAdmin(StaffModelAdmin):
    """Every message as it came in and how it was answered. Kept for ever, never changed."""

    area = Area.INTAKE
    list_display = (
        *("received_at", "laboratory", "control_id", "message_type", "ack_code"),
        *("receipt", "outcome", "reason_codes", "door"),
    )
    list_filter = ("receipt", "ack_code", "door", "laboratory")
    list_select_related = ("laboratory",)
    search_fields = ("control_id__exact",)
    ordering = ("-received_at", "-id")
    actions = ("process_again",)
    inlines = (FilingInline, ItemInline)
    fields = (
        *("received_at", "laboratory", "sending_application", "sending_facility", "control_id"),
        *("message_type", "door", "peer", "ack_code", "receipt", "reason_codes", "outcome"),
        *("size", "truncated", "sha256", "parser_version", "text"),
    )
    readonly_fields = ("reason_codes", "outcome", "text")

    def get_queryset(self, request: HttpRequest) -> QuerySet[InboundMessage]:
        found: QuerySet[InboundMessage] = super().get_queryset(request)
        found = found.prefetch_related("filings")
        match = request.resolver_match
        # A list never reads what stands in the messages.
        if match is not None and match.url_name == "labs_inboundmessage_changelist":
            return found.defer("raw")
        return found

    @display(description="filing")
    def outcome(self, message: InboundMessage) -> str:
        newest = max(message.filings.all(), key=lambda filing: filing.sequence, default=None)
        return newest.outcome if newest else "-"

    @display(description="reasons")
    def reason_codes(self, message: InboundMessage) -> str:
        newest = max(message.filings.all(), key=lambda filing: filing.sequence, default=None)
        return ", ".join([*message.reasons, *(newest.reasons if newest else ())]) or "-"

    @display(description="message")
    def text(self, message: InboundMessage) -> str:
        return as_text(message.raw)

    @admin.action(description="Process again", permissions=["view"])
    def process_again(self, request: HttpRequest, chosen: QuerySet[InboundMessage]) -> None:
        process(list(chosen.values_list("pk", flat=True)), request)
