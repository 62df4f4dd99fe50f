"""What every public answer of the library shares: language, validators, cache rules.

Public: `asked_language`, `served_language`, `Prepared`, `answer`.
"""

import hashlib
import re
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.utils.translation.trans_real import parse_accept_lang_header

from core.errors import FieldError, InvalidInput
from education.articles import LANGUAGES
from education.library import DEFAULT_LANGUAGE

CACHE_CONTROL = "public, max-age=300, stale-while-revalidate=86400"
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8}){0,3}")


@dataclass(frozen=True, slots=True)
class Prepared:
    """Bytes to send, with the strong validator made from them."""

    content: bytes
    content_type: str
    etag: str

    @classmethod
    def of(cls, content: bytes, content_type: str) -> "Prepared":
        digest = hashlib.sha256(content_type.encode() + b"\n" + content).hexdigest()
        return cls(content, content_type, f'"{digest[:32]}"')


def asked_language(request: HttpRequest) -> str:
    """Return the language the reader asked for: `?lang=`, Accept-Language, English.

    A language that nobody writes here stays as asked, so that the answer can say so.
    Raises: InvalidInput when `lang` is not a language tag.
    """
    given = request.GET.get("lang")
    if given is not None:
        if not _LANGUAGE.fullmatch(given):
            raise InvalidInput(
                errors=(FieldError("lang", "invalid", "Send a language such as en or es."),)
            )
        return given.split("-")[0].lower()
    header = request.headers.get("Accept-Language", "")[:200]
    accepted = (tag.split("-")[0] for tag, _ in parse_accept_lang_header(header.lower()))
    return next((language for language in accepted if language in LANGUAGES), DEFAULT_LANGUAGE)


def served_language(asked: str) -> str:
    """Return `asked` when articles may be written in it, else English."""
    return asked if asked in LANGUAGES else DEFAULT_LANGUAGE


def wants_prognosis(request: HttpRequest) -> bool:
    """Return whether the reader chose to see sections about outlook."""
    return request.GET.get("prognosis") == "show"


def answer(request: HttpRequest, prepared: Prepared) -> HttpResponse:
    """Return 200 with the bytes, or 304 when the client holds them; both may be cached."""
    header = request.headers.get("If-None-Match", "")
    sent = {part.strip().removeprefix("W/") for part in header.split(",")}
    if prepared.etag in sent or "*" in sent:
        response = HttpResponse(status=304)
    else:
        response = HttpResponse(prepared.content, content_type=prepared.content_type)
    response["ETag"] = prepared.etag
    response["Cache-Control"] = CACHE_CONTROL
    if "lang" not in request.GET:
        response["Vary"] = "Accept-Language"
    return response
