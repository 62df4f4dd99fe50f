"""Pictures and files out; a problem in their place stays JSON."""

from typing import Any

from core.api.renderers import JSONRenderer


class _BytesRenderer(JSONRenderer):
    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> bytes:
        if isinstance(data, bytes):
            return data
        return super().render(data, accepted_media_type, renderer_context)


class SvgRenderer(_BytesRenderer):
    media_type = "image/svg+xml"
    format = "svg"


class PngRenderer(_BytesRenderer):
    media_type = "image/png"
    format = "png"


class CsvRenderer(_BytesRenderer):
    media_type = "text/csv"
    format = "csv"


class FileRenderer(_BytesRenderer):
    """Any file; its view says which media type it has."""

    media_type = "application/octet-stream"
    format = "file"
