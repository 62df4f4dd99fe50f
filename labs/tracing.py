"""What became of a laboratory's message, line by line. Never a value, never a name.

The message itself is read as intake reads it; what a line is judged as comes only from rows
that the viewer's own identity can see.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from accounts.models import Membership
from core.areas import Area
from core.db import identity, system
from labs.hl7.facts import ObservationLine, PatientGroup, Report
from labs.hl7.message import MessageError
from labs.models import Filing, InboundMessage, IntakeItem, Observation
from labs.readings import read
from patients.viewer import Viewer

Receipt = InboundMessage.Receipt
_NEWEST = 20


@dataclass(frozen=True, slots=True)
class LineFate:
    """One OBX. `outcome`: stored, queued, unchanged (nothing new in it), waiting or not-filed.

    `state`, `rule` and `rule_version` are empty unless the viewer may see the result. `reason`
    is the code of the queue for a queued line, else the words of the rule.
    """

    obx_index: int
    outcome: str
    loinc: str
    analyte: str
    state: str = ""
    rule: str = ""
    rule_version: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MessageFate:
    """One message: its answer, and the newest pass over it.

    `disposition`: stored, queued, duplicate, test-area, refused, or received while it waits to
    be filed.
    """

    id: UUID
    sender: str
    control_id: str
    received_at: datetime
    ack: str
    receipt: str
    disposition: str
    reasons: tuple[str, ...]
    lines: tuple[LineFate, ...]


def messages_with_control_id(
    viewer: Viewer, *, control_id: str, sender: str | None, now: datetime
) -> list[MessageFate]:
    """Return the newest messages with this MSH-10, newest first.

    Intake staff see every sender; other staff the laboratories of where they work.
    """
    offices = _offices(viewer, now)
    with identity(system("lab-intake")):
        found = InboundMessage.objects.select_related("laboratory").filter(control_id=control_id)
        if sender is not None:
            found = found.filter(laboratory__key=sender)
        if offices is not None:
            found = found.filter(laboratory__organization_id__in=offices)
        messages = list(found.order_by("-received_at", "-id")[:_NEWEST])
        ids = [message.id for message in messages]
        filings = {
            filing.message_id: filing
            for filing in Filing.objects.filter(message_id__in=ids).order_by("sequence")
        }
        items = _items(ids, filings)
        placed = _placed(Observation.objects.filter(message_id__in=ids))
    # The same rows once more, now as the viewer: what she cannot see is not there.
    seen = {row.id for row in Observation.objects.filter(message_id__in=ids).only("id")}
    return [
        _fate(message, filings.get(message.id), items[message.id], placed[message.id], seen)
        for message in messages
    ]


def _offices(viewer: Viewer, now: datetime) -> list[UUID] | None:
    if viewer.may(Area.INTAKE):
        return None
    assert viewer.user_id is not None
    working = Membership.objects.active_at(now).filter(user_id=viewer.user_id)
    return list(working.values_list("organization_id", flat=True))


def _items(ids: list[UUID], filings: Mapping[UUID, Filing]) -> Mapping[UUID, list[IntakeItem]]:
    """Return what the newest pass over each message queued, or its receipt when none ran."""
    items: dict[UUID, list[IntakeItem]] = defaultdict(list)
    for item in IntakeItem.objects.filter(message_id__in=ids).order_by("raised_at", "id"):
        newest = filings.get(item.message_id)
        if newest is None or item.raised_at >= newest.filed_at:
            items[item.message_id].append(item)
    return items


def _placed(rows: Iterable[Observation]) -> Mapping[UUID, dict[int, Observation]]:
    """Return the newest version that each OBX of each message made."""
    placed: dict[UUID, dict[int, Observation]] = defaultdict(dict)
    for row in rows:
        if row.origin != Observation.Origin.LABORATORY or row.obx_index is None:
            continue
        assert row.message_id is not None
        known = placed[row.message_id].get(row.obx_index)
        if known is None or known.version < row.version:
            placed[row.message_id][row.obx_index] = row
    return placed


def _fate(
    message: InboundMessage,
    filing: Filing | None,
    items: list[IntakeItem],
    placed: Mapping[int, Observation],
    seen: set[UUID],
) -> MessageFate:
    disposition, reasons = _disposition(message, filing)
    return MessageFate(
        id=message.id,
        sender=message.laboratory.key if message.laboratory else "",
        control_id=message.control_id,
        received_at=message.received_at,
        ack=message.ack_code,
        receipt=message.receipt,
        disposition=disposition,
        reasons=reasons,
        lines=tuple(
            _line(line, report, group, disposition, items, placed.get(line.obx_index), seen)
            for group in _content(message)
            for report in group.reports
            for line in report.lines
        ),
    )


def _disposition(message: InboundMessage, filing: Filing | None) -> tuple[str, tuple[str, ...]]:
    if filing is not None:
        return filing.outcome, tuple(filing.reasons)
    if message.receipt == Receipt.ACCEPTED:
        return "received", ()
    if message.receipt == Receipt.SET_ASIDE:
        return Filing.Outcome.QUEUED.value, tuple(message.reasons)
    return message.receipt, tuple(message.reasons)


def _content(message: InboundMessage) -> tuple[PatientGroup, ...]:
    if message.receipt == Receipt.REFUSED or message.laboratory is None:
        return ()
    try:
        return read(message, zone=ZoneInfo(message.laboratory.zone)).groups
    except MessageError:
        return ()


def _line(
    line: ObservationLine,
    report: Report,
    group: PatientGroup,
    disposition: str,
    items: list[IntakeItem],
    row: Observation | None,
    seen: set[UUID],
) -> LineFate:
    loinc = line.loinc.code if line.loinc else ""
    if row is not None:
        shown = row.id in seen
        return LineFate(
            obx_index=line.obx_index,
            outcome="stored",
            loinc=row.loinc or loinc,
            analyte=row.analyte_key,
            state=row.state if shown else "",
            rule=row.rule_id if shown else "",
            rule_version=row.rule_version if shown else "",
            reason=row.reason if shown else "",
        )
    outcome, reason = _unplaced(line, report, group, disposition, items)
    return LineFate(line.obx_index, outcome, loinc, "", reason=reason)


def _unplaced(
    line: ObservationLine,
    report: Report,
    group: PatientGroup,
    disposition: str,
    items: list[IntakeItem],
) -> tuple[str, str]:
    """Return the fate of a line that made no result: its own item, its report's, its group's."""
    first = group.reports[0].position
    for item in items:
        if item.observation_id is None and item.obx_index == line.obx_index:
            return "queued", item.reason
    for item in items:
        if item.obx_index is not None or item.observation_id is not None:
            continue
        of_report = item.reason.startswith("report-status")
        if item.obr_position in (None, report.position if of_report else first):
            return "queued", item.reason
    if disposition == "received":
        return "waiting", ""
    if disposition in (Receipt.DUPLICATE, Receipt.TEST_AREA):
        return "not-filed", ""
    return "unchanged", ""
