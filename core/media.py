"""What a file is, by its first bytes. Whatever is not known to be harmless stays opaque.

Source: ISO 32000 (PDF header), PNG and TIFF specifications, JPEG (ITU-T T.81), RTF 1.9.1.
"""

from typing import Final

PDF: Final = "application/pdf"
PNG: Final = "image/png"
JPEG: Final = "image/jpeg"
TIFF: Final = "image/tiff"
TEXT: Final = "text/plain"
OPAQUE: Final = "application/octet-stream"

_MAGIC: Final = (
    (b"%PDF-", PDF),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"II*\x00", TIFF),
    (b"MM\x00*", TIFF),
)
_EXTENSIONS: Final = {PDF: "pdf", PNG: "png", JPEG: "jpg", TIFF: "tif", TEXT: "txt"}
_WORDS: Final = {
    PDF: "PDF document",
    PNG: "Picture",
    JPEG: "Picture",
    TIFF: "Picture",
    TEXT: "Text document",
}
_LAYOUT: Final = frozenset("\t\n\r\f")


def media_type_of(content: bytes) -> str:
    """Return the media type under which `content` may be given out.

    Text that could be active in some program (markup, scripts, rich text) is opaque: plain text
    is UTF-8 without control characters in which no "<" begins a tag and no "{\\" an RTF group.
    """
    for magic, media_type in _MAGIC:
        if content.startswith(magic):
            return media_type
    return TEXT if _is_plain_text(content) else OPAQUE


def _is_plain_text(content: bytes) -> bool:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    if not all(c.isprintable() or c in _LAYOUT for c in text):
        return False
    if text.lstrip().startswith(("{\\", "#!")):
        return False
    # "<" before a letter, "!", "?" or "/" can open a tag; "< 5 %" cannot.
    pieces = text.split("<")[1:]
    return not any(piece[:1].isalpha() or piece[:1] in ("!", "?", "/") for piece in pieces)


def extension_of(media_type: str) -> str:
    """Return the ending of a neutral file name."""
    return _EXTENSIONS.get(media_type, "bin")


def words_of(media_type: str) -> str:
    """Return what kind of file it is, in plain words."""
    return _WORDS.get(media_type, "File")
