"""The change feed: what changed since a cursor, without losing a slow transaction's rows."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.core import signing
from django.db import connection

from core.areas import Area
from core.errors import DomainError
from core.models import Change
from core.prepared import insert

KEPT_FOR = timedelta(days=90)
_SALT = "core.feed"
# We read a PostgreSQL xid8 as a bigint.
_LAST_XID = 2**63 - 1


class SinceExpired(DomainError):
    """The cursor is older than the feed keeps; read the list again from the start."""

    code = "since-expired"
    status = 410
    title = "Changes are kept for 90 days. Read the whole list again."


class SinceInvalid(DomainError):
    """The cursor was not made by this server for this viewer and area."""

    code = "since-invalid"
    status = 422
    title = "This `since` value cannot be used here."


@dataclass(frozen=True, slots=True)
class ChangeLine:
    resource: str
    resource_id: UUID
    kind: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ChangePage:
    changes: list[ChangeLine]
    next: str
    more: bool


def record_change(
    *,
    patient_id: UUID,
    area: Area | str,
    resource: str,
    resource_id: UUID,
    kind: str,
    now: datetime,
) -> None:
    """Add one line in the current transaction; every loss of visibility is `gone`."""
    insert(
        Change(
            xid=Change.writing_transaction(),
            patient_id=patient_id,
            area=area,
            resource=resource,
            resource_id=resource_id,
            kind=kind,
            at=now,
        )
    )


def start_cursor(*, viewer_key: str, area: Area | str, now: datetime) -> str:
    """Return the cursor to hand out with a full list: changes after it are new."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1")
        xid = cursor.fetchone()[0]
    return _sign(viewer_key, area, xid, UUID(int=(1 << 128) - 1), now)


def _sign(viewer_key: str, area: Area | str, xid: int, last: UUID, now: datetime) -> str:
    return signing.dumps([viewer_key, str(area), xid, str(last), int(now.timestamp())], salt=_SALT)


def changes_since(
    *,
    since: str,
    viewer_key: str,
    patient_id: UUID,
    area: Area | str,
    now: datetime,
    limit: int = 100,
) -> ChangePage:
    """Return the settled changes after `since`, oldest first.

    Rows of transactions still open when the page is read wait for the next page: only
    transaction ids below every running one are served.
    Raises: SinceInvalid, SinceExpired.
    """
    try:
        key, cursor_area, xid, last, made = signing.loads(since, salt=_SALT)
        last_id, made_at = UUID(last), datetime.fromtimestamp(made, tz=now.tzinfo)
    except (
        signing.BadSignature,
        ValueError,
        TypeError,
        AttributeError,
        OverflowError,
    ) as error:
        raise SinceInvalid() from error
    counted = type(xid) is int and 0 <= xid <= _LAST_XID
    if key != viewer_key or cursor_area != str(area) or not counted:
        raise SinceInvalid()
    if now - made_at > KEPT_FOR:
        raise SinceExpired()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT xid::text::bigint, id, resource, resource_id, kind, at FROM core_change "
            "WHERE patient_id = %s AND area = %s AND (xid, id) > (%s::text::xid8, %s) "
            "AND xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY xid, id LIMIT %s",
            [patient_id, str(area), str(xid), last_id, limit + 1],
        )
        rows = cursor.fetchall()
    page = rows[:limit]
    next_xid, next_id = (page[-1][0], page[-1][1]) if page else (xid, last_id)
    # A cursor that is used stays young; an idle one still ages.
    return ChangePage(
        changes=[ChangeLine(row[2], row[3], row[4], row[5]) for row in page],
        next=_sign(viewer_key, area, next_xid, next_id, now),
        more=len(rows) > limit,
    )
