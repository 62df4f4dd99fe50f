"""The MLLP listener: many connections in one loop, database work in a few threads.

One frame, one answer, in order; other connections go on meanwhile. Bytes that are no frame are
kept and answered with AE. A connection whose message could not be kept is closed without an
answer, so that the sender tries again.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from threading import Lock, local

import structlog
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from labs.hl7.mllp import Frame, FrameDecoder, FramingError, encode
from labs.services.intake import Answer, Overflow, messages_in, receive
from labs.services.senders import Door, Origin

log = structlog.get_logger(__name__)

_READ_BYTES = 65_536
# A sender that uses a framing byte as its delimiter gets its answer without it.
_FRAMING = b"\x0b\x1c"


@dataclass(frozen=True, slots=True)
class ListenerOptions:
    """`frame_seconds`: how long the rest of a begun frame may take. `workers`: threads, each
    with one database connection."""

    host: str = "127.0.0.1"
    port: int = 2575
    workers: int = 4
    max_connections: int = 200
    max_bytes: int = 10 * 1_048_576
    frame_seconds: float = 30.0
    tls: ssl.SSLContext | None = None


class Listener:
    """Start with `start()`, stop with `stop()`: it finishes what it has begun."""

    def __init__(self, options: ListenerOptions, *, clock: Callable[[], datetime]) -> None:
        self.options = options
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._pool = ThreadPoolExecutor(options.workers, thread_name_prefix="mllp")
        self._mine = local()
        self._connections: list[BaseDatabaseWrapper] = []
        self._lock = Lock()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            self._connected, self.options.host, self.options.port, ssl=self.options.tls
        )

    async def stop(self, *, patience_seconds: float = 10.0) -> None:
        """Take no more connections, let frames in work be answered, close everything."""
        assert self._server is not None
        self._server.close()
        self._stopping.set()
        if self._open:
            await asyncio.wait(self._open, timeout=patience_seconds)
        for task in list(self._open):
            task.cancel()
        if self._open:
            await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()
        await asyncio.to_thread(self._release_threads)

    def _release_threads(self) -> None:
        self._pool.shutdown()
        for connection in self._connections:
            connection.inc_thread_sharing()
            connection.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._open) >= self.options.max_connections or self._stopping.is_set():
            writer.close()
            return
        self._open.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, TimeoutError, ssl.SSLError):
            log.info("mllp.connection_lost")
        finally:
            self._open.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = str(writer.get_extra_info("peername")[0])
        decoder = FrameDecoder(self.options.max_bytes)
        while not self._stopping.is_set():
            data = await self._read(reader)
            if data is None:
                # Silence: a frame that does not go on is over; an idle sender may stay.
                found = decoder.close()
            else:
                found = decoder.feed(data) if data else decoder.close()
            if not await self._answer_all(found, peer, writer) or data == b"":
                return

    async def _read(self, reader: asyncio.StreamReader) -> bytes | None:
        """Return bytes, b"" at the end, or None after `frame_seconds` of silence or a stop."""
        reading = asyncio.ensure_future(reader.read(_READ_BYTES))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            done, _ = await asyncio.wait(
                {reading, stopping},
                timeout=self.options.frame_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            return reading.result() if reading in done else None
        finally:
            reading.cancel()
            stopping.cancel()

    async def _answer_all(
        self, found: list[Frame | FramingError], peer: str, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer each piece in order; False when one could not be kept."""
        loop = asyncio.get_running_loop()
        for piece in found:
            answers = await loop.run_in_executor(self._pool, self._take, piece, peer)
            if answers is None:
                return False
            for answer in answers:
                writer.write(encode(answer.ack.translate(None, _FRAMING)))
            await writer.drain()
        return True

    def _take(self, piece: Frame | FramingError, peer: str) -> list[Answer] | None:
        """Keep and file one piece, in a worker thread. None when the database is away."""
        self._register_connection()
        origin = Origin(door=Door.MLLP, peer=peer)
        if isinstance(piece, FramingError):
            overflow = Overflow(piece.code, piece.size, piece.sha256)
            return self._receive([piece.kept], origin, overflow)
        return self._receive(messages_in(piece.payload), origin, None)

    def _receive(
        self, messages: list[bytes], origin: Origin, overflow: Overflow | None
    ) -> list[Answer] | None:
        answers = []
        for raw in messages:
            started = time.perf_counter()
            answer = self._receive_once(raw, origin, overflow) or self._receive_once(
                raw, origin, overflow
            )
            if answer is None:
                return None
            log.info(
                "intake",
                sender=answer.sender,
                ack=answer.ack_code,
                outcome=answer.disposition,
                ms=round((time.perf_counter() - started) * 1000, 1),
            )
            answers.append(answer)
        return answers

    def _receive_once(self, raw: bytes, origin: Origin, overflow: Overflow | None) -> Answer | None:
        """A connection that went stale is dropped here, so that a second try opens a new one."""
        try:
            return receive(raw, origin=origin, now=self._clock(), overflow=overflow)
        except Exception as error:
            # Not kept, so not answered; the listener and its other senders go on.
            log.error("intake.not_kept", error_type=type(error).__name__)
            connections["default"].close()
            return None

    def _register_connection(self) -> None:
        if not getattr(self._mine, "known", False):
            self._mine.known = True
            with self._lock:
                self._connections.append(connections["default"])
