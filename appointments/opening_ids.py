"""The id of an opening: which schedule, visit type and start, signed. No table holds it."""

import base64
import binascii
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from core.crypto import keyed_digest
from core.errors import NotFound

_PURPOSE = "appointments.opening"
_MAC_BYTES = 16
_FACT_BYTES = 16 + 16 + 4
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class OpeningRef:
    """What an opening's id says. `starts_at` is a whole minute, in UTC."""

    schedule_id: UUID
    visit_type_id: UUID
    starts_at: datetime


def _mac(facts: bytes) -> bytes:
    return bytes.fromhex(keyed_digest(_PURPOSE, facts.hex()))[:_MAC_BYTES]


def opening_id(*, schedule_id: UUID, visit_type_id: UUID, starts_at: datetime) -> str:
    """Return the id of an opening; the same opening always has the same id."""
    minutes = (starts_at - _EPOCH) // _MINUTE
    facts = schedule_id.bytes + visit_type_id.bytes + minutes.to_bytes(4, "big")
    return base64.urlsafe_b64encode(facts + _mac(facts)).rstrip(b"=").decode()


def read_opening_id(text: str) -> OpeningRef:
    """Return what `text` says. Raises: NotFound when we did not make it."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotFound() from error
    facts, mac = raw[:_FACT_BYTES], raw[_FACT_BYTES:]
    if len(raw) != _FACT_BYTES + _MAC_BYTES or not hmac.compare_digest(mac, _mac(facts)):
        raise NotFound()
    return OpeningRef(
        schedule_id=UUID(bytes=facts[:16]),
        visit_type_id=UUID(bytes=facts[16:32]),
        starts_at=_EPOCH + int.from_bytes(facts[32:], "big") * _MINUTE,
    )
