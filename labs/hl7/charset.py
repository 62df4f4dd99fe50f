"""Decode HL7 bytes by MSH-18. Source: HL7 v2.5.1 table 0211 (alternate character sets)."""

import re
from typing import Final

_MULTIBYTE: Final = {
    "GB 18030-2000": "gb18030",
    "BIG-5": "big5",
    "KS X 1001": "euc_kr",
    "ISO IR87": "iso2022_jp",
    "ISO IR14": "shift_jis",
}
_SINGLE: Final = {"CP1252": "cp1252", "WINDOWS-1252": "cp1252"} | {
    f"8859/{part}": f"iso8859-{part}" for part in (*range(1, 12), *range(13, 17))
}
_UTF8: Final = frozenset({"UNICODE UTF-8", "UTF-8", "UTF8"})


def decode(data: bytes, declared: str) -> tuple[str, str, bool]:
    """Return text, codec, and whether the bytes contradict the declared set. Never raises.

    A declared multi-byte set is tried first. Otherwise valid UTF-8 wins even over a declared
    single-byte set: such text almost never forms it by chance, and a misread name would miss
    its patient. Then the declared set, then Windows-1252, then Latin-1, which reads any byte.
    "Latin-1" with C1 bytes is Windows-1252 in practice.
    """
    wanted = declared.strip().upper()
    multi, single = _MULTIBYTE.get(wanted), _SINGLE.get(wanted)
    if single == "iso8859-1" and re.search(rb"[\x80-\x9f]", data):
        single = "cp1252"
    expected = multi or single or ("utf-8" if wanted in _UTF8 else None)
    for codec in (multi, "utf-8", single, "cp1252"):
        if codec is None:
            continue
        try:
            text = data.decode(codec)
        except UnicodeDecodeError:
            continue
        break
    else:
        text, codec = data.decode("iso8859-1"), "iso8859-1"
    contradicts = bool(wanted) and codec != expected and not data.isascii()
    return without_nul(text), codec, contradicts


def without_nul(text: str) -> str:
    """Replace NUL, which PostgreSQL text cannot hold (the raw bytes are kept as received)."""
    return text.replace("\x00", "\ufffd")
