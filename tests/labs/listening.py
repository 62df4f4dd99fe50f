"""Run the real MLLP listener on a loopback socket beside a test."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from labs.hl7.mllp import Frame, FrameDecoder, encode
from labs.management.mllp_listener import Listener, ListenerOptions


class Client:
    """One connection: send frames or bytes, read the answers."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._decoder = FrameDecoder()
        self._waiting: list[bytes] = []

    def ask(self, raw: bytes) -> bytes:
        self.socket.sendall(encode(raw))
        return self.answer()

    def answer(self) -> bytes:
        """Return the next answer; b"" when the listener closed the connection."""
        while not self._waiting:
            data = self.socket.recv(65_536)
            if not data:
                return b""
            found = self._decoder.feed(data)
            self._waiting += [piece.payload for piece in found if isinstance(piece, Frame)]
        return self._waiting.pop(0)

    def close(self) -> None:
        self.socket.close()


@contextmanager
def listening(now: datetime, **options: object) -> Iterator[int]:
    """Yield the port of a listener whose clock stands at `now`; stop it cleanly afterwards."""
    loop = asyncio.new_event_loop()
    listener: list[Listener] = []
    ready = threading.Event()

    async def start() -> None:
        made = Listener(ListenerOptions(port=0, **options), clock=lambda: now)  # type: ignore[arg-type]
        await made.start()
        listener.append(made)
        ready.set()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(start())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield listener[0].port
    finally:
        asyncio.run_coroutine_threadsafe(listener[0].stop(patience_seconds=5), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def ack_code(answer: bytes) -> str:
    return answer.split(b"\r")[1].split(b"|")[1].decode()
