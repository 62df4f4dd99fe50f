"""Which renderer answers: without weighing media types when there is nothing to choose."""

from collections.abc import Iterable
from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

_ANYTHING = frozenset({"", "*/*", "application/json", "application/json, */*"})


class OneRenderer(DefaultContentNegotiation):
    """The framework's negotiation, passed by where one renderer meets a usual `Accept`."""

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> Any:
        known = list(renderers)
        only = len(known) == 1 and known[0].media_type == "application/json"
        if only and request.META.get("HTTP_ACCEPT", "") in _ANYTHING:
            return known[0], known[0].media_type
        return super().select_renderer(request, known, format_suffix)
