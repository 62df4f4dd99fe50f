"""Views and serializers are thin: no query, no open door, nothing outside the base classes."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.permissions import AllowAny
from rest_framework.views import APIView

from core.api.permissions import Public
from patients.api.views import PersonalView

ROOT = Path(__file__).resolve().parents[2]
APPS = (
    "accounts", "appointments", "core", "education", "labs", "notifications", "patients",
    "portal", "symptoms", "worklist",
)  # fmt: skip

# Addresses under /api/v1/ that anybody, or a machine, may call, and why.
OPEN = {
    "api/v1/education/topics": "articles are public",
    "api/v1/education/articles/<slug:slug>": "articles are public",
    "api/v1/education/search": "articles are public",
    "api/v1/labs/messages": "the laboratory's own door: client credentials",
}


def edges() -> list[Path]:
    """Views and serializers, of the API and of pages."""
    found = [
        path
        for app in APPS
        for path in (ROOT / app).rglob("*.py")
        if "migrations" not in path.parts
        and ("api" in path.parts or path.stem in {"views", "serializers", "pages"})
    ]
    assert len(found) > 20
    return found


@pytest.mark.parametrize("path", edges(), ids=lambda path: str(path.relative_to(ROOT)))
def test_views_and_serializers_never_touch_a_manager(path: Path) -> None:
    # The token itself is looked up where tokens are read; idempotency keeps its own rows.
    allowed = {
        "accounts/api/authentication.py": "the token, before any viewer exists",
        "core/api/idempotency.py": "the stored answer, under the viewer's identity",
    }
    lines = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in {"objects", "_default_manager"}
    ]
    assert not lines or str(path.relative_to(ROOT)) in allowed


@pytest.mark.parametrize("path", edges(), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_open_by_the_frameworks_own_word(path: Path) -> None:
    assert "AllowAny" not in path.read_text()


def api_routes(patterns: Any = None, prefix: str = "") -> Iterator[tuple[str, type[APIView]]]:
    for entry in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from api_routes(entry.url_patterns, route)
        elif isinstance(entry, URLPattern) and route.startswith("api/"):
            yield route, getattr(entry.callback, "cls", type(None))


def test_every_address_of_the_api_is_personal_or_listed_as_open() -> None:
    routes = dict(api_routes())
    assert len(routes) > 20
    loose = {
        route
        for route, view in routes.items()
        if not issubclass(view, PersonalView) and route not in OPEN
    }
    assert loose == set()
    assert set(OPEN) <= set(routes), "an address in the list is gone"


def test_no_address_uses_allow_any() -> None:
    for route, view in api_routes():
        assert AllowAny not in view.permission_classes, route


def test_only_listed_addresses_are_public() -> None:
    public = {route for route, view in api_routes() if Public in view.permission_classes}
    assert public <= set(OPEN)


def test_every_personal_address_names_its_area_and_operation() -> None:
    for route, view in api_routes():
        if issubclass(view, PersonalView):
            assert view.area, route
            assert view.operation, route


def test_no_address_carries_more_than_an_opaque_id() -> None:
    for route, _ in api_routes():
        for word in ("identifier", "mrn", "birth", "name>", "token", "email"):
            assert word not in route, route


def test_operation_names_are_unique() -> None:
    views = {view for _, view in api_routes() if issubclass(view, PersonalView)}
    names = [view.operation for view in views]
    assert sorted(names) == sorted(set(names))
