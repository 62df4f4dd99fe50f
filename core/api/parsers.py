"""JSON in, with limits on size, depth and list length (DECISIONS 8)."""

from typing import IO, Any

import orjson
from django.conf import settings
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser


class BodyTooLarge(APIException):
    status_code = 413
    default_detail = "The body is larger than this address accepts."
    default_code = "body-too-large"


def _check_shape(value: Any, depth: int) -> None:
    if depth > settings.MAX_JSON_DEPTH:
        raise ParseError("The JSON is nested too deeply.", code="too-deep")
    if isinstance(value, dict):
        for item in value.values():
            _check_shape(item, depth + 1)
    elif isinstance(value, list):
        if len(value) > settings.MAX_JSON_ITEMS:
            raise ParseError("A list in the JSON has too many items.", code="too-many-items")
        for item in value:
            _check_shape(item, depth + 1)


class JSONParser(BaseParser):
    """Parse a JSON body of at most `DATA_UPLOAD_MAX_MEMORY_SIZE` bytes."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None
    ) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise BodyTooLarge()
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ParseError("The body is not valid JSON.", code="not-json") from error
        _check_shape(value, 1)
        return value
