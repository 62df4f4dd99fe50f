"""The fourteen channels of REL-2: each says the same, byte for byte, with a held result.

Three of them do not exist yet; a test goes red as soon as an address of theirs appears, so that
whoever adds it adds it here.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from core.clock import utc_now
from core.db import identity, system
from core.events.outbox import deliver_due
from labs.services import releasing
from notifications.models import ChannelPreference, Notification
from notifications.services import drain
from tests.cast import Cast
from tests.labs.messages import Obx, laboratory
from tests.labs.releasing import MARKER, deliver, rule_for_markers
from tests.tokens import Api, api_of

# Events and notices are handed over in transactions of their own.
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

SCOPES = "labs.read symptoms.read export"
CANARY = "777.125"
LISTS = ("reports", "results")
VOLATILE = re.compile(rb'"(as_of|request_id)": ?"[^"]*",? ?')


class Reader:
    """Reads the record as one person does."""

    def __init__(self, api: Api, record: str) -> None:
        self._api, self._record = api, record

    def ask(self, path: str, **headers: str) -> Any:
        return self._api.get(f"patients/{self._record}/{path}", **headers)

    def read(self, *paths: str) -> list[bytes]:
        answers = [self.ask(path) for path in paths]
        assert {answer.status_code for answer in answers} <= {200, 404}
        return [VOLATILE.sub(b"", answer.content) for answer in answers]

    def items(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask(path).json()["items"]
        return found

    def pages(self, path: str) -> list[int]:
        """Return the size of each page from the first to the last, one item a page."""
        sizes, cursor = [], ""
        while True:
            answer = self.ask(f"{path}?limit=1{cursor}").json()
            sizes.append(len(answer["items"]))
            if answer["next"] is None:
                return sizes
            cursor = f"&cursor={answer['next']}"


def detail(reader: Reader) -> list[bytes]:
    return reader.read(*(f"reports/{report['id']}" for report in reader.items("reports")))


def count(reader: Reader) -> list[int]:
    counts = [len(reader.items(path)) for path in (*LISTS, "analytes")]
    return [*counts, reader.ask("reports").json()["new_count"]]


def validators(reader: Reader) -> list[Any]:
    """Return what a client revalidates with, and whether it still holds a moment later."""
    paths = (*LISTS, "analytes", "analytes/ca_15_3/trend")
    found: list[Any] = []
    for path in paths:
        first = reader.ask(path)
        again = reader.ask(path, **{"If-None-Match": first.headers["ETag"]})
        found.append((first.headers["ETag"], first.get("Last-Modified"), again.status_code))
    return found


def notices(reader: Reader) -> list[Any]:
    with identity(system("notifications")):
        rows = Notification.objects.order_by("id").values_list(
            "recipient_id", "occurrence", "channel", "state", "reason", "send_after"
        )
        return [*reader.read("notifications"), list(rows)]


def trend(reader: Reader) -> list[bytes]:
    return reader.read(
        *(f"analytes/{key}/trend{end}" for key in ("alt", "ca_15_3") for end in ("", ".svg"))
    )


def filtered(reader: Reader) -> list[bytes]:
    return reader.read(
        "results?analyte=ca_15_3",
        "results?state=HIGH,CRITICAL_HIGH",
        "results?panel=tumour_markers",
        "results?from=2026-01-01&until=2030-01-01",
        "reports?panel=tumour_markers",
        "reports?new=true",
    )


OWN: dict[str, Callable[[Reader], Any]] = {
    "list": lambda reader: reader.read(*LISTS),
    "detail": detail,
    "count": count,
    "pagination total": lambda reader: [reader.pages(path) for path in LISTS],
    "trend": trend,
    "search": lambda reader: reader.read("analytes"),
    "filter": filtered,
    "ETag/Last-Modified": validators,
    "notification": notices,
    # Three a day, so one of its two formats; hers alone.
    "export": lambda reader: reader.read("results/export.csv"),
}
HERS_ALONE = ("notification", "export")
PROXY = "proxy view"
# Channel: what its address would be called.
MISSING = {
    "digest": r"digest",
    "FHIR": r"fhir/(?!.*\$process)",
    "staff view as patient": r"view-as|impersonat",
}


def said(cast: Cast) -> dict[str, Any]:
    """Return what every channel says now."""
    anna = Reader(api_of(cast.anna_user, SCOPES), "me")
    dora = Reader(api_of(cast.dora, SCOPES), str(cast.anna.id))
    found = {channel: read(anna) for channel, read in OWN.items()}
    theirs = [read(dora) for channel, read in OWN.items() if channel not in HERS_ALONE]
    return {**found, PROXY: theirs}


def work_off(now: datetime) -> None:
    releasing.announce_due(now=now)
    while deliver_due(now=now):
        pass
    drain(now=now)


@pytest.fixture
def world(cast: Cast) -> Cast:
    now = utc_now() - timedelta(hours=1)
    laboratory(cast.clinic)
    for user in (cast.anna_user, cast.dora):
        ChannelPreference.objects.create(
            user=user, purpose="result", channel="email", enabled=False
        )
    deliver(now, Obx("31"), Obx("28", **MARKER), filler="FL0")
    deliver(now, Obx("33"), filler="FL1", collected="20261121081500+0100")
    work_off(utc_now())
    return cast


def arrive(filler: str) -> None:
    deliver(
        utc_now(),
        Obx(CANARY, sub_id="2", **MARKER),
        filler=filler,
        collected="20261121101500+0100",
        resulted="20261121120000+0100",
    )
    work_off(utc_now())


@pytest.mark.parametrize(
    "filler", ["FL1", "FL2"], ids=["joins a shown report", "report of its own"]
)
def test_every_channel_is_the_same_with_and_without_the_held_result(
    world: Cast, filler: str
) -> None:
    rule_for_markers(world, amount=720)
    before = said(world)
    arrive(filler)
    after = said(world)
    assert [channel for channel in before if before[channel] != after[channel]] == []
    assert CANARY not in str(after)


def test_released_it_changes_every_channel(world: Cast) -> None:
    """The comparison above can fail, channel by channel."""
    before = said(world)
    arrive("FL2")
    after = said(world)
    assert [channel for channel in before if before[channel] == after[channel]] == ["search"]
    rule_free = Obx("5.1", code="2039-6", name="CEA", unit="ng/mL", range="0-5")
    deliver(utc_now(), rule_free, filler="FL3")
    assert said(world)["search"] != after["search"]


def test_the_fourteen_are_named() -> None:
    assert len({*OWN, PROXY, *MISSING}) == 14


def _routes(patterns: list[Any], prefix: str = "") -> list[str]:
    found = []
    for pattern in patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            found += _routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            found.append(route)
    return found


@pytest.mark.parametrize("channel", MISSING)
def test_a_channel_that_comes_is_compared_too(channel: str) -> None:
    personal = [route for route in _routes(get_resolver().url_patterns) if "patient" in route]
    assert personal
    assert [route for route in personal if re.search(MISSING[channel], route)] == []
