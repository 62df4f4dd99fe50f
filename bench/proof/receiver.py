"""An SMTP server that logs every raw delivery before it answers."""

import asyncio
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy

from aiosmtpd.smtp import SMTP, Envelope, Session

SLOWEST_ANSWER_SECONDS = 0.02


@dataclass(frozen=True)
class Delivery:
    """One message as it arrived. `key` is the Message-ID: what a provider folds doubles by."""

    key: str
    recipient: str


class Receiver:
    """Takes any message, notes it, waits a moment and answers. Safe between threads."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._deliveries: list[Delivery] = []
        self._arrived = threading.Condition()
        self.port = 0

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        raw = envelope.content or b""
        assert isinstance(raw, bytes)
        parsed = message_from_bytes(raw, policy=policy.default)
        key = str(parsed["Message-ID"] or "").strip()
        with self._arrived:
            self._deliveries += [Delivery(key, to) for to in envelope.rcpt_tos]
            self._arrived.notify_all()
        # As over a network: long enough for a kill to fall between sending and marking.
        await asyncio.sleep(self._chance.uniform(0, SLOWEST_ANSWER_SECONDS))
        return "250 OK"

    def deliveries(self) -> list[Delivery]:
        with self._arrived:
            return list(self._deliveries)

    def wait_for(self, count: int, seconds: float) -> bool:
        """Wait until `count` deliveries have arrived in all; False when they did not in time."""
        with self._arrived:
            return self._arrived.wait_for(lambda: len(self._deliveries) >= count, seconds)


@contextmanager
def receiving(chance: random.Random) -> Iterator[Receiver]:
    """Run a receiver on a free loopback port."""
    receiver = Receiver(chance)
    loop = asyncio.new_event_loop()

    def session() -> SMTP:
        return SMTP(receiver, hostname="proof", ident="proof", enable_SMTPUTF8=True, loop=loop)

    server = loop.run_until_complete(loop.create_server(session, "127.0.0.1", 0))
    receiver.port = int(server.sockets[0].getsockname()[1])
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
