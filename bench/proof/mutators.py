"""Ways in which a message goes wrong on its way: seeded, pure, on bytes."""

import random
from collections.abc import Callable

Mutator = Callable[[bytes, random.Random], bytes]


def _segments(message: bytes) -> list[bytes]:
    return message.rstrip(b"\r").split(b"\r")


def _joined(segments: list[bytes]) -> bytes:
    return b"\r".join(segments) + b"\r"


def flip_byte(message: bytes, chance: random.Random) -> bytes:
    made = bytearray(message)
    made[chance.randrange(len(made))] ^= 1 << chance.randrange(8)
    return bytes(made)


def replace_byte(message: bytes, chance: random.Random) -> bytes:
    made = bytearray(message)
    made[chance.randrange(len(made))] = chance.randrange(256)
    return bytes(made)


def cut_piece(message: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(message))
    return message[:start] + message[start + chance.randint(1, 40) :]


def insert_piece(message: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(message))
    return message[:at] + chance.randbytes(chance.randint(1, 12)) + message[at:]


def truncate(message: bytes, chance: random.Random) -> bytes:
    return message[: chance.randrange(1, len(message))]


def drop_segment(message: bytes, chance: random.Random) -> bytes:
    segments = _segments(message)
    del segments[chance.randrange(len(segments))]
    return _joined(segments)


def double_segment(message: bytes, chance: random.Random) -> bytes:
    segments = _segments(message)
    at = chance.randrange(len(segments))
    return _joined([*segments[: at + 1], *segments[at:]])


def swap_segments(message: bytes, chance: random.Random) -> bytes:
    segments = _segments(message)
    a, b = chance.sample(range(len(segments)), 2)
    segments[a], segments[b] = segments[b], segments[a]
    return _joined(segments)


def change_digit(message: bytes, chance: random.Random) -> bytes:
    places = [at for at, byte in enumerate(message) if 48 <= byte <= 57]
    made = bytearray(message)
    made[chance.choice(places)] = 48 + chance.randrange(10)
    return bytes(made)


def change_identity_digit(message: bytes, chance: random.Random) -> bytes:
    """Change a digit in the PID segment: the mistake that could reach another person."""
    start = message.find(b"\rPID|") + 1
    end = message.find(b"\r", start)
    places = [at for at in range(start, end) if 48 <= message[at] <= 57]
    made = bytearray(message)
    made[chance.choice(places)] = 48 + chance.randrange(10)
    return bytes(made)


def empty_field(message: bytes, chance: random.Random) -> bytes:
    segments = _segments(message)
    at = chance.randrange(1, len(segments))
    fields = segments[at].split(b"|")
    fields[chance.randrange(1, len(fields))] = b""
    segments[at] = b"|".join(fields)
    return _joined(segments)


def swap_fields(message: bytes, chance: random.Random) -> bytes:
    segments = _segments(message)
    at = chance.randrange(1, len(segments))
    fields = segments[at].split(b"|")
    a, b = chance.randrange(1, len(fields)), chance.randrange(1, len(fields))
    fields[a], fields[b] = fields[b], fields[a]
    segments[at] = b"|".join(fields)
    return _joined(segments)


def change_encoding_characters(message: bytes, chance: random.Random) -> bytes:
    return message.replace(rb"^~\&", chance.randbytes(4), 1)


def put_nul(message: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(message))
    return message[:at] + b"\0" + message[at:]


def claim_charset(message: bytes, chance: random.Random) -> bytes:
    segments = _segments(message)
    charset = chance.choice((b"UNICODE UTF-16", b"8859/15", b"ASCII", b"GB 18030-2000", b"x\xff"))
    segments[0] += b"||||||" + charset
    return _joined(segments)


def repeat_field(message: bytes, chance: random.Random) -> bytes:
    segments = _segments(message)
    at = chance.randrange(1, len(segments))
    fields = segments[at].split(b"|")
    field = chance.randrange(1, len(fields))
    mark = chance.choice((b"~", b"^", b"&"))
    fields[field] = mark.join([fields[field]] * chance.randint(2, 200))
    segments[at] = b"|".join(fields)
    return _joined(segments)


def break_lines(message: bytes, chance: random.Random) -> bytes:
    return message.replace(b"\r", chance.choice((b"\n", b"\r\n", b"\n\r", b"\x85")))


MUTATORS: dict[str, Mutator] = {
    made.__name__: made
    for made in (
        flip_byte, replace_byte, cut_piece, insert_piece, truncate, drop_segment, double_segment,
        swap_segments, change_digit, change_identity_digit, empty_field, swap_fields,
        change_encoding_characters, put_nul, claim_charset, repeat_field, break_lines,
    )
}  # fmt: skip


def framing_bytes_removed(message: bytes) -> bytes:
    """Return `message` as the payload of one frame; never empty."""
    return message.replace(b"\x0b", b" ").replace(b"\x1c", b" ") or b" "
