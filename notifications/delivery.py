"""Drain the ledger: claim a batch, look again at each row, send it, mark it at once.

States of a row on its way: `claimed` with an empty provider reference is owned by a worker
and surely not sent; `claimed` with a reference was handed over and may have gone. A killed
worker's rows are told apart by that when their lease ends: the first go back to `planned`,
the second become `unknown`, since a mail server does not fold doubles. The lease is also the
fence: every step asks for the same lease, so a slow worker cannot act on a row it lost.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db.models import DateTimeField, Exists, Func, OuterRef, Q, QuerySet, TextField, Value

from accounts.models import Membership
from core.db import identity, system
from core.events import publish
from notifications.channels import (
    Mailer,
    OutcomeUnknown,
    Refused,
    TryLater,
    mailer,
    message_id,
)
from notifications.events import NoticeNotReached
from notifications.links import link_of
from notifications.models import Notification
from notifications.purposes import RULES, Purpose, PurposeRule
from notifications.rechecks import Skip, Wait, recheck_of
from notifications.selectors import quiet_of
from notifications.wording import Message, WordingError, render
from patients.grants import scopes_at
from patients.models import CaregiverGrant, Patient

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=120)
BATCH_TIME = timedelta(seconds=45)
MAX_ATTEMPTS = 6
BACK_OFF = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=3),
)
SERVER_DOWN_FOR = timedelta(seconds=30)
NO_RECHECK_FOR = timedelta(minutes=5)

State = Notification.State
Channel = Notification.Channel
_CHANNELS_THAT_SEND = (Channel.EMAIL, Channel.INBOX)


@dataclass(slots=True)
class DrainOutcome:
    """What one drain did, in rows. `waiting` rows are planned again for later."""

    sent: int = 0
    skipped: int = 0
    failed: int = 0
    unknown: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class _Claimed:
    id: UUID
    channel: str
    lease_until: datetime


@dataclass(frozen=True, slots=True)
class _Ready:
    """A row that may leave: where to, and what it says."""

    row: Notification
    address: str
    message: Message


class _Clock:
    """`now` as given, moved on by the time that has really passed since."""

    def __init__(self, now: datetime) -> None:
        self._now, self._started = now, time.monotonic()

    def elapsed(self) -> timedelta:
        return timedelta(seconds=time.monotonic() - self._started)

    def at(self) -> datetime:
        return self._now + self.elapsed()


def tell_not_reached(row: Notification, *, now: datetime) -> None:
    """Publish that a message that had to arrive did not; nothing for other messages."""
    if row.must_reach:
        publish(
            NoticeNotReached(
                subject_id=row.id,
                patient_id=row.patient_id,
                purpose=row.purpose,
                reason=row.reason,
            ),
            now=now,
        )


def _settle_many(rows: QuerySet[Notification], *, state: str, reason: str, now: datetime) -> int:
    locked = list(rows.select_for_update(skip_locked=True, of=("self",))[:1000])
    Notification.objects.filter(id__in=[row.id for row in locked]).update(
        state=state, reason=reason, lease_until=None, settled_at=now
    )
    for row in locked:
        row.reason = reason
        tell_not_reached(row, now=now)
    return len(locked)


def sweep(*, now: datetime) -> DrainOutcome:
    """Settle what is too late, and what a killed worker left behind."""
    outcome = DrainOutcome()
    with identity(system("notifications")):
        stuck = Notification.objects.filter(state=State.CLAIMED, lease_until__lt=now)
        outcome.waiting = stuck.filter(provider_reference="").update(
            state=State.PLANNED, lease_until=None
        )
        outcome.unknown = _settle_many(
            stuck.exclude(provider_reference=""),
            state=State.UNKNOWN,
            reason="worker-lost",
            now=now,
        )
        outcome.skipped = _settle_many(
            Notification.objects.filter(
                state=State.PLANNED, send_after__lte=now, expires_at__lte=now
            ).order_by("send_after"),
            state=State.SKIPPED,
            reason="expired",
            now=now,
        )
    return outcome


def claim(*, now: datetime, limit: int) -> list[_Claimed]:
    """Take up to `limit` due rows for `LEASE`; rows another worker holds are passed over."""
    lease_until = now + LEASE
    with identity(system("notifications")):
        due = list(
            Notification.objects.select_for_update(skip_locked=True)
            .filter(state=State.PLANNED, send_after__lte=now)
            .order_by("send_after")
            .values_list("id", "channel")[:limit]
        )
        Notification.objects.filter(id__in=[row_id for row_id, _ in due]).update(
            state=State.CLAIMED, lease_until=lease_until, provider_reference=""
        )
    return [_Claimed(row_id, channel, lease_until) for row_id, channel in due]


def drain(*, now: datetime, limit: int = 200) -> DrainOutcome:
    """Send what is due by `now`, at most `limit` rows; safe in any number of workers.

    Must run outside a transaction: each step is its own, and nothing is sent inside one.
    """
    clock = _Clock(now)
    outcome = sweep(now=now)
    server_down = False
    with mailer() as post:
        for mine in claim(now=now, limit=limit):
            by_mail = mine.channel == Channel.EMAIL
            if by_mail and not server_down and not post.is_open():
                server_down = True
                log.warning("notification.server_down", channel=mine.channel)
            if (by_mail and server_down) or clock.elapsed() > BATCH_TIME:
                pause = SERVER_DOWN_FOR if by_mail and server_down else timedelta()
                _give_back(mine, until=clock.at() + pause)
                outcome.waiting += 1
                continue
            _deliver(mine, post=post, clock=clock, outcome=outcome)
    return outcome


def _deliver(mine: _Claimed, *, post: Mailer, clock: _Clock, outcome: DrainOutcome) -> None:
    with identity(system("notifications")):
        ready, mine = _look_again(mine, now=clock.at(), outcome=outcome)
    if ready is None:
        return
    row = ready.row
    try:
        reference = post.send(row_id=row.id, to=ready.address, message=ready.message)
    except TryLater as error:
        _try_later(mine, row, code=error.code, now=clock.at(), outcome=outcome)
    except Refused as error:
        _settle(mine, row, state=State.FAILED, reason=error.code, now=clock.at())
        outcome.failed += 1
    except OutcomeUnknown:
        _settle(mine, row, state=State.UNKNOWN, reason="connection-lost", now=clock.at())
        outcome.unknown += 1
    else:
        _settle(mine, row, state=State.SENT, reason="", now=clock.at(), reference=reference)
        outcome.sent += 1


def _held(mine: _Claimed) -> QuerySet[Notification]:
    return Notification.objects.filter(
        id=mine.id, state=State.CLAIMED, lease_until=mine.lease_until
    )


def _with_facts(rows: QuerySet[Notification], now: datetime) -> QuerySet[Any]:
    """Add what the last look needs: contact, whose row it is, and her caregiver's scopes."""
    grants = CaregiverGrant.objects.filter(
        Q(valid_until__isnull=True) | Q(valid_until__gt=now),
        patient_id=OuterRef("patient_id"),
        caregiver_id=OuterRef("recipient_id"),
        revoked_at__isnull=True,
        valid_from__lte=now,
    )
    return rows.select_related("recipient__quiet_hours").annotate(
        contact_refusal=Func(
            "patient_id",
            Value(now, DateTimeField()),
            function="contact_allowed",
            output_field=TextField(),
        ),
        is_own=Exists(
            Patient.objects.filter(id=OuterRef("patient_id"), user_id=OuterRef("recipient_id"))
        ),
        is_staff_now=Exists(
            Membership.objects.active_at(now).filter(user_id=OuterRef("recipient_id"))
        ),
        granted_scopes=grants.annotate(allowed=scopes_at(now)).values("allowed")[:1],
        hidden_from_her=grants.values("hidden_resources")[:1],
    )


