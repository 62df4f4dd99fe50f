"""What can be linked from a code, filled by the apps that have something to link to.

A result page asks once for all its codes. Nobody registered, or a provider that fails, gives
no links and a warning: a missing article never hides a result.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import structlog

log = structlog.get_logger(__name__)


class LinkRequest(NamedTuple):
    """A code with the state it is in, e.g. LOINC `1742-6` and `HIGH`."""

    code: str
    state: str


@dataclass(frozen=True, slots=True)
class Link:
    """Where to read on: a topic, its title, and an API path with the anchor to open."""

    topic: str
    title: str
    href: str
    language: str


Provider = Callable[[Sequence[LinkRequest], Any, str], dict[LinkRequest, list[Link]]]

_providers: dict[str, Provider] = {}


def register(name: str, provider: Provider) -> None:
    """Register a provider under a name; called from `AppConfig.ready()`."""
    _providers[name] = provider


def links_for(
    requests: Sequence[LinkRequest], profile: Any, language: str
) -> tuple[dict[LinkRequest, list[Link]], list[str]]:
    """Return the links of each request and the warnings to pass on to the client."""
    found: dict[LinkRequest, list[Link]] = {request: [] for request in requests}
    warnings: list[str] = []
    for name, provider in _providers.items():
        try:
            for request, links in provider(requests, profile, language).items():
                found[request].extend(links)
        except Exception as error:
            log.error("links.provider_failed", provider=name, error_type=type(error).__name__)
            warnings.append("links-unavailable")
    if not _providers:
        warnings.append("links-unavailable")
    return found, warnings
