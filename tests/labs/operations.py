"""Every operation that a patient or her caregiver may call, and how tests call it.

The addresses come from the URL resolver and the parameters from the OpenAPI document; the tables
here say what to put in. An address or a parameter that no table knows is a failure by name.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.generators import SchemaGenerator

from clinical.states import PortalState

PATIENT = "api/v1/patients/<str:patient_ref>"

# Addresses outside the API that show a record to nobody by a patient's token.
ELSEWHERE = {
    "": "the landing page knows nobody",
    "admin/": "the staff site; tests/labs/test_reading_admin.py",
    "accounts/": "signing in and its second factors, by allauth",
    "o/": "tokens; no record",
    "fhir/": "POST by laboratories alone",
    "healthz": "says that the process lives",
    "readyz": "says that the process can serve",
    "metrics": "counts for the operator",
    "learn/": "public texts",
    "v/<str:token>": "one visit by the link in a message: its template knows no result",
    "calendar/<str:token>.ics": "visits by a calendar's own token: made of appointments alone",
    "api/v1/labs/messages": "POST by laboratories alone",
    "api/v1/staff/": "POST by staff alone",
    "api/v1/visit-links/": "opens one visit by the link in a message",
}


@dataclass(frozen=True)
class Read:
    """One GET. `status`: what she is answered; `values`: of parameters, where its own
    differ; `formats`: what its address may end in; `always`: what it is never asked
    without.

    `hers`: a caregiver is refused or it is not theirs. `unread`: answers that name what differs
    between two readings of the same world.
    """

    status: int = 200
    hers: bool = False
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)
    formats: tuple[str, ...] = ()
    always: dict[str, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()


BOOKED_KIND = {"visit_type": ""}
"""Filled with the kind of the visit that the world has."""

# What stands for a patient's address is left out: "" is the record itself.
READS = {
    "": Read(),
    # The cursor names the last transaction of the whole store.
    "/changes": Read(unread=("next",), always={"area": "labs"}),
    "/access-log": Read(hers=True),
    "/notifications": Read(hers=True),
    "/reports": Read(),
    "/reports/<uuid:report_id>": Read(),
    "/documents/<uuid:document_id>/content": Read(),
    "/hold-requests": Read(hers=True),
    "/telling": Read(hers=True),
    "/results": Read(),
    "/results/export.<str:format>": Read(hers=True, formats=("csv", "json")),
    "/analytes": Read(),
    "/analytes/<slug:analyte_key>/trend": Read(),
    "/analytes/<slug:analyte_key>/trend.<str:format>": Read(formats=("svg", "png")),
    "/opening-days": Read(always=BOOKED_KIND),
    "/openings": Read(always=BOOKED_KIND),
    "/appointments": Read(),
    "/appointments/$find": Read(always=BOOKED_KIND),
    "/appointments/$hold": Read(status=405),
    "/appointments/$book": Read(status=405),
    "/appointments/<uuid:appointment_id>": Read(),
    "/appointments/<uuid:appointment_id>/calendar": Read(),
    # A visit a week ahead: its eCheck-in is not open yet.
    "/appointments/<uuid:appointment_id>/echeckin": Read(status=404),
    "/appointments/<uuid:appointment_id>/echeckin/$complete": Read(status=405),
    "/appointments/<uuid:appointment_id>/echeckin/<slug:section>": Read(status=405),
    "/holds": Read(),
    "/waitlist": Read(),
    "/waitlist-offers": Read(),
    "/tickets": Read(),
    "/care-plans": Read(),
    "/visit-requests": Read(),
    "/visit-types": Read(),
    "/locations": Read(),
    "/calendar-feeds": Read(),
    "/check-in-plans": Read(),
    "/check-ins": Read(),
    "/check-ins/<uuid:check_in_id>": Read(),
    "/symptoms/<slug:symptom_key>/trend": Read(),
    "/education": Read(),
}
# One row of a list that is compared itself; the app that answers imports nothing of results.
ROWS_WITHOUT_RESULTS = {
    "/waitlist/<uuid:entry_id>": "appointments",
    "/care-plans/<uuid:plan_id>": "appointments",
    "/visit-requests/<uuid:request_id>": "appointments",
}
OTHER_READS = {
    "api/v1/me": Read(),
    "api/v1/education/topics": Read(),
    "api/v1/education/articles/<slug:slug>": Read(status=404),
    "api/v1/education/search": Read(always={"q": "tumour"}),
}
# What writes and answers with results: called with what it needs in `tests/labs`.
WRITES_THAT_READ = {
    "/outside-results": ("post",),
    "/outside-results/<uuid:result_id>": ("put", "delete"),
    "/reports/<uuid:report_id>/seen": ("post",),
    "/hold-requests": ("post",),
    "/hold-requests/<uuid:hold_id>/end": ("post",),
    "/telling": ("put",),
}
# Apps whose writes answer with their own rows alone, for they import nothing of results.
APPS_WITHOUT_RESULTS = ("appointments", "symptoms")

DAYS = ("2026-11-21", "2030-01-01")
VALUES: dict[str, tuple[str, ...]] = {
    "analyte": ("alt", "ca_15_3", "alt,ca_15_3"),
    "area": ("appointments", "symptoms", "notifications", "record"),
    "audience": ("patient",),
    "from": DAYS,
    "lang": ("en", "de"),
    "limit": ("1", "100"),
    "location": (),
    "new": ("true", "false"),
    "open": ("true", "false"),
    "panel": ("tumour_markers", "liver"),
    "period": ("upcoming", "past"),
    "practitioner": (),
    "prognosis": ("true", "false"),
    "q": ("tumour marker", "CA 15-3"),
    "schedule": (),
    "starts_from": (),
    "starts_until": (),
    "state": tuple(str(state) for state in PortalState),
    "status": ("waiting",),
    "titles": ("discreet", "full"),
    "to": (),
    "until": DAYS,
    "visit_type": (),
    "weekday": (),
    "years": ("10",),
}
# Filled from a world, and followed from page to page.
FROM_WORLD = ("since",)
FOLLOWED = ("cursor",)


def all_reads() -> Iterator[tuple[str, Read]]:
    for short, how in READS.items():
        yield PATIENT + short, how
    yield from OTHER_READS.items()


def imports_of(app: str, wanted: str) -> list[str]:
    """Return the modules of an app that import another."""
    found = []
    for module in sorted((Path(__file__).parents[2] / app).rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            found += [str(module) for name in names if name.partition(".")[0] == wanted]
    return found


def routes() -> Iterator[tuple[str, Any]]:
    """Yield every address of the product with its view."""
    yield from _routes(get_resolver().url_patterns, "")


def _routes(patterns: list[Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield route, pattern.callback


def methods(view: Any) -> set[str]:
    cls = getattr(view, "cls", None) or getattr(view, "view_class", None)
    names = ("get", "post", "put", "patch", "delete")
    return {name for name in names if cls is not None and hasattr(cls, name)}


def app_of(view: Any) -> str:
    cls = getattr(view, "cls", None) or getattr(view, "view_class", view)
    return str(cls.__module__).partition(".")[0]


def unknown() -> list[str]:
    """Return what nobody has said how to compare, by name."""
    found = []
    for route, view in routes():
        if route.startswith(PATIENT):
            found += _unknown_of(route, route.removeprefix(PATIENT), view)
        elif route not in OTHER_READS and not _elsewhere(route):
            found.append(route)
    return [*found, *_unknown_parameters()]


def _unknown_of(route: str, short: str, view: Any) -> list[str]:
    found = []
    for method in methods(view):
        if method == "get":
            known = short in READS or ROWS_WITHOUT_RESULTS.get(short) == app_of(view)
        else:
            known = app_of(view) in APPS_WITHOUT_RESULTS or method in WRITES_THAT_READ.get(
                short, ()
            )
        if not known:
            found.append(f"{method} {route}")
    return found if methods(view) else [route]


def _elsewhere(route: str) -> bool:
    return any(route == start or (start and route.startswith(start)) for start in ELSEWHERE)


def documented() -> dict[str, set[str]]:
    """Return the query parameters of every documented GET, by address."""
    schema = SchemaGenerator().get_schema(request=None, public=True)
    return {
        path.lstrip("/"): {
            parameter["name"]
            for parameter in item["get"].get("parameters", [])
            if parameter["in"] == "query"
        }
        for path, item in schema["paths"].items()
        if "get" in item
    }


def _unknown_parameters() -> list[str]:
    known = {*VALUES, *FROM_WORLD, *FOLLOWED}
    return sorted(
        f"{path}?{name}"
        for path, names in documented().items()
        for name in names
        if name not in known
    )


def addresses(short: str, ids: dict[str, list[str]]) -> Iterator[str]:
    """Yield the addresses of a route, filled with the ids of a world."""
    before, opened, rest = short.partition("<")
    if not opened:
        yield short
        return
    converter, _, after = rest.partition(">")
    for value in ids[converter.partition(":")[2]]:
        for tail in addresses(after, ids):
            yield f"{before}{value}{tail}"


def template(route: str) -> str:
    """Return a route as the OpenAPI document writes it."""
    before, opened, rest = route.partition("<")
    if not opened:
        return route
    converter, _, after = rest.partition(">")
    return f"{before}{{{converter.partition(':')[2]}}}{template(after)}"