def _refusal(row: Any, rule: PurposeRule) -> str:
    """Return why this recipient may not be told, or an empty text."""
    if row.channel not in _CHANNELS_THAT_SEND:
        return "channel-unavailable"
    if not row.recipient.is_active:
        return "recipient-inactive"
    if rule.to_staff:
        return "" if row.is_staff_now else "recipient-inactive"
    if row.contact_refusal:
        return str(row.contact_refusal)
    scopes = row.granted_scopes or []
    hidden = row.hidden_from_her or []
    if not row.is_own and (rule.scope not in scopes or row.subject_id in hidden):
        return "grant-ended"
    if row.channel == Channel.EMAIL and not row.recipient.email:
        return "no-address"
    return ""


def _look_again(
    mine: _Claimed, *, now: datetime, outcome: DrainOutcome
) -> tuple[_Ready | None, _Claimed]:
    """Decide about one row just before it leaves, and mark it as handed over.

    An inbox row needs no hand-over: it is sent when it is marked.
    """
    row = _with_facts(_held(mine), now).select_for_update(of=("self",)).first()
    if row is None:
        return None, mine
    rule = RULES[Purpose(row.purpose)]
    reason = "expired" if row.expires_at <= now else _refusal(row, rule)
    wait_until = None
    if not reason:
        reason, wait_until = _ask_feature(row, rule, now)
    if wait_until and wait_until >= row.expires_at:
        reason = "expired"
    if not reason and not wait_until and not row.bypasses_quiet_hours:
        quiet = quiet_of(row.recipient)
        wait_until = quiet.first_allowed(now) if quiet.covers(now) else None
        reason = "quiet-hours" if wait_until and wait_until >= row.expires_at else ""
    if reason:
        _settle_here(mine, row, state=State.SKIPPED, reason=reason, now=now)
        outcome.skipped += 1
        return None, mine
    if wait_until:
        _held(mine).update(state=State.PLANNED, lease_until=None, send_after=wait_until)
        outcome.waiting += 1
        return None, mine
    return _hand_over(mine, row, now=now, outcome=outcome)


