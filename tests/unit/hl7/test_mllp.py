import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.hl7.mllp import Frame, FrameDecoder, FramingError, encode

MSG = b"MSH|^~\\&|LIS|LAB\rPID|1\r"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def decode(*chunks: bytes, limit: int = 1000) -> list[Frame | FramingError]:
    decoder = FrameDecoder(limit)
    return [item for chunk in chunks for item in decoder.feed(chunk)] + decoder.close()


def test_one_frame() -> None:
    assert decode(encode(MSG)) == [Frame(MSG)]


def test_two_frames_in_one_packet() -> None:
    assert FrameDecoder().feed(encode(MSG) + encode(b"MSH|2")) == [Frame(MSG), Frame(b"MSH|2")]


def test_frame_comes_only_when_it_has_ended() -> None:
    decoder = FrameDecoder()
    stream = encode(MSG)
    assert [decoder.feed(stream[at : at + 1]) for at in range(len(stream) - 1)] == [[]] * (
        len(stream) - 1
    )
    assert decoder.feed(stream[-1:]) == [Frame(MSG)]


@pytest.mark.parametrize("end", [b"\x1c\r", b"\x1c\n", b"\x1c\r\n", b"\x1c\n\r"])
def test_line_feed_after_the_end_byte_is_tolerated(end: bytes) -> None:
    assert decode(b"\x0b" + MSG + end, encode(b"MSH|2")) == [Frame(MSG), Frame(b"MSH|2")]


def test_missing_last_cr_ends_at_the_next_start_or_at_close() -> None:
    assert decode(b"\x0b" + MSG + b"\x1c", b"\x0bMSH|2\x1c") == [Frame(MSG), Frame(b"MSH|2")]


def test_end_byte_inside_text_is_data() -> None:
    assert decode(b"\x0bMSH|a\x1cb\x1c", b"\x1c\r") == [Frame(b"MSH|a\x1cb\x1c")]


def test_start_byte_inside_text_is_data() -> None:
    assert decode(b"\x0bMSH|a\x0bb\x1c\r") == [Frame(b"MSH|a\x0bb")]


def test_doubled_start_byte_costs_nothing() -> None:
    assert decode(b"\x0b\x0b" + MSG + b"\x1c\r") == [Frame(MSG)]


def test_frame_given_up_by_its_sender_is_reported_before_the_new_one() -> None:
    cut = b"MSH|cut off in the mid"
    assert decode(b"\x0b" + cut + encode(MSG)) == [
        FramingError("frame-incomplete", cut, len(cut), sha(cut)),
        Frame(MSG),
    ]


def test_noise_between_frames_is_kept_and_survived() -> None:
    assert decode(b"GET / HT", b"TP/1.1\r\n\r\n", encode(MSG), b"\r\n \t") == [
        FramingError("noise", b"GET / HTTP/1.1\r\n\r\n", 18, sha(b"GET / HTTP/1.1\r\n\r\n")),
        Frame(MSG),
    ]


def test_noise_without_any_frame_is_reported_at_close() -> None:
    assert decode(b"hello") == [FramingError("noise", b"hello", 5, sha(b"hello"))]


def test_partial_frame_is_reported_at_close() -> None:
    assert decode(b"\x0bMSH|half") == [
        FramingError("frame-incomplete", b"MSH|half", 8, sha(b"MSH|half"))
    ]


def test_size_limit_is_inclusive() -> None:
    assert decode(encode(b"x" * 1000)) == [Frame(b"x" * 1000)]


@pytest.mark.parametrize("step", [1, 7, 5000])
def test_oversize_keeps_the_beginning_hashes_all_and_goes_on(step: int) -> None:
    big = bytes(range(32, 127)) * 20
    stream = encode(big) + encode(MSG)
    chunks = [stream[at : at + step] for at in range(0, len(stream), step)]
    assert decode(*chunks) == [
        FramingError("frame-too-large", big[:1000], len(big), sha(big)),
        Frame(MSG),
    ]


def test_default_limit_is_ten_mebibytes() -> None:
    big = b"x" * (10 * 1024 * 1024 + 1)
    decoder = FrameDecoder()
    (error,) = decoder.feed(encode(big))
    assert isinstance(error, FramingError)
    assert (error.code, len(error.kept), error.size) == (
        "frame-too-large",
        10 * 1024 * 1024,
        len(big),
    )
    assert decoder.feed(encode(MSG)) == [Frame(MSG)]


def test_decoder_is_fresh_after_close() -> None:
    decoder = FrameDecoder()
    decoder.feed(b"\x0bhalf")
    decoder.close()
    assert decoder.feed(encode(MSG)) == [Frame(MSG)]
    assert decoder.close() == []


@pytest.mark.parametrize("payload", [b"a\x0bb", b"a\x1cb"])
def test_framing_bytes_are_never_written_into_a_frame(payload: bytes) -> None:
    with pytest.raises(ValueError, match="framing"):
        encode(payload)


PAYLOAD = st.binary(max_size=60).map(lambda data: data.translate(None, b"\x0b\x1c"))


@given(st.lists(PAYLOAD, max_size=6), st.lists(st.integers(1, 40), min_size=1))
def test_any_chunking_gives_the_same_frames(payloads: list[bytes], sizes: list[int]) -> None:
    stream, at, turn = b"".join(map(encode, payloads)), 0, 0
    decoder, found = FrameDecoder(), []
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        found += decoder.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert found + decoder.close() == [Frame(payload) for payload in payloads]


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"\x0b", b"\x1c", b"\x1c\r"])))
def test_junk_never_crashes_and_chunking_never_matters(chunks: list[bytes]) -> None:
    assert decode(*chunks, limit=50) == decode(b"".join(chunks), limit=50)
    assert decode(*chunks, b"\x1c\r", encode(MSG), limit=50)[-1] == Frame(MSG)
