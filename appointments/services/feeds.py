"""Visits in a calendar program: one file for one visit, and addresses that are read again."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parseaddr
from typing import Any, Literal
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Max, QuerySet

from accounts.scopes import Scope
from appointments.calendar_files import Entry, calendar_file
from appointments.capabilities import new_feed_token
from appointments.models import Appointment, CalendarFeed
from appointments.selectors import appointments_for, calendar_feeds_for
from core.crypto import keyed_digest
from core.errors import DomainError, NotFound
from core.ids import uuid7
from patients.viewer import Viewer

FEED_SCOPES = frozenset({str(Scope.APPOINTMENTS_READ)})
FEEDS_AT_MOST = 5
FEED_PAST, FEED_FUTURE = timedelta(days=90), timedelta(days=730)
ENTRIES_AT_MOST = 1000

_Status = Appointment.Status
_TITLES = {"en": "Appointment", "es": "Cita"}
_CANCELLED = (_Status.CANCELLED, _Status.ENTERED_IN_ERROR)
_TENTATIVE = (_Status.PROPOSED, _Status.PENDING, _Status.WAITLIST)
_FIELDS = (
    "id",
    "status",
    "starts_at",
    "ends_at",
    "zone",
    "sequence",
    "confirmed_at",
    "changed_at",
    "visit_type__name",
    "visit_type__preparation",
    "location__name",
    "location__address",
    "location__phone",
)


class TooManyFeeds(DomainError):
    """One person has as many calendar addresses for a record as she may."""

    code = "too-many-feeds"
    title = "There are several calendar addresses already. Please remove one first."


@dataclass(frozen=True, slots=True)
class MadeFeed:
    """A new calendar address; `token` is known now and never again."""

    feed: CalendarFeed
    token: str


@dataclass(frozen=True, slots=True)
class CalendarContent:
    """A calendar as bytes, and which visits it shows."""

    content: bytes
    appointment_ids: tuple[UUID, ...]


def make_feed(*, viewer: Viewer, titles: str, now: datetime) -> MadeFeed:
    """Make a calendar address for the viewer. Raises: TooManyFeeds, NotFound without a record."""
    if viewer.patient_id is None or viewer.user_id is None:
        raise NotFound()
    _one_at_a_time(viewer.user_id)
    mine = calendar_feeds_for(viewer).filter(user_id=viewer.user_id)
    if mine.count() >= FEEDS_AT_MOST:
        raise TooManyFeeds(extra={"at_most": FEEDS_AT_MOST})
    token, stored = new_feed_token()
    feed = CalendarFeed(
        id=uuid7(now),
        patient_id=viewer.patient_id,
        user_id=viewer.user_id,
        titles=titles,
        token_hash=stored,
        made_at=now,
    )
    feed.save(force_insert=True)
    return MadeFeed(feed, token)


def revoke_feed(*, viewer: Viewer, feed_id: UUID, now: datetime) -> CalendarFeed:
    """End a calendar address from this transaction on. Raises: NotFound."""
    feed = calendar_feeds_for(viewer).select_for_update(of=("self",)).filter(id=feed_id).first()
    if feed is None:
        raise NotFound()
    feed.revoked_at, feed.revoked_by_id = now, viewer.user_id
    feed.save(update_fields=["revoked_at", "revoked_by"])
    return feed


def read_feed(*, viewer: Viewer, feed_id: UUID, now: datetime) -> CalendarContent:
    """Return the calendar of an address, and note that it was read. Raises: NotFound."""
    feed = calendar_feeds_for(viewer).filter(id=feed_id).first()
    if feed is None:
        raise NotFound()
    CalendarFeed.objects.filter(id=feed.id, patient_id=feed.patient_id).update(last_read_at=now)
    visits = (
        appointments_for(viewer)
        .filter(starts_at__gte=now - FEED_PAST, starts_at__lt=now + FEED_FUTURE)
        .exclude(status=_Status.ENTERED_IN_ERROR)
    )
    # When there are too many, those furthest ahead wait.
    rows = _rows(visits.order_by("starts_at", "id"))[:ENTRIES_AT_MOST]
    return _content(
        rows,
        method="PUBLISH",
        full=feed.titles == CalendarFeed.Titles.FULL,
        language=viewer.language,
        name=settings.PORTAL_NAME,
    )


def visit_file(*, viewer: Viewer, appointment_id: UUID, full: bool) -> CalendarContent:
    """Return one visit for a calendar: an invitation, or its cancellation. Raises: NotFound."""
    rows = list(_rows(appointments_for(viewer).filter(id=appointment_id)))
    if not rows:
        raise NotFound()
    return _content(
        rows,
        method="CANCEL" if rows[0]["status"] in _CANCELLED else "REQUEST",
        full=full,
        language=viewer.language,
    )


def _rows(visits: QuerySet[Appointment]) -> QuerySet[Appointment, dict[str, Any]]:
    return visits.annotate(changed_at=Max("history__at")).values(*_FIELDS)


def _content(
    rows: Iterable[dict[str, Any]],
    *,
    method: Literal["PUBLISH", "REQUEST", "CANCEL"],
    full: bool,
    language: str,
    name: str = "",
) -> CalendarContent:
    found = list(rows)
    return CalendarContent(
        content=calendar_file(
            [_entry(row, full=full, language=language) for row in found],
            method=method,
            organizer=parseaddr(settings.DEFAULT_FROM_EMAIL)[1],
            name=name,
        ),
        appointment_ids=tuple(row["id"] for row in found),
    )


def _entry(row: dict[str, Any], *, full: bool, language: str) -> Entry:
    status: Literal["TENTATIVE", "CONFIRMED", "CANCELLED"] = "CONFIRMED"
    if row["status"] in _CANCELLED:
        status = "CANCELLED"
    elif row["status"] in _TENTATIVE:
        status = "TENTATIVE"
    place = ", ".join(filter(None, (row["location__name"], row["location__address"])))
    notes = "\n".join(filter(None, (row["visit_type__preparation"], row["location__phone"])))
    return Entry(
        uid=keyed_digest("calendar-uid", str(row["id"]))[:32],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        zone=row["zone"],
        sequence=row["sequence"],
        changed_at=row["changed_at"],
        status=status,
        is_confirmed=row["confirmed_at"] is not None,
        title=row["visit_type__name"] if full else _TITLES.get(language, _TITLES["en"]),
        place=place if full else "",
        notes=notes if full else "",
    )


def _one_at_a_time(user_id: UUID) -> None:
    """Let one address of a person be made at a time: they are counted."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"feeds:{user_id}"]
        )
