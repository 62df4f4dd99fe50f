"""Every door leads here: keep the bytes, answer, then file.

The message is committed before it is answered; filing is a second transaction. A crash in
between leaves a row in `UnfiledMessage` that the sweep files.
"""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, cast
from uuid import UUID

import structlog
from django.db.models import CharField, Min, UUIDField

from accounts.models import User
from core import audit
from core.areas import Area
from core.db import identity, system
from core.errors import DomainError, NotFound
from core.models import AuditEvent
from core.prepared import Given, Prepared, delete, insert, prepared_cursor
from labs.hl7.answers import Intake, body_hash
from labs.hl7.message import split_messages
from labs.models import Filing, InboundMessage, IntakeItem, SendingLaboratory, UnfiledMessage
from labs.readings import format_of
from labs.services.filing import FilingPass, LineOutcome, file_message
from labs.services.judging import digest
from labs.services.queueing import Doubt, queue
from labs.services.senders import Origin, authorised_laboratory
from worklist.models import Urgency, WorkItem
from worklist.services import Fact, raise_item

log = structlog.get_logger(__name__)

Receipt = InboundMessage.Receipt
MAX_TRIES: Final = 3
_LINE_START: Final = rb"(?:\A|(?<=[\r\n\x0b\x1c]))(?:\xef\xbb\xbf)?[ \t]*"
_MESSAGE_START: Final = re.compile(_LINE_START + rb"(MSH(?=[^A-Za-z0-9\s]))")
_ENVELOPE: Final = re.compile(
    _LINE_START + rb"(?:FHS|BHS|BTS|FTS)(?=[^A-Za-z0-9\s])[^\r\n]*[\r\n]*"
)
# Three tries, with a sweep every half minute, fit into five minutes: then a person is told.
_RETRY_AFTER: Final = (timedelta(seconds=30), timedelta(minutes=2), timedelta(0))
_FIRST_TRY_BY_SWEEP: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Overflow:
    """Bytes that were no whole message: at most the limit was kept, all were hashed.

    `reason`: frame-too-large, body-too-large, frame-incomplete or noise.
    """

    reason: str
    size: int
    sha256: str

    @classmethod
    def of(cls, data: bytes, reason: str) -> "Overflow":
        return cls(reason, len(data), hashlib.sha256(data).hexdigest())


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sender hears and what became of the message.

    `disposition`: stored, queued, duplicate, test-area, refused, or received when filing did
    not succeed yet and will be tried again. `ack` is an HL7 ACK; empty for a FHIR body.
    `parsed` is the message as it was parsed, `expression` where the fault of a refused one stands.
    """

    message_id: UUID
    sender: str
    control_id: str
    ack: bytes
    ack_code: str
    disposition: str
    reasons: tuple[str, ...]
    lines: tuple[LineOutcome, ...] = ()
    parsed: Any = field(default=None, repr=False)
    expression: str = ""


class NotReprocessable(DomainError):
    """Only accepted messages and those set aside for their control id can be processed."""

    code = "not-reprocessable"
    title = "This message cannot be processed: it was refused, repeated or a test."


def messages_in(data: bytes) -> list[bytes]:
    """Return the messages of a body, frame or file, each in the very bytes received.

    What holds no message comes back whole, so that it is kept and answered. Envelope segments
    (FHS, BHS, BTS, FTS) are left out.
    """
    pieces = split_messages(data)
    starts = [match.start(1) for match in _MESSAGE_START.finditer(data)]
    if len(pieces) != len(starts):
        return pieces or [data]
    if len(starts) <= 1 and not _ENVELOPE.search(data):
        return [data]
    spans = zip(starts, [*starts[1:], len(data)], strict=True)
    return [_ENVELOPE.sub(b"", data[start:end]) for start, end in spans]


def receive(
    raw: bytes, *, origin: Origin, now: datetime, overflow: Overflow | None = None
) -> Answer:
    """Keep one message, decide on its answer, commit, file it, and return both.

    `raw` is one message (see `messages_in`) or one FHIR body, at most `INTAKE_MAX_BYTES` long.
    Never raises on content. Raises: DatabaseError when nothing could be kept; then nothing may
    be answered.
    """
    content = format_of(origin.door)
    intake = content.classify(raw, now)
    with identity(system("lab-intake"), durable=True):
        laboratory = authorised_laboratory(origin, intake.header)
        message = _keep(raw, intake, laboratory, origin=origin, now=now, overflow=overflow)
    work: FilingPass | None = None
    if message.receipt == Receipt.ACCEPTED:
        work = file_unfiled(message_id=message.id, now=now, message=message, parsed=intake.message)
    disposition, reasons = _disposition(message, work)
    return Answer(
        message_id=message.id,
        sender=laboratory.key if laboratory else "",
        control_id=message.control_id,
        ack=content.acknowledge(
            raw,
            code=message.ack_code,
            reasons=tuple(message.reasons),
            control_id=message.id.hex[-20:].upper(),
            now=now,
        ),
        ack_code=message.ack_code,
        disposition=disposition,
        reasons=reasons,
        lines=tuple(work.outcomes) if work else (),
        parsed=intake.message,
        expression=intake.expression if reasons == intake.reasons else "",
    )


def _keep(
    raw: bytes,
    intake: Intake[Any],
    laboratory: SendingLaboratory | None,
    *,
    origin: Origin,
    now: datetime,
    overflow: Overflow | None,
) -> InboundMessage:
    hashed = body_hash(raw)
    header = intake.header
    message = InboundMessage(
        laboratory=laboratory,
        door=origin.door,
        peer=origin.peer,
        received_at=now,
        raw=raw,
        size=overflow.size if overflow else len(raw),
        sha256=overflow.sha256 if overflow else hashlib.sha256(raw).hexdigest(),
        body_hash=hashed,
        truncated=overflow is not None and overflow.size > len(raw),
        sending_application=header.sending_application[:255],
        sending_facility=header.sending_facility[:255],
        control_id=header.control_id[:255],
        control_key=_control_key(intake, laboratory, hashed),
        message_type=header.message_type[:40],
        ack_code=intake.ack,
        receipt=Receipt.REFUSED,
        reasons=list(intake.reasons),
        parser_version=format_of(origin.door).version,
    )
    if overflow is not None:
        message.ack_code, message.reasons = "AE", [overflow.reason]
    elif intake.header.readable and laboratory is None:
        message.ack_code, message.reasons = "AR", ["unauthorised"]
    elif intake.disposition == "test-area":
        message.receipt = Receipt.TEST_AREA
    elif intake.disposition == "accept" and laboratory is not None:
        message.receipt, message.reasons = _standing(message)
    insert(message)
    if message.receipt == Receipt.ACCEPTED:
        waits = now + _FIRST_TRY_BY_SWEEP
        insert(UnfiledMessage(message=message, received_at=now, try_after=waits))
    elif message.receipt == Receipt.SET_ASIDE:
        queue(message=message, doubts=[Doubt("control-id-reused")], now=now)
    return message


def _control_key(intake: Intake[Any], laboratory: SendingLaboratory | None, hashed: str) -> str:
    """Return the key that finds a replay: names and control id, or the body where ids repeat."""
    header = intake.header
    by_body = not header.control_id or (laboratory is not None and laboratory.reuses_control_ids)
    return digest(
        header.sending_application,
        header.sending_facility,
        header.control_id,
        hashed if by_body else "",
    )


@lru_cache(maxsize=1)
def _known() -> Prepared:
    return Prepared(
        InboundMessage.objects.filter(
            laboratory_id=cast(UUID, Given("laboratory", UUIDField())),
            control_key=cast(str, Given("key", CharField())),
        )
        .order_by()
        .values("body_hash", "receipt")
    )


def _standing(message: InboundMessage) -> tuple[str, list[str]]:
    """Decide between first, duplicate and reused control id; one at a time per control id."""
    with prepared_cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))",
            [f"{message.laboratory_id}{message.control_key}"],
        )
    known = _known().rows(laboratory=message.laboratory_id, key=message.control_key)
    counted = (Receipt.ACCEPTED, Receipt.SET_ASIDE)
    hashes = {row["body_hash"] for row in known if row["receipt"] in counted}
    if message.body_hash in hashes:
        return Receipt.DUPLICATE, []
    if known:
        return Receipt.SET_ASIDE, ["control-id-reused"]
    return Receipt.ACCEPTED, []


def _disposition(message: InboundMessage, work: FilingPass | None) -> tuple[str, tuple[str, ...]]:
    if message.receipt == Receipt.SET_ASIDE:
        return Filing.Outcome.QUEUED.value, tuple(message.reasons)
    if message.receipt != Receipt.ACCEPTED:
        return str(message.receipt), tuple(message.reasons)
    if work is None:
        return "received", ()
    return str(work.outcome), tuple(dict.fromkeys(work.reasons))


@lru_cache(maxsize=1)
def _waiting() -> Prepared:
    return Prepared(
        UnfiledMessage.objects.select_for_update(skip_locked=True).filter(
            message_id=cast(UUID, Given("message", UUIDField())), parked_at__isnull=True
        )
    )


def file_unfiled(
    *,
    message_id: UUID,
    now: datetime,
    message: InboundMessage | None = None,
    parsed: Any = None,
) -> FilingPass | None:
    """File one accepted message; None when somebody else is at it or filing failed.

    A failure is counted, tried again by the sweep, and after three tries left to a person.
    `message` and `parsed`: the row with its laboratory, and what its bytes were parsed to, where
    they were just received.
    """
    try:
        with identity(system("lab-intake")):
            rows = _waiting().objects(message=message_id)
            if not rows:
                return None
            stored = InboundMessage.objects.select_related("laboratory")
            message = message or stored.get(id=message_id)
            work = file_message(message, actor=None, now=now, parsed=parsed)
            delete(rows[0])
            return work
    except Exception as error:
        # Whatever went wrong with one message, the next one must be filed.
        log.error("intake.filing_failed", error_type=type(error).__name__, where=_where(error))
        _count_failure(message_id, error_code=type(error).__name__, now=now)
        return None


def _where(error: Exception) -> str:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    if frame is None:
        return ""
    return f"{frame.tb_frame.f_code.co_filename.rsplit('/', 2)[-1]}:{frame.tb_lineno}"


def _count_failure(message_id: UUID, *, error_code: str, now: datetime) -> None:
    with identity(system("lab-intake")):
        row = (
            UnfiledMessage.objects.select_for_update(of=("self",))
            .select_related("message__laboratory")
            .filter(message_id=message_id)
            .first()
        )
        if row is None or row.parked_at is not None:
            return
        row.tries += 1
        row.error_code = error_code[:80]
        row.try_after = now + _RETRY_AFTER[row.tries - 1]
        if row.tries >= MAX_TRIES:
            row.parked_at = now
            _park(row.message, now=now)
        row.save(update_fields=["tries", "error_code", "try_after", "parked_at"])


def _park(message: InboundMessage, *, now: datetime) -> None:
    items = queue(message=message, doubts=[Doubt("filing-failed")], now=now)
    raise_item(
        patient_id=None,
        concern="intake.failed",
        title="A laboratory message could not be filed",
        urgency=Urgency.SAME_DAY,
        owner_team=WorkItem.Team.LABORATORY,
        organization_id=message.laboratory.organization_id if message.laboratory else None,
        dedupe_key=str(message.id),
        fact=Fact(kind="intake-item", reference=items[0].id, summary="three tries failed"),
        now=now,
    )


def sweep(*, now: datetime, limit: int = 100) -> int:
    """File accepted messages that a crash or a failure left behind; return how many succeeded."""
    with identity(system("lab-intake")):
        due = list(
            UnfiledMessage.objects.filter(parked_at__isnull=True, try_after__lte=now)
            .order_by("received_at")
            .values_list("message_id", flat=True)[:limit]
        )
    return sum(file_unfiled(message_id=message_id, now=now) is not None for message_id in due)


def reprocess(*, message_id: UUID, actor: User, now: datetime) -> FilingPass:
    """File a stored message again, after a mapping, patient or setting was put right.

    What it says counts as if it had been understood at once: times, order and versions are
    those of the message. Its open queue rows are cleared by `actor`; what is still in doubt is
    queued anew. The caller has checked that `actor` may do this.
    Raises: NotFound, NotReprocessable.
    """
    with identity(system("lab-intake")):
        message = InboundMessage.objects.select_related("laboratory").filter(id=message_id).first()
        if message is None:
            raise NotFound()
        if message.receipt not in (Receipt.ACCEPTED, Receipt.SET_ASIDE):
            raise NotReprocessable()
        UnfiledMessage.objects.select_for_update().filter(message=message).delete()
        IntakeItem.objects.filter(message=message, cleared_at__isnull=True).update(
            cleared_at=now, cleared_by=actor, clearance="reprocessed"
        )
        work = file_message(message, actor=actor, now=now)
        audit.record(
            action=AuditEvent.Action.EXECUTE,
            operation="labs.message.reprocess",
            now=now,
            area=Area.INTAKE,
            resource="InboundMessage",
            resource_ids=[message.id],
        )
    return work


def oldest_unprocessed_at() -> datetime | None:
    """Return when the oldest message that waits for filing (parked ones too) came in, or None."""
    with identity(system("metrics")):
        found = UnfiledMessage.objects.aggregate(oldest=Min("received_at"))
    return cast(datetime | None, found["oldest"])


def intake_lag_seconds(now: datetime) -> float:
    """Return the age of the oldest message that waits for filing, 0 when none does."""
    oldest = oldest_unprocessed_at()
    return 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())
