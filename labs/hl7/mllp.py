"""MLLP framing: 0x0B, message, 0x1C, 0x0D. Source: HL7 Minimal Lower Layer Protocol, release 1.

The decoder keeps bytes only; reading sockets is the listener's work.
"""

import hashlib
from dataclasses import dataclass
from typing import Final, Literal

START: Final = 0x0B
END: Final = 0x1C
MAX_FRAME_BYTES: Final = 10 * 1024 * 1024
_AFTER_END: Final = frozenset(b"\r\n\x0b")
_RESTART: Final = b"\x0bMSH"


@dataclass(frozen=True, slots=True)
class Frame:
    payload: bytes


@dataclass(frozen=True, slots=True)
class FramingError:
    """Bytes that are no whole frame: at most the limit of them is kept, all are hashed.

    frame-too-large: the frame ended, but beyond the limit. frame-incomplete: it never ended.
    noise: bytes outside any frame, unless they are only line ends and blanks.
    """

    code: Literal["frame-too-large", "frame-incomplete", "noise"]
    kept: bytes
    size: int
    sha256: str


class _Kept:
    """Bytes up to a limit, with the size and SHA-256 of all of them."""

    def __init__(self, limit: int) -> None:
        self.limit, self.size = limit, 0
        self.data = bytearray()
        self._digest = hashlib.sha256()

    def add(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self._digest.update(chunk)
        self.data += chunk[: max(0, self.limit - len(self.data))]

    def error(self, code: Literal["frame-too-large", "frame-incomplete", "noise"]) -> FramingError:
        return FramingError(code, bytes(self.data), self.size, self._digest.hexdigest())


class FrameDecoder:
    """Turn a stream, in pieces of any size, into frames and framing errors, in order.

    A frame ends with 0x1C followed by CR, LF or the next 0x0B; any other 0x1C is data. So is a
    0x0B inside a frame, unless a message starts there: then the sender had given the earlier
    one up, and that one is reported as incomplete.
    """

    def __init__(self, max_bytes: int = MAX_FRAME_BYTES) -> None:
        self._limit = max_bytes
        self._frame: _Kept | None = None
        self._noise = _Kept(max_bytes)
        self._end_seen = False

    def feed(self, data: bytes) -> list[Frame | FramingError]:
        found: list[Frame | FramingError] = []
        at = 0
        while at < len(data):
            if self._frame is None:
                at = self._outside(data, at, found)
            else:
                at = self._inside(data, at, found)
        return found

    def _outside(self, data: bytes, at: int, found: list[Frame | FramingError]) -> int:
        start = data.find(START, at)
        stop = len(data) if start < 0 else start
        self._noise.add(data[at:stop])
        if start < 0:
            return stop
        found += self._noise_so_far()
        self._frame, self._end_seen = _Kept(self._limit), False
        return start + 1

    def _inside(self, data: bytes, at: int, found: list[Frame | FramingError]) -> int:
        frame = self._frame
        assert frame is not None
        if self._end_seen:
            self._end_seen = False
            if data[at] in _AFTER_END:
                found += self._finish(frame)
                self._frame = None
                return at if data[at] == START else at + 1
            frame.add(bytes([END]))
        end = data.find(END, at)
        stop = len(data) if end < 0 else end
        frame.add(data[at:stop])
        if end < 0:
            return stop
        self._end_seen = True
        return end + 1

    def close(self) -> list[Frame | FramingError]:
        """Report what the stream leaves behind. A frame that lacks only its last CR is whole."""
        found: list[Frame | FramingError] = []
        if self._frame is not None:
            if self._end_seen:
                found += self._finish(self._frame)
            else:
                found.append(self._frame.error("frame-incomplete"))
        found += self._noise_so_far()
        self._frame, self._end_seen = None, False
        return found

    def _finish(self, frame: _Kept) -> list[Frame | FramingError]:
        if frame.size > self._limit:
            return [frame.error("frame-too-large")]
        first, *restarted = bytes(frame.data).split(_RESTART)
        *abandoned, last = [first, *(b"MSH" + piece for piece in restarted)]
        found: list[Frame | FramingError] = []
        for piece in filter(None, abandoned):
            kept = _Kept(self._limit)
            kept.add(piece)
            found.append(kept.error("frame-incomplete"))
        return [*found, Frame(last)]

    def _noise_so_far(self) -> list[Frame | FramingError]:
        noise, self._noise = self._noise, _Kept(self._limit)
        return [noise.error("noise")] if noise.data.strip(b"\r\n\t \x1c") else []


def encode(payload: bytes) -> bytes:
    """Frame one message. Raises: ValueError when it holds a framing byte."""
    if START in payload or END in payload:
        raise ValueError("payload holds an MLLP framing byte")
    return bytes([START]) + payload + bytes([END, 0x0D])
