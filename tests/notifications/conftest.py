"""A real SMTP server in this process, and short ways to plan and read ledger rows."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.conf import LazySettings

from core.db import identity, system
from notifications import rechecks
from notifications.models import Notification
from notifications.purposes import Purpose
from notifications.services import plan
from tests.cast import Cast


class Post:
    """An SMTP server that keeps what it gets; `answer` decides about each message."""

    def __init__(self) -> None:
        self.received: list[tuple[str, str]] = []
        self.answer: Callable[[str], str] = lambda to: "250 OK"
        self.at_recipient: Callable[[str], str] = lambda to: "250 OK"
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(
            self._loop.create_server(
                lambda: SMTP(self, hostname="sink", enable_SMTPUTF8=True), "127.0.0.1", 0
            )
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.at_recipient(address)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        to = envelope.rcpt_tos[0]
        answer = self.answer(to)
        if answer.startswith("hang up"):
            assert server.transport is not None
            server.transport.abort()
            self.received.append((to, content.decode()))
            return "421 gone"
        if answer.startswith("250"):
            self.received.append((to, content.decode()))
        return answer

    def close(self) -> None:
        if self._loop.is_closed():
            return

        async def stop() -> None:
            self._server.close()
            for task in asyncio.all_tasks(self._loop) - {asyncio.current_task(self._loop)}:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


@pytest.fixture
def post(settings: LazySettings) -> Iterator[Post]:
    server = Post()
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    settings.DEFAULT_FROM_EMAIL = "Linden <no-reply@linden.example>"
    yield server
    server.close()


@pytest.fixture(autouse=True)
def nothing_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Features of the rows planned here have nothing to say about them."""
    monkeypatch.setattr(
        rechecks, "_rechecks", {purpose: lambda row, now: None for purpose in Purpose}
    )


Planned = Callable[..., UUID]


@pytest.fixture
def planned(cast: Cast, now: datetime) -> Planned:
    """Plan one row and return its id; anna's check-in by e-mail unless said otherwise."""

    def make(**changes: Any) -> UUID:
        subject = uuid4()
        terms: dict[str, Any] = {
            "recipient": cast.anna_user,
            "patient_id": cast.anna.id,
            "purpose": Purpose.CHECK_IN,
            "occurrence": f"checkin:{subject}",
            "channel": Notification.Channel.EMAIL,
            "subject_id": subject,
            "send_after": now,
            "expires_at": now + timedelta(hours=24),
            "now": now,
        } | changes
        assert plan(**terms)
        return row_of(occurrence=terms["occurrence"], channel=terms["channel"]).id

    return make


def row_of(**terms: Any) -> Notification:
    with identity(system("notifications")):
        return Notification.objects.get(**terms)


def state_of(row_id: UUID) -> tuple[str, str]:
    row = row_of(id=row_id)
    return row.state, row.reason


def change(row_id: UUID, **fields: Any) -> None:
    with identity(system("notifications")):
        assert Notification.objects.filter(id=row_id).update(**fields) == 1


def count(**terms: Any) -> int:
    with identity(system("notifications")):
        return Notification.objects.filter(**terms).count()