def _ask_feature(
    row: Notification, rule: PurposeRule, now: datetime
) -> tuple[str, datetime | None]:
    recheck = recheck_of(row.purpose)
    if recheck is None:
        if not rule.needs_recheck:
            return "", None
        log.error("notification.recheck_missing", purpose=row.purpose)
        return "", now + NO_RECHECK_FOR
    decision = recheck(row, now)
    if isinstance(decision, Skip):
        return decision.reason, None
    return "", decision.until if isinstance(decision, Wait) else None


def _hand_over(
    mine: _Claimed, row: Notification, *, now: datetime, outcome: DrainOutcome
) -> tuple[_Ready | None, _Claimed]:
    try:
        message = render(
            row.template,
            version=row.template_version,
            language=row.language,
            link=link_of(row, now),
            context=row.context,
        )
    except WordingError as error:
        log.error("notification.wording", template=row.template, code=error.code)
        _settle_here(mine, row, state=State.FAILED, reason=error.code, now=now)
        outcome.failed += 1
        return None, mine
    if row.channel == Channel.INBOX:
        _settle_here(mine, row, state=State.SENT, reason="", now=now)
        outcome.sent += 1
        return None, mine
    lease_until = now + LEASE
    row.attempts += 1
    _held(mine).update(
        lease_until=lease_until, attempts=row.attempts, provider_reference=message_id(row.id)
    )
    return _Ready(row, row.recipient.email, message), _Claimed(mine.id, mine.channel, lease_until)


def _settle_here(
    mine: _Claimed,
    row: Notification,
    *,
    state: str,
    reason: str,
    now: datetime,
    reference: str = "",
) -> None:
    changed = _held(mine).update(
        state=state,
        reason=reason,
        lease_until=None,
        settled_at=now,
        provider_reference=reference,
    )
    if changed and state != State.SENT:
        row.reason = reason
        tell_not_reached(row, now=now)


def _settle(
    mine: _Claimed,
    row: Notification,
    *,
    state: str,
    reason: str,
    now: datetime,
    reference: str = "",
) -> None:
    with identity(system("notifications")):
        _settle_here(mine, row, state=state, reason=reason, now=now, reference=reference)


def _try_later(
    mine: _Claimed, row: Notification, *, code: str, now: datetime, outcome: DrainOutcome
) -> None:
    """Plan the row again after a pause, or give up after the last attempt."""
    if row.attempts >= MAX_ATTEMPTS:
        _settle(mine, row, state=State.FAILED, reason=code, now=now)
        outcome.failed += 1
        return
    with identity(system("notifications")):
        _held(mine).update(
            state=State.PLANNED,
            lease_until=None,
            send_after=now + BACK_OFF[row.attempts - 1],
            reason=code,
            provider_reference="",
        )
    outcome.waiting += 1


def _give_back(mine: _Claimed, *, until: datetime) -> None:
    """Return a row that surely did not leave; it lost no attempt."""
    with identity(system("notifications")):
        _held(mine).update(state=State.PLANNED, lease_until=None, send_after=until)
