"""Documents in result lines: what is decoded, and what is refused with a reason."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.media import OPAQUE, TEXT, extension_of, media_type_of
from labs.documents import ELSEWHERE, MAX_BYTES, Documents, documents_of, without_data

PDF = b"%PDF-1.4 invented"


def sent(encoding: str, data: str) -> Documents:
    return documents_of("ED", [("LIS", "AP", "PDF", encoding, data)])


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("Base64", base64.b64encode(PDF).decode()),
        ("BASE64", base64.encodebytes(PDF).decode()),
        ("Hex", PDF.hex()),
        ("hex", PDF.hex(" ").upper()),
        ("A", PDF.decode()),
    ],
)
def test_every_encoding_of_the_table_is_decoded(encoding: str, data: str) -> None:
    (document,) = sent(encoding, data).sent
    assert document.content == PDF
    assert document.words == "PDF document"


@pytest.mark.parametrize(
    ("encoding", "data", "fault"),
    [
        ("Base64", "JVBERi0", "document-unreadable"),
        ("Base64", "JVBE*i0x", "document-unreadable"),
        ("Base64", "JVBERi0xÄÄÄ=", "document-unreadable"),
        ("Hex", "255", "document-unreadable"),
        ("Hex", "zz", "document-unreadable"),
        ("Base64", "  \n ", "document-empty"),
        ("Base64", "", "document-empty"),
        ("", "JVBERi0x", "document-encoding-unknown"),
        ("Quoted", "JVBERi0x", "document-encoding-unknown"),
    ],
)
def test_what_cannot_be_decoded_says_why(encoding: str, data: str, fault: str) -> None:
    assert sent(encoding, data) == Documents(fault=fault)


def test_the_limit_is_ten_megabytes_of_the_file_itself() -> None:
    largest = base64.b64encode(b"x" * MAX_BYTES).decode()
    assert sent("Base64", largest).fault == ""
    assert sent("Base64", base64.b64encode(b"x" * (MAX_BYTES + 1)).decode()).fault == (
        "document-too-large"
    )
    assert sent("A", "ä" * (MAX_BYTES // 2 + 1)).fault == "document-too-large"


def test_a_reference_is_kept_as_it_was_sent() -> None:
    read = documents_of("RP", [("//archive/1.pdf", "PACS", "AP", "PDF")])
    (document,) = read.sent
    assert (document.content, document.reference) == (None, "//archive/1.pdf^PACS^AP^PDF")
    assert read.words == ELSEWHERE


@pytest.mark.parametrize("repetitions", [[], [("",)], [("", "", "", "", "")], [('""',)]])
def test_a_line_that_says_nothing_is_no_fault(repetitions: list[tuple[str, ...]]) -> None:
    assert documents_of("ED", repetitions) == Documents()


def test_other_types_bring_no_documents() -> None:
    assert documents_of("TX", [("LIS", "AP", "PDF", "Base64", "JVBERi0x")]) == Documents()


def test_one_damaged_repetition_refuses_the_line() -> None:
    good = ("", "", "", "Base64", base64.b64encode(PDF).decode())
    assert len(documents_of("ED", [good, good]).sent) == 2
    assert documents_of("ED", [good, ("", "", "", "Base64", "*")]).fault == "document-unreadable"


_PARTS = st.lists(st.text("JVBERi0x=*^ ", max_size=20), max_size=6).map(tuple)


@given(st.lists(_PARTS, max_size=3))
def test_no_content_raises_and_a_fault_brings_no_document(
    repetitions: list[tuple[str, ...]],
) -> None:
    read = documents_of("ED", repetitions)
    assert not (read.fault and read.sent)
    assert all(document.content for document in read.sent)


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (PDF, "application/pdf"),
        (b"\x89PNG\r\n\x1a\n....", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"II*\x00....", "image/tiff"),
        (b"MM\x00*....", "image/tiff"),
        ("Größe < 5 %, ER 95 %\r\n".encode(), TEXT),
        (b"{\\rtf1 text}", OPAQUE),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", OPAQUE),
        (b"text first <script>alert(1)</script>", OPAQUE),
        (b" \n<!doctype html><p>hi", OPAQUE),
        (b"<?xml version='1.0'?>", OPAQUE),
        (b"#!/bin/sh\n", OPAQUE),
        (b"MZ\x90\x00", OPAQUE),
        (b"PK\x03\x04", OPAQUE),
        (b"\xff\xfe<\x00h\x00", OPAQUE),
        ("\ufeff<html>".encode(), OPAQUE),
    ],
)
def test_only_harmless_kinds_have_a_type(content: bytes, media_type: str) -> None:
    assert media_type_of(content) == media_type


@given(st.binary(max_size=200))
def test_a_file_is_never_given_out_as_something_active(content: bytes) -> None:
    assert media_type_of(content) in {
        "application/pdf", "image/png", "image/jpeg", "image/tiff", TEXT, OPAQUE,
    }  # fmt: skip
    assert extension_of(media_type_of(content)) in {"pdf", "png", "jpg", "tif", "txt", "bin"}


def test_the_queue_shows_a_line_without_its_document() -> None:
    segment = "OBX|1|ED|11502-2^Report^LN||^AP^PDF^Base64^" + "A" * 4000 + "||||||F"
    shown = without_data("ED", segment)
    assert len(shown) < 300
    assert shown.startswith("OBX|1|ED|11502-2^Report^LN||^AP^PDF^Base64^")
    assert shown.endswith("||||||F")
    assert without_data("TX", segment) == segment
